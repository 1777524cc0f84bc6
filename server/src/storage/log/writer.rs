//! The one thread that writes: takes all commands there are, writes them, syncs once, reports.
//!
//! Invariant: records reach the segments in the order commands were given; a command is reported done
//! only after a sync that came after its last byte. A batch begins only after everything before it
//! is on the device: recovery relies on that to tell a torn write from damage.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use prost::Message;

use super::allocator::Request;
use super::error::FatalError;
use super::frame::{self, Place, frame_bytes};
use super::options::{BatchStats, Space};
use super::segment::{Plan, RECORDS_START, SEAL_BYTES, Segment};
use super::shared::{Shared, Wake};
use super::tail::Command;
use crate::storage::disk::{is_full, write_fully};
use crate::storage::record::{Checkpoint, Entry, EntryId, Kind, Pointer};

/// Bytes handed to the operating system at once: large enough to make the call's cost vanish, small
/// enough not to matter in an idle member's memory.
const WRITE_BYTES: usize = 512 << 10;
/// When the disk is full, this much of the last segment is left to votes and work under way.
const RESERVE_BYTES: u64 = 1 << 20;
/// How often a wait for room looks whether the log is being closed.
const ROOM_POLL: Duration = Duration::from_millis(50);

/// Why the writer cannot go on.
enum Stop {
    Fatal(FatalError),
    /// Closed, or failed elsewhere.
    Closed,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    requests: Sender<Request>,
    ready: Receiver<Segment>,
    /// Segments found ready at the start.
    spares: VecDeque<Segment>,
    /// A segment was asked for and not yet taken.
    asked: bool,
    segment: Arc<Segment>,
    /// Where the next record goes.
    position: u64,
    /// Where the current batch began in the segment.
    batch_start: u64,
    /// The batch of a mark that was written but not synced: the next records join it.
    unsynced_mark: Option<u64>,
    /// Everything synced is marked so.
    marked: bool,
    /// Encoded records not yet written; they end at `position`.
    buffer: Vec<u8>,
    /// What the records so far add up to.
    state: Checkpoint,
    commands: Vec<Command>,
    batch: BatchStats,
}

/// What a writer begins with.
pub(super) struct Begin {
    pub(super) shared: Arc<Shared>,
    pub(super) requests: Sender<Request>,
    pub(super) ready: Receiver<Segment>,
    pub(super) spares: VecDeque<Segment>,
    pub(super) segment: Arc<Segment>,
    pub(super) position: u64,
    pub(super) state: Checkpoint,
}

impl Writer {
    pub(super) fn new(begin: Begin) -> Self {
        Self {
            shared: begin.shared,
            requests: begin.requests,
            ready: begin.ready,
            spares: begin.spares,
            asked: false,
            segment: begin.segment,
            position: begin.position,
            batch_start: begin.position,
            unsynced_mark: None,
            marked: false,
            buffer: Vec::new(),
            state: begin.state,
            commands: Vec::new(),
            batch: BatchStats::default(),
        }
    }

    /// Gives a segment without records its checkpoint, durably.
    pub(super) fn begin_segment(&mut self) -> Result<(), FatalError> {
        if self.position > RECORDS_START {
            return Ok(());
        }
        self.checkpoint();
        match self.flush().and_then(|()| self.sync()) {
            Err(Stop::Fatal(fatal)) => Err(fatal),
            Ok(()) | Err(Stop::Closed) => Ok(()),
        }
    }

    /// Serves commands until the log is closed or fails.
    pub(super) fn run(mut self) {
        if let Err(Stop::Fatal(fatal)) = self.serve() {
            self.shared.fail(fatal);
        }
    }

    fn serve(&mut self) -> Result<(), Stop> {
        loop {
            self.look_ahead();
            match self.shared.wait(&mut self.commands, !self.marked) {
                Wake::Commands(committed) => self.batch(committed)?,
                Wake::Idle(committed) => self.mark(committed)?,
                Wake::Closing(committed) => {
                    self.mark(committed)?;
                    return self.sync();
                }
                Wake::Failed => return Err(Stop::Closed),
            }
        }
    }

    fn batch(&mut self, committed: Option<EntryId>) -> Result<(), Stop> {
        let began = Instant::now();
        self.batch = BatchStats { requests: self.commands.len(), ..BatchStats::default() };
        self.batch_start = self.unsynced_mark.take().unwrap_or(self.position);
        self.marked = false;
        // Kept in `self` until reported, so that a failure half-way reports every one of them.
        let commands = std::mem::take(&mut self.commands);
        let written = commands.iter().try_for_each(|command| self.write(command));
        self.commands = commands;
        written?;
        self.committed(committed)?;
        self.flush()?;
        self.batch.write = began.elapsed().saturating_sub(self.batch.sync);
        self.sync()?;
        self.report();
        Ok(())
    }

