//! Requests built once and patched in place: only the key's digits and the value's sequence number change.
//!
//! Invariant: patching never changes a length, so Content-Length stays true.

use std::net::SocketAddr;

use super::Login;

/// Digits of a key's number: enough for a thousand million keys, always all written.
pub const KEY_DIGITS: usize = 9;

/// Hexadecimal digits at the value's start that carry the sequence number, so that no two values are alike.
const SEQUENCE_DIGITS: usize = 16;

/// One request, ready but for the key and the value.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    key_at: usize,
    /// Where the value begins and how many of its bytes are the sequence number; `None` for a read.
    value_at: Option<(usize, usize)>,
}

impl Template {
    /// `PUT` of a value of `value_bytes` to a key below `prefix`, as a form, the way v2 clients send it.
    #[must_use]
    pub fn put(host: SocketAddr, prefix: &str, value_bytes: usize, login: Option<&Login>) -> Self {
        let login = login.map(Login::header).unwrap_or_default();
        let zeros = "0".repeat(KEY_DIGITS);
        let line = format!("PUT /v2/keys/{prefix}/");
        let head = format!(
            "{line}{zeros} HTTP/1.1\r\nHost: {host}\r\n{login}Content-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\nvalue=",
            "value=".len() + value_bytes
        );
        let key_at = line.len();
        let value_at = head.len();
        let mut bytes = head.into_bytes();
        // Letters and digits need no escaping, and differ enough that nothing compresses them away by luck.
        bytes.extend((b'a'..=b'z').chain(b'0'..=b'9').cycle().take(value_bytes));
        Self { bytes, key_at, value_at: Some((value_at, value_bytes.min(SEQUENCE_DIGITS))) }
    }

    /// `GET` of a key below `prefix`; linearizable when `quorum`.
    #[must_use]
    pub fn read(host: SocketAddr, prefix: &str, quorum: bool, login: Option<&Login>) -> Self {
        let login = login.map(Login::header).unwrap_or_default();
        let zeros = "0".repeat(KEY_DIGITS);
        let line = format!("GET /v2/keys/{prefix}/");
        // The parameters the stock clients always send.
        let bytes = format!(
            "{line}{zeros}?quorum={quorum}&recursive=false&sorted=false HTTP/1.1\r\nHost: {host}\r\n{login}\r\n"
        );
        Self { bytes: bytes.into_bytes(), key_at: line.len(), value_at: None }
    }

    /// The request for key number `key` (its last [`KEY_DIGITS`] digits) with a value that carries `sequence`.
    #[inline]
    pub fn fill(&mut self, key: u64, sequence: u64) -> &[u8] {
        let mut left = key;
        if let Some(digits) = self.bytes.get_mut(self.key_at..self.key_at + KEY_DIGITS) {
            for digit in digits.iter_mut().rev() {
                *digit = b"0123456789"[(left % 10) as usize];
                left /= 10;
            }
        }
        if let Some((at, digits)) = self.value_at {
            let mut left = sequence;
            for digit in self.bytes.get_mut(at..at + digits).unwrap_or_default().iter_mut().rev() {
                *digit = b"0123456789abcdef"[(left & 15) as usize];
                left >>= 4;
            }
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 2379))
    }

    #[test]
    fn a_put_is_a_form_whose_length_is_true() {
        for value_bytes in [0, 1, 15, 16, 17, 256] {
            let mut template = Template::put(host(), "bench", value_bytes, None);
            let text = String::from_utf8(template.fill(42, 0xbeef).to_vec()).expect("text");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(
                head.starts_with(
                    "PUT /v2/keys/bench/000000042 HTTP/1.1\r\nHost: 127.0.0.1:2379\r\n"
                ),
                "{head}"
            );
            assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
            assert_eq!(body.len(), 6 + value_bytes);
            if value_bytes >= 16 {
                assert!(body.starts_with("value=000000000000beef"), "{body}");
            }
        }
    }

    #[test]
    fn a_read_names_its_key_and_consistency() {
        let mut template = Template::read(host(), "a/b", true, None);
        let text = String::from_utf8(template.fill(1_234_567_890, 1).to_vec()).expect("text");
        assert!(text.starts_with(
            "GET /v2/keys/a/b/234567890?quorum=true&recursive=false&sorted=false HTTP/1.1\r\n"
        ));
        assert!(text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_login_is_in_the_head_of_both() {
        let login = Login { name: "alice".to_owned(), password: "pw".to_owned() };
        for mut template in [
            Template::put(host(), "bench", 16, Some(&login)),
            Template::read(host(), "bench", false, Some(&login)),
        ] {
            let text = String::from_utf8(template.fill(42, 1).to_vec()).expect("text");
            let (head, _) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains("/bench/000000042"), "{head}");
            assert!(head.contains("\r\nAuthorization: Basic YWxpY2U6cHc="), "{head}");
        }
    }
}
