//! The records that were last read of each cluster: used as they are for a moment, and for a day while the store cannot be reached.
//!
//! Invariant: bounded, and filled by clusters that exist alone: questions for names that nobody has leave nothing here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::rr::Record;
use parking_lot::Mutex;

/// For so long records are used without asking the store: a burst of questions is one reading.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// For so long they are used when the store cannot be reached. A list of yesterday finds most members; none finds nobody.
pub const STALE_FOR: Duration = Duration::from_secs(24 * 3600);
/// Clusters that are remembered, a few kilobytes each.
const CLUSTERS_MAX: usize = 4096;

/// See the module.
#[derive(Default)]
pub struct Cache {
    clusters: Mutex<HashMap<String, Read>>,
}

struct Read {
    records: Arc<[Record]>,
    at: Instant,
}

impl Cache {
    /// Records that were read a moment ago.
    #[must_use]
    pub fn fresh(&self, label: &str, now: Instant) -> Option<Arc<[Record]>> {
        self.not_older(label, now, FRESH_FOR)
    }

    /// Records that are better than none.
    #[must_use]
    pub fn stale(&self, label: &str, now: Instant) -> Option<Arc<[Record]>> {
        self.not_older(label, now, STALE_FOR)
    }

    /// Remembers what was read, in place of what was read longest ago.
    pub fn put(&self, label: &str, records: Arc<[Record]>, now: Instant) {
        let mut clusters = self.clusters.lock();
        if clusters.len() >= CLUSTERS_MAX && !clusters.contains_key(label) {
            let oldest = clusters.iter().min_by_key(|(_, read)| read.at);
            let oldest = oldest.map(|(label, _)| label.clone());
            oldest.map(|label| clusters.remove(&label));
        }
        clusters.insert(label.to_owned(), Read { records, at: now });
    }

    /// Forgets a cluster: there is none of this label any more.
    pub fn forget(&self, label: &str) {
        self.clusters.lock().remove(label);
    }

    fn not_older(&self, label: &str, now: Instant, age: Duration) -> Option<Arc<[Record]>> {
        let clusters = self.clusters.lock();
        let read = clusters.get(label)?;
        (now.saturating_duration_since(read.at) < age).then(|| Arc::clone(&read.records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_fresh_for_a_moment_and_of_use_for_a_day() {
        let (cache, start) = (Cache::default(), Instant::now());
        cache.put("a", Arc::from([]), start);
        assert!(cache.fresh("a", start).is_some() && cache.fresh("b", start).is_none());
        let later = start + FRESH_FOR;
        assert!(cache.fresh("a", later).is_none() && cache.stale("a", later).is_some());
        assert!(cache.stale("a", start + STALE_FOR).is_none());
        cache.forget("a");
        assert!(cache.stale("a", start).is_none());
    }

    #[test]
    fn the_oldest_makes_room() {
        let (cache, start) = (Cache::default(), Instant::now());
        for number in 0..=CLUSTERS_MAX {
            let now = start + Duration::from_millis(number as u64);
            cache.put(&number.to_string(), Arc::from([]), now);
        }
        assert_eq!(cache.clusters.lock().len(), CLUSTERS_MAX);
        assert!(cache.stale("0", start).is_none() && cache.stale("1", start).is_some());
    }
}
