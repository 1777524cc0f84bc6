//! The calling side of the link: one [`PeerLink`] per peer and class, which connects when it is first needed and again
//! whenever it must.
//!
//! Calls are written in the order they were submitted. When a connection ends, every call that was submitted to it
//! fails, written or not, so that no later call overtakes a lost one unnoticed. While the peer is known to be
//! unreachable, calls fail at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use quorate_core::MemberId;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{Connector, UpgradeError, Upgraded, upgrade};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::Class;
use super::frame::ReplyError;
use super::hello::{Hello, Local, Refusal, RefusalCode};
use super::limits::LinkLimits;
use super::observer::LinkObserver;
use super::session::Session;

/// An unreachable peer that nobody has called for this long is no longer tried.
const DEMAND_LINGERS: Duration = Duration::from_secs(10);

/// The peer at the other end.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whom to reach.
    pub member: MemberId,
    /// Its peer URLs, tried in turn; a change is tried at once.
    pub urls: watch::Receiver<Vec<String>>,
}

/// Why a call has no result.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LinkError {
    /// The last attempt to connect failed. The call was not sent.
    #[error("the peer is unreachable")]
    Unreachable,
    /// No reply in time. The call may have been carried out.
    #[error("the peer didn't reply in time")]
    TimedOut,
    /// The peer doesn't let this member in. The call was not sent.
    #[error("the peer refuses this member: {0}")]
    Refused(Refusal),
    /// The connection ended. The call may have been carried out.
    #[error("the connection to the peer ended before the reply")]
    Closed,
    /// Too many calls or bytes wait already. The call was not sent.
    #[error("too much waits to be sent to the peer")]
    Overloaded,
    /// The body is larger than the class allows. The call was not sent.
    #[error("a message of {length} bytes is larger than the {max} that are allowed")]
    TooLarge {
        /// The body's length.
        length: usize,
        /// The bound.
        max: usize,
    },
    /// The peer carried out the call, and says that it failed.
    #[error("the peer replied: {0}")]
    Failed(ReplyError),
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) kind: u8,
    pub(crate) body: Bytes,
    pub(crate) reply: oneshot::Sender<Result<Bytes, LinkError>>,
}

/// What the link is doing; a number, so that calls can look at it without a lock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum State {
    /// Calls are queued: connected, or about to be.
    Open = 0,
    /// The last attempt failed.
    Unreachable = 1,
    /// The peer refused.
    Refused = 2,
}

/// A link to one peer, for one class of calls. Clones share it; the last one closes it.
#[derive(Clone, Debug)]
pub struct PeerLink(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<Call>,
    shared: Arc<Shared>,
    limits: LinkLimits,
    driver: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: AtomicU8,
    refusal: Mutex<Option<Refusal>>,
    /// Bytes of the bodies in the queue.
    pub(crate) queued_bytes: AtomicUsize,
    is_wanted: AtomicBool,
    wanted: Notify,
    /// The peer was heard from: it can be tried at once.
    heard: Notify,
    /// See [`PeerLink::returns`].
    returned: watch::Sender<()>,
}

impl PeerLink {
    /// A link that connects on the first call. Must be called inside a tokio runtime.
    pub fn new(
        target: Target,
        local: Local,
        class: Class,
        limits: LinkLimits,
        connector: Arc<dyn Connector>,
        observer: Arc<dyn LinkObserver>,
    ) -> Self {
        let (queue, calls) = mpsc::channel(limits.queue_frames);
        let shared = Arc::new(Shared::default());
        let hello = Hello {
            cluster: local.cluster,
            from: local.member,
            incarnation: local.incarnation,
            to: target.member,
            class,
        };
        let shared_too = Arc::clone(&shared);
        let driver = Driver {
            urls: target.urls,
            hello,
            limits,
            connector,
            observer,
            calls,
            shared: shared_too,
        };
        let driver = tokio::spawn(driver.run()).abort_handle();
        Self(Arc::new(Inner { queue, shared, limits, driver }))
    }

