//! The client API: etcd's v2 HTTP and JSON, on top of one [`Member`].
//!
//! | file | owns |
//! |---|---|
//! | this | routing, and what every answer has in common |
//! | `keys`, `key_headers`, `params`, `form`, `content_type`, `request_body` | `/v2/keys` |
//! | `members`, `peer_url`, `stats`, `small`, `health` | every other path |
//! | `auth`, `auth_json` | `/v2/auth` |
//! | `access`, `url_path` | what is answered before routing |
//! | `caller` | who asks, and whether that one may |
//! | `reply`, `body`, `counters` | what answers are made of |
//!
//! Invariant: each request is answered exactly once, and the member is reached through [`Member`] alone. Left out: sockets, TLS
//! and connections, which hand their requests to [`ClientApi::answer`].

mod access;
mod auth;
mod auth_json;
mod body;
mod caller;
mod content_type;
mod counters;
mod form;
mod health;
mod key_headers;
mod keys;
mod members;
pub mod params;
mod peer_url;
mod reads;
mod reply;
mod request_body;
mod small;
mod stats;
mod url_path;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Body;
use quorate_transport::acceptor::FarIdentity;

pub use access::Access;
pub use body::{ApiBody, BodyCut};
pub use counters::HttpMetrics;
pub use reply::Reply;
pub use small::version_body;

use crate::credentials::Credentials;
use crate::member::Member;
use key_headers::KeyHeaders;
use reads::Reads;
use request_body::BodyReader;
use url_path::RequestPath;

/// The version that clients are told this server has: the etcd whose v2 API it speaks.
pub const ETCD_VERSION: &str = "3.4.23";

/// Answers clients' requests. Cheap to clone.
#[derive(Debug)]
pub struct ClientApi<M>(Arc<Shared<M>>);

/// What all requests share.
#[derive(Debug)]
struct Shared<M> {
    member: M,
    access: Access,
    metrics: HttpMetrics,
    /// The cluster's ID as a header; it never changes.
    cluster_id: HeaderValue,
    key_headers: KeyHeaders,
    bodies: BodyReader,
    reads: Reads,
    credentials: Credentials,
}

/// Where a request came from. Small: each connection keeps the space of one.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// How it came.
    pub via: Via,
    /// Who is at the other end of its connection, if known.
    pub far: Option<&'a FarIdentity>,
    /// Whether the common name in the client's own certificate is its user's name.
    pub names_users: bool,
}

impl Origin<'_> {
    /// Plain text from nowhere in particular.
    pub const PLAIN: Self = Self { via: Via::Plain, far: None, names_users: false };

    /// The address it came from.
    fn address(&self) -> Option<IpAddr> {
        self.far?.address.map(|address| address.ip())
    }

    /// The name of its user, as its certificate says.
    fn certificate_name(&self) -> Option<&str> {
        self.far.filter(|_| self.names_users)?.certificate.as_ref()?.common_name.as_deref()
    }
}

/// How a request came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Via {
    /// Over plain text, where the host whitelist counts.
    Plain,
    /// Over TLS.
    Tls,
}

impl<M> Clone for ClientApi<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Member> ClientApi<M> {
    /// The API of `member`.
    #[must_use]
    pub fn new(member: M, access: Access, metrics: HttpMetrics) -> Self {
        let cluster = member.status().cluster.to_string();
        // Hex digits are always a legal header value.
        let cluster_id = HeaderValue::try_from(cluster).unwrap_or(HeaderValue::from_static("0"));
        let shared = Shared {
            member,
            key_headers: KeyHeaders::new(cluster_id.clone(), &access),
            access,
            metrics,
            cluster_id,
            bodies: BodyReader::default(),
            reads: Reads::default(),
            credentials: Credentials::new(),
        };
        Self(Arc::new(shared))
    }

