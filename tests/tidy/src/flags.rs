//! The server's flags, as the manual that is made from its table lists them.
//!
//! Reading the page instead of linking the server keeps this crate small; the page is compared with the table by the
//! server's own tests.

use std::collections::BTreeMap;

use crate::repository;

/// The manual, relative to the root.
pub const MANUAL: &str = "docs/configuration.md";
/// The manual of the discovery service.
pub const DISCOVERY_MANUAL: &str = "docs/discovery.md";

/// The flags of the manual's tables: name without dashes, and the row's text.
///
/// # Panics
/// When there is no manual.
#[must_use]
pub fn listed() -> BTreeMap<String, String> {
    listed_in(MANUAL)
}

/// The same for another manual, relative to the root.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn listed_in(manual: &str) -> BTreeMap<String, String> {
    let manual = repository::file(manual);
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
}
