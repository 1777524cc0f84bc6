//! Drives one connection that speaks HTTP/2: many requests at a time, each in a task of its own.
//!
//! The library's own machinery serves all of it, endless answers included: a watcher costs a stream and not a connection
//! here. The sweeper's limits for HTTP/1.1 go by connection, so what must be bounded per stream is bounded here.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::connections::{Connection, Phase, Signal, Tracked};
use crate::http_server::Handler;
use crate::limits::ServerLimits;
use crate::tracked_io::TrackedIo;

/// Requests at a time on one connection; Go's default. A client with more watchers opens another connection.
const STREAMS_MAX: u32 = 250;
/// Answers are handed over in pieces of this size, so that a client that reads none of them holds no more than
/// [`STREAMS_MAX`] pieces that nothing accounts for.
const PIECE_BYTES: usize = 16 * 1024;
/// What may wait to be sent on one stream, and what may be received before it was read.
const STREAM_BUFFER_BYTES: usize = 64 * 1024;
/// See [`STREAM_BUFFER_BYTES`]; of all streams of a connection together.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// How often a connection looks for answers that are not taken.
const STALL_CHECK: Duration = Duration::from_secs(5);
/// How long a request with a body may take once its body could have been there: more than any write may.
const HANDLING_MAX: Duration = Duration::from_secs(120);

/// Serves the requests of one connection until it ends.
pub(crate) async fn serve<H: Handler>(
    io: TrackedIo,
    tracked: Arc<Tracked>,
    handler: Arc<H>,
    limits: ServerLimits,
) {
    let (drain, draining) = watch::channel(false);
    let streams = Arc::new(Streams::new(Arc::clone(&tracked)));
    let service = service_fn({
        let streams = Arc::clone(&streams);
        move |request| {
            answer(Arc::clone(&handler), request, Arc::clone(&streams), limits, draining.clone())
        }
    });
    let mut http = Builder::new(TokioExecutor::new());
    http.max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(STREAM_BUFFER_BYTES)
        .initial_stream_window_size(u32::try_from(STREAM_BUFFER_BYTES).unwrap_or(u32::MAX))
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX));
    let mut connection = pin!(http.serve_connection(TokioIo::new(io), service));
    let mut check = interval(STALL_CHECK.min(limits.write_stall_timeout));
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_draining = false;
    std::future::poll_fn(|cx| {
        tracked.listen(cx.waker());
        match tracked.signal() {
            Signal::Cut => return Poll::Ready(()),
            Signal::Drain if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
                // Ends the answers that would wait for ever; nobody listens when there is none.
                let _ = drain.send(true);
            }
            Signal::None | Signal::Drain => {}
        }
        while check.poll_tick(cx).is_ready() {
            if streams.is_stalled(limits.write_stall_timeout) {
                return Poll::Ready(());
            }
        }
        connection.as_mut().poll(cx).map(|ended| {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        })
    })
    .await;
}

async fn answer<H: Handler>(
    handler: Arc<H>,
    mut request: Request<Incoming>,
    streams: Arc<Streams>,
    limits: ServerLimits,
    mut draining: watch::Receiver<bool>,
) -> Result<Response<StreamBody<H::Body>>, io::Error> {
    let stream = streams.begin();
    if request.method() == Method::CONNECT {
        let mut refusal = Response::new(StreamBody { source: None, stream, drained: None });
        *refusal.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return Ok(refusal);
    }
    // HTTP/2 names the host in the URI; handlers look for it where HTTP/1.1 has it.
    let authority = request.uri().authority().map(|it| HeaderValue::from_str(it.as_str()));
    if let Some(Ok(host)) = authority {
        request.headers_mut().insert(header::HOST, host);
    }
    let is_limited = request.method() != Method::GET && !request.body().is_end_stream();
    let work = handler.handle(request, Connection(Arc::clone(&streams.tracked)));
    let response = if is_limited {
        timeout(limits.body_read_timeout + HANDLING_MAX, work).await?
    } else {
        work.await
    };
    Ok(response.map(|body| {
        let is_endless = body.size_hint().exact().is_none();
        let drained = is_endless.then(|| -> BoxFuture<'static, ()> {
            Box::pin(async move {
                // An error means that the connection is gone.
                let _ = draining.wait_for(|drains| *drains).await;
            })
        });
        if !is_endless {
            stream.watch_progress();
        }
        StreamBody { source: Some(Source { body, rest: Bytes::new() }), stream, drained }
    }))
}

/// The streams of one connection that are being answered.
struct Streams {
    tracked: Arc<Tracked>,
    next_id: AtomicU64,
    open: Mutex<OpenStreams>,
}

#[derive(Default)]
struct OpenStreams {
    count: usize,
    /// When each answer of a known length was asked for more the last time, by the stream's number.
    progress: BTreeMap<u64, Instant>,
}

impl Streams {
    fn new(tracked: Arc<Tracked>) -> Self {
        Self { tracked, next_id: AtomicU64::new(0), open: Mutex::default() }
    }

    fn begin(self: &Arc<Self>) -> Stream {
        let mut open = self.open.lock();
        open.count += 1;
        if open.count == 1 {
            self.tracked.enter(Phase::Serving);
        }
        Stream { id: self.next_id.fetch_add(1, Ordering::Relaxed), streams: Arc::clone(self) }
    }

    /// Whether an answer has not been taken for so long.
    fn is_stalled(&self, limit: Duration) -> bool {
        self.open.lock().progress.values().any(|since| since.elapsed() > limit)
    }
}

/// One stream; ends when dropped.
struct Stream {
    id: u64,
    streams: Arc<Streams>,
}

impl Stream {
    fn watch_progress(&self) {
        self.streams.open.lock().progress.insert(self.id, Instant::now());
    }

    fn progressed(&self) {
        if let Some(since) = self.streams.open.lock().progress.get_mut(&self.id) {
            *since = Instant::now();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock();
        open.progress.remove(&self.id);
        open.count -= 1;
        if open.count == 0 {
            self.streams.tracked.enter(Phase::Idle);
        }
    }
}

/// The body of an answer on its way out.
struct StreamBody<B> {
    source: Option<Source<B>>,
    stream: Stream,
    /// Ready when an endless answer has to end.
    drained: Option<BoxFuture<'static, ()>>,
}

struct Source<B> {
    body: B,
    /// What it gave and was not passed on yet.
    rest: Bytes,
}

impl<B> Body for StreamBody<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let Some(source) = &mut this.source else { return Poll::Ready(None) };
        this.stream.progressed();
        if source.rest.is_empty() {
            match Pin::new(&mut source.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => source.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Pending => {
                    let is_over =
                        this.drained.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready());
                    return if is_over { Poll::Ready(None) } else { Poll::Pending };
                }
                other => return other,
            }
        }
        let piece = source.rest.split_to(source.rest.len().min(PIECE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(|it| it.rest.is_empty() && it.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let Some(source) = &self.source else { return SizeHint::with_exact(0) };
        let rest = source.rest.len() as u64;
        match source.body.size_hint().exact() {
            Some(exact) => SizeHint::with_exact(exact + rest),
            None => SizeHint::default(),
        }
    }
}
