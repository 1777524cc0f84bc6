//! Peer URLs as clients hand them in: the checks of a membership change, with the words v2 clients know.
//!
//! Left out: whether anyone answers there.

/// The URLs, trimmed and sorted, if each is `scheme://host:port` and there is at least one.
///
/// # Errors
/// What is wrong with the first bad one.
pub(super) fn checked(given: &[String]) -> Result<Vec<String>, String> {
    if given.is_empty() {
        return Err("no valid URLs given".to_owned());
    }
    let mut urls = Vec::with_capacity(given.len());
    for url in given {
        urls.push(check(url.trim())?);
    }
    urls.sort_unstable();
    Ok(urls)
}

fn check(url: &str) -> Result<String, String> {
    let unparsable = |why: &str| format!("parse {url:?}: {why}");
    if url.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(unparsable("net/url: invalid control character in URL"));
    }
    let wrong_scheme = || format!("URL scheme must be http, https, unix, or unixs: {url}");
    let (scheme, rest) = split_scheme(url).map_err(unparsable)?;
    if let Some(bad) = bad_escape(rest) {
        return Err(unparsable(&format!("invalid URL escape {bad:?}")));
    }
    let Some(rest) = rest.strip_prefix("//") else { return Err(wrong_scheme()) };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = port_of(host);
    if let Some(port) = port.filter(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(unparsable(&format!("invalid port {:?} after host", format!(":{port}"))));
    }
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https" | "unix" | "unixs") {
        return Err(wrong_scheme());
    }
    if port.is_none() {
        return Err(format!("URL address does not have the form \"host:port\": {url}"));
    }
    if path.starts_with('/') {
        return Err(format!("URL must not contain a path: {url}"));
    }
    Ok(format!("{scheme}://{rest}"))
}

/// The scheme, empty if there is none, and what follows its colon.
fn split_scheme(url: &str) -> Result<(&str, &str), &'static str> {
    let end = url.find(|char: char| !char.is_ascii_alphanumeric() && !"+-.".contains(char));
    let begins_as_scheme = url.starts_with(|char: char| char.is_ascii_alphabetic());
    match end {
        Some(0) if url.starts_with(':') => Err("missing protocol scheme"),
        Some(end) if begins_as_scheme && url.as_bytes().get(end) == Some(&b':') => {
            Ok(url.split_once(':').unwrap_or((url, "")))
        }
        _ => {
            let segment = url.split('/').next().unwrap_or_default();
            if segment.contains(':') {
                return Err("first path segment in URL cannot contain colon");
            }
            Ok(("", url))
        }
    }
}

/// What follows the host's colon; `None` without one. A bracketed address holds colons of its own.
fn port_of(host: &str) -> Option<&str> {
    match host.rsplit_once(']') {
        Some((_, after)) => after.strip_prefix(':'),
        None => host.split_once(':').map(|(_, port)| port),
    }
}

/// The first `%` without two hex digits, with what follows it, at most three characters.
fn bad_escape(text: &str) -> Option<String> {
    text.split('%').skip(1).find_map(|after| {
        let digits = after.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        (digits < 2).then(|| "%".chars().chain(after.chars().take(2)).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(url: &str) -> Result<Vec<String>, String> {
        checked(&[url.to_owned()])
    }

    #[test]
    fn urls_with_host_and_port_pass() {
        for url in ["http://a:1", "https://[::1]:2380", "unix://a:1", "http://:1", "http://u@a:1"] {
            assert_eq!(one(url), Ok(vec![url.to_owned()]));
        }
        assert_eq!(one(" HTTP://a:1 "), Ok(vec!["http://a:1".to_owned()]));
        let two = ["http://b:1".to_owned(), "http://a:1".to_owned()];
        assert_eq!(checked(&two), Ok(vec!["http://a:1".to_owned(), "http://b:1".to_owned()]));
    }

    #[test]
    fn others_are_refused_in_etcds_words() {
        let cases = [
            ("foo", "URL scheme must be http, https, unix, or unixs: foo"),
            ("", "URL scheme must be http, https, unix, or unixs: "),
            ("a:b:c", "URL scheme must be http, https, unix, or unixs: a:b:c"),
            ("localhost:2380", "URL scheme must be http, https, unix, or unixs: localhost:2380"),
            (
                "127.0.0.1:2380",
                r#"parse "127.0.0.1:2380": first path segment in URL cannot contain colon"#,
            ),
            ("http://a", r#"URL address does not have the form "host:port": http://a"#),
            ("unix://a", r#"URL address does not have the form "host:port": unix://a"#),
            ("http://a:1/x", "URL must not contain a path: http://a:1/x"),
            ("http://a:1/", "URL must not contain a path: http://a:1/"),
            ("%zz", r#"parse "%zz": invalid URL escape "%zz""#),
            (" http://a:1x", r#"parse "http://a:1x": invalid port ":1x" after host"#),
            ("http://[::1]:80x", r#"parse "http://[::1]:80x": invalid port ":80x" after host"#),
            ("://", r#"parse "://": missing protocol scheme"#),
        ];
        for (url, text) in cases {
            assert_eq!(one(url), Err(text.to_owned()), "{url}");
        }
        assert_eq!(checked(&[]), Err("no valid URLs given".to_owned()));
    }
}
