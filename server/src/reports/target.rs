//! Where reports go: the service and the secret of the token, as the flags say or as another member said; and how one member tells
//! it another.
//!
//! Invariant: the secret is shown by nothing here: no `Debug`, no `Display`. It leaves the process to the service itself, to members of
//! this cluster over peer links, and into a file that nobody else may read. What a peer says is bounded and checked like any input.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use quorate_transport::endpoint::{Address, Endpoint};

use crate::bootstrap::registry_http::REGISTRY;
use crate::config::{DiscoveryToken, DiscoveryUrl, MemberSource};
use crate::peer_api::messages::ReportTarget;

/// The longest secret: four times one of our service's.
const SECRET_BYTES_MAX: usize = 128;
/// The longest path in front of the native API.
const PREFIX_BYTES_MAX: usize = 512;
/// The most replicas of a service, and the longest URL of one.
const ENDPOINTS_MAX: usize = 16;
const ENDPOINT_BYTES_MAX: usize = 512;
/// The largest file of authorities that is told: some dozens. The system's own hundreds are on every machine in any case.
pub(super) const AUTHORITIES_BYTES_MAX: usize = 128 * 1024;

/// See the module.
#[derive(Clone, Eq, PartialEq)]
pub struct Target {
    pub(super) secret: String,
    /// What stands before the native API's paths, mostly nothing.
    pub(super) prefix: String,
    pub(super) endpoints: Vec<Endpoint>,
    /// The file of those who sign the service's certificate; the system's authorities without it.
    pub(super) authorities: Option<PathBuf>,
}

/// Where this member reports, once its reports are taken there; for peers that ask. Cheap to clone, and no answer needs a file.
#[derive(Clone, Default)]
pub struct Whereabouts(Arc<RwLock<ReportTarget>>);

impl Target {
    /// The service that the flags name; none if they name none.
    #[must_use]
    pub fn of_flags(source: &MemberSource, authorities: Option<PathBuf>) -> Option<Self> {
        match source {
            MemberSource::Url(url) => Some(Self::of_url(url, authorities)),
            MemberSource::Token(token) => Some(Self::of_token(token, authorities)),
            MemberSource::Flag | MemberSource::Srv(_) => None,
        }
    }

    /// The service whose token is at `url`: its native API is beside it.
    pub(super) fn of_url(url: &DiscoveryUrl, authorities: Option<PathBuf>) -> Self {
        let (before, secret) = url.path().rsplit_once('/').unwrap_or_default();
        let prefix = before.strip_suffix(REGISTRY).unwrap_or(before).to_owned();
        let endpoints = vec![url.endpoint().clone()];
        Self { secret: secret.to_owned(), prefix, endpoints, authorities }
    }

    /// The service of a token by the native API.
    pub(super) fn of_token(token: &DiscoveryToken, authorities: Option<PathBuf>) -> Self {
        let (secret, endpoints) = (token.secret.clone(), token.endpoints.clone());
        Self { secret, prefix: String::new(), endpoints, authorities }
    }

    /// Whether it is the same place and the same token.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        (&self.secret, &self.prefix, &self.endpoints)
            == (&other.secret, &other.prefix, &other.endpoints)
    }

    /// Whether the service has to be verified.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.is_tls)
    }

    /// The service as it may be shown: without the token.
    pub(super) fn shown(&self) -> String {
        let urls: Vec<String> = self.endpoints.iter().map(ToString::to_string).collect();
        urls.join(",")
    }

    /// The file of authorities, for who connects.
    #[must_use]
    pub fn authorities(&self) -> Option<&Path> {
        self.authorities.as_deref()
    }

    /// What is said to peers. Authorities that cannot be read are left out: the other side may have them by itself.
    fn message(&self) -> ReportTarget {
        ReportTarget {
            secret: self.secret.clone(),
            prefix: self.prefix.clone(),
            endpoints: self.endpoints.iter().map(ToString::to_string).collect(),
            authorities: self.authorities.as_deref().and_then(read_authorities).unwrap_or_default(),
        }
    }

    /// What a peer, or the own file, said. `authorities` is where those that came along are kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of_message(
        message: &ReportTarget,
        authorities: Option<PathBuf>,
    ) -> Result<Self, &'static str> {
        let is_text = |text: &str, most: usize| {
            text.len() <= most && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if message.secret.is_empty() || !is_text(&message.secret, SECRET_BYTES_MAX) {
            return Err("its secret is none");
        }
        let prefix = &message.prefix;
        let is_path = prefix.is_empty() || prefix.starts_with('/') && !prefix.contains(['?', '#']);
        if !is_path || !is_text(prefix, PREFIX_BYTES_MAX) {
            return Err("its path is none");
        }
        if message.endpoints.is_empty() || message.endpoints.len() > ENDPOINTS_MAX {
            return Err("it has no URL, or too many");
        }
        if message.authorities.len() > AUTHORITIES_BYTES_MAX {
            return Err("its authorities are too many");
        }
        let parsed = message.endpoints.iter().map(|text| {
            let endpoint: Endpoint =
                text.parse().ok().filter(|_| is_text(text, ENDPOINT_BYTES_MAX))?;
            matches!(endpoint.address, Address::Tcp { .. }).then_some(endpoint)
        });
        let endpoints: Option<Vec<Endpoint>> = parsed.collect();
        let endpoints = endpoints.ok_or("a URL of it is none")?;
        Ok(Self { secret: message.secret.clone(), prefix: prefix.clone(), endpoints, authorities })
    }
}