    /// Calls the peer and waits for its reply.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn call(&self, kind: u8, body: Bytes, timeout: Duration) -> Result<Bytes, LinkError> {
        let reply = self.submit(kind, body)?;
        tokio::time::timeout(timeout, reply).await.unwrap_or(Err(LinkError::TimedOut))
    }

    /// Calls the peer; one that cannot be reached, or does not let this member in, is called once more when it does, if that is in time.
    pub(in crate::peer_api) async fn call_when_back(
        &self,
        kind: u8,
        body: Bytes,
        time: Duration,
    ) -> Result<Bytes, LinkError> {
        let until = Instant::now() + time;
        // From before the call, or a return right after it would go unseen.
        let mut returned = self.returns();
        let called = self.call(kind, body.clone(), time).await;
        let is_away = matches!(called, Err(LinkError::Unreachable | LinkError::Refused(_)));
        if !is_away || timeout_at(until, returned.changed()).await.is_err() {
            return called;
        }
        self.call(kind, body, until - Instant::now()).await
    }

    /// Queues a call at once, so that the order of submits is the order on the wire, and returns what will be the
    /// reply. It has no timeout of its own. Dropping it forgets the call: one not yet written is not sent.
    ///
    /// # Errors
    /// Those that mean that the call was not sent.
    pub fn submit(
        &self,
        kind: u8,
        body: Bytes,
    ) -> Result<impl Future<Output = Result<Bytes, LinkError>> + Send + use<>, LinkError> {
        let Inner { queue, shared, limits, .. } = &*self.0;
        let length = body.len();
        if length > limits.body_max {
            return Err(LinkError::TooLarge { length, max: limits.body_max });
        }
        shared.want();
        shared.refuse_when_down()?;
        let before = shared.queued_bytes.fetch_add(length, Ordering::Relaxed);
        let (reply, replied) = oneshot::channel();
        let is_full = before > 0 && before.saturating_add(length) > limits.queue_bytes;
        if is_full || queue.try_send(Call { kind, body, reply }).is_err() {
            shared.queued_bytes.fetch_sub(length, Ordering::Relaxed);
            return Err(LinkError::Overloaded);
        }
        Ok(async move { replied.await.unwrap_or(Err(LinkError::Closed)) })
    }

    /// The peer has just linked to this member, so it can be reached: a link that is down does not wait for its next attempt.
    pub fn heard_of_peer(&self) {
        if self.is_down() {
            self.0.shared.heard.notify_one();
        }
    }

    /// Changes each time that the peer lets this member in after an attempt had failed.
    #[must_use]
    pub fn returns(&self) -> watch::Receiver<()> {
        self.0.shared.returned.subscribe()
    }

    /// Whether the last attempt to connect failed or was refused.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.0.shared.refuse_when_down().is_err()
    }
}

impl Shared {
    fn want(&self) {
        if !self.is_wanted.swap(true, Ordering::Relaxed) {
            self.wanted.notify_one();
        }
    }

    /// Returns the state before.
    fn enter(&self, state: State) -> u8 {
        self.state.swap(state as u8, Ordering::AcqRel)
    }

    fn refuse_when_down(&self) -> Result<(), LinkError> {
        match self.state.load(Ordering::Acquire) {
            state if state == State::Unreachable as u8 => Err(LinkError::Unreachable),
            state if state == State::Refused as u8 => {
                let refusal = self.refusal.lock().clone();
                Err(refusal.map_or(LinkError::Unreachable, LinkError::Refused))
            }
            _ => Ok(()),
        }
    }
}

/// The task behind a link.
struct Driver {
    urls: watch::Receiver<Vec<String>>,
    hello: Hello,
    limits: LinkLimits,
    connector: Arc<dyn Connector>,
    observer: Arc<dyn LinkObserver>,
    calls: mpsc::Receiver<Call>,
    shared: Arc<Shared>,
}

impl Driver {
    async fn run(mut self) {
        let mut backoff = self.limits.backoff_min;
        let mut last_wanted = self.demand().await;
        loop {
            let pause = match self.connect().await {
                Ok(upgraded) => {
                    backoff = self.limits.backoff_min;
                    self.converse(upgraded).await;
                    // The first attempt after a broken connection comes at once.
                    Duration::ZERO
                }
                Err(error) => {
                    let pause = match &error {
                        // A peer that is starting is back as soon as one that was not there.
                        LinkError::Refused(refusal) if refusal.code != RefusalCode::NotReady => {
                            self.limits.refused_backoff
                        }
                        _ => backoff,
                    };
                    backoff = (backoff * 2).min(self.limits.backoff_max);
                    self.is_down(error);
                    pause
                }
            };
            if self.shared.is_wanted.swap(false, Ordering::Relaxed) {
                last_wanted = Instant::now();
            } else if last_wanted.elapsed() > DEMAND_LINGERS {
                last_wanted = self.demand().await;
            }
            tokio::select! {
                () = sleep(jittered(pause)) => {}
                Ok(()) = self.urls.changed() => {}
                () = self.shared.heard.notified() => backoff = self.limits.backoff_min,
            }
        }
    }

