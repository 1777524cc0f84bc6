//! Power cuts: of what was not synced, any sectors may be on the device and any may not. Whatever the
//! choice, the log opens by itself and holds all that was acknowledged.

mod storage;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quorate_server::storage::disk::Disk;
use quorate_server::storage::log::{Log, LogOptions};
use quorate_server::storage::record::{Entry, EntryId, Vote};
use storage::{Random, begin, contents, entry, options, seed};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const SECTOR: u64 = 512;
/// How long an idle log may take to mark itself before the test goes on all the same.
const IDLE_PATIENCE: Duration = Duration::from_millis(200);
/// Where a segment's records begin; before it is its header.
const RECORDS_START: u64 = 4096;

/// What a sector held before a write that is not synced yet.
struct Unsynced {
    inode: u64,
    offset: u64,
    before: Vec<u8>,
}

/// A disk that remembers what a power cut could undo, and can be stopped in the middle of a sync.
#[derive(Default)]
struct Volatile {
    unsynced: Mutex<Vec<Unsynced>>,
    /// Syncs left before one stops; negative for never.
    syncs_left: AtomicI64,
    /// One is under way, or was.
    stalled: AtomicBool,
    /// None stops from now on. Never taken back: a sync that is just about to stop must not miss it.
    released: AtomicBool,
    /// The last write was the log's mark: it is idle.
    marked: AtomicBool,
}

impl Disk for Volatile {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut unsynced = self.unsynced.lock().expect("not poisoned");
        // The header of a segment that is made ready beside says nothing about whether the log is idle.
        if offset >= RECORDS_START {
            self.marked.store(bytes.len() >= 24 && bytes[bytes.len() - 4] == 7, SeqCst);
        }
        let inode = file.metadata()?.ino();
        let end = offset + bytes.len() as u64;
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            let from = (sector * SECTOR).max(offset);
            let mut before = vec![0; (((sector + 1) * SECTOR).min(end) - from) as usize];
            file.read_exact_at(&mut before, from)?;
            unsynced.push(Unsynced { inode, offset: from, before });
        }
        file.write_at(bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        if self.syncs_left.fetch_sub(1, SeqCst) == 0 {
            self.stalled.store(true, SeqCst);
            while !self.released.load(SeqCst) {
                std::thread::yield_now();
            }
        }
        let mut unsynced = self.unsynced.lock().expect("not poisoned");
        let inode = file.metadata()?.ino();
        unsynced.retain(|write| write.inode != inode);
        Ok(())
    }
}

impl Volatile {
    /// Copies the directory as it might be after a power cut now.
    fn cut(&self, from: &Path, to: &Path, random: &mut Random) -> usize {
        let unsynced = self.unsynced.lock().expect("not poisoned");
        let mut undone = 0;
        for found in std::fs::read_dir(from).expect("list") {
            let path = found.expect("entry").path();
            // A segment may be renamed or removed while this goes on; it is then not part of the log.
            let Ok(file) = File::open(&path) else { continue };
            let inode = file.metadata().expect("metadata").ino();
            let Ok(mut bytes) = std::fs::read(&path) else { continue };
            for write in unsynced.iter().rev().filter(|write| write.inode == inode) {
                if random.one_in(2) {
                    let at = write.offset as usize;
                    bytes[at..at + write.before.len()].copy_from_slice(&write.before);
                    undone += 1;
                }
            }
            std::fs::write(to.join(path.file_name().expect("named")), bytes).expect("write");
        }
        undone
    }
}

