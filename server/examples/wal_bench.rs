//! Prints how many entries a second the raft log makes durable, and how many share a sync.
//!
//! `cargo run --release --example wal_bench -- [directory] [seconds]`. The directory must be on a real
//! disk: on tmpfs a sync costs nothing and the figures mean nothing.

#![expect(clippy::print_stdout, reason = "a report on the console is all it does")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_server::storage::log::{BatchStats, Log, LogObserver, LogOptions};
use quorate_server::storage::record::{Entry, EntryId, Payload};
use tokio::sync::{Mutex, oneshot};

const ENTRY_BYTES: usize = 256;
/// Entries kept before the benchmark purges, as a member does after a snapshot.
const PURGE_EVERY: u64 = 100_000;

#[derive(Default)]
struct Counts {
    syncs: AtomicU64,
    entries: AtomicU64,
    sync_micros: AtomicU64,
}

impl LogObserver for Counts {
    fn batch_synced(&self, batch: &BatchStats) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(batch.entries as u64, Ordering::Relaxed);
        let micros = u64::try_from(batch.sync.as_micros()).unwrap_or(u64::MAX);
        self.sync_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let root = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = args.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    println!(
        "{:>9} {:>10} {:>12} {:>9} {:>9} {:>9}",
        "appenders", "entries/s", "entries/sync", "sync us", "p50 us", "p99 us"
    );
    for appenders in [1, 8, 64, 256, 1024] {
        let dir = root.join(format!("quorate-wal-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        measure(&dir, appenders, Duration::from_secs(seconds)).await?;
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

async fn measure(
    dir: &Path,
    appenders: usize,
    length: Duration,
) -> Result<(), Box<dyn std::error::Error>> {
    let counts = Arc::new(Counts::default());
    let options = LogOptions { create: true, observer: counts.clone(), ..LogOptions::new(1) };
    let log = Log::open(dir, options)?;
    let next = Arc::new(Mutex::new(0u64));
    let began = Instant::now();
    let tasks: Vec<_> = (0..appenders)
        .map(|_| tokio::spawn(appender(log.clone(), Arc::clone(&next), began + length)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await?);
    }
    let elapsed = began.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or(0);
    let (syncs, entries) = (&counts.syncs, &counts.entries);
    let (syncs, entries) = (syncs.load(Ordering::Relaxed).max(1), entries.load(Ordering::Relaxed));
    println!(
        "{appenders:>9} {:>10.0} {:>12.1} {:>9} {:>9} {:>9}",
        entries as f64 / elapsed,
        entries as f64 / syncs as f64,
        counts.sync_micros.load(Ordering::Relaxed) / syncs,
        at(50),
        at(99)
    );
    tokio::task::spawn_blocking(move || log.close()).await?;
    Ok(())
}

/// Appends one entry after the other and returns the latencies in microseconds.
async fn appender(log: Log, next: Arc<Mutex<u64>>, until: Instant) -> Vec<u64> {
    let payload = Bytes::from(vec![7; ENTRY_BYTES]);
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        let (done, synced) = oneshot::channel();
        {
            let mut next = next.lock().await;
            let entry = Entry::new(EntryId::new(1, *next), Payload::Normal(payload.clone()));
            let done = Box::new(move |result| drop(done.send(result)));
            if log.append(vec![entry], done).await.is_err() {
                break;
            }
            if next.is_multiple_of(PURGE_EVERY)
                && *next > 0
                && log.purge(EntryId::new(1, *next - 1)).is_err()
            {
                break;
            }
            *next += 1;
        }
        if !matches!(synced.await, Ok(Ok(()))) {
            break;
        }
        latencies.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    latencies
}
