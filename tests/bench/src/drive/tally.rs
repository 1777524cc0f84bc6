//! What came of a run: latencies, counts, errors by cause, CPU time.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::plan::Kind;
use crate::clock::nanos;

/// Latencies are told apart from 1 µs on.
const LATENCY_MIN_NS: u64 = 1_000;
/// Longer ones count as two minutes; no request is waited for that long.
const LATENCY_MAX_NS: u64 = 120_000_000_000;

/// Share of errors above which a run proves nothing.
const ERROR_SHARE_MAX: f64 = 0.001;

/// A distribution of latencies.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

/// Failed requests by cause.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Errors {
    /// Answers other than 200 and 201, by status.
    pub status: BTreeMap<u16, u64>,
    /// No answer in time.
    pub timeout: u64,
    /// The connection broke under a request.
    pub broken: u64,
    /// The answer was not HTTP.
    pub malformed: u64,
    /// A connection could not be made.
    pub connect: u64,
    /// Due in an open loop, and never sent before the run ended.
    pub unsent: u64,
}

/// The result of one load run.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Latencies of reads.
    pub reads: Latency,
    /// Latencies of writes.
    pub writes: Latency,
    /// Requests answered well within the measured window.
    pub completed: u64,
    /// Failures from the window's start to the end of the run.
    pub errors: Errors,
    /// The measured window as it really was.
    pub window: Duration,
    /// CPU time of the servers in the window, when their processes are known.
    pub server_cpu: Option<Duration>,
    /// CPU time of the generator in the window.
    pub own_cpu: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// An empty distribution.
    #[must_use]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(LATENCY_MIN_NS, LATENCY_MAX_NS, 3)
            .expect("the constant bounds are valid: 1 <= low, 2 * low <= high, 3 digits");
        Self(histogram)
    }

    /// Adds one.
    #[inline]
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(nanos(latency));
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same constant bounds");
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that `quantile` (0 to 1) of the requests did not exceed, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e6
    }

    /// The longest, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        self.0.max() as f64 / 1e6
    }

    /// Every recorded value and how often it came, to hand to another process.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()))
    }

    /// Adds what [`Latency::counts`] gave.
    pub fn record_count(&mut self, nanoseconds: u64, count: u64) {
        self.0.saturating_record_n(nanoseconds, count);
    }
}

impl Errors {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.status.values().sum::<u64>()
            + self.timeout
            + self.broken
            + self.malformed
            + self.connect
            + self.unsent
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self
            .status
            .iter()
            .map(|(status, count)| format!("{count} x status {status}"))
            .collect();
        for (count, name) in [
            (self.timeout, "timed out"),
            (self.broken, "connection broken"),
            (self.malformed, "not HTTP"),
            (self.connect, "connection refused"),
            (self.unsent, "never sent"),
        ] {
            if count > 0 {
                parts.push(format!("{count} x {name}"));
            }
        }
        if parts.is_empty() { f.write_str("none") } else { f.write_str(&parts.join(", ")) }
    }
}

impl Tally {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            reads: Latency::new(),
            writes: Latency::new(),
            completed: 0,
            errors: Errors::default(),
            window: Duration::ZERO,
            server_cpu: None,
            own_cpu: Duration::ZERO,
        }
    }

    /// Adds the latency of an answered request.
    #[inline]
    pub fn record(&mut self, kind: Kind, latency: Duration) {
        match kind {
            Kind::Read => self.reads.record(latency),
            Kind::Write => self.writes.record(latency),
        }
    }

    /// Latencies of both kinds together.
    #[must_use]
    pub fn all(&self) -> Latency {
        let mut all = self.reads.clone();
        all.merge(&self.writes);
        all
    }

    /// Requests answered well, a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        if self.window.is_zero() { 0.0 } else { self.completed as f64 / self.window.as_secs_f64() }
    }

    /// CPU time of the servers for each answered request, in microseconds.
    #[must_use]
    pub fn server_cpu_us_per_op(&self) -> Option<f64> {
        self.server_cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / self.completed.max(1) as f64)
    }

    /// CPU time of the generator for each answered request, in microseconds.
    #[must_use]
    pub fn own_cpu_us_per_op(&self) -> f64 {
        self.own_cpu.as_secs_f64() * 1e6 / self.completed.max(1) as f64
    }

    /// Why the run proves nothing, if so.
    #[must_use]
    pub fn invalid(&self) -> Option<String> {
        let errors = self.errors.total();
        let attempts = self.completed + errors;
        if self.completed == 0 {
            return Some(format!("no request was answered (errors: {})", self.errors));
        }
        let share = errors as f64 / attempts as f64;
        (share > ERROR_SHARE_MAX).then(|| format!("{:.2}% errors: {}", share * 100.0, self.errors))
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_carry_a_distribution_to_another_process() {
        let mut first = Latency::new();
        for milliseconds in 1..=1000 {
            first.record(Duration::from_millis(milliseconds));
        }
        let mut second = Latency::new();
        for (value, count) in first.counts() {
            second.record_count(value, count);
        }
        assert_eq!(second.count(), 1000);
        assert_eq!(second.quantile_ms(0.99), first.quantile_ms(0.99));
        assert!((second.quantile_ms(0.5) - 500.0).abs() < 1.0);
    }

    #[test]
    fn one_error_in_a_thousand_is_the_limit() {
        let mut tally = Tally::new();
        assert!(tally.invalid().is_some(), "nothing answered");
        tally.completed = 9_990;
        tally.errors.timeout = 10;
        assert_eq!(tally.invalid(), None);
        tally.errors.status.insert(500, 2);
        assert_eq!(
            tally.invalid().as_deref(),
            Some("0.12% errors: 2 x status 500, 10 x timed out")
        );
    }
}
