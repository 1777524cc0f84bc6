//! `--print-config`: what every value is and where it came from.
//!
//! Invariant: nothing secret is printed. The flags that hold a secret are masked here.

use super::discovery;
use super::flags::{self, Flag, Meaning};
use super::settings::{Origin, Settings};

/// A table of all values that count, then those given in vain.
pub(super) fn render(settings: &Settings) -> String {
    let rows: Vec<[String; 3]> =
        flags::all().filter(|flag| flag.is_used()).map(|flag| row(settings, flag)).collect();
    let mut out = table(["FLAG", "VALUE", "FROM"], &rows);
    let idle: Vec<[String; 3]> = flags::all()
        .filter(|flag| !flag.is_used() && !matches!(flag.meaning, Meaning::Action))
        .filter(|flag| settings.given(flag.name).is_some())
        .map(|flag| row(settings, flag))
        .collect();
    if !idle.is_empty() {
        out.push('\n');
        out.push_str(&table(["GIVEN WITHOUT EFFECT", "VALUE", "FROM"], &idle));
    }
    out
}

fn row(settings: &Settings, flag: &'static Flag) -> [String; 3] {
    let origin = match settings.origin(flag.name) {
        Origin::CommandLine => format!("--{}", flag.name),
        other => other.to_string(),
    };
    let value = match settings.text(flag.name) {
        "" => "-".to_owned(),
        // Whoever knows it can take a place in the cluster.
        url if flag.name == "discovery" => discovery::masked(url),
        _ if flag.name == "discovery-token" => "..".to_owned(),
        text => text.to_owned(),
    };
    [flag.name.to_owned(), value, origin]
}

fn table(head: [&str; 3], rows: &[[String; 3]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|cell| cell.len())).max().unwrap_or_default()
    };
    let (first, second) = (width(0), width(1));
    let line =
        |cells: [&str; 3]| format!("{:first$}  {:second$}  {}\n", cells[0], cells[1], cells[2]);
    let mut out = line(head);
    for [name, value, origin] in rows {
        out.push_str(&line([name, value, origin]));
    }
    out
}
