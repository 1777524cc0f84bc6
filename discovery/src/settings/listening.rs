//! What protects the service's own listeners, made of flags that are called and mean what they do in `quorate-server`.
//!
//! Invariant: a flag that demands something of clients is never without effect: where it could be, it is refused.

use quorate_transport::endpoint::Endpoint;
use quorate_transport::tls::{TlsSettings, Trust};

use super::{Given, SettingsError};

/// What the listeners are called in log lines and metrics.
const SIDE: &str = "client";

impl Given<'_> {
    /// What whoever connects by `https://` is shown and asked for; nothing without a certificate.
    pub(super) fn protection(
        &self,
        listen: &[Endpoint],
    ) -> Result<Option<TlsSettings>, SettingsError> {
        let key_pair = self.key_pair("cert-file", "key-file")?;
        let is_protected = listen.iter().any(|endpoint| endpoint.is_tls);
        if key_pair.is_none() && is_protected {
            let reason = "https:// needs --cert-file and --key-file".to_owned();
            return Err(self.wrong("listen-url", reason));
        }
        let trust = match self.path("trusted-ca-file") {
            Some(_) if !is_protected => {
                let reason = "nobody would be asked for a certificate: it counts at https:// listen URLs alone";
                return Err(self.wrong("trusted-ca-file", reason.to_owned()));
            }
            Some(bundle) => Trust::Bundle(bundle),
            None => Trust::System,
        };
        let revocations = self.path("client-crl-file");
        let demands = [
            ("client-cert-auth", self.switch("client-cert-auth")?),
            ("client-crl-file", revocations.is_some()),
        ];
        let demanding = demands.into_iter().find(|(_, is_given)| *is_given);
        if let (Some((flag, _)), Trust::System) = (demanding, &trust) {
            let reason =
                "it needs --trusted-ca-file: the authorities whose certificates are accepted";
            return Err(self.wrong(flag, reason.to_owned()));
        }
        let made = key_pair.map(|key_pair| TlsSettings::listening(SIDE, key_pair, trust));
        Ok(made.map(|made| TlsSettings { revocations, ..made }))
    }

    fn switch(&self, flag: &'static str) -> Result<bool, SettingsError> {
        let text = self.text(flag);
        text.parse().map_err(|_| self.wrong(flag, "give true or false".to_owned()))
    }
}
