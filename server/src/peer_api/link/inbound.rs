//! The answering side of the link: lets members in, hands their requests to the [`PeerService`], and sends replies.
//!
//! Requests are read one at a time, when the service asks for the next: a service that doesn't keep up slows the
//! sender down, not this process's memory. Pings are answered while the service reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Response;
use hyper::body::Incoming;
use parking_lot::Mutex;
use quorate_transport::stream::{ReadHalf, WriteHalf};
use quorate_transport::upgrade::{Place, UpgradedConnection, upgraded};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::frame::{Decoder, Frame, FrameError, FrameType, ReplyError};
use super::hello::{Gate, Hello, switching};
use super::limits::LinkLimits;
use super::observer::LinkObserver;
use super::outbox::Outbox;

/// The caller has this long to take the answer 101 before its place is given up.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// A caller pings long before this; silence means that it is gone without a word.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A caller that takes no byte of the replies for this long is given up.
const WRITE_STALL_MAX: Duration = Duration::from_secs(30);
/// Bytes of unsent replies above which no further request is read.
const UNSENT_REPLIES_MAX: usize = 4 << 20;

/// Serves the requests of one connection; implemented by whoever knows what they mean.
pub trait PeerService: Send + Sync + 'static {
    /// Reads requests until there are none, and answers them. Dropping `inbound` closes the connection.
    fn serve(self: Arc<Self>, inbound: Inbound) -> BoxFuture<'static, ()>;
}

/// A connection from another member.
#[derive(Debug)]
pub struct Inbound {
    /// Who calls, and for what (`hello.class`).
    pub hello: Hello,
    /// Its requests.
    pub frames: FrameReader,
    /// The way back; may be cloned into other tasks.
    pub replies: FrameWriter,
}

/// A request from another member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// What is asked for; the service defines the numbers.
    pub kind: u8,
    /// To be repeated in the reply.
    pub id: u64,
    /// The message: a slice of what was read, not a copy.
    pub body: Bytes,
}

/// Lets other members in. One per process.
pub struct PeerEndpoint {
    gate: Arc<dyn Gate>,
    service: Arc<dyn PeerService>,
    observer: Arc<dyn LinkObserver>,
    stop: watch::Sender<bool>,
}

impl PeerEndpoint {
    /// An endpoint that asks `gate` whom to let in.
    pub fn new(
        gate: Arc<dyn Gate>,
        service: Arc<dyn PeerService>,
        observer: Arc<dyn LinkObserver>,
    ) -> Self {
        Self { gate, service, observer, stop: watch::Sender::new(false) }
    }

    /// Answers a `GET` of [`PEER_PATH`](super::PEER_PATH). When the answer is 101, a task of its own then serves the
    /// connection.
    pub fn answer(&self, request: http::Request<Incoming>) -> Response<Bytes> {
        let admitted = Hello::read(request.headers()).and_then(|hello| {
            self.gate.admit(&hello)?;
            Ok(hello)
        });
        let hello = match admitted {
            Ok(hello) => hello,
            Err(refusal) => {
                tracing::info!(%refusal, "refused a peer connection");
                return refusal.response();
            }
        };
        let (service, observer) = (Arc::clone(&self.service), Arc::clone(&self.observer));
        let stop = self.stop.subscribe();
        tokio::spawn(async move {
            match timeout(UPGRADE_TIMEOUT, upgraded(request)).await {
                Ok(Ok(connection)) => {
                    service.serve(open(connection, hello, observer, stop)).await;
                }
                Ok(Err(error)) => {
                    tracing::debug!(peer = %hello.from, %error, "a peer left before its link began");
                }
                Err(_) => {
                    tracing::debug!(peer = %hello.from, "a peer didn't take the answer to its hello");
                }
            }
        });
        switching()
    }

    /// Ends all connections: every [`FrameReader`] has no further request.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

fn open(
    connection: UpgradedConnection,
    hello: Hello,
    observer: Arc<dyn LinkObserver>,
    stop: watch::Receiver<bool>,
) -> Inbound {
    let limits = LinkLimits::of(hello.class);
    // Without it a caller whose host vanished is noticed only by its silence.
    let _ = connection.stream.limit_unacknowledged(WRITE_STALL_MAX);
    let (read, write) = connection.stream.into_split();
    let unsent = Arc::new(Unsent::default());
    tokio::spawn(Arc::clone(&unsent).write_out(write, hello, Arc::clone(&observer)));
    let replies = FrameWriter { unsent: Arc::clone(&unsent), body_max: limits.body_max };
    let frames = FrameReader {
        read,
        decoder: Decoder::new(&connection.early, limits.body_max),
        closer: Closer(unsent),
        hello,
        observer,
        stop,
        _place: connection.place,
    };
    Inbound { hello, frames, replies }
}

/// The requests of one connection.
pub struct FrameReader {
    read: ReadHalf,
    decoder: Decoder,
    closer: Closer,
    hello: Hello,
    observer: Arc<dyn LinkObserver>,
    stop: watch::Receiver<bool>,
    _place: Place,
}

impl std::fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameReader").field("hello", &self.hello).finish_non_exhaustive()
    }
}

