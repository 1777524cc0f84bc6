//! How reports fare, for the metrics: since a service that no longer takes them leaves those who follow the cluster with old news.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// See the module. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tally(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    taken: u64,
    failed: u64,
    failing_since: Option<Instant>,
}

/// The figures of a moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// Reports that were taken.
    pub taken: u64,
    /// Reports that were not.
    pub failed: u64,
    /// For how long none has been taken; zero if the last one was.
    pub failing_for: Duration,
}

impl Tally {
    /// A report was taken, or not.
    pub fn note(&self, is_taken: bool) {
        let mut counted = self.0.lock();
        if is_taken {
            counted.taken += 1;
            counted.failing_since = None;
        } else {
            counted.failed += 1;
            counted.failing_since.get_or_insert_with(Instant::now);
        }
    }

    /// The figures now; nothing while this member has reported to nobody.
    #[must_use]
    pub fn figures(&self) -> Option<Figures> {
        let counted = self.0.lock();
        let failing_for = counted.failing_since.map(|since| since.elapsed()).unwrap_or_default();
        let figures = Figures { taken: counted.taken, failed: counted.failed, failing_for };
        (figures.taken + figures.failed > 0).then_some(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_known_for_how_long_reports_fail() {
        let tally = Tally::default();
        assert_eq!(tally.figures(), None);
        tally.note(true);
        assert_eq!(tally.figures(), Some(Figures { taken: 1, ..Figures::default() }));
        for _ in 0..2 {
            tally.note(false);
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        let failing_for = Duration::from_secs(120);
        assert_eq!(tally.figures(), Some(Figures { taken: 1, failed: 2, failing_for }));
        tally.note(true);
        assert_eq!(tally.figures().unwrap().failing_for, Duration::ZERO);
    }
}
