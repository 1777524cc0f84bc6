//! Golden dialogues: the scripts in `testdata/` say what goes in (`> command`) and what must come out (the lines below
//! it).
//!
//! After a wanted change of behaviour run `QUORATE_RECORD=1 cargo test -p quorate-core --test dialogues` and read the
//! diff in review. A dialogue begins on a machine with one member, started, at store index 3, as a fresh single member
//! of etcd does.

#![expect(clippy::unwrap_used, reason = "a broken script or an unreadable file fails the test")]

#[path = "dialogues/script.rs"]
mod script;

use std::path::{Path, PathBuf};

#[test]
fn dialogues_go_as_written() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for whoever runs the test, not an input of the machine"
    )]
    let is_recording = std::env::var("QUORATE_RECORD").is_ok();
    let mut failures = Vec::new();
    for path in script_paths() {
        let text = std::fs::read_to_string(&path).unwrap();
        let actual = script::replay(&text);
        if is_recording {
            std::fs::write(&path, &actual).unwrap();
        } else if let Some(difference) = first_difference(&text, &actual) {
            failures.push(format!("{}: {difference}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn script_paths() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(!paths.is_empty(), "the dialogues are missing");
    paths
}

fn first_difference(expected: &str, actual: &str) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (mut expected, mut actual) = (expected.lines(), actual.lines());
    for line in 1.. {
        let (want, got) = (expected.next(), actual.next());
        if want != got || want.is_none() {
            return Some(format!(
                "line {line}\n  written: {}\n  actual:  {}",
                want.unwrap_or("(end)"),
                got.unwrap_or("(end)")
            ));
        }
    }
    None
}
