//! How the service takes what is sent: when to send again, and what to say about it.
//!
//! Invariant: the log says once that reports are not taken, and once that they are again; pauses grow to a bound.

use std::time::Duration;

use tokio::time::Instant;

use super::service::Untaken;
use super::tally::Tally;
use crate::pauses::scattered;

/// How often a member that waits for others reports: somebody may be looking on.
const WAITING_PERIOD: Duration = Duration::from_secs(5);
/// How often a running one looks whether there is something to report.
const RUNNING_PERIOD: Duration = Duration::from_secs(30);
/// A service that takes no reports is asked again after this, at first.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// And after no more than this: it tells nobody when it is back.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// A member that waits does so for minutes, and is looked at.
const PAUSE_MAX_WAITING: Duration = Duration::from_secs(15);
/// So many reports in a row must have failed before the log says so: a service that restarts is no news.
const FAILURES_UNTOLD: u32 = 3;

/// See the module.
#[derive(Default)]
pub(super) struct Reception {
    /// Failures in a row.
    failures: u32,
    failing_since: Option<Instant>,
    is_logged: bool,
    tally: Tally,
}

impl Reception {
    pub(super) fn new(tally: Tally) -> Self {
        Self { tally, ..Self::default() }
    }

    /// Whether the last report was not taken.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether none has been taken for as long as this.
    pub(super) fn is_failing_for(&self, long: Duration) -> bool {
        self.failing_since.is_some_and(|since| since.elapsed() >= long)
    }

    /// What has been waited for so long is waited for from now on.
    pub(super) fn wait_anew(&mut self) {
        self.failing_since = Some(Instant::now());
    }

    /// Notes how a report was taken, says so if that has changed, and gives the pause until the next one.
    pub(super) fn note(&mut self, sent: Result<(), Untaken>, is_running: bool) -> Duration {
        self.tally.note(sent.is_ok());
        let Err(Untaken { reason, may_pass }) = sent else {
            if self.is_logged {
                tracing::info!("the discovery service takes this member's reports again");
            }
            *self = Self::new(self.tally.clone());
            return period(is_running);
        };
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert_with(Instant::now);
        tracing::debug!(reason, failures = self.failures, "a report was not taken");
        let is_news = !may_pass || self.failures >= FAILURES_UNTOLD;
        // A member that waits says what it waits for anyway.
        if is_running && is_news && !std::mem::replace(&mut self.is_logged, true) {
            tracing::warn!(
                reason,
                "the discovery service takes no reports of this member: its status page and who follows the cluster by it do \
                 not learn what is new; nothing else depends on it, and it is tried again"
            );
        }
        let doublings = if may_pass { (self.failures - 1).min(16) } else { 16 };
        let most = if is_running { PAUSE_MAX } else { PAUSE_MAX_WAITING };
        scattered((PAUSE_MIN * 2u32.saturating_pow(doublings)).min(most))
    }
}

/// How long until the next look, if all is well.
pub(super) fn period(is_running: bool) -> Duration {
    if is_running { RUNNING_PERIOD } else { WAITING_PERIOD }
}
