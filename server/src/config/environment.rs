//! The environment: `QUORATE_<FLAG>` and `ETCD_<FLAG>`.
//!
//! Invariant: an empty variable is as good as none, and ours wins over etcd's. An unknown one is only warned about,
//! because orchestrators set variables of such names for reasons of their own.

use std::ffi::OsString;

use super::error::ConfigError;
use super::flags::{self, Flag, Meaning};
use super::nearest;
use super::settings::{Given, Origin};

/// The prefixes, the stronger first.
const PREFIXES: [&str; 2] = ["QUORATE_", "ETCD_"];

/// What the environment gives: one layer for each prefix, and warnings.
pub(super) fn read(
    variables: &[(OsString, OsString)],
) -> Result<(Vec<Vec<Given>>, Vec<String>), ConfigError> {
    let mut warnings = Vec::new();
    let mut layers = Vec::new();
    for prefix in PREFIXES {
        let mut layer = Vec::new();
        for (variable, value) in sorted(variables, prefix) {
            if value.is_empty() {
                continue;
            }
            let stem = variable.strip_prefix(prefix).unwrap_or_default();
            let Some(flag) = find(stem) else {
                warnings.push(unknown(&variable, prefix, stem));
                continue;
            };
            let origin = Origin::Environment(variable.clone());
            let text = value.into_string().map_err(|value| ConfigError::InvalidValue {
                written: variable,
                value: value.to_string_lossy().into_owned(),
                origin: origin.clone(),
                expected: "expected UTF-8".to_owned(),
            })?;
            layer.push(Given { flag, text, origin });
        }
        layers.push(layer);
    }
    Ok((layers, warnings))
}

/// The variables of one prefix in order of their names, so that warnings come in a fixed order.
fn sorted(variables: &[(OsString, OsString)], prefix: &str) -> Vec<(String, OsString)> {
    let mut chosen: Vec<(String, OsString)> = variables
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.clone())))
        .filter(|(name, _)| name.starts_with(prefix))
        .collect();
    chosen.sort();
    chosen
}

fn find(stem: &str) -> Option<&'static Flag> {
    flags::all().find(|flag| flag.meaning != Meaning::Action && flag.variable_stem() == stem)
}

fn unknown(variable: &str, prefix: &str, stem: &str) -> String {
    let stems =
        flags::all().filter(|flag| flag.meaning != Meaning::Action).map(Flag::variable_stem);
    let hint = match nearest::name(stem, stems) {
        Some(near) => format!("; did you mean {prefix}{near}?"),
        None => String::new(),
    };
    format!("unrecognized environment variable {variable}{hint}")
}
