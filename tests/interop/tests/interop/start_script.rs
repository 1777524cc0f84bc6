//! Start scripts made for etcd: the same flags, environment and configuration file start both programs.

use std::fs;
use std::time::Duration;

use quorate_harness::{
    Cluster, Exit, Member, Program, Request, eventually, skip_without_etcd, wait_until,
};
use quorate_interop_tests::subject_program;

const SOON: Duration = Duration::from_secs(30);
/// A wrong flag is seen before anything else is done.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

/// Runs `check` on a laid out, not yet started member of each program.
fn on_both(
    setup: impl Fn(quorate_harness::Builder) -> quorate_harness::Builder,
    check: impl Fn(&Member),
) {
    if skip_without_etcd() {
        return;
    }
    for program in [Program::Etcd, subject_program()] {
        let cluster = setup(Cluster::builder(program)).prepare();
        check(&cluster.member(0));
    }
}

/// It serves, under its own name and URLs.
fn serves(member: &Member, name: &str) {
    member.start();
    member.wait_ready(SOON);
    let list = member.http().send(&Request::get("/v2/members")).expect("an answer").json();
    let own = &list["members"][0];
    assert_eq!(own["name"], name, "{}: {own}", member.program());
    assert_eq!(own["clientURLs"][0], member.client_url(), "{}: {own}", member.program());
    assert_eq!(own["peerURLs"][0], member.peer_url(), "{}: {own}", member.program());
    assert_eq!(member.keys().put("/a", "1").expect("an answer").status, 201);
}

#[test]
fn flags_with_one_dash_and_values_apart() {
    on_both(
        |builder| builder,
        |member| {
            let flags = member.flags();
            let apart = flags.iter().flat_map(|flag| {
                let (name, value) = flag.trim_start_matches("--").split_once('=').expect("a value");
                // A boolean takes no separate value; bare, it is true.
                let value = (name != "enable-v2").then(|| value.to_owned());
                [Some(format!("-{name}")), value].into_iter().flatten().collect::<Vec<_>>()
            });
            member.set_flags(apart.collect());
            serves(member, "m1");
        },
    );
}

#[test]
fn the_last_of_repeated_flags_wins() {
    on_both(
        |builder| builder,
        |member| {
            let mut flags = vec![
                "--name=other".to_owned(),
                "--enable-v2=false".to_owned(),
                "-name=third".to_owned(),
            ];
            flags.extend(member.flags());
            member.set_flags(flags);
            serves(member, "m1");
        },
    );
}

#[test]
fn flags_that_matter_little_are_taken() {
    let extra = [
        "--heartbeat-interval=100",
        "--election-timeout=1000",
        "--snapshot-count=10000",
        "--max-snapshots=5",
        "--max-wals=5",
        "--cors=*",
        "--strict-reconfig-check",
        "--initial-election-tick-advance=true",
        "--pre-vote=true",
        "--quota-backend-bytes=0",
        "--auto-compaction-retention=0",
        "--auto-compaction-mode=periodic",
        "--max-request-bytes=1572864",
        "--enable-pprof=false",
        "--logger=zap",
        "--log-level=info",
        "--log-outputs=stderr",
        "--metrics=basic",
        "--proxy=off",
        "--discovery-fallback=exit",
    ];
    on_both(
        |builder| extra.iter().fold(builder, |builder, flag| builder.flag(*flag)),
        |member| serves(member, "m1"),
    );
}

#[test]
fn the_environment_alone() {
    on_both(
        |builder| builder,
        |member| {
            let flags = member.flags();
            let variables = flags.iter().map(|flag| {
                let (name, value) = flag.trim_start_matches("--").split_once('=').expect("a value");
                (format!("ETCD_{}", name.replace('-', "_").to_uppercase()), value.to_owned())
            });
            member.set_environment(variables.collect());
            member.set_flags(Vec::new());
            serves(member, "m1");
        },
    );
}

#[test]
fn a_configuration_file_alone() {
    on_both(
        |builder| builder,
        |member| {
            let flags = member.flags();
            let lines = flags.iter().map(|flag| {
                let (name, value) = flag.trim_start_matches("--").split_once('=').expect("a value");
                let value =
                    if name == "enable-v2" { value.to_owned() } else { format!("'{value}'") };
                format!("{name}: {value}\n")
            });
            let file = member.data_dir().with_extension("yaml");
            fs::write(&file, lines.collect::<String>()).expect("a file");
            member.set_flags(vec![format!("--config-file={}", file.display())]);
            serves(member, "m1");
        },
    );
}

#[test]
fn a_restart_ignores_the_bootstrap_flags() {
    on_both(
        |builder| builder,
        |member| {
            serves(member, "m1");
            member.kill9();
            let flags = member.flags();
            let changed = flags.iter().map(|flag| match flag.split_once('=') {
                Some(("--initial-cluster-state", _)) => {
                    "--initial-cluster-state=existing".to_owned()
                }
                Some(("--initial-cluster-token", _)) => "--initial-cluster-token=other".to_owned(),
                _ => flag.clone(),
            });
            member.set_flags(changed.collect());
            member.start();
            member.wait_ready(SOON);
            assert_eq!(member.keys().get("/a").expect("an answer").value(), Some("1"));
        },
    );
}

#[test]
fn the_version_is_told_as_scripts_read_it() {
    on_both(
        |builder| builder,
        |member| {
            member.set_flags(vec!["--version".to_owned()]);
            member.start();
            assert_eq!(member.wait_exit(SOON), Exit::Code(0));
            let text = member.log_text();
            let read = text.lines().any(|line| line.starts_with("etcd Version: 3.4."));
            assert!(read, "{}: {text}", member.program());
            let program = text.split([' ', '-']).next().unwrap_or_default();
            assert!(member.program().name().starts_with(program), "{}: {text}", member.program());
        },
    );
}

#[test]
fn readiness_is_logged_in_the_words_supervisors_wait_for() {
    on_both(
        |builder| builder,
        |member| {
            serves(member, "m1");
            wait_until("the log says that it serves", SOON, || {
                member.log_text().contains("ready to serve client requests")
            });
        },
    );
}

#[test]
fn mistakes_end_the_start_with_the_same_exit_code() {
    let mistakes = [
        ("--no-such-flag=1", 2),
        ("--heartbeat-interval=x", 2),
        ("--initial-cluster-state=maybe", 2),
        ("--listen-client-urls=nonsense", 2),
        ("--election-timeout=60000", 1),
        ("--initial-cluster=other=http://127.0.0.1:1", 1),
        ("--initial-advertise-peer-urls=http://127.0.0.1:1", 1),
        ("--listen-client-urls=http://localhost.example:1", 1),
    ];
    let wrong = std::cell::RefCell::new(Vec::new());
    for (flag, code) in mistakes {
        on_both(
            |builder| builder.flag(flag),
            |member| {
                member.start();
                let ended = eventually(REFUSED_WITHIN, || !member.is_running());
                let exit = member.last_exit().filter(|_| ended);
                if exit != Some(Exit::Code(code)) || member.log_text().trim().is_empty() {
                    let program = member.program();
                    wrong
                        .borrow_mut()
                        .push(format!("{program} with {flag}: {exit:?} in place of {code}"));
                }
            },
        );
    }
    let wrong = wrong.into_inner();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
