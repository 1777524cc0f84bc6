//! Style that ratchets: what every Rust file has to be, and the few that are not yet, which may only get better.

use quorate_tidy::repository::{self, TextFile};
use quorate_tidy::rust_source::{code_lines, functions, head_lines, without_tests};

/// Lines of a source file, its inline tests not counted.
const FILE_LINES_MAX: usize = 400;
/// Lines of a file that only tests.
const TEST_FILE_LINES_MAX: usize = 600;
/// Lines of a function outside of tests.
const FUNCTION_LINES_MAX: usize = 60;
/// Lines of `//!` at the head of a file.
const HEAD_LINES_MAX: usize = 10;
/// The same for the files that are maps of others.
const MAP_HEAD_LINES_MAX: usize = 30;

/// Files that are longer than they may be, with today's length. Shorten them, then lower the number or drop the row.
const LONG_FILES: &[(&str, usize)] = &[];
/// Functions that are longer than they may be: file, function, today's length.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// A row is lowered once this many lines are gone, so that not every change has to touch it.
const ROW_SLACK: usize = 10;

/// Files with placeholders in them. Finish them, then drop their rows.
const UNFINISHED_FILES: &[&str] = &[];

/// Module names that say nothing, so that anything gets put there.
const EMPTY_NAMES: [&str; 9] =
    ["common", "handler2", "helper", "helpers", "manager", "misc", "util", "utilities", "utils"];

/// Names that the raft library's traits prescribe.
const PRESCRIBED_GETTERS: [&str; 4] =
    ["get_current_snapshot", "get_log_reader", "get_log_state", "get_snapshot_builder"];

fn sources() -> Vec<TextFile> {
    let sources = repository::files(&[".rs"]);
    assert!(sources.len() > 20, "only {} Rust files were found: is the root right?", sources.len());
    sources
}

/// Whether the file belongs to a crate's `tests` folder, that is, only tests.
fn only_tests(file: &TextFile) -> bool {
    let crate_folder = file.path.strip_prefix("tests/").unwrap_or(&file.path);
    crate_folder.contains("/tests/")
}

