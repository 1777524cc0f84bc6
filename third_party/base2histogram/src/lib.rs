//! Stands in for the crate of this name, in which the raft library keeps statistics that this project never reads.
//!
//! The original builds lookup tables for sixteen scales when the first histogram is made: 27 MiB for the life of the process.
//! Here a histogram counts its samples and knows nothing else. It offers what openraft 0.10.0-alpha.37 asks for, no more; a
//! newer openraft that asks for more does not compile, and is then looked at.

use std::fmt;
use std::marker::PhantomData;

/// Counts samples.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Histogram<T = ()> {
    samples: u64,
    of: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// No samples.
    #[must_use]
    pub fn new() -> Self {
        Self { samples: 0, of: PhantomData }
    }

    /// One more sample.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// `count` more samples.
    pub fn record_n(&mut self, _value: u64, count: u64) {
        self.samples = self.samples.wrapping_add(count);
    }

    /// How many samples; nothing is known of their values.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats { samples: self.samples, ..PercentileStats::default() }
    }
}

/// What is known of the samples.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs, reason = "the fields of the original, all 0 here but the first")]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[samples: {}]", self.samples)
    }
}

/// A drawing of histograms, of which there is nothing to draw.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart;

impl AsciiChart {
    /// An empty drawing.
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// The same drawing.
    #[must_use]
    pub fn add(self, _name: impl Into<String>, _histogram: Histogram) -> Self {
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
