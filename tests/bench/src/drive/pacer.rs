//! Decides whether a free connection may send now, and from which moment the request's latency counts.
//!
//! Invariant: in an open loop the n-th request counts from start + n/rate, sent in time or not; that is what keeps
//! coordinated omission out. At most `requests_max` claims are granted, none due at or after the end.

use std::time::Duration;

use super::plan::Pace;
use crate::clock::Moment;

/// Grants claims to send.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    start: Moment,
    end: Moment,
    claimed: u64,
    claims_max: u64,
}

impl Pacer {
    pub(crate) fn new(pace: Pace, start: Moment, end: Moment, claims_max: u64) -> Self {
        Self { pace, start, end, claimed: 0, claims_max }
    }

    /// The moment the next request counts from, if one may be sent now.
    #[inline]
    pub(crate) fn claim(&mut self, now: Moment) -> Option<Moment> {
        let counts_from = match self.pace {
            Pace::Closed => (now < self.end).then_some(now),
            Pace::Open { .. } => self.next_due().filter(|due| *due <= now),
        }?;
        if self.claimed >= self.claims_max {
            return None;
        }
        self.claimed += 1;
        Some(counts_from)
    }

    /// When the next request of an open loop is due; `None` in a closed loop and after the last.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        let Pace::Open { rate } = self.pace else { return None };
        if self.claimed >= self.claims_max {
            return None;
        }
        let due = self.start.after(Duration::from_secs_f64((self.claimed as f64 / rate).min(1e9)));
        (due < self.end).then_some(due)
    }

    /// No claim will be granted any more, whatever the time.
    pub(crate) fn is_spent(&self, now: Moment) -> bool {
        match self.pace {
            Pace::Closed => now >= self.end || self.claimed >= self.claims_max,
            Pace::Open { .. } => self.next_due().is_none(),
        }
    }

    /// Requests that were due and never claimed: a backlog the server left.
    pub(crate) fn overdue(&self, now: Moment) -> u64 {
        let Pace::Open { rate } = self.pace else { return 0 };
        let due = (now.min(self.end).since(self.start).as_secs_f64() * rate).ceil() as u64;
        due.min(self.claims_max).saturating_sub(self.claimed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Moment {
        Moment::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn an_open_loop_counts_from_the_due_time_however_late() {
        let mut pacer = Pacer::new(Pace::Open { rate: 1000.0 }, ms(0), ms(5), 100);
        assert_eq!(pacer.claim(ms(0)), Some(ms(0)));
        assert_eq!(pacer.claim(ms(0)), None);
        assert_eq!(pacer.next_due(), Some(ms(1)));
        // A stall of 99 ms: all that was due in it is sent now, counted from when it was due, and no more.
        let late: Vec<_> = std::iter::from_fn(|| pacer.claim(ms(100))).collect();
        assert_eq!(late, [ms(1), ms(2), ms(3), ms(4)]);
        assert!(pacer.is_spent(ms(100)));
    }

    #[test]
    fn a_backlog_never_sent_is_known() {
        let mut pacer = Pacer::new(Pace::Open { rate: 1000.0 }, ms(0), ms(50), 100);
        assert!(pacer.claim(ms(0)).is_some());
        assert_eq!(pacer.overdue(ms(10)), 9);
        assert_eq!(pacer.overdue(ms(1000)), 49);
    }

    #[test]
    fn a_closed_loop_ends_with_time_or_count() {
        let mut pacer = Pacer::new(Pace::Closed, ms(0), ms(5), 2);
        assert_eq!(pacer.claim(ms(4)), Some(ms(4)));
        assert_eq!(pacer.claim(ms(5)), None);
        assert!(pacer.claim(ms(4)).is_some());
        assert_eq!(pacer.claim(ms(4)), None);
        assert!(pacer.is_spent(ms(4)));
    }
}
