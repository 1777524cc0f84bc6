//! The cluster's clock: time as the leaders stamp it into log entries.
//!
//! Keys expire by stamps alone, so what matters is how stamps advance. A leader tells its followers the cluster's time with
//! every heartbeat, each counts on from there with its monotonic clock, and whoever leads next goes on from that: neither a
//! wall clock that is wrong nor one that jumps moves any expiry. Only a leader that has heard of none since it started takes
//! its wall clock, once. Stamps never go back. Between entries a member estimates "now" from the last stamp it applied, for
//! showing remaining TTLs.

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
    /// What the leader said last, or this member when it led last; none since the start if there was no leader.
    told: Option<Anchor>,
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
        Self {
            anchors: Mutex::new(Anchors {
                applied,
                told: None,
                leading: None,
                last_stamp: Stamp(0),
            }),
        }
    }
}

impl ClusterClock {
    /// The stamp for an entry proposed now by the leader of `term`. Never less than one given out or applied before.
    pub fn stamp(&self, term: u64) -> Stamp {
        let mut anchors = self.anchors.lock();
        let stamp = anchors.leading(term).max(anchors.last_stamp);
        anchors.last_stamp = stamp;
        stamp
    }

    /// The cluster's time for the followers of this member, which leads `term`.
    pub fn leading(&self, term: u64) -> Stamp {
        self.anchors.lock().leading(term)
    }

    /// The leader said that this is the cluster's time; zero if it did not say.
    pub fn heard(&self, stamp: Stamp) {
        if stamp > Stamp(0) {
            self.anchors.lock().told = Some(Anchor { stamp, at: Instant::now() });
        }
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

impl Anchors {
    /// The time by which this member stamps in `term`; from the beginning of its leadership on it only counts.
    fn leading(&mut self, term: u64) -> Stamp {
        let anchor = match self.leading {
            // What is left of an older term's replication must not begin anew.
            Some((leading_term, anchor)) if leading_term >= term => anchor,
            _ => {
                let now = self.told.map_or_else(wall_clock, Anchor::now);
                let stamp = now.max(self.applied.stamp).max(self.last_stamp);
                let anchor = Anchor { stamp, at: Instant::now() };
                self.leading = Some((term, anchor));
                self.told = Some(anchor);
                anchor
            }
        };
        anchor.now()
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
    fn a_new_leader_goes_on_from_what_the_last_one_said_whatever_its_own_clock() {
        const HOUR: u64 = 3_600_000_000_000;
        for told in [wall_clock().0 - 5 * HOUR, wall_clock().0 + 5 * HOUR] {
            let clock = ClusterClock::default();
            clock.applied(Stamp(told - 2 * HOUR));
            clock.heard(Stamp(told));
            clock.heard(Stamp(0));
            let stamp = clock.stamp(2);
            assert!((told..told + HOUR).contains(&stamp.0), "{told} {stamp:?}");
            assert!(clock.leading(1) >= stamp, "an older term begins nothing anew");
            // It leads again after another one did.
            clock.heard(Stamp(told + 2 * HOUR));
            assert!((told + 2 * HOUR..told + 3 * HOUR).contains(&clock.stamp(4).0));
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
