//! The calling side of a link: one task keeps the connection; calls are queued in order, pipelined, and answered by ID.
//!
//! What was queued while there was a connection may have been sent, and its end is unknown if the connection breaks; what
//! could not be queued was certainly not sent. A caller that gives up leaves its frame in the stream and its answer is dropped.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use quorate_core::MemberId;
use quorate_transport::http_client::{Connector, PlainConnector, UpgradeError, Upgraded, upgrade};
use quorate_transport::stream::ReadHalf;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, oneshot, watch};

use super::frame::{self, Direction, Frame};
use super::hello::{Hello, Refusal};
use super::writer;

/// Calls queued and not yet written. At the bound a call fails at once; whoever calls has a way to slow down.
const CALLS_QUEUED: usize = 1024;
/// Calls without an answer. Beyond it the peer is stuck, and more calls would only wait in memory.
const CALLS_UNANSWERED: usize = 8192;
/// How long connecting and the handshake may take; a machine that is there answers in a round trip.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The pauses between attempts to connect: a restarted peer is found quickly, an absent one costs little.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);
/// See [`RETRY_PAUSE_MIN`].
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(400);
/// A refused peer asks again at this pace: refusals end when a person acts.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// A connection with unanswered calls and silence for so long is taken for broken.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// What a read asks for at least.
const READ_BYTES: usize = 16 * 1024;

/// Whom a link leads to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The member.
    pub member: MemberId,
    /// Where it can be reached; may change.
    pub urls: watch::Receiver<Vec<String>>,
}

/// Watches what happens on links, for metrics and for whoever must act on a refusal.
pub trait LinkObserver: Send + Sync + 'static {
    /// Bytes were written to a peer.
    fn sent(&self, _peer: MemberId, _bytes: usize) {}
    /// Bytes came from a peer.
    fn received(&self, _peer: MemberId, _bytes: usize) {}
    /// A call could not be sent, or its connection broke.
    fn failed(&self, _peer: MemberId) {}
    /// A call was answered after this long.
    fn round_trip(&self, _peer: MemberId, _took: Duration) {}
    /// A peer refused this member.
    fn refused(&self, _peer: MemberId, _refusal: &Refusal) {}
}

/// Why a call has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no connection; the call was not sent.
    #[error("member {0} cannot be reached")]
    Unreachable(MemberId),
    /// Too many calls wait; this one was not sent.
    #[error("member {0} is overloaded with calls from this member")]
    Overloaded(MemberId),
    /// The connection broke; the call may have been carried out.
    #[error("the connection to member {0} broke")]
    Closed(MemberId),
    /// No answer in time; the call may have been carried out.
    #[error("member {0} did not answer in time")]
    TimedOut(MemberId),
    /// The peer says why it has no answer.
    #[error("member {0} answered: {1}")]
    Failed(MemberId, String),
}

impl LinkError {
    /// Whether the call certainly never left this member.
    #[must_use]
    pub fn was_not_sent(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Overloaded(_))
    }
}

/// One link. Dropping it closes the connection.
pub struct PeerLink {
    member: MemberId,
    queue: mpsc::Sender<(Direction, Frame)>,
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    hello: Hello,
    observer: Arc<dyn LinkObserver>,
    unanswered: Mutex<HashMap<u64, Unanswered>>,
    next_id: AtomicU64,
    /// Whether a call has a chance: connected, or connecting right now.
    is_open: AtomicBool,
}

struct Unanswered {
    reply: oneshot::Sender<Result<Bytes, LinkError>>,
    since: Instant,
}

impl PeerLink {
    /// A link that connects as soon as it can, and again whenever the connection breaks.
    #[must_use]
    pub fn new(target: Target, hello: Hello, observer: Arc<dyn LinkObserver>) -> Self {
        let (queue, calls) = mpsc::channel(CALLS_QUEUED);
        let member = target.member;
        let shared = Arc::new(Shared {
            target,
            hello,
            observer,
            unanswered: Mutex::default(),
            next_id: AtomicU64::new(1),
            is_open: AtomicBool::new(true),
        });
        tokio::spawn(keep_connected(Arc::clone(&shared), calls));
        Self { member, queue, shared }
    }

    /// Queues a call at once, so that the order of calls is the order of `submit`s; the answer comes later.
    pub fn submit(
        &self,
        kind: u8,
        body: Bytes,
        timeout: Duration,
    ) -> impl Future<Output = Result<Bytes, LinkError>> + Send + use<> {
        let answer = self.enqueue(kind, body);
        let member = self.member;
        async move {
            match tokio::time::timeout(timeout, answer?).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(LinkError::Closed(member)),
                Err(_) => Err(LinkError::TimedOut(member)),
            }
        }
    }

    fn enqueue(
        &self,
        kind: u8,
        body: Bytes,
    ) -> Result<oneshot::Receiver<Result<Bytes, LinkError>>, LinkError> {
        let refused = |error| {
            self.shared.observer.failed(self.member);
            Err(error)
        };
        if !self.shared.is_open.load(Ordering::Acquire) {
            return refused(LinkError::Unreachable(self.member));
        }
        let (reply, answer) = oneshot::channel();
        // The lock is held over the queueing, so that IDs leave in order and a closing connection forgets none.
        let mut unanswered = self.shared.unanswered.lock();
        if unanswered.len() >= CALLS_UNANSWERED {
            return refused(LinkError::Overloaded(self.member));
        }
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send((Direction::Request, Frame { kind, id, body })).is_err() {
            return refused(LinkError::Overloaded(self.member));
        }
        unanswered.insert(id, Unanswered { reply, since: Instant::now() });
        Ok(answer)
    }
}

