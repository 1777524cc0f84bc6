//! The command line: every way of writing a flag that scripts for etcd use, and every way to get it wrong.

mod config_process;

use std::path::Path;
use std::time::Duration;

use config_process::{config, load, loaded, printed, refusal};
use quorate_server::config::flags::{self, Meaning};
use quorate_server::config::value::Kind;
use quorate_server::config::{Config, Origin, Request};

#[test]
fn no_flags_at_all_make_a_member_that_works() {
    let config = config(&[]);
    assert_eq!(config.name, "default");
    assert_eq!(config.data_dir, Path::new("default.etcd"));
    assert_eq!(config.initial_cluster.to_string(), "default=http://localhost:2380");
    assert_eq!(config.heartbeat_interval, Duration::from_millis(50));
    assert_eq!(config.election_timeout, Duration::from_millis(300));
    assert_eq!(config.verify_forming(&|_| Vec::new()), Ok(()));
    assert_eq!(loaded(&[], &[]).settings.warnings(), [""; 0]);
}

#[test]
fn one_dash_or_two_and_a_value_after_equals_or_in_the_next_argument() {
    for args in [&["-name", "x"][..], &["-name=x"], &["--name", "x"], &["--name=x"]] {
        assert_eq!(config(args).name, "x", "{args:?}");
    }
}

#[test]
fn the_next_argument_is_the_value_whatever_it_begins_with() {
    assert_eq!(config(&["--name", "--debug"]).name, "--debug");
    assert_eq!(config(&["-name", "a=b"]).name, "a=b");
    assert_eq!(config(&["--name=a=b"]).name, "a=b");
}

#[test]
fn of_a_flag_given_more_than_once_the_last_counts() {
    assert_eq!(config(&["--name=a", "-name", "b", "--name", "c"]).name, "c");
    assert!(
        config(&["--strict-reconfig-check=false", "--strict-reconfig-check"]).strict_reconfig_check
    );
}

#[test]
fn a_boolean_stands_alone_or_takes_its_value_after_equals() {
    let strict = |config: Config| config.strict_reconfig_check;
    for (args, expected) in [
        (&["-strict-reconfig-check"][..], true),
        (&["--strict-reconfig-check=true"], true),
        (&["--strict-reconfig-check=false"], false),
        (&["-strict-reconfig-check=0"], false),
        (&["-strict-reconfig-check=F", "--name", "x"], false),
        (&["--strict-reconfig-check", "--name", "x"], true),
    ] {
        assert_eq!(strict(config(args)), expected, "{args:?}");
    }
}

#[test]
fn errors_of_the_command_line_end_with_2_and_say_what_to_do() {
    let cases: &[(&[&str], &str)] = &[
        (&["--nmae", "x"], "unexpected argument '--nmae' found"),
        (&["--nmae", "x"], "a similar argument exists: '--name'"),
        (&["-nmae=x"], "a similar argument exists: '--name'"),
        (&["stray"], "unexpected argument 'stray' found"),
        (&["--name", "x", "--", "--debug"], "unexpected argument"),
        (&["--name"], "flag needs an argument: --name=TEXT"),
        (
            &["--heartbeat-interval=abc"],
            "invalid value \"abc\" for --heartbeat-interval (command line): expected a whole",
        ),
        (&["--heartbeat-interval=100ms"], "such as 100, without a unit"),
        (&["--heartbeat-interval="], "invalid value \"\" for --heartbeat-interval"),
        (&["--snapshot-count", "-1"], "expected a whole number, 0 or more"),
        (
            &["--debug=maybe"],
            "invalid value \"maybe\" for --debug (command line): expected true or false",
        ),
        (
            &["--debug", "false"],
            "'false' is not a valid flag. If it belongs to --debug, write --debug=false",
        ),
        (&["--initial-cluster-state=old"], "expected one of new, existing, auto"),
        (&["--log-level=loud"], "expected one of debug, info, warn, error"),
        (
            &["--listen-client-urls=localhost:2379"],
            "URL scheme must be http, https or unix: localhost:2379",
        ),
        (&["--initial-cluster=a"], "\"a\" is not of the form NAME=PEER-URL"),
        (&["--grpc-keepalive-timeout=20"], "expected a duration with its unit"),
    ];
    for (args, text) in cases {
        let error = refusal(args, &[]);
        assert!(error.to_string().contains(text), "{args:?}: {error}");
        assert_eq!(error.exit_code(), 2, "{args:?}");
    }
}

#[test]
fn no_arguments_make_it_panic() {
    let pieces = [
        "-", "--", "---", "=", "-=", "--=x", "--name", "-name=", "--debug", "-v", "x", "", "--é",
        "-h=1", "--help=x",
    ];
    for first in pieces {
        for second in pieces {
            drop(load(&[first, second], &[]));
            drop(load(&["--name", first, second], &[]));
        }
    }
}

