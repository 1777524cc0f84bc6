//! What the log promises its callers: order, durability, room, and an end that is an end.

mod storage;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use quorate_server::storage::log::{Log, LogObserver, LogOptions, Space};
use quorate_server::storage::record::{EntryId, Vote};
use storage::{Image, Scripted, append, begin, contents, entry, open, options};

#[tokio::test]
async fn everything_comes_back() {
    let dir = tempfile::tempdir().expect("dir");
    let log = open(dir.path(), true).expect("new");
    let vote = Vote { term: 3, candidate: 4, committed: true };
    for index in 0..200 {
        append(&log, vec![entry(1, index, 300)]).await.expect("append");
    }
    log.save_vote(vote).await.expect("vote");
    log.truncate_after(Some(EntryId::new(1, 149))).expect("truncate");
    append(&log, (150..160).map(|index| entry(3, index, 50)).collect()).await.expect("append");
    log.purge(EntryId::new(1, 99)).expect("purge");
    log.save_committed(Some(EntryId::new(3, 155)));
    let held = contents(&log);
    assert_eq!(held.1.iter().map(|e| e.index).collect::<Vec<_>>(), (100..160).collect::<Vec<_>>());
    assert_eq!(held.1[50].term, 3);
    log.close();
    let log = open(dir.path(), false).expect("opens");
    assert_eq!(contents(&log), held);
    assert_eq!(log.state().vote, Some(vote));
    assert_eq!(log.state().committed, Some(EntryId::new(3, 155)));
    assert_eq!(log.state().purged, Some(EntryId::new(1, 99)));
    append(&log, vec![entry(3, 160, 50)]).await.expect("goes on");
}

#[tokio::test]
async fn many_segments_are_purged_recycled_and_reopened() {
    let dir = tempfile::tempdir().expect("dir");
    open(dir.path(), true).expect("new").close();
    let mut files = Vec::new();
    for round in 0..40u64 {
        let log = open(dir.path(), false).expect("opens");
        for index in round * 20..round * 20 + 20 {
            append(&log, vec![entry(1, index, 300)]).await.expect("append");
        }
        if round % 3 == 2 {
            log.purge(EntryId::new(1, round * 20)).expect("purge");
        }
        let held = contents(&log);
        log.close();
        let again = open(dir.path(), false).expect("opens");
        assert_eq!(contents(&again), held, "round {round}");
        again.close();
        files.push(Image::of(dir.path()).0.len());
    }
    assert!(files.iter().all(|&count| count <= 8), "purged segments go away: {files:?}");
}

#[tokio::test]
async fn recycled_segments_hold_no_ghosts() {
    let dir = tempfile::tempdir().expect("dir");
    let recycled = Arc::new(Recycled::default());
    let log = Log::open(dir.path(), LogOptions { observer: recycled.clone(), ..options(true) });
    let log = log.expect("new");
    for index in 0..400 {
        append(&log, vec![entry(1, index, 300)]).await.expect("append");
        if index % 10 == 9 {
            log.purge(EntryId::new(1, index - 5)).expect("purge");
        }
    }
    assert!(recycled.0.load(SeqCst) > 3, "segments are recycled");
    let held = contents(&log);
    log.close();
    assert_eq!(contents(&open(dir.path(), false).expect("opens")), held);
}

#[derive(Default)]
struct Recycled(AtomicUsize);

impl LogObserver for Recycled {
    fn segment_prepared(&self, recycled: bool, _: Duration) {
        self.0.fetch_add(usize::from(recycled), SeqCst);
    }
}

