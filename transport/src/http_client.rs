//! A small HTTP/1.1 client: one connection, one request, a bounded answer, one timeout over all of it.
//!
//! For bootstrap and administration, where a pool would only hide which peer was asked. [`upgrade`] leaves the
//! connection open for a protocol of ours. Redirects and retries are the caller's.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::body::{BodyError, read_body};
use crate::dns;
use crate::endpoint::{Address, Endpoint};
use crate::stream::Stream;

/// Largest answer to a refused upgrade that is read: a status and a line of JSON.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Opens connections: the seam for TLS.
pub trait Connector: Send + Sync + 'static {
    /// Connects to `endpoint`, protection included.
    fn connect<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Stream>>;

    /// Whether requests to `endpoint` must name it in their target, since who they are sent to is not it but a proxy.
    fn names_the_server(&self, _endpoint: &Endpoint) -> bool {
        false
    }

    /// Is told of a connection that broke before there was an answer. Under TLS 1.3 that is how the other end says that it
    /// does not accept the certificate it was shown.
    fn broke(&self, _endpoint: &Endpoint, _error: &hyper::Error) {}
}

/// Opens unprotected connections, and refuses endpoints that ask for TLS.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainConnector;

impl Connector for PlainConnector {
    fn connect<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            if endpoint.is_tls {
                let reason = "the endpoint needs TLS, and none is configured here";
                return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
            }
            let stream = match &endpoint.address {
                Address::Tcp { host, port } => Stream::Tcp(dns::connect(host, *port).await?),
                Address::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
            };
            stream.tune()?;
            Ok(stream)
        })
    }
}

/// Why a request got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection: nothing listens there, or the way is broken.
    #[error("cannot connect to {endpoint}: {cause}")]
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The connection broke, or what came back is not HTTP.
    #[error("no valid answer from {endpoint}: {cause}")]
    Broken {
        /// From where.
        endpoint: Endpoint,
        /// What happened.
        #[source]
        cause: hyper::Error,
    },
    /// The answer's body is too large or broken.
    #[error("unusable answer from {endpoint}: {cause}")]
    Body {
        /// From where.
        endpoint: Endpoint,
        /// What is wrong with it.
        #[source]
        cause: BodyError,
    },
    /// The time was up.
    #[error("no answer from {endpoint} within {timeout:?}")]
    TimedOut {
        /// From where.
        endpoint: Endpoint,
        /// The time there was.
        timeout: Duration,
    },
}

/// A connection that no longer speaks HTTP.
#[derive(Debug)]
pub struct Upgraded {
    /// The stream.
    pub stream: Stream,
    /// Bytes of the new protocol that came together with the answer.
    pub early: Bytes,
}

/// Why a connection was not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// There was an answer, and it is no.
    #[error("the upgrade was refused with status {}", .0.status())]
    Refused(Response<Bytes>),
    /// There was none.
    #[error(transparent)]
    Failed(#[from] ClientError),
}

/// Sends `request` to `endpoint` and reads an answer of at most `max_body` bytes, all within `timeout`.
/// The request's URI is a path; `Host` is filled in.
///
/// # Errors
/// See [`ClientError`]. A status of 400 or more is an answer, not an error.
pub async fn send(
    connector: &dyn Connector,
    endpoint: &Endpoint,
    request: Request<Bytes>,
    max_body: usize,
    timeout: Duration,
) -> Result<Response<Bytes>, ClientError> {
    let answered = within(endpoint, timeout, async {
        let (mut sender, driver) = handshake(connector, endpoint).await?;
        let exchange = async {
            let response = sender
                .send_request(prepare(endpoint, connector.names_the_server(endpoint), request))
                .await;
            let (parts, body) = response.map_err(broken(endpoint))?.into_parts();
            let body = read_body(body, max_body)
                .await
                .map_err(|cause| ClientError::Body { endpoint: endpoint.clone(), cause })?;
            Ok(Response::from_parts(parts, body))
        };
        beside(driver, exchange).await
    })
    .await;
    answered.inspect_err(|error| tell(connector, error))
}

/// A connection for one request after the other. Dropping it closes it once the answer that is being read has ended.
pub struct KeptConnection {
    endpoint: Endpoint,
    sender: http1::SendRequest<Full<Bytes>>,
    /// Whether requests name the server in their target.
    names_the_server: bool,
}

