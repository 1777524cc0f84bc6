//! What a peer URL may look like: `scheme://host:port` and nothing more.
//!
//! The texts are etcd's where etcd refuses the same. Resolving and reaching the address is left to the transport.

/// A list of peer URLs cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadPeerUrls {
    /// The list is empty.
    #[error("no valid URLs given")]
    Empty,
    /// Another protocol.
    #[error("URL scheme must be http, https, unix, or unixs: {0}")]
    Scheme(String),
    /// No host, no port, or more than that.
    #[error("URL address does not have the form \"host:port\": {0}")]
    Address(String),
    /// Something after the port.
    #[error("URL must not contain a path: {0}")]
    Path(String),
}

/// Trims, checks and sorts peer URLs.
///
/// # Errors
/// The first rule that a URL breaks, in the order given.
pub fn clean(urls: &[String]) -> Result<Vec<String>, BadPeerUrls> {
    if urls.is_empty() {
        return Err(BadPeerUrls::Empty);
    }
    let mut clean = urls.iter().map(|url| clean_one(url.trim())).collect::<Result<Vec<_>, _>>()?;
    clean.sort();
    Ok(clean)
}

fn clean_one(url: &str) -> Result<String, BadPeerUrls> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    let scheme = scheme.to_ascii_lowercase();
    if !["http", "https", "unix", "unixs"].contains(&scheme.as_str()) {
        return Err(BadPeerUrls::Scheme(url.to_owned()));
    }
    let rest = rest.strip_prefix("//").ok_or_else(|| BadPeerUrls::Address(url.to_owned()))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !is_host_and_port(authority) {
        return Err(BadPeerUrls::Address(url.to_owned()));
    }
    if authority.len() < rest.len() {
        return Err(BadPeerUrls::Path(url.to_owned()));
    }
    Ok(format!("{scheme}://{authority}"))
}

/// `host:port`, or `[host]:port` for a host with colons in it. An empty host is a port on every address, as in Go.
fn is_host_and_port(authority: &str) -> bool {
    let Some((host, port)) = authority.rsplit_once(':') else { return false };
    let (host, may_have_colons) =
        match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) => (host, true),
            None => (host, false),
        };
    let is_plain =
        |char: char| char.is_ascii_alphanumeric() || ".-_~%".contains(char) || !char.is_ascii();
    host.chars().all(|char| is_plain(char) || (may_have_colons && char == ':'))
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_judged_as_etcd_judges_them() {
        let scheme = "URL scheme must be http, https, unix, or unixs: ";
        let address = "URL address does not have the form \"host:port\": ";
        let path = "URL must not contain a path: ";
        let cases = [
            ("http://127.0.0.1:2380", Ok("http://127.0.0.1:2380")),
            (" HTTP://a:1 ", Ok("http://a:1")),
            ("http://A.b-c:1", Ok("http://A.b-c:1")),
            ("http://[::1]:1", Ok("http://[::1]:1")),
            ("http://:1", Ok("http://:1")),
            ("unix://a:1", Ok("unix://a:1")),
            ("unixs://a.sock:0", Ok("unixs://a.sock:0")),
            ("ftp://a:1", Err(scheme)),
            ("a:1", Err(scheme)),
            ("", Err(scheme)),
            ("http//x", Err(scheme)),
            ("http://a", Err(address)),
            ("http:a:1", Err(address)),
            ("http://a:1:2", Err(address)),
            ("http://::1:2", Err(address)),
            ("http://a:1/", Err(path)),
            ("http://a:1/p", Err(path)),
            // etcd takes these and fails later, or refuses them in Go's words.
            ("http://a:", Err(address)),
            ("http://a:b", Err(address)),
            ("http://a:99999", Err(address)),
            ("http://u@a:1", Err(address)),
            ("http://a b:1", Err(address)),
            ("http://[::1", Err(address)),
            ("http://a:1?q=1", Err(path)),
        ];
        for (url, expected) in cases {
            let expected = expected
                .map(|url| vec![url.to_owned()])
                .map_err(|text| format!("{text}{}", url.trim()));
            assert_eq!(
                clean(&[url.to_owned()]).map_err(|error| error.to_string()),
                expected,
                "{url:?}"
            );
        }
        assert_eq!(clean(&[]).unwrap_err().to_string(), "no valid URLs given");
    }

    #[test]
    fn lists_come_back_sorted() {
        let urls = ["http://b:1".to_owned(), "http://a:2".to_owned()];
        assert_eq!(clean(&urls), Ok(vec!["http://a:2".to_owned(), "http://b:1".to_owned()]));
    }
}
