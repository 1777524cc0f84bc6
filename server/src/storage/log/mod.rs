//! The raft log on disk: a write-ahead log in fixed-size segments, with votes, truncations and purges
//! in the same stream as the entries.
//!
//! - callers -> [`tail`](self) (what the log holds, newest entries, commands) -> `writer` (one thread:
//!   write, sync once per batch, report) -> `segment` files of `frame`s;
//! - `allocator` (one thread) makes segments ahead of time and recycles purged ones;
//! - `recovery` reads it all back at the start (`scan`, `replay`), `read` reads single entries later.
//!
//! Invariants: `done` is called with `Ok` only when everything up to that command is on the device;
//! a failed write or sync stops the log for good; a full disk delays, and is announced beforehand.

mod allocator;
mod error;
mod frame;
mod index;
mod options;
mod read;
mod recovery;
mod replay;
mod scan;
mod segment;
mod shared;
mod tail;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{oneshot, watch};

use self::allocator::Allocator;
pub use self::error::{FatalError, OpenError};
use self::index::Index;
pub use self::options::{BatchStats, LogObserver, LogOptions, LogUsage, Space};
use self::recovery::{Recovered, recover};
use self::segment::{Plan, RECORDS_START, Segment};
use self::shared::{Files, Shared, UNIT_BYTES, WAITING_UNITS_MAX};
use self::tail::{Found, Tail};
use self::writer::{Begin, Writer};
use super::record::{Checkpoint, Entry, EntryId, Vote};

/// Called once when a command is on the device, or failed. Must return at once.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// What a segment needs besides one entry: header page, checkpoint, seal, frame headers.
const SEGMENT_OVERHEAD_BYTES: u64 = RECORDS_START + 512;
/// Smallest segment that is of any use.
const SEGMENT_BYTES_MIN: u64 = 2 * SEGMENT_OVERHEAD_BYTES;
/// Largest segment: offsets of batches are 32 bits wide on disk.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// How often a read starts over because what it looked for was purged meanwhile.
const READ_ATTEMPTS: usize = 8;

