//! What people see, whole: the help, the printed configuration, errors, and the manual. Each is compared with a
//! file; `QUORATE_RECORD=1` writes the files anew, to be read in review.

mod config_process;

use std::fs;
use std::path::PathBuf;

use config_process::{load, printed, refusal};
use quorate_server::config::{Request, manual};

fn compare(path: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("QUORATE_RECORD").is_some() {
        fs::write(&path, actual).expect("the file can be written");
        return;
    }
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        recorded,
        actual,
        "{} is stale: run again with QUORATE_RECORD=1 and review it",
        path.display()
    );
}

/// Runs of spaces made two: how wide a column is depends on where the checkout lies.
fn squeezed(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words: Vec<&str> =
            line.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect();
        words.join("  ") + "\n"
    });
    lines.collect()
}

#[test]
fn the_help_is_as_recorded() {
    compare("tests/config_golden/help.txt", &printed(&["--help"], &[]));
}

#[test]
fn the_manual_is_made_from_the_table() {
    compare("../docs/configuration.md", &manual::markdown());
}

#[test]
fn the_printed_configuration_is_as_recorded() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config_golden/etcd.conf.yml");
    let args =
        ["--config-file", file, "-election-timeout=2000", "--print-config", "--max-txn-ops=9"];
    let environment = [
        ("ETCD_NAME", "m1"),
        ("QUORATE_MAX_WALS", "0"),
        ("ETCD_NAEM", "x"),
        ("ETCD_ELECTION_TIMEOUT", "5"),
    ];
    let Ok(Request::Print { text, warnings }) = load(&args, &environment) else {
        panic!("it should print")
    };
    let whole = format!("{text}\n{}\n", warnings.join("\n"));
    let whole = whole.replace(env!("CARGO_MANIFEST_DIR"), "DIR");
    compare("tests/config_golden/print-config.txt", &squeezed(&whole));
}

#[test]
fn the_printed_defaults_are_as_recorded() {
    compare("tests/config_golden/print-defaults.txt", &printed(&["--print-config"], &[]));
}

#[test]
fn errors_are_as_recorded() {
    let cases: &[&[&str]] = &[
        &["--nmae", "x"],
        &["--zebra"],
        &["stray"],
        &["--name"],
        &["--debug", "false"],
        &["--heartbeat-interval=100ms"],
        &["--initial-cluster-state=old"],
        &["--initial-cluster="],
        &["--listen-client-urls=http://0.0.0.0:2379"],
        &["--listen-client-urls=https://0.0.0.0:2379", "--advertise-client-urls=https://a:2379"],
        &["--heartbeat-interval=100", "--election-timeout=400"],
        &["--cert-file=/etc/server.pem"],
        &["--discovery=https://discovery.example"],
        &["--discovery=https://discovery.example/token", "--initial-cluster=a=http://a:1"],
        &["--discovery-srv=example/com"],
        &["--dns-server=ns.example.com"],
        &["--discovery=https://discovery.example/token", "--discovery-proxy=https://p.example:1"],
        &["--proxy=on"],
        &["--client-cert-auth"],
        &["--peer-trusted-ca-file=a", "--peer-cert-allowed-cn=b", "--peer-cert-allowed-hostname=c"],
        &["--peer-crl-file=/etc/crl.pem"],
        &["--tls-min-version=TLS1.1"],
        &["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
        &["--cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA"],
        &["--cipher-suites=AES128"],
        &["--cipher-suites=TLS_AES_128_GCM_SHA256", "--tls-max-version=TLS1.2"],
        &["-addr=10.0.0.1:4001"],
        &["--config-file=/nonexistent.yml"],
    ];
    let mut whole = String::new();
    for args in cases {
        let error = refusal(args, &[]);
        whole.push_str(&format!(
            "$ quorate-server {}\n{error}\n-> {}\n\n",
            args.join(" "),
            error.exit_code()
        ));
    }
    compare("tests/config_golden/errors.txt", &whole);
}
