//! A request as it will be sent, byte for byte.

use std::fmt;
use std::net::SocketAddr;

/// The content type of HTML forms, which is how the v2 API takes parameters in a body.
const FORM: &str = "application/x-www-form-urlencoded";

/// A request. Shows itself as a `curl` call, so that a failed comparison can be repeated by hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request without a body. `target` is the path and query, sent exactly as given.
    pub fn new(method: impl Into<String>, target: impl Into<String>) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: None }
    }

    /// A GET.
    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// A DELETE.
    pub fn delete(target: impl Into<String>) -> Self {
        Self::new("DELETE", target)
    }

    /// A PUT with a form body. `form` is sent exactly as given, so it must be percent-encoded already.
    pub fn put(target: impl Into<String>, form: &str) -> Self {
        Self::new("PUT", target).body(FORM, form)
    }

    /// A POST with a form body, as [`Request::put`].
    pub fn post(target: impl Into<String>, form: &str) -> Self {
        Self::new("POST", target).body(FORM, form)
    }

    /// Adds a header. A `Host` header replaces the one that would be sent.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body and its content type; an empty content type sends none.
    pub fn body(mut self, content_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        if !content_type.is_empty() {
            self.headers.push(("Content-Type".to_owned(), content_type.to_owned()));
        }
        self.body = Some(bytes.into());
        self
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The same request with every occurrence of `from` in target and body replaced.
    pub fn replace(mut self, from: &str, to: &str) -> Self {
        self.target = self.target.replace(from, to);
        if let Some(body) = &mut self.body
            && let Ok(text) = std::str::from_utf8(body)
        {
            *body = text.replace(from, to).into_bytes();
        }
        self
    }

    pub(super) fn to_bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: {address}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "curl -i -X {} '$URL{}'", self.method, self.target)?;
        for (name, value) in &self.headers {
            write!(f, " -H '{name}: {value}'")?;
        }
        match &self.body {
            Some(body) if body.len() <= LONGEST_SHOWN => {
                write!(f, " --data-raw '{}'", String::from_utf8_lossy(body))
            }
            Some(body) => write!(f, " --data-raw '<{} bytes>'", body.len()),
            None => Ok(()),
        }
    }
}

/// A body longer than this is shown by its length only.
const LONGEST_SHOWN: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_sent_as_given() {
        let bytes =
            Request::put("/v2/keys/a%2Fb?x=1", "value=1").to_bytes("127.0.0.1:9".parse().unwrap());
        let expected = "PUT /v2/keys/a%2Fb?x=1 HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\nvalue=1";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn a_given_host_replaces_the_default() {
        let bytes =
            Request::get("/").header("host", "elsewhere").to_bytes("127.0.0.1:9".parse().unwrap());
        assert_eq!(String::from_utf8(bytes).unwrap(), "GET / HTTP/1.1\r\nhost: elsewhere\r\n\r\n");
    }
}
