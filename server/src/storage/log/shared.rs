//! What the log's handle, its writer and its allocator share.
//!
//! Invariant: once a fatal error is set it stays, and nothing is accepted or acknowledged after it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, watch};

use super::error::FatalError;
use super::index::{Index, Run};
use super::options::{LogObserver, LogOptions, Space};
use super::segment::Segment;
use super::tail::{Command, Tail};
use crate::storage::record::EntryId;

/// Appended bytes that may wait for the writer: more would only add memory and latency, since one
/// batch never needs more to keep a disk busy.
pub(super) const WAITING_UNITS_MAX: u32 = (32 << 20) / UNIT_BYTES;
/// Bytes that count as one.
pub(super) const UNIT_BYTES: u32 = 1 << 10;
/// How long the writer waits for more to do before it marks what is written as synced.
const MARK_AFTER: Duration = Duration::from_millis(20);
/// How long a log that is being closed waits for the segment that queued work needs: a slow disk fills one in this time.
const CLOSING_PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Shared {
    pub(super) options: LogOptions,
    pub(super) tail: Mutex<Tail>,
    pub(super) files: Mutex<Files>,
    pub(super) room: Semaphore,
    pub(super) space: watch::Sender<Space>,
    pub(super) fatal: watch::Sender<Option<Arc<FatalError>>>,
    work: Condvar,
}

/// The segments in use and where their entries are.
pub(super) struct Files {
    pub(super) index: Index,
    pub(super) segments: VecDeque<Arc<Segment>>,
}

impl Files {
    /// The run that holds entry `index`, the segment it lies in, and the first index behind it.
    pub(super) fn locate(&self, index: u64) -> Option<(Run, Arc<Segment>, Option<u64>)> {
        let (run, end) = self.index.find(index)?;
        let segment = self.segments.iter().find(|segment| segment.sequence() == run.sequence)?;
        Some((run, Arc::clone(segment), end))
    }
}

/// Why the writer woke up.
pub(super) enum Wake {
    /// There are commands; this much is committed.
    Commands(Option<EntryId>),
    /// Nothing came for a while; this much is committed.
    Idle(Option<EntryId>),
    /// The log is being closed and nothing is left to do.
    Closing(Option<EntryId>),
    /// The log has failed.
    Failed,
}

impl Shared {
    pub(super) fn new(options: LogOptions, tail: Tail, files: Files) -> Self {
        Self {
            options,
            tail: Mutex::new(tail),
            files: Mutex::new(files),
            room: Semaphore::new(WAITING_UNITS_MAX as usize),
            space: watch::Sender::new(Space::Ample),
            fatal: watch::Sender::new(None),
            work: Condvar::new(),
        }
    }

    pub(super) fn observer(&self) -> &dyn LogObserver {
        &*self.options.observer
    }

    /// Runs `change` on the tail, unless the log has stopped, and wakes the writer if it has reason.
    pub(super) fn command<R>(&self, change: impl FnOnce(&mut Tail) -> R) -> io::Result<R> {
        let mut tail = self.tail.lock();
        stopped(&tail)?;
        let was_idle = !tail.has_commands();
        let result = change(&mut tail);
        // A busy writer looks again by itself.
        if was_idle && tail.has_commands() {
            self.work.notify_one();
        }
        Ok(result)
    }

    /// Waits for something to do and moves it into `commands`.
    pub(super) fn wait(&self, commands: &mut Vec<Command>, unmarked: bool) -> Wake {
        let mut tail = self.tail.lock();
        loop {
            let committed = tail.state.committed;
            if tail.fatal.is_some() {
                return Wake::Failed;
            }
            if tail.has_commands() {
                tail.take(commands);
                return Wake::Commands(committed);
            }
            if tail.closing {
                return Wake::Closing(committed);
            }
            if !unmarked {
                self.work.wait(&mut tail);
            } else if self.work.wait_for(&mut tail, MARK_AFTER).timed_out() {
                return Wake::Idle(tail.state.committed);
            }
        }
    }

    /// Stops the log for good.
    pub(super) fn fail(&self, fatal: FatalError) {
        let mut tail = self.tail.lock();
        if tail.fatal.is_none() {
            tracing::error!("{fatal}");
            let fatal = Arc::new(fatal);
            tail.fatal = Some(Arc::clone(&fatal));
            self.fatal.send_replace(Some(fatal));
        }
        self.room.close();
        self.work.notify_all();
    }

    /// Lets no more in; the writer finishes what is queued.
    pub(super) fn close(&self) {
        self.tail.lock().closing = true;
        self.room.close();
        self.work.notify_all();
    }

    pub(super) fn is_closing(&self) -> bool {
        let tail = self.tail.lock();
        tail.closing || tail.fatal.is_some()
    }

    /// Whether the writer, waiting since `began`, goes on waiting for a segment: while the log is open, and for a while when it
    /// is being closed, unless the disk has no room for one.
    pub(super) fn may_wait(&self, began: Instant) -> bool {
        let has_room = *self.space.borrow() == Space::Ample;
        let tail = self.tail.lock();
        let is_open = !tail.closing || (has_room && began.elapsed() < CLOSING_PATIENCE);
        is_open && tail.fatal.is_none()
    }

    /// Why nothing more can be done.
    pub(super) fn stopped_error(&self) -> io::Error {
        stopped(&self.tail.lock()).err().unwrap_or_else(closed)
    }

    /// Changes what is known about room on the disk. True if it changed.
    pub(super) fn set_space(&self, change: impl FnOnce(Space) -> Space) -> bool {
        self.space.send_if_modified(|space| {
            let new = change(*space);
            std::mem::replace(space, new) != new
        })
    }
}

fn stopped(tail: &Tail) -> io::Result<()> {
    match &tail.fatal {
        Some(fatal) => Err(io::Error::from(&**fatal)),
        None if tail.closing => Err(closed()),
        None => Ok(()),
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the raft log is closed: the member is stopping")
}