impl Whereabouts {
    /// A report was just taken there. Authorities that were renewed since are told from now on.
    pub(super) async fn are(&self, target: &Target) {
        let target = target.clone();
        // The file may be on a disk that hangs, and who answers peers must not.
        if let Ok(message) = tokio::task::spawn_blocking(move || target.message()).await {
            *self.0.write() = message;
        }
    }

    /// Nothing has been taken there for long: others are not sent there.
    pub(super) fn are_unknown(&self) {
        *self.0.write() = ReportTarget::default();
    }

    /// What a member of this cluster is answered; nothing while this one does not know.
    #[must_use]
    pub fn message(&self) -> ReportTarget {
        self.0.read().clone()
    }
}

fn read_authorities(path: &Path) -> Option<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        io::Read::read_to_end(
            &mut io::Read::take(file, AUTHORITIES_BYTES_MAX as u64 + 1),
            &mut bytes,
        )?;
        Ok(bytes)
    };
    read().ok().filter(|bytes| bytes.len() <= AUTHORITIES_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> ReportTarget {
        ReportTarget {
            secret: "s".repeat(32),
            prefix: "/d".to_owned(),
            endpoints: vec!["https://d.example:443".to_owned(), "http://10.0.0.1:8087".to_owned()],
            authorities: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_one_member_says_another_understands() {
        let target = Target::of_message(&message(), None).unwrap();
        let whereabouts = Whereabouts::default();
        assert_eq!(whereabouts.message(), ReportTarget::default());
        whereabouts.are(&target).await;
        assert_eq!(whereabouts.message(), message());
        whereabouts.are_unknown();
        assert_eq!(whereabouts.message(), ReportTarget::default());
    }

    #[test]
    fn what_cannot_be_a_service_is_refused() {
        let refused = |change: &dyn Fn(&mut ReportTarget)| {
            let mut changed = message();
            change(&mut changed);
            Target::of_message(&changed, None).is_err()
        };
        assert!(!refused(&|_| ()));
        assert!(refused(&|it| it.secret.clear()));
        assert!(refused(&|it| it.secret = "s ecret".to_owned()));
        assert!(refused(&|it| it.secret = "s".repeat(SECRET_BYTES_MAX + 1)));
        assert!(refused(&|it| it.prefix = "d".to_owned()));
        assert!(refused(&|it| it.prefix = "/d\r\nX: y".to_owned()));
        assert!(refused(&|it| it.endpoints.clear()));
        assert!(refused(&|it| it.endpoints = vec!["http://h:1".to_owned(); ENDPOINTS_MAX + 1]));
        assert!(refused(&|it| it.endpoints.push("unix:///run/x".to_owned())));
        assert!(refused(&|it| it.endpoints.push("http://u@h:1".to_owned())));
        assert!(refused(&|it| it.authorities = vec![0; AUTHORITIES_BYTES_MAX + 1]));
    }

    #[test]
    fn the_native_api_is_beside_the_tokens_url() {
        let secret = "0123456789abcdef0123456789abcdef";
        for (path, prefix) in
            [("", ""), (REGISTRY, ""), ("/d", "/d"), ("/d/v2/keys/_etcd/registry", "/d")]
        {
            let url = DiscoveryUrl::parse(&format!("https://d.example{path}/{secret}/")).unwrap();
            let target = Target::of_url(&url, None);
            assert_eq!((target.secret.as_str(), target.prefix.as_str()), (secret, prefix));
        }
    }
}