    /// Answers one request on a client listener.
    pub async fn answer<B: Body<Data = Bytes> + Unpin>(
        &self,
        request: Request<B>,
        origin: &Origin<'_>,
    ) -> Reply {
        let shared = &*self.0;
        let (parts, body) = request.into_parts();
        if origin.via == Via::Plain
            && let Some(refusal) = shared.access.refusal(&parts.uri, &parts.headers)
        {
            tracing::debug!(uri = %parts.uri.path(), "refused a host name that is not in the whitelist");
            return for_method(&parts.method, refusal);
        }
        let cors = shared.access.cors(&parts.headers);
        let mut reply = if parts.method == Method::OPTIONS {
            reply::empty(StatusCode::OK)
        } else {
            match canonical(&parts) {
                Ok(path) => route(shared, &parts, &path, body, origin).await,
                Err(reply) => *reply,
            }
        };
        cors.add_to(reply.headers_mut());
        for_method(&parts.method, reply)
    }

    /// Answers one request on a listener for metrics: `/metrics` and `/health`, to everyone.
    pub async fn answer_metrics<B>(&self, request: Request<B>) -> Reply {
        let shared = &*self.0;
        let (parts, _) = request.into_parts();
        let reply = match canonical(&parts) {
            Ok(path) => match &*path {
                b"/metrics" => small::metrics(shared),
                b"/health" => Box::pin(health::health(shared, &parts.method)).await,
                _ => reply::not_found(),
            },
            Err(reply) => *reply,
        };
        for_method(&parts.method, reply)
    }
}

/// The decoded path of a request, or the answer to one that is not in canonical form.
fn canonical(parts: &Parts) -> Result<Cow<'_, [u8]>, Box<Reply>> {
    match url_path::read(parts.uri.path()) {
        RequestPath::Canonical(path) => Ok(path),
        RequestPath::Redirect(path) => {
            let query = parts.uri.query();
            Err(Box::new(url_path::redirect(&parts.method, &path, query)))
        }
        RequestPath::BadEscape => Err(Box::new(url_path::bad_request())),
    }
}

async fn route<M: Member, B: Body<Data = Bytes> + Unpin>(
    shared: &Shared<M>,
    parts: &Parts,
    path: &[u8],
    body: B,
    origin: &Origin<'_>,
) -> Reply {
    if let Some(key) = below(path, b"/v2/keys") {
        return keys::answer(shared, parts, key, body, origin).await;
    }
    if let Some(rest) = below(path, b"/v2/members") {
        return Box::pin(members::answer(shared, parts, rest, body, origin)).await;
    }
    if let Some(rest) = below(path, b"/v2/auth") {
        return Box::pin(auth::answer(shared, parts, rest, body, origin)).await;
    }
    let method = &parts.method;
    let query = parts.uri.query().unwrap_or_default();
    match path {
        b"/v2/machines" => small::machines(shared, method),
        b"/v2/stats/self" => stats::own(shared, method),
        b"/v2/stats/leader" => stats::leader(shared, method),
        b"/v2/stats/store" => stats::store(shared, method),
        b"/version" => small::version(shared, method),
        b"/health" => Box::pin(health::health(shared, method)).await,
        b"/livez" => health::checks(method, query, &shared.member.liveness()),
        b"/readyz" => health::checks(method, query, &shared.member.readiness()),
        b"/metrics" => small::metrics(shared),
        b"/debug/vars" => small::vars(shared),
        b"/config/local/log" => Box::pin(small::log_level(shared, method, body)).await,
        _ => reply::not_found(),
    }
}

/// What follows `prefix` in `path`, if that is nothing or begins with a slash.
fn below<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// The answer as its method demands: to `HEAD` the length of a body instead of the body. Nothing is said of the length of a
/// body that there would not be, as Go does.
fn for_method(method: &Method, mut reply: Reply) -> Reply {
    if *method == Method::HEAD
        && let ApiBody::Full(bytes) = reply.body()
        && !bytes.is_empty()
    {
        let length = HeaderValue::from(bytes.len());
        reply.headers_mut().insert(CONTENT_LENGTH, length);
        *reply.body_mut() = ApiBody::empty();
    }
    reply
}
