//! The layers: command line over QUORATE_ over ETCD_ over file over default, and what each layer takes.

mod config_process;

use std::fs;
use std::path::PathBuf;

use config_process::{config, load, loaded, refusal};
use quorate_server::config::{Allowed, Loaded, Origin};
use quorate_transport::tls::{AllowedName, Trust, Version};

/// A file in a directory of its own.
struct Yaml {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn yaml(text: &str) -> Yaml {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("etcd.yml");
    fs::write(&path, text).expect("a file");
    Yaml { _dir: dir, path }
}

impl Yaml {
    fn flag(&self) -> String {
        format!("--config-file={}", self.path.display())
    }

    fn load(&self) -> Loaded {
        loaded(&[&self.flag()], &[])
    }

    /// The error without the directory before the file's name.
    fn refusal(&self) -> String {
        let error = refusal(&[&self.flag()], &[]);
        assert_eq!(error.exit_code(), 1, "{error}");
        error
            .to_string()
            .replace(&format!("{}/", self.path.parent().expect("a directory").display()), "")
    }
}

#[test]
fn each_layer_wins_over_those_below_it() {
    let file = yaml("name: file\n");
    let (flag, file_flag) = ("--name=flag", file.flag());
    let (ours, etcds) = (("QUORATE_NAME", "ours"), ("ETCD_NAME", "etcds"));
    let name = |args: &[&str], environment: &[(&str, &str)]| loaded(args, environment).config.name;
    assert_eq!(name(&[flag, &file_flag], &[etcds, ours]), "flag");
    assert_eq!(name(&[&file_flag], &[etcds, ours]), "ours");
    assert_eq!(name(&[&file_flag], &[etcds]), "etcds");
    assert_eq!(name(&[&file_flag], &[]), "file");
    assert_eq!(name(&[], &[]), "default");
}

#[test]
fn a_variable_that_loses_to_a_flag_is_told() {
    let loaded = loaded(&["--name=flag"], &[("ETCD_NAME", "x")]);
    assert_eq!(
        loaded.settings.warnings(),
        ["ETCD_NAME is not used: --name on the command line wins over it"]
    );
}

#[test]
fn a_value_that_loses_need_not_be_a_good_one() {
    let loaded = loaded(&["--heartbeat-interval=100"], &[("ETCD_HEARTBEAT_INTERVAL", "fast")]);
    assert_eq!(loaded.config.heartbeat_interval.as_millis(), 100);
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let loaded =
        loaded(&[], &[("QUORATE_NAME", ""), ("ETCD_NAME", "x"), ("ETCD_INITIAL_CLUSTER", "")]);
    assert_eq!(loaded.config.name, "x");
    assert_eq!(loaded.settings.origin("name"), Origin::Environment("ETCD_NAME".to_owned()));
}

#[test]
fn variables_give_booleans_and_the_file() {
    let file = yaml("name: file\n");
    let path = file.path.display().to_string();
    let loaded = loaded(&[], &[("ETCD_CONFIG_FILE", &path), ("QUORATE_DEBUG", "1")]);
    assert_eq!(
        (loaded.config.name.as_str(), loaded.config.logging.level.as_str()),
        ("file", "debug")
    );
}

#[test]
fn a_bad_variable_is_refused_by_its_name() {
    let error = refusal(&[], &[("ETCD_HEARTBEAT_INTERVAL", "fast")]);
    assert!(
        error.to_string().starts_with(
            "invalid value \"fast\" for ETCD_HEARTBEAT_INTERVAL (environment ETCD_HEARTBEAT_INTERVAL): expected"
        ),
        "{error}"
    );
    assert_eq!(error.exit_code(), 1);
    let error = refusal(&[], &[("ETCD_CERT_FILE", "/cert.pem")]).to_string();
    assert!(error.starts_with("--cert-file is given without --key-file"), "{error}");
}

#[test]
fn unknown_variables_are_warned_about_with_the_nearest_name_and_others_are_not_ours() {
    let environment = [
        ("ETCD_NMAE", "x"),
        ("QUORATE_DATADIR", "y"),
        ("ETCD_VERSION", "3.4"),
        ("ETCDCTL_API", "2"),
        ("HOME", "/"),
    ];
    assert_eq!(
        loaded(&[], &environment).settings.warnings(),
        [
            "unrecognized environment variable QUORATE_DATADIR; did you mean QUORATE_DATA_DIR?",
            "unrecognized environment variable ETCD_NMAE; did you mean ETCD_NAME?",
            "unrecognized environment variable ETCD_VERSION",
        ]
    );
}

#[test]
fn what_etcd_forgets_of_a_files_security_blocks_counts() {
    let text = "listen-client-urls: https://127.0.0.1:1\nadvertise-client-urls: https://127.0.0.1:1\n\
        client-transport-security:\n  cert-file: c\n  key-file: k\n  trusted-ca-file: ca\n  crl-file: crl\n  \
        allowed-hostname: host\n\
        peer-transport-security:\n  cert-file: pc\n  key-file: pk\n  trusted-ca-file: pca\n  crl-file: pcrl\n  \
        allowed-cn: name\n\
        tls-min-version: TLS1.3\ncipher-suites: [TLS_AES_128_GCM_SHA256]\n";
    let tls = yaml(text).load().config.tls;
    let (client, peer) = (tls.client.expect("it is asked for"), tls.peer.expect("as well"));
    assert_eq!(client.revocations, Some("crl".into()));
    assert_eq!(client.allowed, AllowedName::HostName("host".to_owned()));
    assert_eq!(client.trust, Trust::Bundle("ca".into()));
    assert_eq!(peer.revocations, Some("pcrl".into()));
    assert_eq!(peer.allowed, AllowedName::CommonName("name".to_owned()));
    assert_eq!(peer.key_pair.expect("both files").certificate.to_str(), Some("pc"));
    assert_eq!((peer.versions.min, peer.suites.len()), (Version::Tls13, 1));
    assert!(!tls.client_names_are_users);
}

#[test]
fn a_file_for_etcd_is_read() {
    let file = yaml(include_str!("config_golden/etcd.conf.yml"));
    let Loaded { config, settings } = file.load();
    assert_eq!(config.name, "m1");
    assert_eq!(config.snapshot_count.get(), 10_000);
    assert_eq!(config.initial_cluster.len(), 3);
    assert_eq!(config.listen_client_urls.len(), 2);
    assert_eq!(config.logging.outputs.len(), 2);
    assert!(!config.strict_reconfig_check);
    assert_eq!(
        config.cors,
        Allowed::Only(vec!["http://a.example".to_owned(), "http://b.example".to_owned()])
    );
    assert_eq!(settings.origin("name"), Origin::File { path: file.path.clone(), line: 2 });
}

#[test]
fn lists_are_taken_in_both_forms() {
    let urls = "http://127.0.0.1:1,http://127.0.0.1:2";
    for text in [
        format!("listen-peer-urls: {urls}\n"),
        "listen-peer-urls: [http://127.0.0.1:1, 'http://127.0.0.1:2']\n".to_owned(),
        "listen-peer-urls:\n  - http://127.0.0.1:1\n  - http://127.0.0.1:2\n".to_owned(),
    ] {
        assert_eq!(yaml(&text).load().config.listen_peer_urls.len(), 2, "{text}");
    }
}

#[test]
fn durations_are_nanoseconds_or_have_a_unit() {
    for text in ["5000000000", "5s", "'5s'"] {
        assert_eq!(
            yaml(&format!("grpc-keepalive-timeout: {text}\n")).load().settings.warnings().len(),
            1,
            "{text}"
        );
    }
    let error = yaml("grpc-keepalive-timeout: 5x\n").refusal();
    assert!(
        error.starts_with(
            "invalid value \"5x\" for grpc-keepalive-timeout (etcd.yml:1): expected a dur"
        ),
        "{error}"
    );
}

#[test]
fn scalars_are_taken_as_written() {
    for (text, name) in
        [("007", "007"), ("no", "no"), ("1e3", "1e3"), ("'x y'", "x y"), ("0x10", "0x10")]
    {
        assert_eq!(yaml(&format!("name: {text}\n")).load().config.name, name);
    }
    assert_eq!(
        yaml("a: &n abc\n".replace("a:", "initial-cluster-token:").as_str()).load().config.name,
        "default"
    );
    assert_eq!(yaml("initial-cluster-token: &n 008\nname: *n\n").load().config.name, "008");
    for (text, debug) in [
        ("yes", true),
        ("on", true),
        ("true", true),
        ("'true'", true),
        ("off", false),
        ("N", false),
    ] {
        assert_eq!(
            yaml(&format!("debug: {text}\n")).load().config.logging.level.as_str() == "debug",
            debug,
            "{text}"
        );
    }
}

#[test]
fn keys_without_value_and_empty_files_are_as_good_as_absent() {
    for text in
        ["", "# nothing\n", "name:\ninitial-cluster:\nclient-transport-security:\n", "name: ~\n"]
    {
        assert_eq!(yaml(text).load().config, config(&[]), "{text:?}");
    }
}

#[test]
fn faults_of_a_file_are_refused_with_their_place() {
    let cases = [
        (
            "a: 1\n",
            "etcd.yml:1:1: unknown key \"a\"; the keys are the names of the flags, which --help lists",
        ),
        ("name: x\n listen: y\n", "etcd.yml:2:"),
        ("nmae: x\n", "etcd.yml:1:1: unknown key \"nmae\"; did you mean \"name\"?"),
        (
            "name: x\n\nlisten-client-url: x\n",
            "etcd.yml:3:1: unknown key \"listen-client-url\"; did you mean \"listen-client-urls\"?",
        ),
        (
            "client-transport-securty: {}\n",
            "etcd.yml:1:1: unknown key \"client-transport-securty\"; did you mean \"client-transport-security\"?",
        ),
        (
            "cert-file: x\n",
            "etcd.yml:1:1: unknown key \"cert-file\"; write it as \"cert-file\" below \"client-transport-security\"",
        ),
        (
            "peer-crl-file: x\n",
            "etcd.yml:1:1: unknown key \"peer-crl-file\"; write it as \"crl-file\" below \"peer-transport-security\"",
        ),
        (
            "peer-transport-security:\n  cert-fil: x\n",
            "etcd.yml:2:3: unknown key \"peer-transport-security: cert-fil\"; did you mean \"cert-file\"?",
        ),
        (
            "config-file: x\n",
            "etcd.yml:1:1: unknown key \"config-file\"; a file cannot set it: it belongs on the command line",
        ),
        (
            "version: true\n",
            "etcd.yml:1:1: unknown key \"version\"; a file cannot set it: it belongs on the command line",
        ),
        ("name: [a, b]\n", "etcd.yml:1:7: name must be one value"),
        ("name: {a: b}\n", "etcd.yml:1:"),
        ("cors: [[a], b]\n", "etcd.yml:1:8: cors must be a list of words"),
        ("cors: {a: b}\n", "etcd.yml:1:7: cors must be one value or a list"),
        (
            "peer-transport-security: x\n",
            "etcd.yml:1:26: peer-transport-security must hold `key: value` lines, indented below it",
        ),
        ("- name\n", "etcd.yml:1:1: the file must hold `key: value` lines"),
        ("name: x\nname: y\n", "etcd.yml:2:1: duplicate mapping key: name; correct the file"),
        ("name: [x\n", "etcd.yml:1:7: unclosed bracket '['; correct the file"),
        ("name: x\n---\nname: y\n", "etcd.yml:3:1: "),
        (
            "heartbeat-interval: 5s\n",
            "invalid value \"5s\" for heartbeat-interval (etcd.yml:1): expected a whole number of mill",
        ),
        (
            "peer-transport-security:\n  cert-file: x\n",
            "--peer-cert-file is given without --peer-key-file",
        ),
        ("initial-cluster: ''\n", "initial-cluster is empty (etcd.yml:1); list the members"),
    ];
    for (text, expected) in cases {
        let error = yaml(text).refusal();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn no_file_makes_it_panic() {
    let pieces = [
        "name", ":", " ", "\n", "  ", "- ", "[", "]", "{", "}", "'", "\"", "&a", "*a", "!!str",
        "|", "12", "~", "\t", "é", "?",
    ];
    let file = yaml("");
    for seed in 0..300_usize {
        let text: String =
            (1..12).map(|n| pieces[(seed * 31 + n * n * (seed + 7)) % pieces.len()]).collect();
        fs::write(&file.path, &text).expect("a file");
        println!("seed {seed}: {text:?}");
        drop(load(&[&file.flag()], &[]));
    }
    fs::write(&file.path, [0xff, 0xfe, 0x00]).expect("a file");
    assert!(file.refusal().starts_with("cannot read the configuration file"));
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_who_named_it() {
    let error = refusal(&["--config-file=/nonexistent/etcd.yml"], &[]).to_string();
    assert!(
        error.starts_with(
            "cannot read the configuration file /nonexistent/etcd.yml (command line): No such file"
        ),
        "{error}"
    );
    let huge = yaml(&format!("name: {}\n", "x".repeat(1 << 20)));
    assert!(huge.refusal().contains("it is larger than 1 MiB"));
}

#[test]
fn a_warning_about_a_key_names_its_line() {
    let loaded = yaml("name: x\nmax-txn-ops: 5\n").load();
    let warning = &loaded.settings.warnings()[0];
    assert!(
        warning.starts_with("max-txn-ops (") && warning.contains("etcd.yml:2) has no effect: "),
        "{warning}"
    );
}