struct Issued {
    entries: Vec<Entry>,
    acknowledged: usize,
    /// The term of the last vote, and of the last one that was acknowledged.
    vote: u64,
    vote_acknowledged: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_is_refused() {
    let seed = seed();
    let mut undone = 0;
    for round in 0..60 {
        let mut random = Random(seed.wrapping_add(round));
        let dir = tempfile::tempdir().expect("dir");
        let disk = Arc::new(Volatile { syncs_left: AtomicI64::new(-1), ..Volatile::default() });
        let open = |dir: &Path, create| {
            Log::open(dir, LogOptions { disk: disk.clone(), ..options(create) })
        };
        let log = open(dir.path(), true).expect("new");
        disk.syncs_left.store(random.below(25) as i64, SeqCst);
        let issued = work(&log, &disk, &mut random).await;
        let after = tempfile::tempdir().expect("dir");
        undone += disk.cut(dir.path(), after.path(), &mut random);
        disk.syncs_left.store(-1, SeqCst);
        disk.released.store(true, SeqCst);
        log.close();
        let log = open(after.path(), false).unwrap_or_else(|e| panic!("round {round}: {e}"));
        let (state, entries) = contents(&log);
        assert!(
            entries.len() >= issued.acknowledged,
            "round {round}: an acknowledged entry is gone"
        );
        assert!(entries[..] == issued.entries[..entries.len()], "round {round}: other entries");
        let vote = state.vote.map_or(0, |vote| vote.term);
        let votes = issued.vote_acknowledged..=issued.vote;
        assert!(votes.contains(&vote), "round {round}: the vote of term {vote}, not {votes:?}");
        // And it goes on from there, through another cut.
        let next = entries.len() as u64;
        let done = begin(&log, vec![entry(9, next, 700)]).await;
        done.await.expect("reported").expect("on the device");
        let again = tempfile::tempdir().expect("dir");
        disk.cut(after.path(), again.path(), &mut random);
        log.close();
        let log = open(again.path(), false).unwrap_or_else(|e| panic!("round {round}: {e}"));
        assert_eq!(log.state().last, Some(EntryId::new(9, next)), "round {round}");
    }
    assert!(undone > 50, "only {undone} writes were undone: the cuts came at idle moments");
}

/// Appends and votes for a while, until all of it is done or the disk stalls.
async fn work(log: &Log, disk: &Volatile, random: &mut Random) -> Issued {
    let mut issued = Issued { entries: Vec::new(), acknowledged: 0, vote: 0, vote_acknowledged: 0 };
    let mut waiting = VecDeque::new();
    let mut voting: Option<JoinHandle<io::Result<()>>> = None;
    for _ in 0..20 + random.below(60) {
        if random.one_in(6) && voting.as_ref().is_none_or(JoinHandle::is_finished) {
            issued.vote_acknowledged = issued.vote;
            issued.vote += 1;
            let vote = Vote { term: issued.vote, candidate: 1, committed: true };
            let log = log.clone();
            voting = Some(tokio::spawn(async move { log.save_vote(vote).await }));
        }
        let next = issued.entries.len() as u64;
        let entries: Vec<Entry> = (next..next + 1 + random.below(8))
            .map(|index| entry(1, index, 1 + random.below(600) as usize))
            .collect();
        issued.entries.extend(entries.iter().cloned());
        waiting.push_back((issued.entries.len(), begin(log, entries).await));
        if random.one_in(2) {
            collect(&mut waiting, disk, &mut issued).await;
        }
        if random.one_in(12) {
            // Only to have cuts at idle moments, too: a log that rolled over meanwhile has nothing to mark.
            let begun = Instant::now();
            while !disk.marked.load(SeqCst)
                && !disk.stalled.load(SeqCst)
                && begun.elapsed() < IDLE_PATIENCE
            {
                tokio::task::yield_now().await;
            }
        }
    }
    collect(&mut waiting, disk, &mut issued).await;
    issued
}

type Waiting = VecDeque<(usize, oneshot::Receiver<io::Result<()>>)>;

/// Takes in what is acknowledged, until nothing is missing or the disk stalls.
async fn collect(waiting: &mut Waiting, disk: &Volatile, issued: &mut Issued) {
    while let Some((count, done)) = waiting.front_mut() {
        let stalled = disk.stalled.load(SeqCst);
        match done.try_recv() {
            Ok(result) => {
                result.expect("on the device");
                issued.acknowledged = *count;
                waiting.pop_front();
            }
            Err(_) if stalled => return,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
