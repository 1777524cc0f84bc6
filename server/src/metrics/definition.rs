//! What a metric is: its name, what kind of number, which labels, and what it says. The one source of `/metrics`, of
//! `docs/metrics.md` and of the tests that hold dashboards and alerts against it.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, exponential_buckets,
};

/// The prefix of what only this server measures. All other names are etcd's or Prometheus' own.
pub const OWN_PREFIX: &str = "quorate_";

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name, with its unit as Prometheus wants it.
    pub name: &'static str,
    /// What kind of number.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one line; shown by `/metrics` too.
    pub help: &'static str,
    /// When it is absent, how it differs from etcd's metric of this name, or how to read it; for the manual alone.
    pub note: &'static str,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only grows while the process lives.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by size.
    Histogram(Buckets),
}

/// The upper bounds of a histogram's buckets: `count` of them, each `factor` times the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Buckets {
    /// The first one.
    pub start: f64,
    /// How much larger the next one is.
    pub factor: f64,
    /// How many there are.
    pub count: usize,
}

impl Metric {
    /// A metric that only grows.
    pub(super) const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Counter, labels, help, note: "" }
    }

    /// A metric that goes up and down.
    pub(super) const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Gauge, labels, help, note: "" }
    }

    /// A metric that counts by size.
    pub(super) const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        buckets: Buckets,
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram(buckets), labels, help, note: "" }
    }

    /// The same with a note for the manual.
    pub(super) const fn noted(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// Whether the name is this server's own.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.name.starts_with(OWN_PREFIX)
    }
}

impl Kind {
    /// The name in the text format.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

impl Buckets {
    /// From `start`, doubling `count - 1` times.
    pub(super) const fn doubling(start: f64, count: usize) -> Self {
        Self { start, factor: 2.0, count }
    }

    /// The bounds.
    ///
    /// # Errors
    /// A definition that makes no sense.
    pub fn bounds(self) -> Result<Vec<f64>, prometheus::Error> {
        exponential_buckets(self.start, self.factor, self.count)
    }
}

/// Metrics that are counted where things happen, registered as defined.
impl Metric {
    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn histogram_opts(&self) -> Result<HistogramOpts, prometheus::Error> {
        let Kind::Histogram(buckets) = self.kind else {
            return Err(prometheus::Error::Msg(format!("{} is no histogram", self.name)));
        };
        Ok(HistogramOpts::new(self.name, self.help).buckets(buckets.bounds()?))
    }

    /// A counter without labels.
    ///
    /// # Errors
    /// It is registered already.
    pub fn count_in(&self, registry: &Registry) -> Result<IntCounter, prometheus::Error> {
        registered(registry, IntCounter::with_opts(self.opts())?)
    }

    /// A counter with labels.
    ///
    /// # Errors
    /// It is registered already.
    pub fn counts_in(&self, registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
        registered(registry, IntCounterVec::new(self.opts(), self.labels)?)
    }

    /// A gauge without labels.
    ///
    /// # Errors
    /// It is registered already.
    pub fn gauge_in(&self, registry: &Registry) -> Result<IntGauge, prometheus::Error> {
        registered(registry, IntGauge::with_opts(self.opts())?)
    }

    /// A gauge with labels.
    ///
    /// # Errors
    /// It is registered already.
    pub fn gauges_in(&self, registry: &Registry) -> Result<IntGaugeVec, prometheus::Error> {
        registered(registry, IntGaugeVec::new(self.opts(), self.labels)?)
    }

    /// A histogram without labels.
    ///
    /// # Errors
    /// It is registered already.
    pub fn histogram_in(&self, registry: &Registry) -> Result<Histogram, prometheus::Error> {
        registered(registry, Histogram::with_opts(self.histogram_opts()?)?)
    }

    /// A histogram with labels.
    ///
    /// # Errors
    /// It is registered already.
    pub fn histograms_in(&self, registry: &Registry) -> Result<HistogramVec, prometheus::Error> {
        registered(registry, HistogramVec::new(self.histogram_opts()?, self.labels)?)
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
