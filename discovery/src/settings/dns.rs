//! The flags about DNS.

use std::net::{IpAddr, SocketAddr};

use super::{Given, SettingsError};
use crate::dns::Zone;

/// Where DNS is answered, and for what.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// Where questions are taken, over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// The zone.
    pub zone: Zone,
    /// Queries per second and address; 0 is no limit.
    pub queries_per_second: u32,
}

impl Given<'_> {
    pub(super) fn dns(&self) -> Result<Option<DnsSettings>, SettingsError> {
        let queries_per_second = self.small("dns-max-queries-per-second")?;
        let text = self.text("dns-listen");
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let parse = |word: &str| {
            let reason = "give addresses with ports: 192.0.2.10:53 or [2001:db8::10]:53";
            word.parse().map_err(|_| self.wrong("dns-listen", reason.to_owned()))
        };
        let listen: Vec<SocketAddr> = words.map(parse).collect::<Result<_, _>>()?;
        let zone = self.text("dns-zone");
        match (listen.is_empty(), zone.is_empty()) {
            (true, true) => return Ok(None),
            (true, false) => {
                return Err(self.wrong("dns-zone", "it needs --dns-listen as well".to_owned()));
            }
            (false, true) => {
                return Err(self.wrong("dns-listen", "it needs --dns-zone as well".to_owned()));
            }
            (false, false) => {}
        }
        let mut addresses = self.addresses("dns-address")?;
        if addresses.is_empty() {
            let own = listen.iter().map(SocketAddr::ip);
            addresses = own.filter(|address: &IpAddr| !address.is_unspecified()).collect();
            addresses.dedup();
        }
        let zone = Zone::new(&zone, &addresses)
            .map_err(|error| self.wrong("dns-zone", error.to_string()))?;
        Ok(Some(DnsSettings { listen, zone, queries_per_second }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::load_with;

    #[test]
    fn dns_is_off_until_it_is_told_where_and_for_what() {
        assert!(load_with(&[], &[]).unwrap().dns.is_none());
        let dns = load_with(&["--dns-listen=0.0.0.0:53,[::1]:5353", "--dns-zone=q.example"], &[]);
        let dns = dns.unwrap().dns.unwrap();
        assert_eq!(dns.listen.len(), 2);
        // SOA, NS, and the one address that others can use.
        assert_eq!(dns.zone.own().len(), 3);
        let cases = [
            (vec!["--dns-listen=127.0.0.1:53"], "--dns-zone"),
            (vec!["--dns-zone=q.example"], "--dns-listen"),
            (vec!["--dns-listen=localhost:53", "--dns-zone=q"], "with ports"),
            (vec!["--dns-listen=127.0.0.1:53", "--dns-zone=a..b"], "give a domain"),
            (vec!["--dns-listen=127.0.0.1:53", "--dns-zone=q", "--dns-address=x"], "IP addresses"),
        ];
        for (flags, expected) in cases {
            let error = load_with(&flags, &[]).unwrap_err();
            assert!(error.contains(expected), "{flags:?}: {error}");
        }
    }
}
