//! Building answers: header names and values made ahead of time, and the few standard bodies.
//!
//! Nothing here knows what a request asked for.

use http::header::{
    ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use quorate_core::json;

use super::body::ApiBody;

/// An answer.
pub type Reply = Response<ApiBody>;

/// The cluster's ID in hex, on every answer about keys and members.
pub(super) const X_ETCD_CLUSTER_ID: HeaderName = HeaderName::from_static("x-etcd-cluster-id");
/// The store index that an answer about keys is true for.
pub(super) const X_ETCD_INDEX: HeaderName = HeaderName::from_static("x-etcd-index");
/// The member's commit index.
pub(super) const X_RAFT_INDEX: HeaderName = HeaderName::from_static("x-raft-index");
/// The member's term.
pub(super) const X_RAFT_TERM: HeaderName = HeaderName::from_static("x-raft-term");

/// The type of a JSON body.
pub(super) const APPLICATION_JSON: &str = "application/json";
/// The type of a text body.
pub(super) const TEXT_PLAIN: &str = "text/plain; charset=utf-8";

/// Room for the headers of the fullest answer without growing: four of ours, three of CORS, type, length, date.
const HEADERS: usize = 10;

/// An answer with a body and no header yet.
pub(super) fn bare(status: StatusCode, body: ApiBody) -> Reply {
    with_headers(status, HeaderMap::with_capacity(HEADERS), body)
}

/// An answer of which everything is known.
pub(super) fn with_headers(status: StatusCode, headers: HeaderMap, body: ApiBody) -> Reply {
    let mut reply = Reply::new(body);
    *reply.status_mut() = status;
    *reply.headers_mut() = headers;
    reply
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Reply {
    bare(status, ApiBody::empty())
}

/// An answer with a body of a type.
pub(super) fn typed(status: StatusCode, content_type: &'static str, body: ApiBody) -> Reply {
    let mut reply = bare(status, body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// An answer with a JSON body.
pub(super) fn json(status: StatusCode, body: impl Into<bytes::Bytes>) -> Reply {
    typed(status, APPLICATION_JSON, ApiBody::full(body))
}

/// `{"message":..}` without a newline, the errors of everything but the keys.
pub(super) fn message(status: StatusCode, text: &str) -> Reply {
    let mut body = Vec::with_capacity(text.len() + 16);
    body.extend_from_slice(b"{\"message\":");
    json::write_string(&mut body, text.as_bytes());
    body.push(b'}');
    json(status, body)
}

/// A plain text that no browser is to guess a type for, as Go's `http.Error` sends it.
pub(super) fn error_text(status: StatusCode, body: ApiBody) -> Reply {
    let mut reply = typed(status, TEXT_PLAIN, body);
    reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// Nothing is at that path.
pub(super) fn not_found() -> Reply {
    error_text(StatusCode::NOT_FOUND, ApiBody::full_static(b"404 page not found\n"))
}

/// The path does not take that method; `allow` lists those it takes, or nothing is said.
pub(super) fn method_not_allowed(allow: Option<&'static str>) -> Reply {
    let body = ApiBody::full_static(b"Method Not Allowed\n");
    let mut reply = error_text(StatusCode::METHOD_NOT_ALLOWED, body);
    if let Some(allow) = allow {
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    reply
}
