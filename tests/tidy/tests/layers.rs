//! The direction of dependencies: what may know what. Purity and layering are tested here, not promised.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use quorate_tidy::repository;
use quorate_tidy::rust_source::code_lines;
use serde_json::Value;

/// What the crates that are shipped may depend on inside of the workspace.
const LAYERS: &[(&str, &[&str])] = &[
    ("quorate-core", &[]),
    ("quorate-transport", &[]),
    ("quorate-client", &["quorate-core", "quorate-transport"]),
    ("quorate-server", &["quorate-core", "quorate-transport"]),
    // It may keep its tokens in a member of its own, without a port.
    (
        "quorate-discovery",
        &["quorate-core", "quorate-transport", "quorate-client", "quorate-server"],
    ),
];

/// All that the pure crate may use: data structures, encodings, hashes. No runtime, no clock, no sockets.
const PURE: &[&str] = &["bytes", "imbl", "prost", "sha1", "thiserror"];

/// The raft library, and the one folder that may name it.
const RAFT_LIBRARY: &str = "openraft";
const RAFT_FOLDER: &str = "server/src/raft/";
/// Names it once, as the target of its log lines, in the filter that keeps them down.
const RAFT_LOG_FILTER: &str = "server/src/logging.rs";
/// The one file that changes the replicated state.
const THE_DOOR: &str = "server/src/raft/apply.rs";

/// Package name to the names of its dependencies, those for tests and builds left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(repository::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let named = packages.iter().map(|package| {
        let all = package["dependencies"].as_array().expect("a package has dependencies").iter();
        let normal = all.filter(|dependency| dependency["kind"].is_null());
        let names = normal.map(|dependency| text(&dependency["name"]));
        (text(&package["name"]), names.collect())
    });
    named.collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn dependencies_run_one_way() {
    let all = dependencies();
    let ours: BTreeSet<&String> = all.keys().collect();
    for (name, allowed) in LAYERS {
        let used = all.get(*name).unwrap_or_else(|| panic!("there is no package {name}"));
        for dependency in used.iter().filter(|dependency| ours.contains(dependency)) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn nothing_that_is_shipped_depends_on_tests() {
    let all = dependencies();
    let tests: BTreeSet<&String> =
        all.keys().filter(|name| !LAYERS.iter().any(|(shipped, _)| name == shipped)).collect();
    assert!(!tests.is_empty());
    for (name, _) in LAYERS {
        let used =
            all.get(*name).into_iter().flatten().find(|dependency| tests.contains(dependency));
        assert_eq!(used, None, "{name} depends on a test crate");
    }
}

#[test]
fn the_core_is_pure() {
    let all = dependencies();
    let unexpected: Vec<_> =
        all["quorate-core"].iter().filter(|name| !PURE.contains(&name.as_str())).collect();
    assert!(
        unexpected.is_empty(),
        "core depends on {unexpected:?}: a replica must not be able to read clocks, files or chance"
    );
    let impure = [
        "async fn",
        ".await",
        "::now(",
        "std::fs",
        "std::net",
        "std::env",
        "std::thread",
        "HashMap",
        "HashSet",
    ];
    for file in repository::files(&[".rs"]).iter().filter(|file| file.path.starts_with("core/src/"))
    {
        for (at, line) in code_lines(&file.text) {
            let found = impure.iter().find(|word| line.contains(**word));
            assert_eq!(found, None, "{}:{at}: {line}", file.path);
        }
    }
}

#[test]
fn the_registry_is_pure() {
    // Decisions about tokens: facts and a time in, an answer and a record out.
    let impure = [
        "async fn",
        ".await",
        "::now(",
        "std::fs",
        "std::net::Tcp",
        "std::env",
        "std::thread",
        "HashMap",
        "crate::store",
        "crate::service",
        "tokio::",
    ];
    let files = repository::files(&[".rs"]);
    let mut read = 0;
    for file in files.iter().filter(|file| file.path.starts_with("discovery/src/registry/")) {
        read += 1;
        for (at, line) in code_lines(&file.text) {
            let found = impure.iter().find(|word| line.contains(**word));
            assert_eq!(found, None, "{}:{at}: {line}", file.path);
        }
    }
    assert!(read > 5, "has the registry moved?");
}

#[test]
fn one_folder_names_the_raft_library() {
    let all = dependencies();
    let users: Vec<_> =
        all.iter().filter(|(_, used)| used.contains(RAFT_LIBRARY)).map(|(name, _)| name).collect();
    assert_eq!(users, ["quorate-server"]);
    let mut named_there = false;
    for file in
        repository::files(&[".rs"]).iter().filter(|file| file.path.starts_with("server/src/"))
    {
        let naming =
            code_lines(&file.text).into_iter().find(|(_, line)| line.contains(RAFT_LIBRARY));
        let inside = file.path.starts_with(RAFT_FOLDER) || file.path == RAFT_LOG_FILTER;
        named_there |= inside && naming.is_some();
        assert!(
            inside || naming.is_none(),
            "{}:{naming:?}: only {RAFT_FOLDER} names {RAFT_LIBRARY}",
            file.path
        );
    }
    assert!(named_there, "{RAFT_FOLDER} does not name {RAFT_LIBRARY}: has it moved?");
}

#[test]
fn one_file_changes_the_replicated_state() {
    let changes = ["machine.apply(", "machine.apply_roster(", "Machine::apply"];
    let mut doors = BTreeSet::new();
    for file in repository::files(&[".rs"]) {
        let is_caller =
            file.path.starts_with("server/src/") || file.path.starts_with("transport/src/");
        let code = code_lines(&file.text);
        if is_caller
            && code.iter().any(|(_, line)| changes.iter().any(|change| line.contains(change)))
        {
            doors.insert(file.path);
        }
    }
    assert_eq!(doors.into_iter().collect::<Vec<_>>(), [THE_DOOR]);
}

#[test]
fn the_parts_of_the_server_know_only_what_they_may() {
    // Who must not name whom: a folder, and paths that must not occur in its code.
    let barred: &[(&str, &[&str])] = &[
        (
            "server/src/storage/",
            &["crate::raft", "crate::client_api", "crate::peer_api", "crate::node"],
        ),
        (
            "server/src/client_api/",
            &["crate::raft", "crate::storage", "crate::peer_api", "crate::node"],
        ),
        (
            "server/src/config/",
            &["crate::raft", "crate::storage", "crate::node", "crate::client_api"],
        ),
        ("server/src/watch/", &["crate::raft", "crate::storage", "crate::client_api"]),
    ];
    for file in repository::files(&[".rs"]) {
        let rules = barred.iter().filter(|(folder, _)| file.path.starts_with(folder));
        for (folder, names) in rules {
            for (at, line) in code_lines(&file.text) {
                let found = names.iter().find(|name| line.contains(**name));
                assert_eq!(found, None, "{}:{at}: {folder} must not know that", file.path);
            }
        }
    }
}
