//! What answers are made of. Every answer forbids caching, sniffing, framing and passing its address on: it may hold a secret.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::Answer;
use super::body::ServiceBody;

/// What a page may load: its own style and script, and nothing else.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A file that never changes may be kept for an hour.
const FIXED_CACHING: &str = "public, max-age=3600";

/// An answer of this type and body.
#[must_use]
pub fn with(status: StatusCode, kind: &'static str, body: ServiceBody) -> Answer {
    let mut answer = Answer::new(body);
    *answer.status_mut() = status;
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    ];
    for (name, value) in headers {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Plain text.
#[must_use]
pub fn text(status: StatusCode, text: &str) -> Answer {
    with(status, "text/plain; charset=utf-8", ServiceBody::full(text.to_owned()))
}

/// Bytes of some type.
#[must_use]
pub fn bytes(kind: &'static str, bytes: Bytes) -> Answer {
    with(StatusCode::OK, kind, ServiceBody::full(bytes))
}

/// A file that never changes.
#[must_use]
pub fn fixed(kind: &'static str, text: &'static str) -> Answer {
    let mut answer = bytes(kind, Bytes::from_static(text.as_bytes()));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FIXED_CACHING));
    answer
}

/// Adds a header whose value is made of what is allowed in one; leaves it out otherwise.
pub fn add(answer: &mut Answer, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(HeaderName::from_static(name), value);
    }
}