#[test]
fn an_argument_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let process = quorate_server::config::Process {
        args: vec!["--name".into(), std::ffi::OsString::from_vec(vec![b'a', 0xff])],
        environment: Vec::new(),
        default_route: &|| None,
    };
    let error = quorate_server::config::load(&process).expect_err("not UTF-8");
    assert!(error.to_string().starts_with("argument 2 ("), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn an_empty_value_is_none_except_where_that_would_be_a_surprise() {
    assert_eq!(
        config(&["--data-dir=", "--wal-dir=", "--discovery="]).data_dir,
        Path::new("default.etcd")
    );
    for args in [
        &["--initial-cluster="][..],
        &["--initial-cluster", ""],
        &["--name="],
        &["--initial-cluster=,"],
    ] {
        let error = refusal(args, &[]);
        assert!(error.to_string().contains(" is empty (command line); "), "{args:?}: {error}");
        assert_eq!(error.exit_code(), 1);
    }
}

#[test]
fn version_begins_with_the_program_and_has_the_line_that_scripts_for_etcd_read() {
    for args in [&["--version"][..], &["-version"], &["--version=true", "--name=x"]] {
        let text = printed(args, &[]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("quorate-server ")
                && lines[0].ends_with(env!("CARGO_PKG_VERSION")),
            "{text}"
        );
        assert!(lines[1].starts_with("etcd Version: 3.4."), "{text}");
    }
    assert!(matches!(load(&["--version=false"], &[]), Ok(Request::Run(_))));
}

#[test]
fn help_is_printed_in_every_spelling() {
    for args in [["-h"], ["--help"], ["-help"]] {
        assert!(printed(&args, &[]).contains("--listen-client-urls"), "{args:?}");
    }
}

#[test]
fn every_flag_without_effect_is_accepted_with_a_warning_that_names_it() {
    for flag in flags::all() {
        let given = match flag.meaning {
            Meaning::Ignored(_) => format!("--{}={}", flag.name, flag.default),
            Meaning::Fixed { value, .. } => match flag.kind {
                Kind::Choice(choices) => {
                    let other = choices.iter().find(|it| **it != value).expect("another choice");
                    format!("--{}={other}", flag.name)
                }
                _ => format!("--{}={}", flag.name, value != "true"),
            },
            _ => continue,
        };
        let given = if flag.default.is_empty() { format!("--{}=5s", flag.name) } else { given };
        let loaded = loaded(&[&given], &[]);
        let expected = format!("--{} (command line) has no effect: ", flag.name);
        assert!(
            loaded.settings.warnings()[0].starts_with(&expected),
            "{given}: {:?}",
            loaded.settings.warnings()
        );
    }
}

#[test]
fn what_happens_anyway_can_be_asked_for_in_silence() {
    let args = [
        "--enable-v2",
        "--enable-v2=true",
        "--pre-vote",
        "--unsafe-no-fsync=false",
        "--auto-tls=false",
    ];
    let args = [&args[..], &["--proxy=off", "--cert-file=", "--client-cert-auth=f"]].concat();
    assert_eq!(loaded(&args, &[]).settings.warnings(), [""; 0]);
}

#[test]
fn every_flag_of_a_missing_family_is_refused_by_its_name() {
    for flag in flags::all() {
        let Meaning::NotYet(family) = flag.meaning else { continue };
        let value = match flag.default {
            "false" => "true",
            "off" => "on",
            _ => "x",
        };
        let error = refusal(&[&format!("--{}={value}", flag.name)], &[]);
        let expected = format!(
            "--{} (command line) asks for {}, which this release",
            flag.name,
            family.title()
        );
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
}

#[test]
fn old_names_are_known() {
    let loaded = loaded(&["-ca-file", "/ca.pem"], &[]);
    assert_eq!(loaded.settings.text("trusted-ca-file"), "/ca.pem");
    let error = refusal(&["-peer-addr", "10.0.0.1:7001"], &[]).to_string();
    assert!(error.ends_with("use --initial-advertise-peer-urls"), "{error}");
    let outputs = |args| config(args).logging.outputs.len();
    assert_eq!(outputs(&["--log-output=stderr,stdout"]), 2);
    assert_eq!(outputs(&["--log-output=stderr,stdout", "--log-outputs=stderr"]), 1);
}

#[test]
fn dropped_flags_of_version_2_take_a_value_only_after_equals_as_in_etcd() {
    let loaded = loaded(&["-v", "-peer-heartbeat-interval=5", "-name", "x"], &[]);
    assert_eq!(loaded.config.name, "x");
    assert_eq!(loaded.settings.warnings().len(), 2);
}

#[test]
fn etcd_knows_no_flag_that_is_missing_here() {
    for line in include_str!("config_golden/etcd-3.4.23-flags.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        assert!(flags::find(line).is_some(), "--{line} is a flag of etcd 3.4.23");
    }
}

#[test]
fn each_value_remembers_where_it_came_from() {
    let loaded = loaded(&["--name=x"], &[]);
    assert_eq!(loaded.settings.origin("name"), Origin::CommandLine);
    assert_eq!(loaded.settings.origin("data-dir"), Origin::Derived("from --name"));
    assert_eq!(loaded.settings.origin("max-wals"), Origin::Default);
}
