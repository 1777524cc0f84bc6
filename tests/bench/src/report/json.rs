//! Every record with every metric, for other programs; the field names are a contract.

use serde_json::{Value, json};

use super::machine::Machine;
use crate::measure::{Better, Record};

/// The whole run as JSON.
#[must_use]
pub fn to_json(machine: &Machine, command: &[String], records: &[Record]) -> Value {
    let versions: Value =
        machine.versions.iter().map(|(name, version)| (name.clone(), json!(version))).collect();
    json!({
        "format": 1,
        "command": command,
        "machine": {
            "processor": machine.processor,
            "cores": machine.cores,
            "memory_mib": machine.memory_mib,
            "kernel": machine.kernel,
        },
        "versions": versions,
        "records": records.iter().map(record).collect::<Vec<_>>(),
    })
}

fn record(record: &Record) -> Value {
    let metrics = record.metrics.iter().map(|metric| {
        let better = match metric.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
            Better::Neither => "neither",
        };
        json!({ "name": metric.name, "unit": metric.unit, "value": metric.value, "better": better })
    });
    json!({
        "scenario": record.scenario,
        "subject": record.subject,
        "round": record.round,
        "invalid": record.invalid,
        "metrics": metrics.collect::<Vec<_>>(),
    })
}
