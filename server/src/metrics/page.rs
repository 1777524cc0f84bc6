//! One answer of `/metrics`: what was counted as things happened, joined by what is looked up only now.
//!
//! Invariant: families by name, series by label values, so that two answers differ only where numbers do.

use std::collections::BTreeMap;

use bytes::Bytes;
use prometheus::TextEncoder;
use prometheus::proto;

use super::definition::{Kind, Metric};

/// See the module.
pub(super) struct Page(BTreeMap<String, proto::MetricFamily>);

impl Page {
    /// A page that begins with `families`.
    pub(super) fn new(families: Vec<proto::MetricFamily>) -> Self {
        Self(families.into_iter().map(|family| (family.name().to_owned(), family)).collect())
    }

    /// Adds a number; `labels` are the values of the metric's labels, in their order.
    pub(super) fn number(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        let mut pairs: Vec<proto::LabelPair> =
            metric.labels.iter().zip(labels).map(|(name, value)| pair(name, value)).collect();
        pairs.sort_by(|a, b| a.name().cmp(b.name()));
        let mut series = proto::Metric::from_label(pairs);
        let kind = match metric.kind {
            Kind::Counter => {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                series.set_counter(counter);
                proto::MetricType::COUNTER
            }
            // Histograms are counted where things happen and never come this way.
            Kind::Gauge | Kind::Histogram(_) => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                series.set_gauge(gauge);
                proto::MetricType::GAUGE
            }
        };
        let family = self.0.entry(metric.name.to_owned()).or_insert_with(|| {
            let mut family = proto::MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(kind);
            family
        });
        family.mut_metric().push(series);
    }

    /// Adds a whole number.
    pub(super) fn count(&mut self, metric: &Metric, labels: &[&str], value: u64) {
        // Prometheus' numbers are floating point; what is counted here stays far below 2^53.
        self.number(metric, labels, value as f64);
    }

    /// Adds 1 or 0.
    pub(super) fn flag(&mut self, metric: &Metric, labels: &[&str], value: bool) {
        self.number(metric, labels, f64::from(u8::from(value)));
    }

    /// The value of a metric without labels that is on the page.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.get_metric().first().map(|series| series.get_gauge().get_value())
    }

    /// The page in Prometheus' text format 0.0.4.
    pub(super) fn text(self) -> Bytes {
        let mut families: Vec<proto::MetricFamily> = self.0.into_values().collect();
        for family in &mut families {
            family.mut_metric().sort_by(|a, b| values(a).cmp(values(b)));
        }
        // Fails only for a family without series, and there is none.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default().into()
    }
}

fn pair(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn values(series: &proto::Metric) -> impl Iterator<Item = &str> {
    series.get_label().iter().map(proto::LabelPair::value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: Metric = Metric::counter("a_total", &["b", "a"], "Says \"what\".");
    const GAUGE: Metric = Metric::gauge("a", &[], "Is.");

    #[test]
    fn families_and_series_are_in_order() {
        let mut page = Page::new(Vec::new());
        page.count(&COUNT, &["2", "x"], 7);
        page.count(&COUNT, &["1", "x"], 8);
        page.flag(&GAUGE, &[], true);
        assert_eq!(page.value("a"), Some(1.0));
        let text = "# HELP a Is.\n# TYPE a gauge\na 1\n# HELP a_total Says \"what\".\n# TYPE a_total counter\n\
                    a_total{a=\"x\",b=\"1\"} 8\na_total{a=\"x\",b=\"2\"} 7\n";
        assert_eq!(page.text(), text);
    }
}
