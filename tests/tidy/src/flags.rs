//! The server's flags, as the manual that is made from its table lists them.
//!
//! Reading the page instead of linking the server keeps this crate small; the page is compared with the table by the
//! server's own tests.

use std::collections::BTreeMap;

use crate::repository;

/// The manual, relative to the root.
pub const MANUAL: &str = "docs/configuration.md";

/// The flags of the manual's tables: name without dashes, and the row's text.
///
/// # Panics
/// When there is no manual.
#[must_use]
pub fn listed() -> BTreeMap<String, String> {
    let manual = repository::file(MANUAL);
    let rows = manual.text.lines().filter_map(|line| {
        let name = line.strip_prefix("| `--")?.split(['`', ' ', '=']).next()?;
        Some((name.to_owned(), line.to_owned()))
    });
    rows.collect()
}

/// The flags given in `text`, a command line or a script, without dashes and values.
#[must_use]
pub fn given(text: &str) -> Vec<String> {
    let words =
        text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '(' | '[' | ','));
    let flags = words.filter_map(|word| word.strip_prefix("--"));
    let names = flags.map(|flag| {
        flag.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap_or_default()
    });
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The flag that an environment variable stands for, if it is one of the server's.
#[must_use]
pub fn of_variable(variable: &str) -> Option<String> {
    let stem = variable.strip_prefix("QUORATE_").or_else(|| variable.strip_prefix("ETCD_"))?;
    Some(stem.to_ascii_lowercase().replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_flags_are_found() {
        let found = given(
            "quorate-server --name=n1 --data-dir \"$d/n1\" '--listen-peer-urls=http://x' -- --\n[\"--name\"]",
        );
        assert_eq!(found, ["name", "data-dir", "listen-peer-urls", "name"]);
    }

    #[test]
    fn variables_stand_for_flags() {
        assert_eq!(of_variable("QUORATE_DATA_DIR").as_deref(), Some("data-dir"));
        assert_eq!(of_variable("PATH"), None);
    }
}
