//! The open connections of one server: what each is doing since when, and who must be cut.
//!
//! One sweeping task per server enforces every time limit by comparing coarse ticks, so a connection owns no timer
//! and a request touches none. A connection is counted from accept until its stream is dropped, upgraded ones too,
//! because each holds an open file.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::acceptor::FarIdentity;
use crate::limits::{KEEP_ALIVE_IDLE_WHEN_FULL, ServerLimits};

/// Ticks without a request after which a connection gives up its parser and its buffers: about two seconds with the
/// default limits, so that a busy client's connection never does.
const PARK_AFTER_TICKS: u32 = 2;

/// One open connection, as its handler sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connection(pub(crate) Arc<Tracked>);

impl Connection {
    /// The address the connection came from, and what its certificate says.
    #[must_use]
    pub fn identity(&self) -> &FarIdentity {
        // A handler gets no connection before it was accepted.
        self.0.identity.get_or_init(FarIdentity::default)
    }

    /// Ends the request that is being answered as soon as its client hangs up. Without this call a client that only
    /// closed its sending side still gets its answer; answers without a known length are always ended.
    pub fn abandon_when_gone(&self) {
        self.0.abandons_when_gone.store(true, Ordering::Relaxed);
    }

    /// Whether the server is shutting down: a long wait should end now.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.signal() != Signal::None
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Not yet protected.
    Handshake = 0,
    /// Waiting for the first byte of a request.
    Idle = 1,
    /// A part of the headers is there.
    Head = 2,
    /// A handler runs, or its answer is being sent.
    Serving = 3,
    /// A handler runs and the rest of the request body is missing.
    ReadingBody = 4,
    /// Not HTTP any more.
    Upgraded = 5,
}

/// What the server tells a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Signal {
    /// Carry on.
    None = 0,
    /// Finish the running request and close.
    Drain = 1,
    /// Close now.
    Cut = 2,
}

/// The shared record of one connection.
#[derive(Debug)]
pub(crate) struct Tracked {
    /// Phase in the upper half, the tick at which it began in the lower: one word, so that the sweeper never sees
    /// a new phase with an old tick.
    phase: AtomicU64,
    /// Tick at which the stream last refused bytes; 0 when it takes them.
    write_stalled: AtomicU32,
    signal: AtomicU8,
    /// Drop the connection when its client hangs up.
    pub(crate) abandons_when_gone: AtomicBool,
    /// Unread bytes hide a hang-up from the poller: look again on every tick.
    pub(crate) looks_again: AtomicBool,
    /// The parser has nothing left to write.
    pub(crate) is_flushed: AtomicBool,
    /// It has given up its parser.
    pub(crate) is_parked: AtomicBool,
    waker: AtomicWaker,
    pub(crate) identity: OnceLock<FarIdentity>,
    /// Bytes from and to the other end.
    received: AtomicU64,
    sent: AtomicU64,
    slot: usize,
    registry: Arc<Connections>,
}

