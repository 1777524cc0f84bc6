//! The called side of a link: admission, reading calls, writing replies.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, ReadHalf, split};
use tokio::sync::mpsc;

use super::frame::{self, Direction, Frame};
use super::hello::{self, Class, Gate, Hello};
use super::{outbound::LinkObserver, writer};

/// Replies waiting to be written; a caller that does not read its replies is read no further.
const REPLIES_QUEUED: usize = 256;
/// What a read asks for at least.
const READ_BYTES: usize = 16 * 1024;

/// Serves the calls of one connection.
pub trait PeerService: Send + Sync + 'static {
    /// Serves until the connection ends.
    fn serve(self: Arc<Self>, inbound: Inbound) -> BoxFuture<'static, ()>;
}

/// A connection that was let in.
pub struct Inbound {
    /// Who calls.
    pub hello: Hello,
    /// What travels.
    pub class: Class,
    /// The calls.
    pub frames: FrameReader,
    /// Where the replies go.
    pub replies: FrameWriter,
}

/// Lets callers in and hands them to the service.
pub struct Acceptor {
    gate: Arc<dyn Gate>,
    service: Arc<dyn Fn(Inbound) -> BoxFuture<'static, ()> + Send + Sync>,
    observer: Arc<dyn LinkObserver>,
}

impl Acceptor {
    /// An acceptor.
    pub fn new<S: PeerService>(gate: Arc<dyn Gate>, service: Arc<S>, observer: Arc<dyn LinkObserver>) -> Self {
        let service = Arc::new(move |inbound| Arc::clone(&service).serve(inbound));
        Self { gate, service, observer }
    }

    /// Answers an upgrade request; if it is let in, the connection is served in a task of its own.
    pub fn upgrade<B: Default + From<Vec<u8>>>(&self, mut request: Request<Incoming>) -> Response<B> {
        let hello = match Hello::from_headers(request.headers()) {
            Ok(hello) => hello,
            Err(refusal) => return refusal.response(),
        };
        if let Err(refusal) = self.gate.admit(&hello) {
            tracing::warn!(peer = %hello.sender, code = ?refusal.code, "refused a peer: {refusal}");
            return refusal.response();
        }
        let (service, observer) = (Arc::clone(&self.service), Arc::clone(&self.observer));
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            match upgraded.await {
                Ok(connection) => serve(connection, hello, &*service, &observer).await,
                Err(error) => tracing::debug!(peer = %hello.sender, %error, "a peer left during the handshake"),
            }
        });
        hello::switching()
    }
}

async fn serve(
    connection: Upgraded,
    hello: Hello,
    service: &(dyn Fn(Inbound) -> BoxFuture<'static, ()> + Send + Sync),
    observer: &Arc<dyn LinkObserver>,
) {
    let (reading, writing) = split(TokioIo::new(connection));
    let (replies, mut queue) = mpsc::channel(REPLIES_QUEUED);
    let frames = FrameReader { hello, connection: reading, buffer: BytesMut::new(), observer: Arc::clone(observer) };
    let inbound = Inbound { hello, class: hello.class, frames, replies: FrameWriter { queue: replies } };
    tracing::debug!(peer = %hello.sender, class = hello.class.as_str(), "a peer connected");
    tokio::select! {
        () = service(inbound) => {}
        () = writer::run(writing, &mut queue, |bytes| observer.sent(hello.sender, bytes)) => {}
    }
    tracing::debug!(peer = %hello.sender, class = hello.class.as_str(), "a peer's connection ended");
}

/// Reads the calls of a connection.
pub struct FrameReader {
    hello: Hello,
    connection: ReadHalf<TokioIo<Upgraded>>,
    buffer: BytesMut,
    observer: Arc<dyn LinkObserver>,
}

impl FrameReader {
    /// The next call; none once the connection ended or sent what is no call. Nothing is lost if it is dropped early.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            match frame::decode(&mut self.buffer) {
                Ok(Some((Direction::Request, frame))) => return Some(frame),
                Ok(None) => {}
                Ok(Some(_)) => {
                    tracing::warn!(peer = %self.hello.sender, "closing a link: it replies where it should ask");
                    return None;
                }
                Err(error) => {
                    tracing::warn!(peer = %self.hello.sender, %error, "closing a link that sent what is no frame");
                    return None;
                }
            }
            self.buffer.reserve(READ_BYTES);
            match self.connection.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(bytes) => self.observer.received(self.hello.sender, bytes),
            }
        }
    }
}

/// Queues the replies of a connection. Cheap to clone.
#[derive(Clone)]
pub struct FrameWriter {
    queue: mpsc::Sender<(Direction, Frame)>,
}

/// The connection is gone; nobody waits for the reply.
#[derive(Debug, thiserror::Error)]
#[error("the peer's connection ended")]
pub struct ConnectionEnded;

impl FrameWriter {
    /// Queues the reply to call `id`: a body, or a text that says why there is none.
    ///
    /// # Errors
    /// When the connection ended.
    pub async fn reply(&self, id: u64, reply: Result<Bytes, String>) -> Result<(), ConnectionEnded> {
        let (direction, body) = match reply {
            Ok(body) => (Direction::Reply, body),
            Err(text) => (Direction::Error, text.into()),
        };
        self.queue.send((direction, Frame { kind: 0, id, body })).await.map_err(|_| ConnectionEnded)
    }
}
