//! What the storage tests share: scripted disks, images of directories, ways to fill a log.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::print_stdout,
    reason = "each test binary uses its own part, and which one differs; seeds are printed"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use quorate_server::storage::disk::Disk;
use quorate_server::storage::log::{Log, LogOptions, OpenError};
use quorate_server::storage::record::{Checkpoint, Entry, EntryId, Payload};
use tokio::sync::oneshot;

pub const CLUSTER: u64 = 0xc1;
/// The first byte a record can have in a segment.
pub const RECORDS_START: usize = 4096;
pub const FRAME_HEADER: usize = 24;

/// Segments as small as they get, no cache, a disk that does not wait for the device.
pub fn options(create: bool) -> LogOptions {
    LogOptions {
        create,
        first_segment_bytes: 0,
        segment_bytes: 0,
        cache_bytes: 0,
        disk: Arc::new(Scripted::default()),
        ..LogOptions::new(CLUSTER)
    }
}

pub fn open(dir: &Path, create: bool) -> Result<Log, OpenError> {
    Log::open(dir, options(create))
}

pub fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    let fill = u8::try_from(index % 250 + 1).expect("small");
    Entry::new(EntryId::new(term, index), Payload::Normal(Bytes::from(vec![fill; bytes])))
}

/// Appends without waiting for the device.
pub async fn begin(log: &Log, entries: Vec<Entry>) -> oneshot::Receiver<io::Result<()>> {
    let (done, result) = oneshot::channel();
    let done = Box::new(move |result| drop(done.send(result)));
    log.append(entries, done).await.expect("accepted");
    result
}

/// Appends and waits until it is on the device.
pub async fn append(log: &Log, entries: Vec<Entry>) -> io::Result<()> {
    begin(log, entries).await.await.expect("reported")
}

/// Everything a log holds.
pub fn contents(log: &Log) -> (Checkpoint, Vec<Entry>) {
    let state = log.state();
    let mut entries: Vec<Entry> = Vec::new();
    let mut next = 0;
    loop {
        let some = log.read(next..u64::MAX, 4096).expect("readable");
        let Some(last) = some.last() else { return (state, entries) };
        next = last.index + 1;
        entries.extend(some);
    }
}

/// The files of a directory.
#[derive(Clone)]
pub struct Image(pub BTreeMap<String, Vec<u8>>);

impl Image {
    pub fn of(dir: &Path) -> Self {
        let files = std::fs::read_dir(dir).expect("list").map(|entry| {
            let entry = entry.expect("entry");
            let name = entry.file_name().into_string().expect("text");
            (name, std::fs::read(entry.path()).expect("read"))
        });
        Self(files.collect())
    }

    pub fn write(&self, dir: &Path) {
        for old in std::fs::read_dir(dir).expect("list") {
            std::fs::remove_file(old.expect("entry").path()).expect("remove");
        }
        for (name, bytes) in &self.0 {
            std::fs::write(dir.join(name), bytes).expect("write");
        }
    }

    /// The newest segment that has records, and where they end.
    pub fn last_used(&self) -> (String, usize) {
        let used = |bytes: &[u8]| bytes.iter().skip(RECORDS_START).any(|&byte| byte != 0);
        let (name, bytes) =
            self.0.iter().rev().find(|(_, bytes)| used(bytes)).expect("some records");
        let last = bytes.iter().rposition(|&byte| byte != 0).expect("used");
        (name.clone(), (last + 1).next_multiple_of(8))
    }

    /// Takes the closing mark away: the state of a process killed right after its last sync.
    pub fn unmark(&mut self) {
        let (name, end) = self.last_used();
        let bytes = self.0.get_mut(&name).expect("there");
        assert_eq!(bytes[end - FRAME_HEADER + 20], 7, "the last record is a mark");
        bytes[end - FRAME_HEADER..end].fill(0);
    }
}

/// A disk that fails when told to and never waits for the device.
#[derive(Default)]
pub struct Scripted {
    pub fail_sync: AtomicBool,
    pub full: AtomicBool,
    pub short: AtomicBool,
    pub syncs: AtomicUsize,
    /// Syncs wait while this is set.
    pub stall: AtomicBool,
}

impl Disk for Scripted {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let count =
            if self.short.load(Ordering::SeqCst) { bytes.len().div_ceil(3) } else { bytes.len() };
        file.write_at(&bytes[..count], offset)
    }

    fn fill_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_at(bytes, offset)
    }

    fn sync_data(&self, _: &File) -> io::Result<()> {
        while self.stall.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

/// A small generator: the sequence is the seed's alone.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }
}

/// A new seed each run, or the one in `QUORATE_SEED`; printed, so that a failure can be repeated.
pub fn seed() -> u64 {
    let given = std::env::var("QUORATE_SEED").ok().and_then(|text| text.parse().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = given.unwrap_or_else(|| now.map_or(1, |now| now.as_nanos() as u64));
    println!("QUORATE_SEED={seed}");
    seed
}
