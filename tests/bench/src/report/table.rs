//! Medians of the rounds, side by side, with the baseline's ratio: the same rows as text or Markdown.
//!
//! The ratio says how many times better than the baseline, whichever way the metric is better: above 1 is better.
//! Invalid records take no part in a median; a cell without a valid record says INVALID.

use std::fmt::Write as _;

use crate::measure::{Better, Record, median};

/// Rows of scenario, metric, one cell for each subject, and ratios.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    faults: Vec<String>,
}

impl Table {
    /// Of `records`, with a column for each of `subjects`; the first is the baseline.
    #[must_use]
    pub fn new(subjects: &[String], records: &[Record]) -> Self {
        let mut header = vec!["scenario".to_owned(), "metric".to_owned()];
        header.extend(subjects.iter().cloned());
        header.extend(subjects.iter().skip(1).map(|subject| format!("{subject} is better by")));
        let rows = keys(records).into_iter().map(|key| row(&key, subjects, records)).collect();
        let faults = records.iter().filter_map(|record| {
            let why = record.invalid.as_ref()?;
            Some(format!(
                "INVALID {} round {}: {}: {why}",
                record.subject, record.round, record.scenario
            ))
        });
        Self { header, rows, faults: faults.collect() }
    }

    /// With aligned columns, for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        self.render("  ", "", false)
    }

    /// As a Markdown table.
    #[must_use]
    pub fn markdown(&self) -> String {
        self.render(" | ", "|", true)
    }

    /// What went wrong, a line each.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    fn render(&self, between: &str, edge: &str, rule: bool) -> String {
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| {
                lines().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
            })
            .map(Option::unwrap_or_default)
            .collect();
        let pad = if edge.is_empty() { "" } else { " " };
        let mut out = String::new();
        for (number, line) in lines().enumerate() {
            let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            let line = cells.collect::<Vec<_>>().join(between);
            let _infallible =
                writeln!(out, "{}", format!("{edge}{pad}{line}{pad}{edge}").trim_end());
            if rule && number == 0 {
                let dashes = widths.iter().enumerate().map(|(column, width)| {
                    if column < 2 {
                        "-".repeat(width + 2)
                    } else {
                        format!("{}:", "-".repeat(width + 1))
                    }
                });
                let _infallible = writeln!(out, "|{}|", dashes.collect::<Vec<_>>().join("|"));
            }
        }
        out
    }
}

struct Key<'records> {
    scenario: &'records str,
    metric: &'records str,
    unit: &'static str,
    better: Better,
}

/// Scenarios in the order of their first record, their metrics likewise; notes are left to the JSON.
fn keys(records: &[Record]) -> Vec<Key<'_>> {
    let mut scenarios: Vec<&str> = Vec::new();
    for record in records {
        if !scenarios.contains(&record.scenario.as_str()) {
            scenarios.push(&record.scenario);
        }
    }
    let mut keys: Vec<Key<'_>> = Vec::new();
    for scenario in scenarios {
        let begun = keys.len();
        for metric in records
            .iter()
            .filter(|record| record.scenario == scenario)
            .flat_map(|record| &record.metrics)
        {
            let known = keys.iter().skip(begun).any(|key| key.metric == metric.name);
            if metric.better != Better::Neither && !known {
                keys.push(Key {
                    scenario,
                    metric: &metric.name,
                    unit: metric.unit,
                    better: metric.better,
                });
            }
        }
        if keys.len() == begun {
            keys.push(Key { scenario, metric: "-", unit: "", better: Better::Neither });
        }
    }
    keys
}

fn row(key: &Key<'_>, subjects: &[String], records: &[Record]) -> Vec<String> {
    let values: Vec<Vec<f64>> =
        subjects.iter().map(|subject| values(key, subject, records)).collect();
    let mut row = vec![key.scenario.to_owned(), format!("{}, {}", key.metric, key.unit)];
    row.extend(values.iter().map(|values| cell(values)));
    let baseline = values.first().and_then(|values| median(values));
    row.extend(values.iter().skip(1).map(|values| {
        let ratio = baseline.zip(median(values)).and_then(|(baseline, value)| match key.better {
            Better::Higher => (baseline > 0.0).then_some(value / baseline),
            Better::Lower => (value > 0.0).then_some(baseline / value),
            Better::Neither => None,
        });
        ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"))
    }));
    row
}

/// The valid values of a metric, sorted.
fn values(key: &Key<'_>, subject: &str, records: &[Record]) -> Vec<f64> {
    let mut values: Vec<f64> = records
        .iter()
        .filter(|record| {
            record.subject == subject && record.scenario == key.scenario && record.invalid.is_none()
        })
        .flat_map(|record| &record.metrics)
        .filter(|metric| metric.name == key.metric)
        .map(|metric| metric.value)
        .collect();
    values.sort_by(f64::total_cmp);
    values
}

fn cell(sorted: &[f64]) -> String {
    let (Some(median), Some(least), Some(most)) = (median(sorted), sorted.first(), sorted.last())
    else {
        return "INVALID".to_owned();
    };
    if sorted.len() == 1 {
        number(median)
    } else {
        format!("{} ({}..{})", number(median), number(*least), number(*most))
    }
}

/// Three significant digits below a thousand, whole numbers above.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Metric;

    fn record(subject: &str, round: u32, rate: f64, p99: f64, invalid: Option<&str>) -> Record {
        Record {
            scenario: "write".to_owned(),
            subject: subject.to_owned(),
            round,
            metrics: vec![
                Metric::higher("rate", "req/s", rate),
                Metric::lower("p99", "ms", p99),
                Metric::note("generator CPU", "µs/op", 1.0),
            ],
            invalid: invalid.map(str::to_owned),
        }
    }

    #[test]
    fn ratios_say_better_whichever_way_and_invalid_rounds_take_no_part() {
        let records = [
            record("a", 1, 100.0, 8.0, None),
            record("b", 1, 300.0, 2.0, None),
            record("a", 2, 200.0, 10.0, None),
            record("b", 2, 9999.0, 0.1, Some("5% errors")),
        ];
        let table = Table::new(&["a".to_owned(), "b".to_owned()], &records);
        let expected = "\
| scenario | metric      | a                | b    | b is better by |
|----------|-------------|-----------------:|-----:|---------------:|
| write    | rate, req/s |   150 (100..200) |  300 |          2.00x |
| write    | p99, ms     | 9.00 (8.00..10.0) | 2.00 |          4.50x |
";
        let squeeze =
            |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace('-', "");
        assert_eq!(squeeze(&table.markdown()), squeeze(expected));
        assert_eq!(table.faults(), ["INVALID b round 2: write: 5% errors"]);
    }

    #[test]
    fn a_scenario_that_only_failed_is_still_shown() {
        let failed = Record { metrics: Vec::new(), ..record("a", 1, 0.0, 0.0, Some("no leader")) };
        let text = Table::new(&["a".to_owned()], &[failed]).text();
        assert!(text.contains("INVALID"), "{text}");
    }
}