    /// Waits until somebody calls, or the peer was heard from.
    async fn demand(&self) -> Instant {
        while !self.shared.is_wanted.swap(false, Ordering::Relaxed) {
            tokio::select! {
                () = self.shared.wanted.notified() => {}
                () = self.shared.heard.notified() => break,
            }
        }
        Instant::now()
    }

    /// Tries each URL once. A refusal says more than a failure, so it is what is reported when both happened.
    async fn connect(&mut self) -> Result<Upgraded, LinkError> {
        let urls = self.urls.borrow_and_update().clone();
        let mut outcome = LinkError::Unreachable;
        for url in urls {
            let endpoint: Endpoint = match url.parse() {
                Ok(endpoint) => endpoint,
                Err(error) => {
                    tracing::warn!(peer = %self.hello.to, %error, "a peer URL can't be used; update the member's peer URLs");
                    continue;
                }
            };
            let request = self.hello.request();
            match upgrade(&*self.connector, &endpoint, request, self.limits.connect_timeout).await {
                Ok(upgraded) => return Ok(upgraded),
                Err(UpgradeError::Refused(response)) => {
                    outcome = LinkError::Refused(Refusal::read(&response));
                }
                Err(UpgradeError::Failed(error)) => {
                    tracing::debug!(peer = %self.hello.to, class = %self.hello.class, %error, "cannot reach a peer");
                }
            }
        }
        Err(outcome)
    }

    /// Uses a connection until it ends.
    async fn converse(&mut self, upgraded: Upgraded) {
        let Hello { to, class, .. } = self.hello;
        tracing::info!(peer = %to, %class, "linked to a peer");
        self.observer.linked(to, class, true);
        *self.shared.refusal.lock() = None;
        if self.shared.enter(State::Open) != State::Open as u8 {
            self.shared.returned.send_replace(());
        }
        let mut session = Session::new(upgraded, &self.hello, &self.limits, &*self.observer);
        let end = session.run(&mut self.calls, &self.shared).await;
        let failed = session.abandon() + self.fail_queued(&LinkError::Closed);
        tracing::info!(peer = %to, %class, reason = %end, failed_calls = failed, "the link to a peer ended");
        self.observer.failed(to, class, failed);
        self.observer.linked(to, class, false);
    }

    fn is_down(&mut self, error: LinkError) {
        let Hello { to, class, .. } = self.hello;
        let state = match &error {
            LinkError::Refused(refusal) => {
                let mut last = self.shared.refusal.lock();
                if last.as_ref() != Some(refusal) {
                    tracing::warn!(peer = %to, %class, %refusal, "a peer refuses this member");
                    *last = Some(refusal.clone());
                }
                drop(last);
                self.observer.refused(to, refusal);
                State::Refused
            }
            _ => State::Unreachable,
        };
        let was_open = self.shared.state.load(Ordering::Relaxed) == State::Open as u8;
        if was_open && state == State::Unreachable {
            tracing::warn!(peer = %to, %class, reason = %error, "a peer can't be reached; trying on");
        }
        self.shared.enter(state);
        let failed = self.fail_queued(&error);
        self.observer.failed(to, class, failed);
    }

    fn fail_queued(&mut self, error: &LinkError) -> usize {
        let mut failed = 0;
        while let Ok(call) = self.calls.try_recv() {
            self.shared.queued_bytes.fetch_sub(call.body.len(), Ordering::Relaxed);
            // Nobody waits any more: then nobody has to be told.
            let _ = call.reply.send(Err(error.clone()));
            failed += 1;
        }
        failed
    }
}

/// `pause` plus up to a quarter, so that members that lost the same peer don't return in step.
fn jittered(pause: Duration) -> Duration {
    use std::hash::BuildHasher;
    let chance = std::hash::RandomState::new().hash_one(()) as u32;
    pause + pause.mul_f64(f64::from(chance) / f64::from(u32::MAX) / 4.0)
}
