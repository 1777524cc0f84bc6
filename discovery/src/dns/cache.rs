//! The records that were last read of each cluster: used as they are for a moment, and for a day while the store cannot be reached.
//!
//! Invariant: bounded, and filled by clusters that exist alone: questions for names that nobody has leave nothing here.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hickory_proto::rr::Record;
use parking_lot::Mutex;

/// For so long the store is not asked again, whether it answered or not: a burst of questions is one reading, and one wait for a store
/// that does not answer.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// For so long they are used when the store cannot be reached. A list of yesterday finds most members; none finds nobody.
pub const STALE_FOR: Duration = Duration::from_secs(24 * 3600);
/// Clusters that are remembered, a few kilobytes each.
const CLUSTERS_MAX: usize = 4096;

/// See the module.
#[derive(Default)]
pub struct Cache {
    clusters: Mutex<HashMap<String, Read>>,
    /// Clusters that are being read, as long as somebody waits for them.
    turns: Mutex<HashMap<String, Weak<Turn>>>,
}

/// Held while a cluster is read: whoever asks for the same one meanwhile waits, and finds it in the cache, or here that there was none to
/// be put there. Bounded by the questions under way.
pub type Turn = tokio::sync::Mutex<Option<Fruitless>>;

/// A reading that left nothing in the cache.
#[derive(Clone, Copy, Debug)]
pub struct Fruitless {
    /// When it ended.
    pub at: Instant,
    /// Whether the store said that there is no such cluster; otherwise it did not answer.
    pub is_nobody: bool,
}

struct Read {
    records: Arc<[Record]>,
    /// When they were read.
    at: Instant,
    /// When the store was last asked for them; later than that, if it did not answer.
    asked: Instant,
}

/// Records that were read once.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The records.
    pub records: Arc<[Record]>,
    /// Whether they would have been read again, if the store had answered.
    pub is_stale: bool,
}

impl Cache {
    /// Records to be used without asking the store.
    #[must_use]
    pub fn ready(&self, label: &str, now: Instant) -> Option<Cached> {
        let clusters = self.clusters.lock();
        let read = clusters.get(label)?;
        let is_ready = now.saturating_duration_since(read.asked) < FRESH_FOR && read.is_of_use(now);
        is_ready.then(|| read.cached())
    }

    /// The turn to read a cluster; the same for all who ask for it at the same time.
    #[must_use]
    pub fn turn(&self, label: &str) -> Arc<Turn> {
        let mut turns = self.turns.lock();
        if let Some(turn) = turns.get(label).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::default());
        turns.insert(label.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Whether there are records of it, however old.
    #[must_use]
    pub fn knows(&self, label: &str) -> bool {
        self.clusters.lock().contains_key(label)
    }

    /// Records to be used because the store does not answer. It is not asked for them again for a moment.
    #[must_use]
    pub fn fall_back(&self, label: &str, now: Instant) -> Option<Cached> {
        let mut clusters = self.clusters.lock();
        let read = clusters.get_mut(label).filter(|read| read.is_of_use(now))?;
        read.asked = now;
        Some(read.cached())
    }

    /// Remembers what was read, in place of what was read longest ago.
    pub fn put(&self, label: &str, records: Arc<[Record]>, now: Instant) {
        let mut clusters = self.clusters.lock();
        if clusters.len() >= CLUSTERS_MAX && !clusters.contains_key(label) {
            let oldest = clusters.iter().min_by_key(|(_, read)| read.at);
            let oldest = oldest.map(|(label, _)| label.clone());
            oldest.map(|label| clusters.remove(&label));
        }
        clusters.insert(label.to_owned(), Read { records, at: now, asked: now });
    }

    /// Forgets a cluster: there is none of this label any more.
    pub fn forget(&self, label: &str) {
        self.clusters.lock().remove(label);
    }
}

impl Read {
    fn is_of_use(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < STALE_FOR
    }

    fn cached(&self) -> Cached {
        Cached { records: Arc::clone(&self.records), is_stale: self.asked > self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_fresh_for_a_moment_and_of_use_for_a_day() {
        let (cache, start) = (Cache::default(), Instant::now());
        cache.put("a", Arc::from([]), start);
        assert!(cache.ready("a", start).is_some_and(|it| !it.is_stale) && cache.knows("a"));
        assert!(cache.ready("b", start).is_none() && cache.fall_back("b", start).is_none());
        let later = start + FRESH_FOR;
        assert!(cache.ready("a", later).is_none(), "the store is to be asked");
        // It does not answer: nobody else has to wait for it in the next moment.
        assert!(cache.fall_back("a", later).is_some_and(|it| it.is_stale));
        assert!(cache.ready("a", later).is_some_and(|it| it.is_stale));
        assert!(cache.ready("a", later + FRESH_FOR).is_none());
        assert!(cache.fall_back("a", start + STALE_FOR).is_none());
        cache.put("a", Arc::from([]), later);
        assert!(cache.ready("a", later).is_some_and(|it| !it.is_stale));
        cache.forget("a");
        assert!(cache.fall_back("a", start).is_none() && !cache.knows("a"));
    }

    #[test]
    fn the_oldest_makes_room() {
        let (cache, start) = (Cache::default(), Instant::now());
        for number in 0..=CLUSTERS_MAX {
            let now = start + Duration::from_millis(number as u64);
            cache.put(&number.to_string(), Arc::from([]), now);
        }
        assert_eq!(cache.clusters.lock().len(), CLUSTERS_MAX);
        assert!(cache.ready("0", start).is_none() && cache.ready("1", start).is_some());
    }
}
