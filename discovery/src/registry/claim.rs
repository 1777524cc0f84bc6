//! What a machine says of itself when it registers: its member ID, its name and its peer URLs, read from etcd's form and checked.
//!
//! Invariant: a [`Claim`] can be used by every other member as it stands; what would fail later at their start is refused here, to
//! the one who can change it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The longest name of a member: host names have at most 253 bytes, and nobody's name is longer than its host's.
pub const NAME_BYTES_MAX: usize = 253;
/// What a name may have besides letters and digits.
const NAME_SIGNS: [char; 7] = ['-', '.', '_', ':', '@', '+', '/'];
/// The most peer URLs of one member.
pub const URLS_MAX: usize = 8;
/// The longest peer URL: a scheme, a host name and a port fit three times.
pub const URL_BYTES_MAX: usize = 512;
/// Digits of a 64-bit member ID.
const ID_DIGITS_MAX: usize = 16;

/// A member's ID as it stands in the URL: hex, as etcd writes it.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct MemberKey(String);

impl MemberKey {
    /// Reads an ID: 1 to 16 lower-case hex digits.
    ///
    /// # Errors
    /// [`ClaimError::MemberId`].
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex || text.is_empty() || text.len() > ID_DIGITS_MAX {
            return Err(ClaimError::MemberId);
        }
        Ok(Self(text.to_owned()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A machine's claim to a place in the cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The member's ID.
    pub member: MemberKey,
    /// Its name, which no other member may have.
    pub name: String,
    /// Where the others will reach it: sorted, each once.
    pub peer_urls: Vec<String>,
}

/// What is wrong with a claim, and what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClaimError {
    /// The ID is not one.
    #[error("the member ID must be 1 to 16 lower-case hex digits, as etcd makes them")]
    MemberId,
    /// There is no value, or it is no list of pairs.
    #[error(
        "the value must be NAME=PEERURL[,NAME=PEERURL]; {0:?} is not. Set --name and --initial-advertise-peer-urls"
    )]
    Form(String),
    /// One registration names two members.
    #[error(
        "one registration is for one member, but the value has the names {0:?} and {1:?}. Let each machine register itself"
    )]
    TwoNames(String, String),
    /// The name cannot be used in a list of members.
    #[error(
        "the name {0:?} cannot be used: 1 to {NAME_BYTES_MAX} bytes of letters, digits and -._:@+/. Set --name"
    )]
    Name(String),
    /// There are too many URLs.
    #[error(
        "a member may have at most {URLS_MAX} peer URLs. Leave some of --initial-advertise-peer-urls out"
    )]
    TooManyUrls,
    /// A URL is none.
    #[error(
        "{url:?} cannot be a peer URL: {reason}. Set --initial-advertise-peer-urls to http://HOST:PORT or https://HOST:PORT"
    )]
    Url {
        /// What was given, cut when it is long.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Claim {
    /// Reads the value that an etcd node registers: `name=url` pairs joined by commas, all of the same name.
    ///
    /// # Errors
    /// See [`ClaimError`].
    pub fn from_value(member: MemberKey, value: &str) -> Result<Self, ClaimError> {
        if value.is_empty() {
            return Err(ClaimError::Form(String::new()));
        }
        let mut name: Option<&str> = None;
        let mut peer_urls = Vec::new();
        for pair in value.split(',') {
            let (of, url) = pair.split_once('=').ok_or_else(|| ClaimError::Form(cut(value)))?;
            match name {
                Some(first) if first != of => {
                    return Err(ClaimError::TwoNames(cut(first), cut(of)));
                }
                _ => name = Some(of),
            }
            if peer_urls.len() > URLS_MAX {
                return Err(ClaimError::TooManyUrls);
            }
            peer_urls.push(url.to_owned());
        }
        Self::new(member, name.unwrap_or_default(), peer_urls)
    }

    /// Checks a claim whose parts are known.
    ///
    /// # Errors
    /// See [`ClaimError`].
    pub fn new(
        member: MemberKey,
        name: &str,
        mut peer_urls: Vec<String>,
    ) -> Result<Self, ClaimError> {
        check_name(name)?;
        if peer_urls.is_empty() {
            return Err(ClaimError::Form(cut(name)));
        }
        for url in &peer_urls {
            check_url(url).map_err(|reason| ClaimError::Url { url: cut(url), reason })?;
        }
        peer_urls.sort();
        peer_urls.dedup();
        if peer_urls.len() > URLS_MAX {
            return Err(ClaimError::TooManyUrls);
        }
        Ok(Self { member, name: name.to_owned(), peer_urls })
    }

    /// The value as an etcd node writes it and reads it from others.
    #[must_use]
    pub fn value(&self) -> String {
        let pairs: Vec<String> =
            self.peer_urls.iter().map(|url| format!("{}={url}", self.name)).collect();
        pairs.join(",")
    }

    /// Whether it can be reached from its own machine only.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.peer_urls.iter().any(|url| is_loopback(url))
    }
}

/// Whether a peer URL can be reached from its own machine only.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").and_then(|(_, rest)| split_port(rest)).map(|(host, _)| host);
    host.is_some_and(|host| {
        host.eq_ignore_ascii_case("localhost") || address(host).is_some_and(|it| it.is_loopback())
    })
}