/// An open log. Clones share it; it closes when the last one is dropped.
#[derive(Clone)]
pub struct Log(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Log {
    /// Opens the log in `dir`, or makes one there if the options say so.
    ///
    /// Blocks: reads every segment once.
    ///
    /// # Errors
    /// Anything but a clean log with at most a torn tail; see [`OpenError`].
    pub fn open(dir: &Path, options: LogOptions) -> Result<Self, OpenError> {
        let options = checked(options);
        let recovered = match recover(dir, &options)? {
            Some(recovered) => recovered,
            None => create(dir, &options)?,
        };
        let Recovered { state, index, segments, position, spares } = recovered;
        let segment = segments.back().cloned();
        let segment = segment.ok_or_else(|| OpenError::LogGone { dir: dir.into() })?;
        let first = index.first().map(|run| run.first);
        let files = Files { index, segments };
        let shared = Arc::new(Shared::new(options, Tail::new(state, first), files));
        let (requests, for_allocator) = crossbeam_channel::unbounded();
        let (made, ready) = crossbeam_channel::bounded(1);
        let allocator = Allocator {
            dir: dir.into(),
            shared: Arc::clone(&shared),
            requests: for_allocator,
            ready: made,
            pool: Vec::new(),
        };
        let begin = Begin {
            shared: Arc::clone(&shared),
            requests,
            ready,
            spares,
            segment,
            position,
            state,
        };
        let mut writer = Writer::new(begin);
        writer
            .begin_segment()
            .map_err(|fatal| OpenError::io("write to", &fatal.path, io::Error::from(&fatal)))?;
        let handle = Self(Arc::new(Handle { shared, threads: Mutex::new(Vec::new()) }));
        handle.spawn(dir, "log-writer", move || writer.run())?;
        handle.spawn(dir, "log-allocator", move || allocator.run())?;
        Ok(handle)
    }

    /// Appends entries and calls `done` when they are on the device. They are readable at once.
    ///
    /// Returns without waiting for the disk, but waits while too much is already under way.
    ///
    /// # Errors
    /// `InvalidInput` if the entries do not follow the last one or one exceeds
    /// [`Log::entry_bytes_max`]; otherwise the log has stopped. `done` is then not called.
    pub async fn append(&self, entries: Vec<Entry>, done: Done) -> io::Result<()> {
        let bytes = self.checked_bytes(&entries)?;
        let units = u32::try_from(bytes / UNIT_BYTES as usize).unwrap_or(WAITING_UNITS_MAX);
        let units = units.saturating_add(1).min(WAITING_UNITS_MAX);
        let shared = &self.0.shared;
        let permit = shared.room.acquire_many(units).await.map_err(|_| shared.stopped_error())?;
        shared
            .command(|tail| tail.append(entries, units, done))?
            .map_err(|gap| io::Error::new(io::ErrorKind::InvalidInput, gap))?;
        // The writer gives it back once the entries are on the device.
        permit.forget();
        Ok(())
    }

    /// Saves the vote and returns once it is on the device.
    ///
    /// # Errors
    /// The log has stopped.
    pub async fn save_vote(&self, vote: Vote) -> io::Result<()> {
        let (done, saved) = oneshot::channel();
        let done = Box::new(move |result| {
            // A caller that gave up needs no answer.
            let _ = done.send(result);
        });
        self.0.shared.command(|tail| tail.vote(vote, done))?;
        saved.await.unwrap_or_else(|_| Err(self.0.shared.stopped_error()))
    }

    /// Drops the entries after `after`, or all. Whatever is appended next is durable only together
    /// with this.
    ///
    /// # Errors
    /// The log has stopped.
    pub fn truncate_after(&self, after: Option<EntryId>) -> io::Result<()> {
        self.0.shared.command(|tail| tail.truncate_after(after)).map(|_| ())
    }

    /// Drops the entries up to and including `upto`, which may lie beyond the last one. Whole segments
    /// are removed later, off this thread.
    ///
    /// # Errors
    /// The log has stopped.
    pub fn purge(&self, upto: EntryId) -> io::Result<()> {
        self.0.shared.command(|tail| tail.purge(upto)).map(|_| ())
    }

    /// Remembers how far entries are committed. Written with the next batch or when idle; a crash
    /// may forget it.
    pub fn save_committed(&self, committed: Option<EntryId>) {
        self.0.shared.tail.lock().state.committed = committed;
    }

    /// The ends of the log, the vote and the commit pointer, including what is not yet on the device.
    #[must_use]
    pub fn state(&self) -> Checkpoint {
        self.0.shared.tail.lock().state
    }

    /// Entries from the start of `range` that are in memory, no more than `bytes_max` but at least
    /// one; `None` if that takes a read from disk. Entries that do not exist are left out.
    #[must_use]
    pub fn read_cached(&self, range: Range<u64>, bytes_max: usize) -> Option<Vec<Entry>> {
        match self.0.shared.tail.lock().find(range, bytes_max) {
            Found::Cached(entries) => Some(entries),
            Found::OnDisk(_) => None,
        }
    }

    /// Like [`Log::read_cached`], but reads from disk where needed. Blocks.
    ///
    /// # Errors
    /// A read failed, or a record is damaged.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        for _ in 0..READ_ATTEMPTS {
            let found = self.0.shared.tail.lock().find(range.clone(), bytes_max);
            let on_disk = match found {
                Found::Cached(entries) => return Ok(entries),
                Found::OnDisk(on_disk) => on_disk,
            };
            let entries = read::read(&self.0.shared, on_disk, bytes_max)?;
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        let text = format!("entries {} to {} were purged while being read", range.start, range.end);
        Err(io::Error::new(io::ErrorKind::NotFound, text))
    }

    /// Largest encoded entry in bytes. Larger ones can never be appended.
    #[must_use]
    pub fn entry_bytes_max(&self) -> usize {
        let options = &self.0.shared.options;
        let bytes = options.first_segment_bytes.min(options.segment_bytes) - SEGMENT_OVERHEAD_BYTES;
        usize::try_from(bytes).map_or(frame::PAYLOAD_BYTES_MAX, |b| b.min(frame::PAYLOAD_BYTES_MAX))
    }

    /// How much disk the segments in use take.
    #[must_use]
    pub fn usage(&self) -> LogUsage {
        let files = self.0.shared.files.lock();
        let bytes = files.segments.iter().map(|segment| segment.size).sum();
        LogUsage { segments: files.segments.len(), bytes }
    }

    /// Whether there is room to go on.
    #[must_use]
    pub fn space(&self) -> watch::Receiver<Space> {
        self.0.shared.space.subscribe()
    }

    /// Becomes `Some` when the log had to stop: the process must then end.
    #[must_use]
    pub fn fatal(&self) -> watch::Receiver<Option<Arc<FatalError>>> {
        self.0.shared.fatal.subscribe()
    }

    /// Finishes what is queued, marks the log as cleanly closed and waits for the threads. Blocks.
    pub fn close(&self) {
        self.0.close();
    }

    fn spawn(
        &self,
        dir: &Path,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), OpenError> {
        let thread = std::thread::Builder::new().name(name.into()).spawn(body);
        let thread = thread.map_err(|error| OpenError::io("start a thread for", dir, error))?;
        self.0.threads.lock().push(thread);
        Ok(())
    }

    fn checked_bytes(&self, entries: &[Entry]) -> io::Result<usize> {
        let max = self.entry_bytes_max();
        let mut bytes = 0;
        for entry in entries {
            let encoded = entry.encoded_len();
            if encoded > max {
                let text = format!(
                    "the entry at {} takes {encoded} bytes, more than a log segment holds ({max})",
                    entry.id()
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            bytes += encoded;
        }
        Ok(bytes)
    }
}

impl Handle {
    fn close(&self) {
        self.shared.close();
        let current = std::thread::current().id();
        for thread in self.threads.lock().drain(..) {
            // A callback may drop the last handle on the writer's own thread.
            if thread.thread().id() != current {
                // A panic in it was already turned into a fatal error.
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

fn checked(mut options: LogOptions) -> LogOptions {
    let sane = |bytes: u64| bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX) & !7;
    options.first_segment_bytes = sane(options.first_segment_bytes);
    options.segment_bytes = sane(options.segment_bytes);
    options
}

fn create(dir: &Path, options: &LogOptions) -> Result<Recovered, OpenError> {
    if !options.create {
        return Err(OpenError::LogGone { dir: dir.into() });
    }
    let plan = Plan { cluster: options.cluster, sequence: 1, size: options.first_segment_bytes };
    let segment = Segment::create(dir, plan, None, &*options.disk)
        .map_err(|error| OpenError::io("make the first segment of the raft log in", dir, error))?;
    Ok(Recovered {
        state: Checkpoint::default(),
        index: Index::default(),
        segments: VecDeque::from([Arc::new(segment)]),
        position: RECORDS_START,
        spares: VecDeque::new(),
    })
}