#[tokio::test]
async fn one_sync_covers_all_that_waits() {
    let dir = tempfile::tempdir().expect("dir");
    let disk = Arc::new(Scripted::default());
    let log =
        Log::open(dir.path(), LogOptions { disk: disk.clone(), ..options(true) }).expect("new");
    append(&log, vec![entry(1, 0, 10)]).await.expect("append");
    disk.stall.store(true, SeqCst);
    let mut waiting = Vec::new();
    for index in 1..=20 {
        waiting.push(begin(&log, vec![entry(1, index, 10)]).await);
    }
    let before = disk.syncs.load(SeqCst);
    disk.stall.store(false, SeqCst);
    for result in waiting {
        result.await.expect("reported").expect("on the device");
    }
    let syncs = disk.syncs.load(SeqCst) - before;
    assert!((1..=2).contains(&syncs), "{syncs} syncs for 20 requests");
}

#[tokio::test]
async fn a_failed_sync_ends_the_log() {
    let dir = tempfile::tempdir().expect("dir");
    let disk = Arc::new(Scripted::default());
    let log =
        Log::open(dir.path(), LogOptions { disk: disk.clone(), ..options(true) }).expect("new");
    append(&log, vec![entry(1, 0, 10)]).await.expect("append");
    disk.fail_sync.store(true, SeqCst);
    let mut fatal = log.fatal();
    assert!(append(&log, vec![entry(1, 1, 10)]).await.is_err(), "acknowledged after a failed sync");
    fatal.wait_for(Option::is_some).await.expect("told");
    // The disk is well again, but that says nothing about what was lost.
    disk.fail_sync.store(false, SeqCst);
    let syncs = disk.syncs.load(SeqCst);
    let done = Box::new(|_| panic!("reported although refused"));
    let error = log.append(vec![entry(1, 2, 10)], done).await.expect_err("refused");
    assert!(error.to_string().contains("cannot sync the raft log"), "{error}");
    let vote = Vote { term: 9, candidate: 1, committed: false };
    assert!(log.save_vote(vote).await.is_err());
    assert!(log.truncate_after(None).is_err());
    log.close();
    assert_eq!(disk.syncs.load(SeqCst), syncs, "no retry");
    let again = open(dir.path(), false).expect("opens");
    assert_eq!(contents(&again).1.first(), Some(&entry(1, 0, 10)));
}

#[tokio::test]
async fn a_full_disk_is_announced_delays_and_passes() {
    let dir = tempfile::tempdir().expect("dir");
    let disk = Arc::new(Scripted::default());
    let open = |create| Log::open(dir.path(), LogOptions { disk: disk.clone(), ..options(create) });
    let log = open(true).expect("new");
    let mut space = log.space();
    disk.full.store(true, SeqCst);
    let mut index = 0;
    while *space.borrow() == Space::Ample {
        append(&log, vec![entry(1, index, 100)]).await.expect("still fits");
        index += 1;
        // The announcement comes from another thread.
        tokio::task::yield_now().await;
        if index > 25 {
            space.wait_for(|space| *space != Space::Ample).await.expect("announced");
        }
    }
    // What is under way still fits, and so does a vote, until the announcement grows stronger.
    while *space.borrow() != Space::Exhausted {
        append(&log, vec![entry(1, index, 100)]).await.expect("still fits");
        index += 1;
    }
    let vote = Vote { term: 2, candidate: 1, committed: false };
    log.save_vote(vote).await.expect("a vote fits");
    // Beyond that, things wait; nothing is acknowledged, nothing fails, reads go on.
    let mut late = begin(&log, (index..index + 20).map(|i| entry(1, i, 200)).collect()).await;
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut late).await;
    assert!(waits.is_err(), "acknowledged without room");
    assert!(log.fatal().borrow().is_none());
    assert_eq!(log.read(0..5, usize::MAX).expect("readable").len(), 5);
    disk.full.store(false, SeqCst);
    late.await.expect("reported").expect("on the device once there is room");
    assert_eq!(*space.wait_for(|space| *space == Space::Ample).await.expect("told"), Space::Ample);
    let held = contents(&log);
    log.close();
    let again = open(false).expect("opens");
    assert_eq!(contents(&again), held);
}

