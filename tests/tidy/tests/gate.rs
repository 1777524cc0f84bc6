//! The gate: what `.ci/run` runs is what the README tells people to run, and nothing that is banned gets in.

use quorate_tidy::{markdown, repository};

/// The heading of the README's section that says how to test.
const TEST_HEADING: &str = "## Test";

/// The command that the README gives for testing.
fn readme_test_command() -> String {
    let readme = repository::file("README.md").text;
    let (_, section) =
        readme.split_once(&format!("\n{TEST_HEADING}\n")).expect("the README says how to test");
    let block = markdown::blocks(section).into_iter().next().expect("and gives a command");
    block.text.trim().to_owned()
}

#[test]
fn the_gate_runs_the_readmes_test_command() {
    let command = readme_test_command();
    assert!(
        command.starts_with("cargo test ") && !command.contains('\n'),
        "`{command}` is not one cargo command"
    );
    let gate = repository::file(".ci/run").text;
    let steps = gate.lines().filter(|line| line.starts_with("step "));
    let found = steps.filter(|line| line.ends_with(&format!(" {command}"))).count();
    assert_eq!(found, 1, ".ci/run must run exactly one step with `{command}`");
}

#[test]
fn the_gate_has_all_its_steps_in_order() {
    let gate = repository::file(".ci/run").text;
    let steps = [
        "cargo fmt --all --check",
        "cargo clippy --workspace --all-targets -- -D warnings",
        "cargo doc --workspace --no-deps",
    ];
    let places: Vec<usize> = steps
        .iter()
        .map(|step| gate.find(step).unwrap_or_else(|| panic!(".ci/run lacks `{step}`")))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(
        gate.contains("QUORATE_REQUIRE_INTEROP=1"),
        "the gate must not pass without comparing with etcd"
    );
}

#[test]
fn contributors_are_told_the_same_commands() {
    let page = repository::file("CONTRIBUTING.md").text;
    for command in [
        readme_test_command().as_str(),
        "cargo fmt --all --check",
        "cargo clippy --workspace --all-targets -- -D warnings",
    ] {
        assert!(page.contains(command), "CONTRIBUTING.md does not mention `{command}`");
    }
}

/// The names in `deny.toml`'s list of banned packages.
fn banned() -> Vec<String> {
    let rules = repository::file("deny.toml").text;
    let (_, bans) = rules.split_once("\n[bans]\n").expect("deny.toml bans packages");
    let names = bans
        .lines()
        .filter_map(|line| line.trim().strip_prefix("{ crate = \"")?.split(['"', '@', ':']).next());
    names.map(str::to_owned).collect()
}

#[test]
fn banned_packages_are_absent() {
    let banned = banned();
    for name in [
        "bincode",
        "fxhash",
        "instant",
        "protobuf",
        "rustls-pemfile",
        "serde_yaml",
        "serde_yml",
        "sled",
    ] {
        assert!(banned.iter().any(|found| found == name), "deny.toml no longer bans {name}");
    }
    let lock = repository::file("Cargo.lock").text;
    let packages: Vec<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    assert!(packages.contains(&"quorate-core"), "Cargo.lock lists the workspace");
    // A ban that names versions is left to the tool that reads them.
    let found: Vec<_> = banned
        .iter()
        .filter(|name| *name != "protobuf" && packages.contains(&name.as_str()))
        .collect();
    assert!(found.is_empty(), "{found:?} are banned by deny.toml");
}

#[test]
fn the_toolchain_is_the_same_everywhere() {
    let manifest = repository::file("Cargo.toml").text;
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \""))
        .expect("there is one");
    let version = version.trim_end_matches('"');
    for page in ["README.md", "CONTRIBUTING.md", "deploy/compose/Dockerfile"] {
        assert!(
            repository::file(page).text.contains(version),
            "{page} does not name Rust {version}"
        );
    }
}
