//! Waiting for conditions. The only place in the harness that sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at: short against anything a test waits for, long against the cost of a look.
pub const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Polls `condition` until it holds. Panics with `what` and the time spent when `within` has passed.
#[track_caller]
pub fn wait_until(what: &str, within: Duration, condition: impl FnMut() -> bool) {
    assert!(eventually(within, condition), "timed out after {within:?} waiting until {what}");
}

/// Polls `condition` until it holds or `within` has passed; says whether it held. Looks at least once.
pub fn eventually(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_least_once() {
        assert!(eventually(Duration::ZERO, || true));
        assert!(!eventually(Duration::ZERO, || false));
    }

    #[test]
    #[should_panic(expected = "waiting until pigs fly")]
    fn names_what_it_waited_for() {
        wait_until("pigs fly", Duration::from_millis(1), || false);
    }
}
