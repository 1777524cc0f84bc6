//! A process that is no member: it serves clients by asking the members, one after the other until one answers.
//!
//! Invariant: a request that changes something is sent to a second member only if the first one cannot have received it.
//! Everything is bounded: requests under way, their bodies, the wait for an answer to begin; answers are passed on as they
//! come, watches too, and are never kept. Left out: who may do what, which the members decide.

mod members;
mod pool;

use std::error::Error;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use quorate_transport::body::read_body;
use quorate_transport::connections::Connection;
use quorate_transport::http_client::{ClientError, Connector};
use quorate_transport::http_server::Handler;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use members::MemberAddresses;
use pool::{Lease, Pool};

/// Requests under way, watches included: each holds a connection to a client and one to a member.
const UNDER_WAY_MAX: usize = 8192;
/// Largest body of a request: more than a member takes, so that it is the member who says no.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a member has to begin its answer; longer than any write or read takes there before it is given up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a request comes from, proxy by proxy.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What is meant for one connection and not for the next.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

type BoxError = Box<dyn Error + Send + Sync>;
/// The body of a proxy's answer.
pub type ProxyBody = UnsyncBoxBody<Bytes, BoxError>;

/// See the module.
pub struct Proxy {
    members: Arc<MemberAddresses>,
    pool: Arc<Pool>,
    under_way: Arc<Semaphore>,
}

impl Proxy {
    /// Asks `members`, over connections that `connector` opens.
    #[must_use]
    pub fn new(members: Arc<MemberAddresses>, connector: Arc<dyn Connector>) -> Self {
        let pool = Arc::new(Pool::new(connector));
        Self { members, pool, under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)) }
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        from: Option<IpAddr>,
    ) -> Response<ProxyBody> {
        let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
            return told(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests are under way; try again later",
            );
        };
        let (mut parts, body) = request.into_parts();
        let Ok(body) = read_body(body, REQUEST_BYTES_MAX).await else {
            return told(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or broke off");
        };
        drop_hop_by_hop(&mut parts.headers);
        tell_whom_it_is_for(&mut parts.headers, from);
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let may_repeat = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        for endpoint in self.members.in_turn() {
            let mut next = Request::new(body.clone());
            *next.method_mut() = parts.method.clone();
            next.headers_mut().clone_from(&parts.headers);
            match path.parse() {
                Ok(uri) => *next.uri_mut() = uri,
                Err(_) => return told(StatusCode::BAD_REQUEST, "the path cannot be passed on"),
            }
            match self.pool.ask(&endpoint, next, may_repeat, HEAD_TIMEOUT).await {
                Ok((response, lease)) => {
                    self.members.answered(&endpoint);
                    return passed_on(response, lease, permit);
                }
                Err(error) => {
                    tracing::debug!(%endpoint, %error, "a member does not answer");
                    self.members.failed(&endpoint);
                    if !may_repeat && !matches!(error, ClientError::Connect { .. }) {
                        return told(
                            StatusCode::BAD_GATEWAY,
                            "the member that was asked did not answer, and may have carried it out all the same; read before \
                             you repeat it",
                        );
                    }
                }
            }
        }
        told(
            StatusCode::SERVICE_UNAVAILABLE,
            "no member of the cluster answers this proxy; try again later",
        )
    }

    /// What the proxy says of itself, in etcd's form.
    fn own_endpoints(&self) -> Response<ProxyBody> {
        let endpoints: Vec<String> =
            self.members.in_turn().iter().map(ToString::to_string).collect();
        json(StatusCode::OK, &serde_json::json!({ "endpoints": endpoints }))
    }
}

impl Handler for Proxy {
    type Body = ProxyBody;

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Connection,
    ) -> Response<ProxyBody> {
        let from = connection.identity().address.map(|address| address.ip().to_canonical());
        match request.uri().path() {
            "/v2/config/local/proxy" => self.own_endpoints(),
            "/livez" => json(StatusCode::OK, &serde_json::json!({ "proxy": true })),
            // A proxy has no numbers of its own, and a member's would be taken for them.
            "/metrics" => {
                told(StatusCode::NOT_FOUND, "this is a proxy; ask the members for their metrics")
            }
            _ => Box::pin(self.forward(request, from)).await,
        }
    }
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    // The body was read whole, and has one length again.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
}

/// Adds the client's address to those of the proxies that it came through.
fn tell_whom_it_is_for(headers: &mut HeaderMap, from: Option<IpAddr>) {
    let Some(from) = from else { return };
    let before = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let all: Vec<String> = before.map(str::to_owned).chain([from.to_string()]).collect();
    if let Ok(value) = HeaderValue::from_str(&all.join(", ")) {
        headers.insert(FORWARDED_FOR, value);
    }
}

fn passed_on(
    response: Response<Incoming>,
    lease: Lease,
    permit: OwnedSemaphorePermit,
) -> Response<ProxyBody> {
    let (mut parts, body) = response.into_parts();
    let length = parts.headers.remove(header::CONTENT_LENGTH);
    drop_hop_by_hop(&mut parts.headers);
    if let Some(length) = length {
        parts.headers.insert(header::CONTENT_LENGTH, length);
    }
    Response::from_parts(parts, Passing { body, lease, _permit: permit }.boxed_unsync())
}

/// A member's body on its way to the client; the request is under way until it ends or is dropped.
struct Passing {
    body: Incoming,
    lease: Lease,
    _permit: OwnedSemaphorePermit,
}

impl Body for Passing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() {
            self.lease.end();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // A body of a known length is not asked for its end.
        if self.body.is_end_stream() {
            self.lease.end();
        }
    }
}

fn told(status: StatusCode, message: &str) -> Response<ProxyBody> {
    json(status, &serde_json::json!({ "message": message }))
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response<ProxyBody> {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_for_one_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Own"),
            ("x-own", "1"),
            ("transfer-encoding", "chunked"),
            ("authorization", "Basic x"),
            ("content-length", "3"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        drop_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["authorization"]);
    }

    #[test]
    fn members_are_told_whom_a_request_is_for() {
        let mut headers = HeaderMap::new();
        let from = |text: &str| Some(text.parse().unwrap());
        tell_whom_it_is_for(&mut headers, None);
        assert!(headers.is_empty(), "a client on a unix socket has no address");
        tell_whom_it_is_for(&mut headers, from("192.0.2.7"));
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        tell_whom_it_is_for(&mut headers, from("2001:db8::1"));
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7, 2001:db8::1");
    }
}