impl Tracked {
    /// What its server allows.
    pub(crate) fn limits(&self) -> ServerLimits {
        self.registry.limits
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) >> 32 {
            0 => Phase::Handshake,
            1 => Phase::Idle,
            2 => Phase::Head,
            3 => Phase::Serving,
            4 => Phase::ReadingBody,
            _ => Phase::Upgraded,
        }
    }

    /// Begins `phase` now.
    pub(crate) fn enter(&self, phase: Phase) {
        let tick = self.registry.tick.load(Ordering::Relaxed);
        self.phase.store(pack(phase, tick), Ordering::Relaxed);
    }

    /// Changes the phase, keeping when it began.
    pub(crate) fn relabel(&self, phase: Phase) {
        let since = low(self.phase.load(Ordering::Relaxed));
        self.phase.store(pack(phase, since), Ordering::Relaxed);
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn write_blocked(&self) {
        if self.write_stalled.load(Ordering::Relaxed) == 0 {
            self.write_stalled
                .store(self.registry.tick.load(Ordering::Relaxed).max(1), Ordering::Relaxed);
        }
    }

    pub(crate) fn write_progressed(&self) {
        if self.write_stalled.load(Ordering::Relaxed) != 0 {
            self.write_stalled.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn signal(&self) -> Signal {
        match self.signal.load(Ordering::Acquire) {
            0 => Signal::None,
            1 => Signal::Drain,
            _ => Signal::Cut,
        }
    }

    pub(crate) fn listen(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn send(&self, signal: Signal) {
        self.signal.fetch_max(signal as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Whether it has been idle for long enough to give up its parser.
    pub(crate) fn should_park(&self) -> bool {
        let word = self.phase.load(Ordering::Relaxed);
        self.phase() == Phase::Idle
            && !self.is_parked.load(Ordering::Relaxed)
            && self.registry.tick.load(Ordering::Relaxed).wrapping_sub(low(word))
                >= PARK_AFTER_TICKS
    }

    fn is_overdue(&self, now: u32, limits: &Ticks, is_full: bool) -> bool {
        let word = self.phase.load(Ordering::Relaxed);
        let age = now.wrapping_sub(low(word));
        let limit = match self.phase() {
            Phase::Handshake => limits.handshake,
            // An answer is still being taken.
            Phase::Idle if !self.is_flushed.load(Ordering::Relaxed) => u32::MAX,
            Phase::Idle if is_full => limits.idle.min(limits.idle_when_full),
            Phase::Idle => limits.idle,
            Phase::Head => limits.header,
            Phase::ReadingBody => limits.body,
            Phase::Serving => u32::MAX,
            Phase::Upgraded => return false,
        };
        let stalled = self.write_stalled.load(Ordering::Relaxed);
        age > limit || (stalled != 0 && now.wrapping_sub(stalled) > limits.write_stall)
    }
}

fn pack(phase: Phase, tick: u32) -> u64 {
    u64::from(phase as u8) << 32 | u64::from(tick)
}

fn low(word: u64) -> u32 {
    (word & u64::from(u32::MAX)) as u32
}

/// Removes the connection from its server's books when the stream goes.
#[derive(Debug)]
pub(crate) struct Registration(pub(crate) Arc<Tracked>);

impl Drop for Registration {
    fn drop(&mut self) {
        self.0.registry.remove(self.0.slot);
    }
}

/// All open connections of one server.
#[derive(Debug)]
pub(crate) struct Connections {
    /// Time in sweeps since the server began; starts at 1, as 0 means "never".
    tick: AtomicU32,
    slots: Mutex<Slots>,
    open: AtomicUsize,
    is_draining: AtomicBool,
    limits: ServerLimits,
    /// Told whenever a connection closes.
    pub(crate) closed: Notify,
}

#[derive(Debug, Default)]
struct Slots {
    entries: Vec<Option<Arc<Tracked>>>,
    free: Vec<usize>,
    /// Bytes of connections that are closed.
    past: Bytes,
}

/// Bytes received and sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bytes {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Bytes {
    fn add(&mut self, tracked: &Tracked) {
        self.received += tracked.received.load(Ordering::Relaxed);
        self.sent += tracked.sent.load(Ordering::Relaxed);
    }
}

impl Connections {
    pub(crate) fn new(limits: ServerLimits) -> Arc<Self> {
        Arc::new(Self {
            tick: AtomicU32::new(1),
            slots: Mutex::default(),
            open: AtomicUsize::new(0),
            is_draining: AtomicBool::new(false),
            limits,
            closed: Notify::new(),
        })
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) fn register(self: &Arc<Self>) -> Registration {
        let mut slots = self.slots.lock();
        let slot = slots.free.pop().unwrap_or(slots.entries.len());
        let tracked = Arc::new(Tracked {
            phase: AtomicU64::new(pack(Phase::Handshake, self.tick.load(Ordering::Relaxed))),
            write_stalled: AtomicU32::new(0),
            signal: AtomicU8::new(Signal::None as u8),
            abandons_when_gone: AtomicBool::new(false),
            looks_again: AtomicBool::new(false),
            is_flushed: AtomicBool::new(true),
            is_parked: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            identity: OnceLock::new(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            slot,
            registry: Arc::clone(self),
        });
        // Set under the lock that `signal_all` holds, so that a late arrival is told as well.
        if self.is_draining.load(Ordering::Relaxed) {
            tracked.send(Signal::Drain);
        }
        match slots.entries.get_mut(slot) {
            Some(entry) => *entry = Some(Arc::clone(&tracked)),
            None => slots.entries.push(Some(Arc::clone(&tracked))),
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        Registration(tracked)
    }

    fn remove(&self, slot: usize) {
        let mut slots = self.slots.lock();
        // Dropped after the lock: the record's last reference may be this one.
        let removed = slots.entries.get_mut(slot).and_then(Option::take);
        if let Some(removed) = &removed {
            slots.past.add(removed);
            slots.free.push(slot);
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
        drop(slots);
        self.closed.notify_waiters();
    }

    /// Bytes of all connections so far, closed ones included.
    pub(crate) fn bytes(&self) -> Bytes {
        let slots = self.slots.lock();
        let mut bytes = slots.past;
        slots.entries.iter().flatten().for_each(|tracked| bytes.add(tracked));
        bytes
    }

    /// Tells every connection that still speaks HTTP, and returns how many those are.
    pub(crate) fn signal_all(&self, signal: Signal) -> usize {
        let slots = self.slots.lock();
        self.is_draining.store(true, Ordering::Relaxed);
        let mut told = 0;
        for tracked in slots.entries.iter().flatten() {
            if tracked.phase() != Phase::Upgraded {
                tracked.send(signal);
                told += 1;
            }
        }
        told
    }

    /// Connections that still speak HTTP.
    pub(crate) fn speaking_http(&self) -> usize {
        let slots = self.slots.lock();
        slots.entries.iter().flatten().filter(|tracked| tracked.phase() != Phase::Upgraded).count()
    }

    /// Enforces the time limits for ever.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let limits = self.limits;
        let ticks = Ticks::new(&limits);
        let mut interval = tokio::time::interval(limits.tick());
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let now = self.tick.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            let is_full = self.open() >= limits.connections_max;
            let slots = self.slots.lock();
            for tracked in slots.entries.iter().flatten() {
                if tracked.is_overdue(now, &ticks, is_full) {
                    tracked.send(Signal::Cut);
                } else if tracked.should_park() || tracked.looks_again.load(Ordering::Relaxed) {
                    tracked.waker.wake();
                }
            }
        }
    }
}

/// The time limits, in sweeps.
struct Ticks {
    handshake: u32,
    header: u32,
    body: u32,
    idle: u32,
    idle_when_full: u32,
    write_stall: u32,
}

impl Ticks {
    fn new(limits: &ServerLimits) -> Self {
        let tick = limits.tick();
        let count = |span: Duration| {
            u32::try_from(span.as_nanos().div_ceil(tick.as_nanos().max(1))).unwrap_or(u32::MAX)
        };
        Self {
            handshake: count(limits.handshake_timeout),
            header: count(limits.header_read_timeout),
            body: count(limits.body_read_timeout),
            idle: count(limits.keep_alive_idle),
            idle_when_full: count(KEEP_ALIVE_IDLE_WHEN_FULL),
            write_stall: count(limits.write_stall_timeout),
        }
    }
}