impl KeptConnection {
    /// Connects to `endpoint` within `timeout`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn open(
        connector: &dyn Connector,
        endpoint: &Endpoint,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let (sender, driver) = within(endpoint, timeout, handshake(connector, endpoint)).await?;
        // The connection's own end is seen by whoever reads an answer, or asks for another one.
        tokio::spawn(driver);
        let names_the_server = connector.names_the_server(endpoint);
        Ok(Self { endpoint: endpoint.clone(), sender, names_the_server })
    }

    /// Whether the other end has not closed it, as far as is known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Whether it can take a request right now.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends `request` and returns the answer once it has begun, which it has to within `timeout`. Its body is the caller's to
    /// read, in its own time; the connection is free for another request when it has ended.
    ///
    /// # Errors
    /// See [`ClientError`]; with the request, if nothing of it was sent.
    pub async fn send(
        &mut self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> Result<Response<Incoming>, (ClientError, Option<Request<Bytes>>)> {
        let unsent = request.clone();
        let prepared = prepare(&self.endpoint, self.names_the_server, request);
        let sent = self.sender.try_send_request(prepared);
        let Ok(answer) = tokio::time::timeout(timeout, sent).await else {
            return Err((ClientError::TimedOut { endpoint: self.endpoint.clone(), timeout }, None));
        };
        answer.map_err(|mut error| {
            let unsent = error.take_message().map(|_| unsent);
            (broken(&self.endpoint)(error.into_error()), unsent)
        })
    }
}

/// Sends `request`, which must ask for an upgrade, and returns the stream when the answer is 101.
///
/// # Errors
/// See [`UpgradeError`].
pub async fn upgrade(
    connector: &dyn Connector,
    endpoint: &Endpoint,
    request: Request<Bytes>,
    timeout: Duration,
) -> Result<Upgraded, UpgradeError> {
    let exchange = async {
        let (mut sender, driver) = handshake(connector, endpoint).await?;
        let driver = driver.with_upgrades();
        let exchange = async {
            let response = sender
                .send_request(prepare(endpoint, connector.names_the_server(endpoint), request))
                .await;
            let response = response.map_err(broken(endpoint))?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                let upgraded = hyper::upgrade::on(response).await.map_err(broken(endpoint))?;
                return Ok(Ok(upgraded));
            }
            let (parts, body) = response.into_parts();
            let body = read_body(body, REFUSAL_BYTES_MAX)
                .await
                .map_err(|cause| ClientError::Body { endpoint: endpoint.clone(), cause })?;
            Ok(Err(Response::from_parts(parts, body)))
        };
        beside(driver, exchange).await
    };
    let answered = within(endpoint, timeout, exchange).await;
    match answered.inspect_err(|error| tell(connector, error))? {
        Ok(upgraded) => match upgraded.downcast::<TokioIo<Stream>>() {
            Ok(parts) => Ok(Upgraded { stream: parts.io.into_inner(), early: parts.read_buf }),
            Err(_) => unreachable!("the connection was made from this very type"),
        },
        Err(refused) => Err(UpgradeError::Refused(refused)),
    }
}

type Driver = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

fn tell(connector: &dyn Connector, error: &ClientError) {
    if let ClientError::Broken { endpoint, cause } = error {
        connector.broke(endpoint, cause);
    }
}

async fn handshake(
    connector: &dyn Connector,
    endpoint: &Endpoint,
) -> Result<(http1::SendRequest<Full<Bytes>>, Driver), ClientError> {
    let stream = connector
        .connect(endpoint)
        .await
        .map_err(|cause| ClientError::Connect { endpoint: endpoint.clone(), cause })?;
    let mut http = http1::Builder::new();
    http.title_case_headers(true).max_buf_size(REFUSAL_BYTES_MAX);
    http.handshake(TokioIo::new(stream)).await.map_err(broken(endpoint))
}

fn prepare(
    endpoint: &Endpoint,
    names_the_server: bool,
    request: Request<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = request.map(Full::new);
    // An authority that is no header value can't have been connected to; the server refuses a missing Host.
    if let Ok(host) = HeaderValue::from_str(&endpoint.authority()) {
        request.headers_mut().insert(header::HOST, host);
    }
    if names_the_server && let Ok(whole) = format!("{endpoint}{}", request.uri()).parse() {
        *request.uri_mut() = whole;
    }
    request
}

/// Runs `exchange` while driving its connection in the same task; the connection's own end is no news by itself.
async fn beside<T>(driver: impl Future, exchange: impl Future<Output = T>) -> T {
    match select(pin!(exchange), pin!(driver)).await {
        Either::Left((done, _)) => done,
        Either::Right((_, exchange)) => exchange.await,
    }
}

async fn within<T>(
    endpoint: &Endpoint,
    timeout: Duration,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done,
        Err(_) => Err(ClientError::TimedOut { endpoint: endpoint.clone(), timeout }),
    }
}

fn broken(endpoint: &Endpoint) -> impl Fn(hyper::Error) -> ClientError + '_ {
    |cause| ClientError::Broken { endpoint: endpoint.clone(), cause }
}