fn complain(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn files_are_short() {
    let mut complaints = Vec::new();
    for file in sources() {
        let lines = if only_tests(&file) {
            file.text.lines().count()
        } else {
            without_tests(&file.text).len()
        };
        let max = if only_tests(&file) { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
        let listed =
            LONG_FILES.iter().find(|(path, _)| *path == file.path).map(|(_, lines)| *lines);
        complaints.extend(ratchet(&file.path, lines, max, listed));
    }
    let gone = LONG_FILES.iter().filter(|(path, _)| !repository::exists(path));
    complaints
        .extend(gone.map(|(path, _)| format!("{path} is gone: drop its row from LONG_FILES")));
    complain(complaints);
}

#[test]
fn functions_are_short() {
    let mut complaints = Vec::new();
    let mut met = Vec::new();
    for file in sources().iter().filter(|file| !only_tests(file)) {
        for function in functions(&file.text) {
            let row = LONG_FUNCTIONS
                .iter()
                .find(|(path, name, _)| *path == file.path && *name == function.name);
            met.extend(row);
            let place = format!("{}:{} fn {}", file.path, function.line, function.name);
            complaints.extend(ratchet(
                &place,
                function.lines,
                FUNCTION_LINES_MAX,
                row.map(|(.., lines)| *lines),
            ));
        }
    }
    let gone = LONG_FUNCTIONS.iter().filter(|row| !met.contains(row));
    complaints.extend(gone.map(|(path, name, _)| {
        format!("{path} has no fn {name}: drop its row from LONG_FUNCTIONS")
    }));
    complain(complaints);
}

/// What is wrong with a length, given the limit and the length it is listed with, if it is.
fn ratchet(place: &str, lines: usize, max: usize, listed: Option<usize>) -> Option<String> {
    match listed {
        None if lines > max => {
            Some(format!("{place} has {lines} lines, {max} are allowed: split it"))
        }
        Some(was) if lines > was => {
            Some(format!("{place} has grown from {was} to {lines} lines: split it"))
        }
        Some(_) if lines <= max => {
            Some(format!("{place} has {lines} lines: well done, drop its row"))
        }
        Some(was) if lines + ROW_SLACK <= was => {
            Some(format!("{place} has {lines} lines: well done, lower its row from {was}"))
        }
        _ => None,
    }
}

#[test]
fn the_ratchet_only_turns_one_way() {
    assert_eq!(ratchet("x", 400, 400, None), None);
    assert_eq!(ratchet("x", 500, 400, Some(500)), None);
    assert_eq!(ratchet("x", 491, 400, Some(500)), None);
    for (lines, listed, word) in [
        (401, None, "split"),
        (501, Some(500), "grown"),
        (490, Some(500), "lower"),
        (400, Some(500), "drop"),
    ] {
        assert!(ratchet("x", lines, 400, listed).unwrap().contains(word));
    }
}

#[test]
fn every_file_begins_by_saying_what_it_owns() {
    let mut complaints = Vec::new();
    for file in sources() {
        let is_map = matches!(file.name(), "lib.rs" | "mod.rs");
        let max = if is_map { MAP_HEAD_LINES_MAX } else { HEAD_LINES_MAX };
        match head_lines(&file.text) {
            0 => complaints.push(format!("{} does not begin with `//!` lines", file.path)),
            lines if lines > max => {
                complaints.push(format!(
                    "{} begins with {lines} lines of `//!`, {max} are allowed",
                    file.path
                ));
            }
            _ => {}
        }
    }
    complain(complaints);
}

#[test]
fn modules_are_named_for_what_they_own() {
    let mut complaints = Vec::new();
    for file in sources() {
        let parts = file.path.trim_end_matches(".rs").split('/');
        let empty = parts.filter(|part| EMPTY_NAMES.contains(part));
        complaints.extend(
            empty.map(|name| format!("{}: `{name}` says nothing; name its job", file.path)),
        );
    }
    complain(complaints);
}

#[test]
fn getters_have_no_prefix() {
    let mut complaints = Vec::new();
    // In the tests' own crates GET is a verb of HTTP.
    for file in sources().iter().filter(|file| !file.path.starts_with("tests/")) {
        for function in functions(&file.text) {
            let prescribed = PRESCRIBED_GETTERS.contains(&function.name.as_str());
            if function.name.starts_with("get_") && !prescribed {
                complaints.push(format!(
                    "{}:{} fn {}: drop `get_`",
                    file.path, function.line, function.name
                ));
            }
        }
    }
    complain(complaints);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together from halves, so that this file does not trip over itself.
    let leftovers = [["todo", "!("], ["unimpl", "emented!("], ["FIX", "ME"], ["XX", "X"]];
    let mut complaints = Vec::new();
    for file in sources() {
        for word in leftovers.map(|halves| halves.concat()) {
            let hits = file.text.lines().enumerate().filter(|(_, line)| line.contains(&word));
            complaints.extend(hits.map(|(at, _)| format!("{}:{} has `{word}`", file.path, at + 1)));
        }
    }
    complain(complaints);
}

#[test]
fn documentation_says_something() {
    let mut complaints = Vec::new();
    let is_placeholder = |line: &str| {
        let line = line.trim();
        ["/// x", "//! x", "//! temp"].contains(&line) || line.starts_with("//! Placeholder")
    };
    for file in sources() {
        let listed = UNFINISHED_FILES.contains(&file.path.as_str());
        match file.text.lines().position(is_placeholder) {
            Some(at) if !listed => {
                complaints.push(format!("{}:{} is a placeholder", file.path, at + 1));
            }
            None if listed => complaints.push(format!("{} is finished: drop its row", file.path)),
            _ => {}
        }
    }
    complain(complaints);
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    let mut complaints = Vec::new();
    for file in sources() {
        for opening in
            [["#[al", "low("], ["#![al", "low("], ["#[ex", "pect("]].map(|halves| halves.concat())
        {
            for attribute in file.text.split(&opening).skip(1) {
                let attribute = attribute.split(")]").next().unwrap_or_default();
                if !attribute.contains("reason =") {
                    complaints
                        .push(format!("{}: `{opening}{attribute})]` gives no reason", file.path));
                }
            }
        }
    }
    complain(complaints);
}

#[test]
fn what_is_on_disk_or_on_the_wire_is_never_the_librarys_own_serialisation() {
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| file.path.starts_with("server/src/raft/")) {
        let hits = code_lines(&file.text).into_iter().filter(|(_, line)| line.contains("serde"));
        complaints.extend(hits.map(|(at, _)| {
            format!("{}:{at}: the raft library's types must not be serialised", file.path)
        }));
    }
    complain(complaints);
}
