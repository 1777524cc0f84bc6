//! Request paths: percent-decoding, the canonical form, and the redirect of a path that is not in it, as Go's `ServeMux` does.
//!
//! Invariant: a path that is canonical and has no escapes is borrowed and costs one scan. Left out: which paths exist.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::body::ApiBody;
use super::form::escape;
use super::reply::{self, Reply};

/// A request path, decoded.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum RequestPath<'a> {
    /// The path as routed: no empty, `.` or `..` segments; a trailing slash is kept.
    Canonical(Cow<'a, [u8]>),
    /// The canonical path the client is to ask for instead, decoded.
    Redirect(Vec<u8>),
    /// A `%` that is not followed by two hex digits.
    BadEscape,
}

/// Decodes and judges the path of a request.
#[must_use]
pub(super) fn read(raw: &str) -> RequestPath<'_> {
    let raw = raw.as_bytes();
    let decoded = if memchr::memchr(b'%', raw).is_some() {
        match decode(raw) {
            Some(decoded) => Cow::Owned(decoded),
            None => return RequestPath::BadEscape,
        }
    } else {
        Cow::Borrowed(raw)
    };
    if is_canonical(&decoded) {
        return RequestPath::Canonical(decoded);
    }
    RequestPath::Redirect(cleaned(&decoded))
}

/// The answer that sends a client to `path` (decoded), keeping the query.
#[must_use]
pub(super) fn redirect(method: &Method, path: &[u8], query: Option<&str>) -> Reply {
    let mut target = String::with_capacity(path.len() + query.map_or(0, str::len) + 1);
    push_escaped(&mut target, path);
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        target.push('?');
        target.push_str(query);
    }
    // Every byte of the target came through the URL parser or was escaped, but a bad one must not end the process.
    let Ok(location) = HeaderValue::from_str(&target) else { return bad_request() };
    let body = if *method == Method::GET { anchor(&target) } else { Vec::new() };
    let mut response = Reply::new(ApiBody::full(body));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(header::LOCATION, location);
    if matches!(*method, Method::GET | Method::HEAD) {
        set(response.headers_mut(), header::CONTENT_TYPE, "text/html; charset=utf-8");
    }
    response
}

/// The answer to a path that cannot be decoded; the connection is closed, as Go does for a malformed request.
#[must_use]
pub(super) fn bad_request() -> Reply {
    let mut response = Reply::new(ApiBody::full_static(b"400 Bad Request"));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    set(response.headers_mut(), header::CONTENT_TYPE, reply::TEXT_PLAIN);
    set(response.headers_mut(), header::CONNECTION, "close");
    response
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

fn decode(raw: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let (byte, after) = escape(after)?;
            out.push(byte);
            rest = after;
        } else {
            out.push(*first);
        }
    }
    Some(out)
}

fn is_canonical(path: &[u8]) -> bool {
    let Some((b'/', rest)) = path.split_first() else { return false };
    // The last segment may be empty: that is a trailing slash.
    let mut segments = rest.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." | b".." => return false,
            b"" if segments.peek().is_some() => return false,
            _ => {}
        }
    }
    true
}

fn cleaned(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            name => kept.push(name),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for name in &kept {
        out.push(b'/');
        out.extend_from_slice(name);
    }
    if out.is_empty() || path.ends_with(b"/") {
        out.push(b'/');
    }
    out
}

fn push_escaped(out: &mut String, path: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 0xf));
            out.extend(['%', char::from(HEX[high]), char::from(HEX[low])]);
        }
    }
}

fn anchor(target: &str) -> Vec<u8> {
    let mut out = String::from("<a href=\"");
    for char in target.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(char),
        }
    }
    out.push_str("\">Moved Permanently</a>.\n\n");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_paths_are_taken_as_they_are() {
        for path in ["/", "/v2/keys", "/v2/keys/", "/v2/keys/a.b/..c/...", "/v2/keys/.x", "/é"] {
            assert_eq!(read(path), RequestPath::Canonical(Cow::Borrowed(path.as_bytes())));
        }
        for (path, decoded) in [("/a%2Fb", &b"/a/b"[..]), ("/%ff%20", b"/\xff ")] {
            assert_eq!(read(path), RequestPath::Canonical(Cow::Owned(decoded.to_vec())));
        }
    }

    #[test]
    fn others_are_redirected_to_the_canonical_one() {
        let cases = [
            ("//", "/"),
            ("//v2/keys", "/v2/keys"),
            ("/v2/keys//", "/v2/keys/"),
            ("/v2/keys/a/../b", "/v2/keys/b"),
            ("/v2/keys/a/..", "/v2/keys"),
            ("/v2/keys/./a/", "/v2/keys/a/"),
            ("/../..", "/"),
            ("/a%2F%2Fb", "/a/b"),
            ("*", "/*"),
        ];
        for (path, target) in cases {
            assert_eq!(read(path), RequestPath::Redirect(target.as_bytes().to_vec()), "{path}");
        }
        for bad in ["/%", "/%z", "/%zz", "/a%2"] {
            assert_eq!(read(bad), RequestPath::BadEscape, "{bad}");
        }
    }

    #[test]
    fn locations_are_escaped_as_go_escapes_them() {
        let cases = [
            (&b"/v2/keys/ /x\"<>&'"[..], None, "/v2/keys/%20/x%22%3C%3E&%27"),
            ("/é".as_bytes(), Some("a=<b>"), "/%C3%A9?a=<b>"),
            (b"/a?b", Some(""), "/a%3Fb"),
        ];
        for (path, query, location) in cases {
            let response = redirect(&Method::PUT, path, query);
            assert_eq!(response.headers()[header::LOCATION], location);
            assert!(!response.headers().contains_key(header::CONTENT_TYPE));
        }
    }
}