impl FrameReader {
    /// The next request, in the order they were sent; `None` when the connection is over. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Request> {
        loop {
            match self
                .decoder
                .next_frame()
                .and_then(|frame| frame.map(|frame| self.sort(frame)).transpose())
            {
                Ok(Some(Some(request))) => return Some(request),
                Ok(Some(None)) => {}
                Ok(None) => self.read_more().await?,
                Err(error) => {
                    tracing::warn!(
                        peer = %self.hello.from, class = %self.hello.class, %error,
                        "closing a peer connection that can't be understood; check the network between the members"
                    );
                    self.closer.0.close();
                    return None;
                }
            }
        }
    }

    fn sort(&self, frame: Frame) -> Result<Option<Request>, FrameError> {
        match frame.frame_type {
            FrameType::Request => {
                Ok(Some(Request { kind: frame.kind, id: frame.id, body: frame.body }))
            }
            FrameType::Ping => {
                self.closer.0.push(FrameType::Pong, 0, frame.id, Bytes::new());
                Ok(None)
            }
            FrameType::Pong | FrameType::Reply | FrameType::ErrorReply => {
                Err(FrameError::WrongDirection)
            }
        }
    }

    async fn read_more(&mut self) -> Option<()> {
        let unsent = &self.closer.0;
        unsent.room().await;
        if unsent.is_closed.load(Ordering::Acquire) || *self.stop.borrow() {
            return None;
        }
        let read = tokio::select! {
            biased;
            read = timeout(SILENCE_MAX, self.read.read_buf(self.decoder.space())) => read,
            _ = self.stop.changed() => return None,
            () = unsent.closed() => return None,
        };
        match read {
            Ok(Ok(0)) => None,
            Ok(Ok(bytes)) => {
                self.observer.received(self.hello.from, self.hello.class, bytes);
                Some(())
            }
            Ok(Err(error)) => {
                tracing::debug!(peer = %self.hello.from, class = %self.hello.class, %error, "a peer connection broke");
                None
            }
            Err(_) => {
                tracing::debug!(peer = %self.hello.from, class = %self.hello.class, "closing a silent peer connection");
                None
            }
        }
    }
}

/// Sends replies on one connection. Clones share it; the connection stays until its [`FrameReader`] is dropped.
#[derive(Clone, Debug)]
pub struct FrameWriter {
    unsent: Arc<Unsent>,
    body_max: usize,
}

impl FrameWriter {
    /// Queues the reply to the request `id`. On a closed connection it does nothing. The queue is bounded, because no
    /// further request is read while too much is queued, and a sender has only so many in flight.
    pub fn reply(&self, id: u64, result: Result<Bytes, ReplyError>) {
        let (frame_type, body) = match result {
            Ok(body) if body.len() > self.body_max => {
                let text = format!(
                    "the reply has {} bytes, and {} are allowed",
                    body.len(),
                    self.body_max
                );
                (FrameType::ErrorReply, ReplyError { code: 0, text }.encode())
            }
            Ok(body) => (FrameType::Reply, body),
            Err(error) => (FrameType::ErrorReply, error.encode()),
        };
        self.unsent.push(frame_type, 0, id, body);
    }

    /// Whether replies still have a way to go.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.unsent.is_closed.load(Ordering::Acquire)
    }
}

/// Closes the connection when the reader is dropped.
struct Closer(Arc<Unsent>);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Replies on their way out.
#[derive(Debug, Default)]
struct Unsent {
    outbox: Mutex<Outbox>,
    is_closed: AtomicBool,
    /// For the writing task: there is something, or it is over.
    filled: Notify,
    /// For the reader: there is room, or it is over.
    emptied: Notify,
}

impl Unsent {
    fn push(&self, frame_type: FrameType, kind: u8, id: u64, body: Bytes) {
        if self.is_closed.load(Ordering::Acquire) {
            return;
        }
        let mut outbox = self.outbox.lock();
        let was_empty = outbox.is_empty();
        outbox.push(frame_type, kind, id, body);
        drop(outbox);
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.filled.notify_one();
        self.emptied.notify_one();
    }

    async fn room(&self) {
        while self.outbox.lock().length() > UNSENT_REPLIES_MAX
            && !self.is_closed.load(Ordering::Acquire)
        {
            self.emptied.notified().await;
        }
    }

    async fn closed(&self) {
        while !self.is_closed.load(Ordering::Acquire) {
            self.emptied.notified().await;
        }
    }

    /// Writes until the connection is closed. What was queued before the close still goes out.
    async fn write_out(
        self: Arc<Self>,
        mut write: WriteHalf,
        hello: Hello,
        observer: Arc<dyn LinkObserver>,
    ) {
        loop {
            let mut batch = std::mem::take(&mut *self.outbox.lock());
            if batch.is_empty() {
                if self.is_closed.load(Ordering::Acquire) {
                    return;
                }
                self.filled.notified().await;
                continue;
            }
            self.emptied.notify_one();
            while !batch.is_empty() {
                match timeout(WRITE_STALL_MAX, write.write_buf(&mut batch)).await {
                    Ok(Ok(bytes)) if bytes > 0 => observer.sent(hello.from, hello.class, bytes),
                    // Broken or stuck: the reader learns it and reports the end of the connection.
                    _ => return self.close(),
                }
            }
            if write.is_buffered()
                && !matches!(timeout(WRITE_STALL_MAX, write.flush()).await, Ok(Ok(())))
            {
                return self.close();
            }
        }
    }
}
