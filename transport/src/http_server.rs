//! The HTTP server: accepts, hands requests to a [`Handler`], and shuts down without cutting running requests.
//!
//! Header names leave in Title-Case (`X-Etcd-Index`), as etcd's clients have always seen them. At the connection
//! bound it stops accepting; failing accepts back off. Routing is not here.

use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::Builder;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::acceptor::Acceptor;
use crate::connections::{Connection, Connections, Phase, Registration, Signal, Tracked};
use crate::endpoint::Endpoint;
use crate::limits::{BUFFER_BYTES_MAX, ServerLimits};
use crate::listener::Listener;
use crate::serving;
use crate::serving_h2;
use crate::stream::Stream;
use crate::tracked_io::TrackedIo;
use crate::traffic::Traffic;

/// Pause after a failed accept; doubles up to [`ACCEPT_BACKOFF_MAX`].
const ACCEPT_BACKOFF_MIN: Duration = Duration::from_millis(10);
/// Out of open files is not over in milliseconds, but a second is noticed by people.
const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How long cut connections have to close before the server stops waiting for them.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The body of an answer. One without an exact [`Body::size_hint`] is taken for a stream that may wait for ever:
    /// it ends when its client hangs up and when the server drains.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers one request. The space of this future is kept by every connection for its whole life: box what is
    /// large and rare.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Connection,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// A running server. Dropping it cuts all its connections; see [`HttpServer::shutdown`] for the polite way.
#[derive(Debug)]
pub struct HttpServer {
    endpoint: Endpoint,
    connections: Arc<Connections>,
    accepting: JoinHandle<()>,
    sweeping: JoinHandle<()>,
}

impl HttpServer {
    /// Accepts from `listener` until shut down. Must be called inside a tokio runtime.
    pub fn spawn<A: Acceptor, H: Handler>(
        listener: Listener,
        acceptor: A,
        handler: Arc<H>,
        limits: ServerLimits,
    ) -> Self {
        let connections = Connections::new(limits);
        let endpoint = listener.local_endpoint();
        let sweeping = tokio::spawn(Arc::clone(&connections).sweep());
        let accepting = AcceptLoop {
            listener,
            acceptor,
            handler,
            limits,
            connections: Arc::clone(&connections),
        };
        let accepting = tokio::spawn(accepting.run());
        Self { endpoint, connections, accepting, sweeping }
    }

    /// The endpoint that is listened on, with the real port.
    #[must_use]
    pub fn local_endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Open connections, upgraded ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.open()
    }

    /// What goes over its connections, now and later.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic::of(&self.connections)
    }

    /// Stops accepting, closes idle connections, ends streams, and lets running requests finish for at most
    /// `patience`; what still runs then is cut. Returns how many were. Upgraded connections belong to whoever
    /// upgraded them and are neither awaited nor cut.
    pub async fn shutdown(self, patience: Duration) -> usize {
        self.accepting.abort();
        self.connections.signal_all(Signal::Drain);
        if self.drained(patience).await {
            return 0;
        }
        let cut = self.connections.signal_all(Signal::Cut);
        self.drained(CUT_GRACE).await;
        cut
    }

    async fn drained(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let closed = self.connections.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            if self.connections.speaking_http() == 0 {
                return true;
            }
            if tokio::time::timeout_at(deadline, closed).await.is_err() {
                return self.connections.speaking_http() == 0;
            }
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.accepting.abort();
        self.sweeping.abort();
        self.connections.signal_all(Signal::Cut);
    }
}

struct AcceptLoop<A, H> {
    listener: Listener,
    acceptor: A,
    handler: Arc<H>,
    limits: ServerLimits,
    connections: Arc<Connections>,
}

impl<A: Acceptor, H: Handler> AcceptLoop<A, H> {
    async fn run(self) {
        let http = Arc::new(http_builder(&self.limits));
        let mut backoff = ACCEPT_BACKOFF_MIN;
        loop {
            self.room().await;
            let raw = match self.listener.accept().await {
                Ok(raw) => raw,
                // The client gave up while it was queued: nothing is wrong here.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    tracing::warn!(
                        endpoint = %self.listener.local_endpoint(), %error, pause = ?backoff,
                        "cannot accept connections; raise the limit on open files if it is exhausted"
                    );
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(ACCEPT_BACKOFF_MAX);
                    continue;
                }
            };
            backoff = ACCEPT_BACKOFF_MIN;
            if raw.tune().is_err() {
                continue;
            }
            let registration = self.connections.register();
            let (acceptor, handler) = (self.acceptor.clone(), Arc::clone(&self.handler));
            tokio::spawn(serve(raw, registration, acceptor, handler, Arc::clone(&http)));
        }
    }

    /// Waits until the connection bound leaves room for one more.
    async fn room(&self) {
        loop {
            let closed = self.connections.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            if self.connections.open() < self.limits.connections_max {
                return;
            }
            closed.await;
        }
    }
}

fn http_builder(limits: &ServerLimits) -> Builder {
    let mut http = Builder::new();
    http.title_case_headers(true)
        // Without it the parser reads while a request waits, and each waiting connection keeps a second read buffer.
        .half_close(true)
        // The sweeper enforces all times.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes_max)
        .max_buf_size(BUFFER_BYTES_MAX.max(limits.header_bytes_max));
    http
}

async fn serve<A: Acceptor, H: Handler>(
    raw: Stream,
    registration: Registration,
    acceptor: A,
    handler: Arc<H>,
    http: Arc<Builder>,
) {
    let tracked = Arc::clone(&registration.0);
    let accepted = unless_cut(acceptor.accept(raw), &tracked).await;
    let Some(Ok((stream, identity))) = accepted else { return };
    // Set here and nowhere else.
    let _ = tracked.identity.set(identity);
    tracked.enter(Phase::Idle);
    if stream.speaks_http2() {
        let limits = tracked.limits();
        let io = TrackedIo::multiplexed(stream, registration);
        // Boxed, or every connection's task would have room for it.
        Box::pin(serving_h2::serve(io, tracked, handler, limits)).await;
    } else {
        serving::serve(TrackedIo::new(stream, registration), tracked, handler, http).await;
    }
}

/// `None` when the connection was cut first.
async fn unless_cut<T>(work: impl Future<Output = T>, tracked: &Tracked) -> Option<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        tracked.listen(cx.waker());
        match tracked.signal() {
            Signal::None => work.as_mut().poll(cx).map(Some),
            Signal::Drain | Signal::Cut => Poll::Ready(None),
        }
    })
    .await
}