    fn write(&mut self, command: &Command) -> Result<(), Stop> {
        match command {
            Command::Append { entries, .. } => {
                self.batch.entries += entries.len();
                entries.iter().try_for_each(|entry| self.entry(entry))
            }
            Command::Vote { vote, .. } => {
                self.record(Kind::Vote, vote)?;
                self.state.vote = Some(*vote);
                Ok(())
            }
            Command::Truncate { after } => {
                self.record(Kind::TruncateAfter, &Pointer { entry: *after })?;
                self.state.last = after.or(self.state.purged);
                let mut files = self.shared.files.lock();
                files.index.truncate_after(after.map(|after| after.index));
                Ok(())
            }
            Command::Purge { upto } => {
                self.record(Kind::PurgedUpTo, &Pointer { entry: Some(*upto) })?;
                let last = self.state.last.filter(|last| last.index > upto.index).unwrap_or(*upto);
                self.state.purged = Some(*upto);
                self.state.last = Some(last);
                self.shared.files.lock().index.purge(upto.index, last.index);
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Stop> {
        let offset = self.record(Kind::Entry, entry)?;
        self.state.last = Some(entry.id());
        self.shared.files.lock().index.note(entry.index, self.segment.sequence(), offset);
        Ok(())
    }

    fn committed(&mut self, committed: Option<EntryId>) -> Result<(), Stop> {
        if committed != self.state.committed {
            self.record(Kind::Committed, &Pointer { entry: committed })?;
            self.state.committed = committed;
        }
        Ok(())
    }

    /// Says on disk that everything so far is on the device. The statement itself is not synced: if it
    /// is lost, so be it.
    fn mark(&mut self, committed: Option<EntryId>) -> Result<(), Stop> {
        let room = frame_bytes(Pointer { entry: committed }.encoded_len()) + frame_bytes(0);
        let fits = self.position + room as u64 + SEAL_BYTES <= self.segment.size;
        if !self.marked && fits {
            self.batch_start = self.position;
            self.unsynced_mark = Some(self.position);
            self.committed(committed)?;
            self.push(Kind::Mark, |_| ());
            self.flush()?;
        }
        self.marked = true;
        Ok(())
    }

    /// Appends a record, in a new segment if it does not fit, and returns its offset.
    fn record(&mut self, kind: Kind, message: &impl Message) -> Result<u64, Stop> {
        let bytes = frame_bytes(message.encoded_len()) as u64;
        if self.position + bytes + SEAL_BYTES > self.segment.size {
            self.next_segment()?;
        }
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        let offset = self.position;
        self.push(kind, |out| message.encode_raw(out));
        Ok(offset)
    }

    fn checkpoint(&mut self) {
        let state = self.state;
        self.push(Kind::Checkpoint, |out| state.encode_raw(out));
    }

    fn push(&mut self, kind: Kind, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.buffer.len();
        let batch_start = u32::try_from(self.batch_start).unwrap_or(u32::MAX);
        let place = Place { offset: self.position, batch_start };
        frame::push(&mut self.buffer, self.segment.key, place, kind, encode);
        let bytes = (self.buffer.len() - before) as u64;
        self.position += bytes;
        self.batch.bytes += bytes;
    }

    /// Ends this segment and begins the next one. Waits for it while the disk is full, before it has
    /// changed anything.
    fn next_segment(&mut self) -> Result<(), Stop> {
        let next = Arc::new(self.take_segment()?);
        self.push(Kind::Seal, |_| ());
        self.flush()?;
        self.sync()?;
        self.shared.files.lock().segments.push_back(Arc::clone(&next));
        self.segment = next;
        self.position = RECORDS_START;
        self.batch_start = RECORDS_START;
        self.checkpoint();
        Ok(())
    }

    fn take_segment(&mut self) -> Result<Segment, Stop> {
        if let Some(spare) = self.spares.pop_front() {
            return Ok(spare);
        }
        self.ask();
        let began = Instant::now();
        loop {
            match self.ready.recv_timeout(ROOM_POLL) {
                Ok(segment) => {
                    self.asked = false;
                    return Ok(segment);
                }
                Err(RecvTimeoutError::Timeout) if self.shared.may_wait(began) => self.exhausted(),
                Err(_) => return Err(Stop::Closed),
            }
        }
    }

    /// Has the next segment made once this one is half used, and warns when there is neither.
    fn look_ahead(&mut self) {
        if self.position > self.segment.size / 2 && self.spares.is_empty() {
            self.ask();
        }
        let reserve = RESERVE_BYTES.min(self.segment.size / 8);
        if self.asked && self.segment.size - self.position < reserve && self.ready.is_empty() {
            self.exhausted();
        }
    }

    /// There is hardly any room left in the last segment. Only news if no other can be made.
    fn exhausted(&self) {
        self.shared.set_space(|space| match space {
            Space::Ample => Space::Ample,
            Space::Full | Space::Exhausted => Space::Exhausted,
        });
    }

    fn ask(&mut self) {
        if !self.asked {
            let options = &self.shared.options;
            let sequence = self.segment.sequence() + 1;
            let plan = Plan { cluster: options.cluster, sequence, size: options.segment_bytes };
            // If the allocator is gone, the wait for its answer finds out.
            let _ = self.requests.send(Request::Make(plan));
            self.asked = true;
        }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let offset = self.position - self.buffer.len() as u64;
        let (disk, file) = (&self.shared.options.disk, &self.segment.file);
        let mut waited = false;
        loop {
            match write_fully(&self.buffer, offset, |bytes, at| disk.write_at(file, bytes, at)) {
                Ok(()) => break,
                // Some file systems need room even to overwrite. Nothing was synced: try again.
                Err(error) if is_full(&error) => {
                    waited = true;
                    self.shared.set_space(|_| Space::Exhausted);
                    self.wait_for_room()?;
                }
                Err(error) => return Err(self.fatal("write", error)),
            }
        }
        if waited && !self.asked {
            self.shared.set_space(|_| Space::Ample);
        }
        self.buffer.clear();
        self.buffer.shrink_to(2 * WRITE_BYTES);
        Ok(())
    }

    fn wait_for_room(&self) -> Result<(), Stop> {
        std::thread::sleep(ROOM_POLL);
        if self.shared.is_closing() { Err(Stop::Closed) } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), Stop> {
        let began = Instant::now();
        let synced = self.shared.options.disk.sync_data(&self.segment.file);
        self.batch.sync += began.elapsed();
        synced.map_err(|error| self.fatal("sync", error))
    }

    fn fatal(&self, doing: &'static str, error: io::Error) -> Stop {
        Stop::Fatal(FatalError { doing, path: self.segment.path.clone(), source: Arc::new(error) })
    }

    /// The batch is on the device: tell everyone who waits for it.
    fn report(&mut self) {
        let next = self.state.last.map_or(0, |last| last.index + 1);
        self.shared.tail.lock().durable(next, self.shared.options.cache_bytes);
        let mut freed = 0;
        let mut purged = false;
        for command in self.commands.drain(..) {
            match command {
                Command::Append { units, done, .. } => {
                    freed += units as usize;
                    done(Ok(()));
                }
                Command::Vote { done, .. } => done(Ok(())),
                Command::Truncate { .. } => {}
                Command::Purge { .. } => purged = true,
            }
        }
        self.shared.room.add_permits(freed);
        self.shared.observer().batch_synced(&self.batch);
        if purged {
            self.dispose();
        }
    }

    /// Gives up the segments that hold nothing but purged entries.
    fn dispose(&self) {
        let mut files = self.shared.files.lock();
        let current = self.segment.sequence();
        let needed = files.index.first().map_or(current, |run| run.sequence);
        let count = files.segments.iter().take_while(|s| s.sequence() < needed).count();
        let purged: Vec<_> = files.segments.drain(..count).collect();
        if !purged.is_empty() {
            let _ = self.requests.send(Request::Dispose(purged));
        }
    }
}

/// However the writer ends, nobody is left waiting, and nothing unwritten is reported as done.
impl Drop for Writer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let source = Arc::new(io::Error::other("a bug: the writer thread panicked"));
            let path = self.segment.path.clone();
            self.shared.fail(FatalError { doing: "go on writing", path, source });
        }
        self.shared.close();
        let mut left = std::mem::take(&mut self.commands);
        let mut queued = Vec::new();
        self.shared.tail.lock().take(&mut queued);
        left.append(&mut queued);
        for command in left {
            if let Command::Append { done, .. } | Command::Vote { done, .. } = command {
                done(Err(self.shared.stopped_error()));
            }
        }
    }
}
