//! Who may call from where: the host whitelist against DNS rebinding, and the CORS headers for browsers.
//!
//! Both are answered before routing. Left out: who the caller is.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST,
    ORIGIN,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use super::body::ApiBody;
use super::reply::{self, Reply};

/// What callers are admitted. The default admits all.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The origins that browsers may call from (`--cors`); `None` for any.
    pub origins: Option<Vec<String>>,
    /// The host names that requests over plain text may be addressed to (`--host-whitelist`); `None` for any.
    pub hosts: Option<Vec<String>>,
}

/// The origin that an answer's CORS headers are to name.
#[derive(Clone, Debug)]
pub(super) struct Cors(Option<HeaderValue>);

impl Access {
    /// Refuses a request whose `Host` is not in the whitelist.
    pub(super) fn refusal(&self, uri: &Uri, headers: &HeaderMap) -> Option<Reply> {
        let allowed = self.hosts.as_ref()?;
        // HTTP/2 carries the host in the URI.
        let host = match uri.authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default(),
        };
        let name = without_port(host);
        if allowed.iter().any(|allowed| allowed.as_bytes() == name) {
            return None;
        }
        Some(misdirected(&String::from_utf8_lossy(name)))
    }

    /// What CORS headers the answer to a request gets.
    pub(super) fn cors(&self, headers: &HeaderMap) -> Cors {
        let Some(allowed) = &self.origins else {
            return Cors(Some(HeaderValue::from_static("*")));
        };
        let origin = headers.get(ORIGIN);
        Cors(origin.filter(|origin| allowed.iter().any(|allowed| *allowed == **origin)).cloned())
    }
}

impl Cors {
    /// Adds them to headers that have none yet.
    pub(super) fn add_to(self, headers: &mut HeaderMap) {
        const ALLOW_HEADERS: HeaderValue =
            HeaderValue::from_static("accept, content-type, authorization");
        const ALLOW_METHODS: HeaderValue =
            HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE");
        let Some(origin) = self.0 else { return };
        if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOW_METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

/// The host without a port and without the brackets of an IPv6 address that has one.
fn without_port(host: &[u8]) -> &[u8] {
    if let Some(bracketed) = host.strip_prefix(b"[") {
        let Some(end) = bracketed.iter().position(|&byte| byte == b']') else { return host };
        let (name, rest) = bracketed.split_at(end);
        return if rest.get(1) == Some(&b':') { name } else { host };
    }
    let mut colons = host.iter().enumerate().filter(|&(_, &byte)| byte == b':').map(|(at, _)| at);
    match (colons.next(), colons.next()) {
        (Some(colon), None) => host.get(..colon).unwrap_or(host),
        _ => host,
    }
}

fn misdirected(name: &str) -> Reply {
    let text = format!(
        "\nThis member does not answer to the host name {name:?}.\n\n\
         Either add the name to the list of those it answers to (quorate-server --host-whitelist {name:?}),\n\
         or use TLS, where any name is accepted.\n\n\
         The list keeps web pages from reaching the member through a name of their own (DNS rebinding, CVE-2018-5702).\n\n"
    );
    reply::error_text(StatusCode::MISDIRECTED_REQUEST, ApiBody::full(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_no_part_of_a_host_name() {
        let cases = [
            ("foo", "foo"),
            ("foo:99", "foo"),
            ("[::1]:99", "::1"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("", ""),
            (":99", ""),
        ];
        for (host, name) in cases {
            assert_eq!(without_port(host.as_bytes()), name.as_bytes(), "{host}");
        }
    }
}
