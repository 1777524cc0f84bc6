//! The monotonic clock, as a number that means the same in every process of this machine.
//!
//! `std::time::Instant` cannot leave its process; watch workers report moments to their parent, so this crate keeps
//! its own. Leaves out wall time: no measurement uses it.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// A moment of `CLOCK_MONOTONIC`, in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(u64);

impl Moment {
    /// The present.
    #[must_use]
    pub fn now() -> Self {
        Self(nanos_of(clock_gettime(ClockId::Monotonic)))
    }

    /// This moment and `span` more; saturates at the end of time.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// How long ago `earlier` was; zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The number itself, to hand to another process of this machine.
    #[must_use]
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment another process of this machine called `nanos`.
    #[must_use]
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
}

/// CPU time the calling thread has used.
#[must_use]
pub fn thread_cpu() -> Duration {
    Duration::from_nanos(nanos_of(clock_gettime(ClockId::ThreadCPUTime)))
}

/// A span in whole nanoseconds; saturates after 584 years.
#[must_use]
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn nanos_of(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_and_differences_never_go_below_zero() {
        let first = Moment::now();
        let second = Moment::now().after(Duration::from_nanos(1));
        assert!(second > first);
        assert_eq!(first.since(second), Duration::ZERO);
        assert_eq!(Moment::from_nanos(first.as_nanos()), first);
    }
}