async fn keep_connected(shared: Arc<Shared>, mut calls: mpsc::Receiver<(Direction, Frame)>) {
    let mut pause = RETRY_PAUSE_MIN;
    while !calls.is_closed() {
        shared.is_open.store(true, Ordering::Release);
        match connect(&shared).await {
            Ok(connection) => {
                pause = RETRY_PAUSE_MIN;
                tracing::debug!(peer = %shared.target.member, class = shared.hello.class.as_str(), "connected to a peer");
                converse(&shared, connection, &mut calls).await;
                close(&shared, &mut calls, LinkError::Closed(shared.target.member));
            }
            Err(refused) => {
                close(&shared, &mut calls, LinkError::Unreachable(shared.target.member));
                pause = if refused { REFUSED_PAUSE } else { (pause * 2).min(RETRY_PAUSE_MAX) };
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = drain_until_closed(&shared, &mut calls) => return,
        }
    }
}

/// Connects by the first URL that works; the error says whether a peer refused this member.
async fn connect(shared: &Shared) -> Result<Upgraded, bool> {
    let urls = shared.target.urls.borrow().clone();
    let mut was_refused = false;
    for url in urls {
        let Ok(endpoint) = url.parse() else { continue };
        let Ok(request) = shared.hello.request() else { continue };
        let connector: &dyn Connector = &PlainConnector;
        match upgrade(connector, &endpoint, request, CONNECT_TIMEOUT).await {
            Ok(connection) => return Ok(connection),
            Err(UpgradeError::Refused(response)) => {
                was_refused = true;
                if let Ok(refusal) = serde_json::from_slice(response.body()) {
                    shared.observer.refused(shared.target.member, &refusal);
                }
            }
            Err(error) => tracing::debug!(peer = %shared.target.member, url, %error, "cannot connect"),
        }
    }
    Err(was_refused)
}

/// Writes calls and reads answers until the connection breaks or the link is dropped.
async fn converse(shared: &Shared, connection: Upgraded, calls: &mut mpsc::Receiver<(Direction, Frame)>) {
    let (reading, writing) = connection.stream.into_split();
    let peer = shared.target.member;
    let last_heard = Mutex::new(Instant::now());
    tokio::select! {
        () = read_answers(shared, reading, BytesMut::from(&connection.early[..]), &last_heard) => {}
        () = writer::run(writing, calls, |bytes| shared.observer.sent(peer, bytes)) => {}
        () = notice_silence(shared, &last_heard) => {
            tracing::warn!(%peer, "a peer has not answered for {}s: reconnecting", SILENCE_MAX.as_secs());
        }
    }
}

async fn read_answers(shared: &Shared, mut reading: ReadHalf, mut buffer: BytesMut, last_heard: &Mutex<Instant>) {
    let peer = shared.target.member;
    loop {
        loop {
            match frame::decode(&mut buffer) {
                Ok(Some((Direction::Request, _))) => {
                    tracing::warn!(%peer, "closing a link: the called side asks instead of answering");
                    return;
                }
                Ok(Some((direction, frame))) => shared.answered(direction, frame),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%peer, %error, "closing a link that sent what is no frame");
                    return;
                }
            }
        }
        buffer.reserve(READ_BYTES);
        match reading.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) => shared.observer.received(peer, bytes),
        }
        *last_heard.lock() = Instant::now();
    }
}

async fn notice_silence(shared: &Shared, last_heard: &Mutex<Instant>) {
    loop {
        tokio::time::sleep(SILENCE_MAX / 4).await;
        let oldest = shared.unanswered.lock().values().map(|call| call.since).min();
        let waits_since = oldest.map(|since| since.max(*last_heard.lock()));
        if waits_since.is_some_and(|since| since.elapsed() >= SILENCE_MAX) {
            return;
        }
    }
}

impl Shared {
    fn answered(&self, direction: Direction, frame: Frame) {
        let call = self.unanswered.lock().remove(&frame.id);
        let Some(Unanswered { reply, since }) = call else { return };
        self.observer.round_trip(self.target.member, since.elapsed());
        let answer = match direction {
            Direction::Error => {
                let text = String::from_utf8_lossy(&frame.body).into_owned();
                Err(LinkError::Failed(self.target.member, text))
            }
            Direction::Request | Direction::Reply => Ok(frame.body),
        };
        // A caller that gave up no longer listens.
        let _ = reply.send(answer);
    }
}

/// Ends all calls under way; from now on calls fail at once.
fn close(shared: &Shared, calls: &mut mpsc::Receiver<(Direction, Frame)>, error: LinkError) {
    let ended = {
        let mut unanswered = shared.unanswered.lock();
        shared.is_open.store(false, Ordering::Release);
        while calls.try_recv().is_ok() {}
        std::mem::take(&mut *unanswered)
    };
    for (_, call) in ended {
        shared.observer.failed(shared.target.member);
        let _ = call.reply.send(Err(error.clone()));
    }
}

/// While not connected, throws away calls that slipped in before the door closed; returns once the link is dropped.
async fn drain_until_closed(shared: &Shared, calls: &mut mpsc::Receiver<(Direction, Frame)>) {
    while let Some((_, frame)) = calls.recv().await {
        let call = shared.unanswered.lock().remove(&frame.id);
        if let Some(call) = call {
            let _ = call.reply.send(Err(LinkError::Unreachable(shared.target.member)));
        }
    }
}
