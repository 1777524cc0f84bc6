//! The reference of all metrics as a Markdown page, made from the catalogue so that it cannot fall behind it.

use super::catalogue::{ABSENT, SECTIONS};
use super::definition::{Buckets, Kind, Metric};

/// The page, ending with a line break.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(INTRO);
    for section in SECTIONS {
        page.push_str(&format!(
            "## {}\n\n| name | kind | labels | what it says |\n|---|---|---|---|\n",
            section.title
        ));
        section.metrics.iter().for_each(|metric| page.push_str(&row(metric)));
        page.push('\n');
    }
    page.push_str(
        "## What etcd shows and this server does not\n\n| metric | why not | instead |\n|---|---|---|\n",
    );
    for (names, reason, instead) in ABSENT {
        page.push_str(&format!("| {names} | {reason} | {instead} |\n"));
    }
    page
}

const INTRO: &str = "# Metrics of `quorate-server`

This page is made from the catalogue in `server/src/metrics/catalogue/`. Change it there, then run
`QUORATE_RECORD=1 cargo test -p quorate-server --test metrics_manual`.

`GET /metrics` on the client port, or on a port of its own (`--listen-metrics-urls`), answers in Prometheus' text format
0.0.4. Metrics without the prefix `quorate_` have the names, labels, kinds and buckets of etcd 3.4, so that its dashboards
and alerts work; those with it say what etcd does not. Ready-made: `dashboards/member.json` for Grafana,
`dashboards/alerts.yaml` for Prometheus.

- Members appear in labels by ID, in hexadecimal as everywhere. No label holds a key, a value or an address.
- The series of a member that was removed disappear.
- \"Leader only\": the other members don't show it. Take the `max` over the cluster.

";

fn row(metric: &Metric) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let kind = match metric.kind {
        Kind::Histogram(buckets) => format!("histogram, {}", describe(buckets)),
        kind => kind.name().to_owned(),
    };
    let (help, note) = (metric.help, metric.note);
    let space = if note.is_empty() { "" } else { " " };
    format!("| `{}` | {kind} | {} | {help}{space}{note} |\n", metric.name, labels.join(", "))
}

fn describe(buckets: Buckets) -> String {
    let Buckets { start, factor, count } = buckets;
    format!("{count} buckets from {start} by {factor}")
}