#[tokio::test]
async fn a_member_starts_and_stops_on_a_full_disk() {
    let dir = tempfile::tempdir().expect("dir");
    let disk = Arc::new(Scripted::default());
    let open = |create| Log::open(dir.path(), LogOptions { disk: disk.clone(), ..options(create) });
    let log = open(true).expect("new");
    disk.full.store(true, SeqCst);
    let mut index = 0;
    let mut space = log.space();
    while *space.borrow() != Space::Exhausted {
        append(&log, vec![entry(1, index, 60)]).await.expect("fits");
        index += 1;
        if index == 30 {
            // More than half of the segment is used: the next one is being asked for.
            space.wait_for(|space| *space != Space::Ample).await.expect("announced");
        }
    }
    let late = begin(&log, (index..index + 50).map(|i| entry(1, i, 100)).collect()).await;
    tokio::task::spawn_blocking(move || log.close()).await.expect("closes");
    assert!(late.await.expect("reported").is_err(), "never written");
    for _ in 0..3 {
        let log = open(false).expect("starts on a full disk");
        assert_eq!(contents(&log).1.len() as u64, index);
        log.close();
    }
    disk.full.store(false, SeqCst);
    let log = open(false).expect("opens");
    append(&log, (index..index + 50).map(|i| entry(1, i, 100)).collect()).await.expect("room");
}

#[tokio::test]
async fn short_writes_are_finished() {
    let dir = tempfile::tempdir().expect("dir");
    let disk = Arc::new(Scripted::default());
    disk.short.store(true, SeqCst);
    let log = Log::open(dir.path(), LogOptions { disk, ..options(true) }).expect("new");
    for index in 0..30 {
        append(&log, vec![entry(1, index, 500)]).await.expect("append");
    }
    let held = contents(&log);
    log.close();
    assert_eq!(contents(&open(dir.path(), false).expect("opens")), held);
}

#[tokio::test]
async fn gaps_and_giants_are_refused_without_harm() {
    let dir = tempfile::tempdir().expect("dir");
    let log = open(dir.path(), true).expect("new");
    append(&log, vec![entry(1, 5, 10)]).await.expect("a log may begin anywhere");
    for wrong in [vec![entry(1, 7, 10)], vec![entry(1, 6, 10), entry(1, 8, 10)]] {
        let done = Box::new(|_| panic!("reported although refused"));
        let error = log.append(wrong, done).await.expect_err("a gap");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    let done = Box::new(|_| panic!("reported although refused"));
    let giant = entry(1, 6, log.entry_bytes_max() + 1);
    assert!(log.append(vec![giant], done).await.is_err());
    append(&log, vec![entry(1, 6, log.entry_bytes_max() - 32)]).await.expect("the largest fits");
    let held = contents(&log);
    log.close();
    assert_eq!(contents(&open(dir.path(), false).expect("opens")), held);
}

#[tokio::test]
async fn truncation_is_seen_at_once_and_survives() {
    let dir = tempfile::tempdir().expect("dir");
    let log = open(dir.path(), true).expect("new");
    // Not waited for: the writer sees all of it as it pleases, in this order.
    let mut results = Vec::new();
    for round in 0..50u64 {
        results.push(begin(&log, (10..20).map(|i| entry(round, i, 40)).collect()).await);
        assert_eq!(log.state().last, Some(EntryId::new(round, 19)));
        let cut = EntryId::new(round, 10 + round % 9);
        log.truncate_after(Some(cut)).expect("truncate");
        assert_eq!(log.read(10..99, usize::MAX).expect("read").last().map(|e| e.id()), Some(cut));
        log.truncate_after((round == 99).then_some(cut)).expect("truncate");
        assert_eq!(log.state().last, None);
    }
    for result in results {
        result.await.expect("reported").expect("on the device");
    }
    append(&log, (3..6).map(|i| entry(60, i, 40)).collect()).await.expect("append");
    let held = contents(&log);
    assert_eq!(held.1.len(), 3);
    log.close();
    assert_eq!(contents(&open(dir.path(), false).expect("opens")), held);
}
