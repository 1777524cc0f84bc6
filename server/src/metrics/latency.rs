//! Round-trip times of one follower as `/v2/stats/leader` shows them: the latest, the mean, the spread, the extremes.

use std::time::Duration;

use crate::member::Latency;

/// Times seen so far, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latencies {
    latency: Latency,
    sum: f64,
    sum_of_squares: f64,
    success: u64,
    fail: u64,
}

impl Latencies {
    /// A round trip went well.
    pub(super) fn succeeded(&mut self, took: Duration) {
        let milliseconds = took.as_secs_f64() * 1e3;
        self.success += 1;
        self.sum += milliseconds;
        self.sum_of_squares += milliseconds * milliseconds;
        let count = self.success as f64;
        let average = self.sum / count;
        let variance = (self.sum_of_squares / count - average * average).max(0.0);
        let minimum = match self.success {
            1 => milliseconds,
            _ => self.latency.minimum_ms.min(milliseconds),
        };
        self.latency = Latency {
            current_ms: milliseconds,
            average_ms: average,
            standard_deviation_ms: variance.sqrt(),
            minimum_ms: minimum,
            maximum_ms: self.latency.maximum_ms.max(milliseconds),
        };
    }

    /// A round trip did not come to its end.
    pub(super) fn failed(&mut self) {
        self.fail += 1;
    }

    /// The figures.
    pub(super) fn latency(&self) -> Latency {
        self.latency
    }

    /// How many went well, and how many did not.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.success, self.fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_the_times_seen() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.latency(), latencies.counts()), (Latency::default(), (0, 0)));
        for milliseconds in [2, 4, 4, 4, 5, 5, 7, 9] {
            latencies.succeeded(Duration::from_millis(milliseconds));
        }
        latencies.failed();
        let Latency { current_ms, average_ms, standard_deviation_ms, minimum_ms, maximum_ms } =
            latencies.latency();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(current_ms, 9.0) && near(average_ms, 5.0) && near(standard_deviation_ms, 2.0));
        assert!(near(minimum_ms, 2.0) && near(maximum_ms, 9.0));
        assert_eq!(latencies.counts(), (8, 1));
    }
}
