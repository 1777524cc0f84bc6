//! Samples work: every file below `deploy/` is read the way its program would read it, and every flag in it is the server's.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use quorate_tidy::{flags, repository};
use serde_json::Value;

/// What a unit must say to be as confined as a member can be.
const HARDENING: &[&str] = &[
    "CapabilityBoundingSet",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "NoNewPrivileges",
    "PrivateDevices",
    "PrivateTmp",
    "ProtectHome",
    "ProtectKernelTunables",
    "ProtectSystem",
    "RestrictAddressFamilies",
    "SystemCallFilter",
];

fn used_flags() -> BTreeSet<String> {
    used_flags_of(flags::MANUAL)
}

fn used_flags_of(manual: &str) -> BTreeSet<String> {
    let listed = flags::listed_in(manual).into_iter();
    let used = listed.filter(|(_, row)| {
        !["No effect:", "Refused", "Always `"].iter().any(|mark| row.contains(mark))
    });
    used.map(|(name, _)| name).collect()
}

fn assert_flags_are_used(place: &str, text: &str) {
    let known = used_flags();
    for flag in flags::given(text) {
        assert!(
            known.contains(&flag),
            "{place} gives --{flag}, which is not a flag that has an effect"
        );
    }
}

fn yaml(path: &str, text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple::<Value>(text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn yaml_samples_parse() {
    let samples = repository::files(&[".yaml", ".yml"]);
    let below_deploy = samples.iter().filter(|sample| sample.path.starts_with("deploy/"));
    let mut read = 0;
    for sample in below_deploy {
        let documents = yaml(&sample.path, &sample.text);
        assert!(
            !documents.is_empty() && documents.iter().all(Value::is_object),
            "{}: not a list of objects",
            sample.path
        );
        read += 1;
    }
    assert!(read >= 2, "only {read} YAML samples were found");
}

#[test]
fn the_stateful_set_starts_all_members_at_once() {
    let sample = repository::file("deploy/kubernetes/quorate.yaml");
    let documents = yaml(&sample.path, &sample.text);
    let kinds: Vec<&str> =
        documents.iter().filter_map(|document| document["kind"].as_str()).collect();
    assert!(kinds.contains(&"Service") && kinds.contains(&"PodDisruptionBudget"), "{kinds:?}");
    let set = documents
        .iter()
        .find(|document| document["kind"] == "StatefulSet")
        .expect("there is a StatefulSet");
    // A cluster forms only when all are present, so one after the other would wait for ever.
    assert_eq!(set["spec"]["podManagementPolicy"], "Parallel");
    let peers =
        documents.iter().find(|d| d["kind"] == "Service" && d["spec"]["clusterIP"] == "None");
    assert_eq!(
        peers.expect("there is a headless service")["spec"]["publishNotReadyAddresses"],
        true
    );
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let args = container["args"].as_array().expect("the container has args");
    let args: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
    assert_flags_are_used(&sample.path, &args.join("\n"));
    let listed = args
        .iter()
        .find(|arg| arg.starts_with("--initial-cluster="))
        .expect("the members are listed");
    let replicas = set["spec"]["replicas"].as_u64().expect("there is a number of replicas");
    assert_eq!(listed.matches("=http://").count() as u64, replicas, "{listed} lists the replicas");
}

#[test]
fn the_compose_file_runs_three_members() {
    let sample = repository::file("deploy/compose/compose.yaml");
    let document = yaml(&sample.path, &sample.text).remove(0);
    let services = document["services"].as_object().expect("there are services");
    assert_eq!(services.len(), 3);
    for (name, service) in services {
        let command = service["command"].as_array().expect("a service has a command");
        let words: Vec<&str> = command.iter().filter_map(Value::as_str).collect();
        assert_flags_are_used(&format!("{} {name}", sample.path), &words.join("\n"));
        assert!(
            words.contains(&format!("--name={name}").as_str()),
            "{name} is called otherwise: {words:?}"
        );
    }
}

/// The `key=value` lines of a unit with the section each stands in, continued lines joined.
fn unit_lines(path: &str, text: &str) -> Vec<(String, String, String)> {
    let joined = text.replace("\\\n", " ");
    let mut section = String::new();
    let mut lines = Vec::new();
    for line in joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
    {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else {
            let (key, value) =
                line.split_once('=').unwrap_or_else(|| panic!("{path}: `{line}` is no assignment"));
            assert!(!section.is_empty(), "{path}: `{line}` stands before any section");
            lines.push((section.clone(), key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    lines
}

/// The programs that have a unit: name, manual, and what their variables begin with.
const UNITS: [(&str, &str, &str); 2] = [
    ("quorate-server", flags::MANUAL, "QUORATE_"),
    ("quorate-discovery", flags::DISCOVERY_MANUAL, "QUORATE_DISCOVERY_"),
];

#[test]
fn units_are_complete_and_confined() {
    for (program, manual, _) in UNITS {
        let unit = repository::file(&format!("deploy/systemd/{program}.service"));
        let lines = unit_lines(&unit.path, &unit.text);
        let value = |section: &str, key: &str| {
            lines
                .iter()
                .find(|(s, k, _)| s == section && k == key)
                .map(|(.., value)| value.as_str())
        };
        let sections: BTreeSet<&str> = lines.iter().map(|(section, ..)| section.as_str()).collect();
        assert_eq!(sections.into_iter().collect::<Vec<_>>(), ["Install", "Service", "Unit"]);
        let command = value("Service", "ExecStart").expect("the unit starts something");
        assert!(command.starts_with('/'), "{command}: the path must be absolute");
        let known = used_flags_of(manual);
        for flag in flags::given(command) {
            assert!(known.contains(&flag), "{}: {program} has no --{flag}", unit.path);
        }
        for key in HARDENING {
            assert!(value("Service", key).is_some(), "{} lacks {key}", unit.path);
        }
        let environment =
            value("Service", "EnvironmentFile").expect("the unit reads an environment file");
        assert!(environment.ends_with(&format!("/{program}.env")), "{environment}");
    }
}

#[test]
fn environment_files_set_flags() {
    for (program, manual, prefix) in UNITS {
        let sample = repository::file(&format!("deploy/systemd/{program}.env"));
        let known = used_flags_of(manual);
        let mut set = 0;
        for line in sample.text.lines().filter(|line| !line.is_empty()) {
            // A commented-out assignment is a sample, too.
            let assignment = line.trim_start_matches("# ");
            let Some((variable, _)) =
                assignment.split_once('=').filter(|(name, _)| name.starts_with(prefix))
            else {
                assert!(line.starts_with('#'), "{}: `{line}` sets nothing", sample.path);
                continue;
            };
            let stem = variable.strip_prefix(prefix).unwrap_or_default();
            let flag = stem.to_ascii_lowercase().replace('_', "-");
            assert!(known.contains(&flag), "{}: {variable} stands for no flag", sample.path);
            set += 1;
        }
        assert!(set > 0);
    }
}

#[test]
fn scripts_are_shell_and_can_be_run() {
    let scripts = repository::files(&[".sh", ".ci/run"]);
    assert!(scripts.len() >= 2, "only {} scripts were found", scripts.len());
    for script in scripts {
        let path = repository::root().join(&script.path);
        assert!(
            script.text.starts_with("#!/usr/bin/env bash\n"),
            "{} does not begin with bash's line",
            script.path
        );
        assert!(
            script.text.contains("\nset -euo pipefail\n"),
            "{} goes on after errors",
            script.path
        );
        let mode = path.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is not executable", script.path);
        let output = Command::new("bash").arg("-n").arg(&path).output().expect("bash runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_local_cluster_uses_flags_that_have_an_effect() {
    let script = repository::file("deploy/local/three-members.sh");
    // The script's own words (`start`, `stop`) are no flags, so each `--` in it is the server's or cargo's.
    let server_lines = script.text.lines().filter(|line| line.trim_start().starts_with("--"));
    let text: String = server_lines.collect::<Vec<_>>().join("\n");
    assert!(text.contains("--initial-cluster"), "the flags are expected on lines of their own");
    assert_flags_are_used(&script.path, &text);
}
