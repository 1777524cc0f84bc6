//! How often and how long something is tried, so that every request ends in time.

use std::time::Duration;

use crate::registry::Refusal;
use crate::store::StoreError;

/// All that a request may take: with the way there and back it stays below the five seconds that etcd's nodes wait.
pub const PATIENCE: Duration = Duration::from_millis(3500);
/// Between two attempts that somebody else's success, or the store's silence, has foiled.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// What that pause grows to.
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(320);

/// The store does not answer.
pub(super) fn unavailable(reason: &str) -> Refusal {
    Refusal::Unavailable(reason.to_owned())
}

/// Ends `work` when the time is up.
pub(super) async fn in_time<T>(
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(unavailable("the store did not answer in time")),
    }
}

/// Rests between attempts, longer each time; gives up when the store fails again and again.
pub(super) struct Pause {
    next: Duration,
    failures: u32,
}

/// A store that fails this often in a row is down: a fast answer is worth more than another attempt.
const FAILURES_MAX: u32 = 3;

impl Pause {
    pub(super) fn new() -> Self {
        Self { next: RETRY_PAUSE, failures: 0 }
    }

    /// After somebody else was quicker.
    pub(super) async fn rest(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(RETRY_PAUSE_MAX);
    }

    /// After the store did not answer.
    pub(super) async fn after(&mut self, error: &StoreError) -> Result<(), Refusal> {
        self.failures += 1;
        if self.failures >= FAILURES_MAX {
            return Err(unavailable(&error.0));
        }
        self.rest().await;
        Ok(())
    }
}
