//! The program from outside: subcommands, exit codes and the JSON it writes, against the in-process responder.

use std::process::{Command, Output};

use quorate_bench::responder::{Responder, Stall};

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate-bench"))
        .args(args)
        .output()
        .expect("the program starts")
}

#[test]
fn a_load_prints_a_table_and_writes_every_record() {
    let responder = Responder::start(None, || ()).expect("a responder");
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("records.json");
    let output = bench(&[
        "load",
        &format!("--endpoint=http://{}", responder.address()),
        &format!("--pid={}", std::process::id()),
        "--rounds=2",
        "--warmup=0",
        "--duration=0.2",
        "--connections=4",
        "--markdown",
        &format!("--json={}", json.display()),
    ]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("| write, 4 connections | throughput, req/s |"), "{text}");
    let records: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).expect("the file")).expect("JSON");
    assert_eq!(records["records"].as_array().map(Vec::len), Some(2));
    assert!(records["records"][1]["invalid"].is_null(), "{records}");
    let names: Vec<_> = records["records"][0]["metrics"]
        .as_array()
        .expect("metrics")
        .iter()
        .map(|metric| metric["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        names,
        [
            "throughput",
            "p50",
            "p99",
            "p99.9",
            "max",
            "server CPU",
            "generator CPU",
            "answered",
            "errors"
        ]
    );
}

#[test]
fn too_many_errors_make_the_exit_code_say_so() {
    let stall = Stall { after_requests: 50, span: std::time::Duration::from_millis(700) };
    let responder = Responder::start(Some(stall), || ()).expect("a responder");
    let output = bench(&[
        "load",
        &format!("--endpoint={}", responder.address()),
        "--warmup=0",
        "--duration=5",
        "--requests-max=500",
        "--request-timeout=0.1",
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        String::from_utf8_lossy(&output.stdout)
            .contains("INVALID target round 1: write, 64 connections")
    );
}

#[test]
fn nothing_to_measure_says_what_to_do() {
    for (args, advice) in [
        (&["load"][..], "--subject NAME=PATH"),
        (&["compare", "--subject=x=/no/such/program"], "build or install it first"),
        (&["load", "--endpoint=https://127.0.0.1:1"], "only plain http"),
        (&["load", "--subject=sh=/bin/sh", "--data-root=/dev/shm"], "--data-root"),
    ] {
        let output = bench(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(advice), "{args:?}: {text}");
    }
}

/// Every watcher is told of every event: held by this program alone, or by workers when it may not open enough files.
#[test]
fn a_fan_out_tells_all_watchers_from_one_process_or_several() {
    for files in [400, 2_000] {
        let responder = Responder::start(None, || ()).expect("a responder");
        let script = format!(
            "ulimit -n {files} && exec \"$0\" watch --watchers=300 --events=3 --endpoint={} --pid={} --json=\"$1\"",
            responder.address(),
            std::process::id()
        );
        let folder = tempfile::tempdir().expect("a folder");
        let json = folder.path().join("records.json");
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_quorate-bench")])
            .arg(&json)
            .output()
            .expect("a shell");
        assert!(
            output.status.success(),
            "{files} files: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let records: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&json).expect("the file")).expect("JSON");
        let told = &records["records"][0]["metrics"][0];
        assert_eq!(told["name"], "all told");
        assert!(told["value"].as_f64().is_some_and(|ms| ms > 0.0), "{records}");
        assert_eq!(
            responder.served(),
            2 + 3 + 3 * 300,
            "leader, key, events, and each watcher's watches"
        );
    }
}

/// A program that ends at once must be reported with its log, not waited for.
#[test]
fn a_subject_that_dies_is_reported() {
    let output = bench(&["formation", "--subject=ls=/bin/ls"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("ended by itself") && text.contains("unrecognized option"), "{text}");
}
