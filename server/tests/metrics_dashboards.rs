//! The dashboard and the alerts: they can be read, and what they ask for exists. Prometheus' own `promtool` tries the alerts where it
//! is installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use quorate_server::metrics::catalogue::find;
use quorate_server::metrics::definition::Kind;
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dashboards").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).expect("the file is there")
}

/// The names in an expression that look like metrics of a member.
fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c| !is_part(c));
    words
        .filter(|word| {
            ["etcd_", "quorate_", "process_", "os_"].iter().any(|prefix| word.starts_with(prefix))
        })
        .collect()
}

fn assert_known(expression: &str) {
    let metrics = metrics_in(expression);
    assert!(!metrics.is_empty() || expression.contains("up"), "no metric in {expression}");
    for name in metrics {
        let of_histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| find(name.strip_suffix(suffix)?))
            .any(|metric| matches!(metric.kind, Kind::Histogram(_)));
        let plain = find(name).is_some_and(|metric| !matches!(metric.kind, Kind::Histogram(_)));
        assert!(
            of_histogram || plain,
            "no member shows {name}, which is asked for in {expression}"
        );
    }
}

/// All expressions of a dashboard, wherever they are.
fn expressions<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    Some(text) if name == "expr" => found.push(text),
                    _ => expressions(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(&text("member.json")).expect("JSON");
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 30, "{} expressions", found.len());
    found.into_iter().for_each(assert_known);
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    for query in variables.iter().filter_map(|variable| variable["definition"].as_str()) {
        assert_known(query);
    }
}

#[test]
fn the_panels_have_their_own_ids_and_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&text("member.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().expect("an ID")), "{}", panel["title"]);
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{}", panel["title"]);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{} lies on another panel", panel["title"]);
            }
        }
    }
}

#[test]
fn the_alerts_ask_for_what_there_is() {
    let rules: Value = serde_saphyr::from_str(&text("alerts.yaml")).expect("YAML");
    let mut found = Vec::new();
    expressions(&rules, &mut found);
    assert!(found.len() >= 15, "{} expressions", found.len());
    found.into_iter().for_each(assert_known);
    for rule in rules["groups"][0]["rules"].as_array().expect("rules") {
        let name = rule["alert"].as_str().expect("a name");
        assert!(rule["for"].is_string(), "{name}");
        assert!(
            matches!(rule["labels"]["severity"].as_str(), Some("warning" | "critical")),
            "{name}"
        );
        for part in ["summary", "description"] {
            assert!(
                rule["annotations"][part].as_str().is_some_and(|text| text.ends_with('.')),
                "{name}"
            );
        }
    }
}

#[test]
fn promtool_accepts_the_alerts_and_their_tests() {
    for (action, file) in [("check", "alerts.yaml"), ("test", "alerts_test.yaml")] {
        let output = match Command::new("promtool").args([action, "rules"]).arg(path(file)).output()
        {
            Ok(output) => output,
            Err(error) => return eprintln!("skipped: promtool cannot be run ({error})"),
        };
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn every_alert_is_tested() {
    let rules: Value = serde_saphyr::from_str(&text("alerts.yaml")).expect("YAML");
    let tests = text("alerts_test.yaml");
    for rule in rules["groups"][0]["rules"].as_array().expect("rules") {
        let name = rule["alert"].as_str().expect("a name");
        assert!(
            tests.contains(&format!("alertname: {name}\n")),
            "{name} is not in alerts_test.yaml"
        );
    }
}