/// Refuses a name that cannot stand in a list of members.
pub(super) fn check_name(name: &str) -> Result<(), ClaimError> {
    // People copy names from the status page into a shell.
    let is_usable = |c: char| c.is_alphanumeric() || NAME_SIGNS.contains(&c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_usable) {
        return Err(ClaimError::Name(cut(name)));
    }
    Ok(())
}

/// Refuses a URL that others cannot connect to as it stands, with what is wrong.
pub(super) fn check_url(url: &str) -> Result<(), &'static str> {
    if url.len() > URL_BYTES_MAX {
        return Err("it is too long");
    }
    if url.contains('&') {
        return Err("several URLs are joined by commas, not by `&`");
    }
    let Some((scheme, rest)) = url.split_once("://") else { return Err("it has no scheme") };
    if scheme != "http" && scheme != "https" {
        return Err("members speak http or https to each other and nothing else");
    }
    if rest.contains(['/', '?', '#', '@']) {
        return Err("it must end with the port, without a path, a query or a user");
    }
    let Some((host, port)) = split_port(rest) else { return Err("it has no port") };
    if port.parse::<u16>().ok().is_none_or(|port| port == 0) || port.starts_with('+') {
        return Err("its port is not a number from 1 to 65535");
    }
    if host.is_empty() {
        return Err("it has no host");
    }
    if !host.chars().all(|c| c.is_alphanumeric() || ['-', '.', '_', ':', '[', ']'].contains(&c)) {
        return Err("its host is neither a name nor an address");
    }
    match address(host) {
        Some(address) if address.is_unspecified() => {
            Err("that is every address of this machine and none that others can connect to")
        }
        Some(address) if address.is_multicast() => Err("nobody can connect to a multicast address"),
        None if host.contains([':', '[', ']']) => Err("its host is neither a name nor an address"),
        _ => Ok(()),
    }
}

/// Host (with its brackets, for IPv6) and port.
fn split_port(rest: &str) -> Option<(&str, &str)> {
    rest.rsplit_once(':').filter(|(host, _)| !host.starts_with('[') || host.ends_with(']'))
}

fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse().ok().filter(IpAddr::is_ipv6),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    }
}

/// At most so much of a bad text is repeated in an error.
const SHOWN_CHARS_MAX: usize = 80;

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(value: &str) -> Result<Claim, ClaimError> {
        Claim::from_value(MemberKey::parse("1f").unwrap(), value)
    }

    #[test]
    fn etcds_values_are_read() {
        let one = claim("a=http://10.0.0.1:2380").unwrap();
        assert_eq!((one.name.as_str(), one.value().as_str()), ("a", "a=http://10.0.0.1:2380"));
        let two = claim("a=https://b:2,a=http://[fe80::1]:2380").unwrap();
        assert_eq!(two.value(), "a=http://[fe80::1]:2380,a=https://b:2");
        assert!(claim("a=http://localhost:1").unwrap().is_loopback());
        assert!(claim("a=http://[::1]:1").unwrap().is_loopback());
        assert!(!one.is_loopback());
    }

    #[test]
    fn what_would_fail_later_is_refused_with_what_to_do() {
        let cases = [
            ("", "NAME=PEERURL"),
            ("http://10.0.0.1:2380", "NAME=PEERURL"),
            ("=http://h:1", "Set --name"),
            ("a b=http://h:1", "Set --name"),
            ("$(x)=http://h:1", "Set --name"),
            ("a=http://$(x):1", "neither a name nor an address"),
            ("a=http://h:1,b=http://h:2", "each machine register itself"),
            ("a=http://h:1&a=http://h:2", "joined by commas"),
            ("a=", "no scheme"),
            ("a=h:2380", "no scheme"),
            ("a=ftp://h:1", "http or https"),
            ("a=unix://x:1", "http or https"),
            ("a=http://h", "no port"),
            ("a=http://h:0", "1 to 65535"),
            ("a=http://h:99999", "1 to 65535"),
            ("a=http://:1", "no host"),
            ("a=http://h:1/", "without a path"),
            ("a=http://u@h:1", "without a path"),
            ("a=http://0.0.0.0:1", "none that others can connect to"),
            ("a=http://[::]:1", "none that others can connect to"),
            ("a=http://fe80::1:1", "neither a name nor an address"),
        ];
        for (value, expected) in cases {
            let error = claim(value).unwrap_err().to_string();
            assert!(error.contains(expected), "{value:?}: {error}");
        }
        let many: Vec<String> = (1..=9).map(|n| format!("a=http://h:{n}")).collect();
        assert_eq!(claim(&many.join(",")), Err(ClaimError::TooManyUrls));
        for id in ["", "G", "F", "12345678901234567", "_config", "../x"] {
            assert_eq!(MemberKey::parse(id), Err(ClaimError::MemberId), "{id}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_reads_back(value in ".{0,200}") {
            if let Ok(read) = claim(&value) {
                prop_assert_eq!(claim(&read.value()), Ok(read));
            }
        }
    }
}
