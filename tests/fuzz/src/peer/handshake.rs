//! `peer_handshake`: the first words on a peer link, and the words that refuse them.
//!
//! The input is header lines, an empty line, and the body of a refusal. Promises: what is understood, said again, is the
//! same; what is refused gets an answer that the caller understands.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use quorate_server::peer_api::link::{Hello, Refusal, RefusalCode};

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let end = input.windows(2).position(|window| window == b"\n\n").unwrap_or(input.len());
    let (head, body) = input.split_at(end);
    match Hello::read(&headers(head)) {
        Ok(hello) => assert_eq!(Hello::read(hello.request().headers()), Ok(hello)),
        Err(refusal) => assert_eq!(Refusal::read(&refusal.response()), refusal),
    }
    let body = Bytes::copy_from_slice(body.get(2..).unwrap_or_default());
    let refusal = Refusal::read(&Response::new(body));
    let again = Refusal::read(&refusal.response());
    assert_eq!(again, refusal);
    assert!(refusal.code != RefusalCode::Unrecognised || refusal.code.status().is_client_error());
}

fn headers(text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let (name, value) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            // More than this, the HTTP parser refuses.
            if headers.len() < 100 {
                headers.append(name, value);
            }
        }
    }
    headers
}
