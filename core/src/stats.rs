//! Counters of what this member's store has done since it started, as `/v2/stats/store` shows them.
//!
//! They are no part of the replicated state: reads count through a shared reference, clones of the machine share them, snapshots
//! leave them out.

use crate::json;
use std::sync::atomic::{AtomicU64, Ordering};

/// One counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The count so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one less.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How often something went well and how often not.
#[derive(Debug, Default)]
pub struct Tally {
    /// It went well.
    pub success: Counter,
    /// It failed.
    pub fail: Counter,
}

impl Tally {
    /// Counts one result and hands it back.
    pub(crate) fn note<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        match &result {
            Ok(_) => self.success.increment(),
            Err(_) => self.fail.increment(),
        }
        result
    }
}

/// The counters of one store.
#[derive(Debug, Default)]
pub struct StoreStats {
    /// Reads.
    pub gets: Tally,
    /// Sets.
    pub sets: Tally,
    /// Deletes.
    pub deletes: Tally,
    /// Updates.
    pub updates: Tally,
    /// Creates, in order or not.
    pub creates: Tally,
    /// Compare-and-swaps.
    pub compare_and_swaps: Tally,
    /// Compare-and-deletes.
    pub compare_and_deletes: Tally,
    /// Keys that expired.
    pub expired: Counter,
    /// Watchers that wait now; kept by whoever serves them.
    pub watchers: Counter,
}

impl StoreStats {
    /// Appends the body of `/v2/stats/store`, without a newline.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let tallies = [
            ("gets", &self.gets),
            ("sets", &self.sets),
            ("delete", &self.deletes),
            ("update", &self.updates),
            ("create", &self.creates),
            ("compareAndSwap", &self.compare_and_swaps),
            ("compareAndDelete", &self.compare_and_deletes),
        ];
        out.push(b'{');
        for (name, tally) in tallies {
            write_field(out, name, "Success", &tally.success);
            write_field(out, name, "Fail", &tally.fail);
        }
        write_field(out, "expireCount", "", &self.expired);
        write_field(out, "watchers", "", &self.watchers);
        // Every field ends with a comma; the last one gives way to the brace.
        out.pop();
        out.push(b'}');
    }
}

fn write_field(out: &mut Vec<u8>, name: &str, suffix: &str, counter: &Counter) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    out.extend_from_slice(b"\":");
    json::write_u64(out, counter.count());
    out.push(b',');
}
