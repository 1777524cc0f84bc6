//! The cluster's clock: time as the leaders stamp it into log entries.
//!
//! Keys expire by stamps alone, so what matters is how stamps advance. A leader takes the wall clock once, when it takes
//! over, and from then on counts with the monotonic clock: a wall clock that jumps while it leads moves no expiry. Stamps
//! never go back. Between entries a member estimates "now" from the last stamp it applied, for showing remaining TTLs.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use quorate_core::Stamp;

/// A stamp and the monotonic moment at which it was true.
#[derive(Clone, Copy)]
struct Anchor {
    stamp: Stamp,
    at: Instant,
}

impl Anchor {
    fn now(self) -> Stamp {
        let elapsed_ns = u64::try_from(self.at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Stamp(self.stamp.0.saturating_add(elapsed_ns))
    }
}

struct Anchors {
    /// What readers see: re-anchored at each applied entry.
    applied: Anchor,
    /// What this member stamps with while it leads `term`.
    leading: Option<(u64, Anchor)>,
    /// The last stamp given out.
    last_stamp: Stamp,
}

/// See the module.
pub struct ClusterClock {
    anchors: Mutex<Anchors>,
}

impl Default for ClusterClock {
    fn default() -> Self {
        let applied = Anchor { stamp: wall_clock(), at: Instant::now() };
        Self { anchors: Mutex::new(Anchors { applied, leading: None, last_stamp: Stamp(0) }) }
    }
}

impl ClusterClock {
    /// The stamp for an entry proposed now by the leader of `term`. Never less than one given out or applied before.
    pub fn stamp(&self, term: u64) -> Stamp {
        let mut anchors = self.anchors.lock();
        let anchor = match anchors.leading {
            Some((leading_term, anchor)) if leading_term == term => anchor,
            _ => {
                let start = wall_clock().max(anchors.applied.stamp);
                let anchor = Anchor { stamp: start, at: Instant::now() };
                anchors.leading = Some((term, anchor));
                anchor
            }
        };
        let stamp = anchor.now().max(anchors.last_stamp);
        anchors.last_stamp = stamp;
        stamp
    }

    /// An entry with this stamp was applied here.
    pub fn applied(&self, stamp: Stamp) {
        let mut anchors = self.anchors.lock();
        anchors.applied = Anchor { stamp, at: Instant::now() };
        anchors.last_stamp = anchors.last_stamp.max(stamp);
    }

    /// The cluster's time as far as this member knows.
    pub fn now(&self) -> Stamp {
        self.anchors.lock().applied.now()
    }
}

/// The wall clock; a clock before 1970 counts as 1970.
pub(crate) fn wall_clock() -> Stamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_of_one_term_never_go_back() {
        let clock = ClusterClock::default();
        let mut last = Stamp(0);
        for _ in 0..1000 {
            let stamp = clock.stamp(1);
            assert!(stamp >= last);
            last = stamp;
        }
    }

    #[test]
    fn a_new_leader_starts_no_earlier_than_what_was_applied() {
        let clock = ClusterClock::default();
        let far = Stamp(wall_clock().0 + 3_600_000_000_000);
        clock.applied(far);
        assert!(clock.stamp(2) >= far);
    }
}
