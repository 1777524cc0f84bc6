//! What the service counts, and the page on which it tells.
//!
//! Invariant: no label holds anything that a client chose.

mod tls;

use std::time::Duration;

use bytes::Bytes;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use self::tls::TlsSeries;
use crate::protection::Protection;
use crate::registry::{News, Refusal, Stage};

/// From a cluster on one machine to a fleet that is installed by hand.
const FORM_BUCKETS: [f64; 14] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 14_400.0, 86_400.0];
/// From memory to the five seconds after which etcd's nodes give up.
const LATENCY_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 5.0];

/// All series.
pub struct Metrics {
    registry: Registry,
    tokens: IntGaugeVec,
    clusters: IntGaugeVec,
    created: IntCounter,
    swept: IntCounter,
    time_to_form: Histogram,
    refusals: IntCounterVec,
    open_polls: IntGauge,
    latency: HistogramVec,
    store_failures: IntCounter,
    dns_queries: IntCounterVec,
    dns_stale: IntCounter,
    tls: TlsSeries,
}

impl Metrics {
    /// All series at zero. `protection` is that of connections of clients.
    ///
    /// # Errors
    /// Two have the same name.
    pub fn new(protection: Option<Protection>) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let name = |name: &str| format!("quorate_discovery_{name}");
        let metrics = Self {
            tokens: IntGaugeVec::new(
                Opts::new(name("tokens"), "Tokens in the store by their state, as of the last sweep."),
                &["state"],
            )?,
            clusters: clusters(&name("clusters"))?,
            created: IntCounter::new(name("tokens_created_total"), "Tokens made by this replica.")?,
            swept: IntCounter::new(
                name("tokens_swept_total"),
                "Tokens forgotten by this replica, long after they were over.",
            )?,
            time_to_form: Histogram::with_opts(
                HistogramOpts::new(
                    name("time_to_form_seconds"),
                    "From a token's first registration to its last, of tokens sealed by this replica.",
                )
                .buckets(FORM_BUCKETS.to_vec()),
            )?,
            refusals: IntCounterVec::new(
                Opts::new(name("refusals_total"), "Refused requests by reason."),
                &["reason"],
            )?,
            open_polls: IntGauge::new(name("open_polls"), "Long polls and event streams that wait.")?,
            latency: HistogramVec::new(
                HistogramOpts::new(
                    name("request_duration_seconds"),
                    "Time to the first byte of an answer by route.",
                )
                .buckets(LATENCY_BUCKETS.to_vec()),
                &["route"],
            )?,
            store_failures: IntCounter::new(
                name("store_failures_total"),
                "Operations that the store did not answer.",
            )?,
            dns_queries: dns_queries(&name("dns_queries_total"))?,
            dns_stale: IntCounter::new(
                name("dns_stale_answers_total"),
                "DNS answers from what was last read, because the store could not be reached.",
            )?,
            tls: TlsSeries::new(&registry, protection)?,
            registry,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(self.tokens.clone()))?;
        self.registry.register(Box::new(self.clusters.clone()))?;
        self.registry.register(Box::new(self.created.clone()))?;
        self.registry.register(Box::new(self.swept.clone()))?;
        self.registry.register(Box::new(self.time_to_form.clone()))?;
        self.registry.register(Box::new(self.refusals.clone()))?;
        self.registry.register(Box::new(self.open_polls.clone()))?;
        self.registry.register(Box::new(self.latency.clone()))?;
        self.registry.register(Box::new(self.store_failures.clone()))?;
        self.registry.register(Box::new(self.dns_queries.clone()))?;
        self.registry.register(Box::new(self.dns_stale.clone()))?;
        let process = prometheus::process_collector::ProcessCollector::for_self();
        self.registry.register(Box::new(process))?;
        // A rule on a series that is not there yet never fires.
        Refusal::CODES.iter().for_each(|code| drop(self.refusals.with_label_values(&[code])));
        drop(self.dns_queries.with_label_values(&["srv", "answered"]));
        drop(self.dns_queries.with_label_values(&["srv", "failed"]));
        News::ALL.iter().for_each(|news| drop(self.clusters.with_label_values(&[news.name()])));
        Stage::ALL.iter().for_each(|stage| drop(self.tokens.with_label_values(&[stage.name()])));
        Ok(())
    }

    /// A token was made.
    pub fn created(&self) {
        self.created.inc();
    }

    /// Tokens were forgotten.
    pub fn swept(&self, tokens: u64) {
        self.swept.inc_by(tokens);
    }

    /// How many tokens are in which state.
    pub fn tokens(&self, stage: Stage, tokens: i64) {
        self.tokens.with_label_values(&[stage.name()]).set(tokens);
    }

    /// How many clusters' news are how new.
    pub fn clusters(&self, news: News, clusters: i64) {
        self.clusters.with_label_values(&[news.name()]).set(clusters);
    }

    /// A token was sealed.
    pub fn formed(&self, took: Duration) {
        self.time_to_form.observe(took.as_secs_f64());
    }

    /// A request was refused.
    pub fn refused(&self, refusal: &Refusal) {
        self.refusals.with_label_values(&[refusal.code()]).inc();
        if matches!(refusal, Refusal::Unavailable(_)) {
            self.store_failures.inc();
        }
    }

    /// A request was answered, or began to be.
    pub fn answered(&self, route: &'static str, took: Duration) {
        self.latency.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// A DNS query was dealt with.
    pub fn dns_query(&self, kind: &'static str, result: &'static str) {
        self.dns_queries.with_label_values(&[kind, result]).inc();
    }

    /// A DNS answer was made of what was last read.
    pub fn dns_stale(&self) {
        self.dns_stale.inc();
    }

    /// The page in the text exposition format.
    #[must_use]
    pub fn page(&self, open_polls: u32) -> Bytes {
        self.open_polls.set(i64::from(open_polls));
        self.tls.update();
        let mut page = Vec::new();
        // Writing to memory can't fail, and every family has a name.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut page);
        Bytes::from(page)
    }
}

fn clusters(name: &str) -> Result<IntGaugeVec, prometheus::Error> {
    let help =
        "Clusters of sealed tokens by whether a member has reported lately, as of the last sweep.";
    IntGaugeVec::new(Opts::new(name, help), &["news"])
}

fn dns_queries(name: &str) -> Result<IntCounterVec, prometheus::Error> {
    let help = "DNS queries by what they ask for and what came of them.";
    IntCounterVec::new(Opts::new(name, help), &["kind", "result"])
}
