//! The inputs that fuzzing found worth keeping, tried again with an ordinary compiler.
//!
//! They are in `fuzz/seeds`, a folder for each target. The folder stays small, so that this is a test and no campaign.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_fuzz_targets::TARGETS;

const FILES_MAX: usize = 200;
const BYTES_MAX: u64 = 200 << 10;

fn seeds() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.join("../../fuzz/seeds")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let list = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = list.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn recorded_inputs_break_no_promise() {
    for target in TARGETS {
        let inputs = files(&seeds().join(target.name));
        assert!(!inputs.is_empty(), "{} has no recorded input", target.name);
        for path in inputs {
            let input = fs::read(&path).expect("a recorded input");
            // Named first: a panic in a thread of the target's own would not say which it was.
            println!("{} {}", target.name, path.display());
            (target.run)(&input);
        }
    }
}

#[test]
fn empty_and_plain_inputs_break_no_promise() {
    for target in TARGETS {
        (target.run)(b"");
        for byte in [0, 1, b'\n', b'/', 255] {
            (target.run)(&[byte]);
            (target.run)(&[byte; 64]);
        }
    }
}

#[test]
fn recorded_inputs_are_few_and_belong_to_targets() {
    let folders = files(&seeds());
    let mut names: Vec<String> =
        folders.iter().map(|path| path.file_name().unwrap().to_string_lossy().into()).collect();
    names.sort();
    assert_eq!(names, TARGETS.map(|target| target.name));
    let all: Vec<PathBuf> = folders.iter().flat_map(|folder| files(folder)).collect();
    let bytes: u64 = all.iter().map(|path| fs::metadata(path).expect("a file").len()).sum();
    assert!(all.len() <= FILES_MAX, "{} files", all.len());
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
}

#[test]
fn every_target_has_a_binary() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut binaries: Vec<String> = files(&manifest.join("fuzz_targets"))
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into())
        .collect();
    binaries.sort();
    assert_eq!(binaries, TARGETS.map(|target| target.name));
    let manifest = fs::read_to_string(manifest.join("Cargo.toml")).expect("fuzz/Cargo.toml");
    for target in TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
    }
}
