//! What is checked across values, and the defaults that follow from others.

mod config_process;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use config_process::{config, loaded, refusal};
use quorate_server::config::urls::join;
use quorate_server::config::{self, AdvertiseUrl, Allowed, Config, Process, Request, Retention};

#[test]
fn timings_given_are_kept_and_the_other_one_is_made_to_fit() {
    let cases: &[(&[&str], u64, u64)] = &[
        (&[], 50, 300),
        (&["--heartbeat-interval=100", "--election-timeout=1000"], 100, 1000),
        (&["--heartbeat-interval=100", "--election-timeout=500"], 100, 500),
        (&["--heartbeat-interval=100"], 100, 1000),
        (&["--heartbeat-interval=10"], 10, 300),
        (&["--heartbeat-interval=9000"], 9000, 50_000),
        (&["--election-timeout=1000"], 50, 1000),
        (&["--election-timeout=120"], 20, 120),
        (&["--election-timeout=5"], 1, 5),
        (&["--election-timeout=50000"], 50, 50_000),
    ];
    for (args, heartbeat, election) in cases {
        let config = config(args);
        assert_eq!(config.heartbeat_interval, Duration::from_millis(*heartbeat), "{args:?}");
        assert_eq!(config.election_timeout, Duration::from_millis(*election), "{args:?}");
    }
}

#[test]
fn what_cannot_work_is_refused_in_etcds_words_and_says_what_to_do() {
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &["--heartbeat-interval=100", "--election-timeout=400"],
            "--election-timeout[400ms] should be at least as 5 times as --heartbeat-interval[100ms]",
            "raise the timeout to 500ms or more",
        ),
        (
            &["--heartbeat-interval=100", "--election-timeout=60000"],
            "--election-timeout[60000ms] is too long, and should be set less than 50000ms",
            "are enough",
        ),
        (&["--election-timeout=60000"], "--election-timeout[60000ms] is too long", "are enough"),
        (
            &["--heartbeat-interval=10001"],
            "--election-timeout[50000ms] should be at least",
            "or lower the interval",
        ),
        (&["--election-timeout=0"], "--election-timeout must be >0 (set to 0ms)", "leave it out"),
        (
            &["--heartbeat-interval=0"],
            "--heartbeat-interval must be >0 (set to 0ms)",
            "leave it out",
        ),
        (
            &["--listen-client-urls=http://0.0.0.0:2379"],
            "--advertise-client-urls is required when --listen-client-urls is set explicitly",
            "for example --advertise-client-urls=http://ADDRESS:2379",
        ),
        (
            &[
                "--listen-client-urls=http://node1:2379",
                "--advertise-client-urls=http://node1:2379",
            ],
            "--listen-client-urls (command line): expected IP in URL for binding (http://node1:2379)",
            "use an IP address of this machine, 0.0.0.0 or localhost",
        ),
        (
            &["--advertise-client-urls=http://:2379"],
            "--advertise-client-urls (command line): unexpected empty host (http://:2379)",
            "name the host",
        ),
        (
            &["--listen-peer-urls=https://127.0.0.1:2380"],
            "TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer url https://127.0.0.1:2380",
            "name the two files",
        ),
        (
            &["--listen-peer-urls=unix:///p.sock"],
            "--listen-peer-urls has unix:///p.sock, but members",
            "use an http",
        ),
        (
            &["--initial-advertise-peer-urls=unix:///p.sock"],
            "--initial-advertise-peer-urls has unix:///p.sock",
            "use an http:// or https:// URL",
        ),
    ];
    for (args, what, advice) in cases {
        let error = refusal(args, &[]);
        let text = error.to_string();
        assert!(text.starts_with(what) && text.contains(advice), "{args:?}: {text}");
        assert_eq!(error.exit_code(), 1, "{args:?}");
    }
}

#[test]
fn the_address_of_the_default_route_is_advertised_when_every_address_is_listened_on() {
    let peers = |args| join(&config(args).initial_advertise_peer_urls);
    assert_eq!(peers(&[]), "http://localhost:2380");
    assert_eq!(peers(&["--listen-peer-urls=http://0.0.0.0:7001"]), "http://10.1.2.3:7001");
    assert_eq!(peers(&["--listen-peer-urls=http://[::]:7001"]), "http://10.1.2.3:7001");
    assert_eq!(
        peers(&["--listen-peer-urls=http://127.0.0.1:1,http://0.0.0.0:2"]),
        "http://10.1.2.3:2"
    );
    assert_eq!(
        peers(&[
            "--listen-peer-urls=http://0.0.0.0:7001",
            "--initial-advertise-peer-urls=http://node:1"
        ]),
        "http://node:1"
    );
    let made = loaded(&["--listen-peer-urls=http://0.0.0.0:7001", "--name=x"], &[]);
    assert_eq!(made.config.initial_cluster.to_string(), "x=http://10.1.2.3:7001");
    assert_eq!(
        made.settings.origin("initial-advertise-peer-urls").to_string(),
        "default, from the default route"
    );
}

#[test]
fn advertising_what_nobody_can_reach_is_warned_about() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--listen-peer-urls=http://10.0.0.1:2380"],
            "--initial-advertise-peer-urls is not given and advertises",
        ),
        (
            &["--listen-peer-urls=http://127.0.0.1:7001"],
            "--initial-advertise-peer-urls is not given and advertises",
        ),
        (
            &["--advertise-client-urls=http://0.0.0.0:2379"],
            "--advertise-client-urls advertises http://0.0.0.0:2379",
        ),
    ];
    for (args, expected) in cases {
        let warnings = loaded(args, &[]).settings.warnings().to_vec();
        assert!(warnings.len() == 1 && warnings[0].starts_with(expected), "{args:?}: {warnings:?}");
    }
}

#[test]
fn a_machine_without_default_route_keeps_the_default() {
    let process = Process {
        args: vec!["--listen-peer-urls=http://0.0.0.0:2380".into()],
        environment: Vec::new(),
        default_route: &|| None,
    };
    let Ok(Request::Run(loaded)) = config::load(&process) else { panic!("the flags are good") };
    assert_eq!(join(&loaded.config.initial_advertise_peer_urls), "http://localhost:2380");
}

#[test]
fn clients_may_be_served_on_unix_sockets_and_told_of_https_in_front() {
    let config = config(&[
        "--listen-client-urls=unix:///run/q.sock,http://127.0.0.1:2379",
        "--advertise-client-urls=https://q.example:443",
    ]);
    assert_eq!(join(&config.listen_client_urls), "unix:///run/q.sock,http://127.0.0.1:2379");
    assert_eq!(join(&config.advertise_client_urls), "https://q.example:443");
}

#[test]
fn the_same_url_twice_is_once() {
    assert_eq!(
        config(&["--listen-peer-urls=http://127.0.0.1:1,http://127.0.0.1:1"])
            .listen_peer_urls
            .len(),
        1
    );
}

#[test]
fn numbers_and_lists_have_their_special_values() {
    let config = config(&["--snapshot-count=0", "--max-wals=0", "--max-snapshots=2", "--cors="]);
    assert_eq!(config.snapshot_count.get(), 100_000);
    assert_eq!(config.max_wals, Retention::Unlimited);
    assert!(matches!(config.max_snapshots, Retention::Newest(n) if n.get() == 2));
    assert_eq!(config.cors, Allowed::Any);
    let listed = config_of_whitelist("a.example,b.example");
    assert!(listed.allows("a.example") && !listed.allows("c.example"));
    assert!(config_of_whitelist("a.example,*").allows("c.example"));
}

fn config_of_whitelist(names: &str) -> Allowed {
    config(&["--host-whitelist", names]).host_whitelist
}

/// The flags of a member named `a` that advertises `urls`, listed in `cluster`.
fn member(cluster: &str, urls: &str) -> Config {
    config(&["--name=a", "--initial-cluster", cluster, "--initial-advertise-peer-urls", urls])
}

fn without_names(_: &AdvertiseUrl) -> Vec<SocketAddr> {
    Vec::new()
}

#[test]
fn an_initial_cluster_that_contradicts_this_member_is_refused_in_etcds_words() {
    let cases = [
        (
            "b=http://b:1",
            "http://a:1",
            "couldn't find local name \"a\" in the initial cluster configuration; add a=http://a:1",
        ),
        (
            "a=http://a:1,b=http://a:1",
            "http://a:1",
            "initial cluster a=http://a:1,b=http://a:1 has duplicate url http://a:1",
        ),
        (
            "a=http://a:1,a=http://a:1",
            "http://a:1",
            "initial cluster a=http://a:1,a=http://a:1 has duplicate url",
        ),
        (
            "a=http://a:2",
            "http://a:1",
            "--initial-cluster has a=http://a:2 but missing from --initial-advertise-peer-urls=http://a:1",
        ),
        (
            "a=http://a:1",
            "http://a:1,http://a:2",
            "--initial-advertise-peer-urls has http://a:2 but missing from --initial-cluster=a=http://a:1",
        ),
    ];
    for (cluster, urls, expected) in cases {
        let error =
            member(cluster, urls).verify_forming(&without_names).expect_err(cluster).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn an_initial_cluster_that_agrees_with_this_member_is_taken() {
    for (cluster, urls) in [
        ("a=http://a:1", "http://a:1"),
        ("a=http://a:1,b=http://b:1,a=http://a:2", "http://a:2,http://a:1"),
    ] {
        assert_eq!(member(cluster, urls).verify_forming(&without_names), Ok(()));
    }
}

#[test]
fn two_spellings_of_one_address_are_one() {
    let resolve = |url: &AdvertiseUrl| {
        let ip =
            IpAddr::from(if url.host() == Some("other") { [10, 0, 0, 2] } else { [10, 0, 0, 1] });
        url.port().map(|port| SocketAddr::new(ip, port)).into_iter().collect()
    };
    assert_eq!(member("a=http://node:1", "http://10.0.0.1:1").verify_forming(&resolve), Ok(()));
    assert!(member("a=http://other:1", "http://10.0.0.1:1").verify_forming(&resolve).is_err());
}

#[test]
fn a_joining_member_must_be_listed_but_may_advertise_what_it_likes() {
    assert!(member("b=http://b:1", "http://a:1").verify_joining().is_err());
    let config = member("a=http://a:2,b=http://b:1", "http://a:1");
    assert_eq!(config.verify_joining().map(join), Ok("http://a:2".to_owned()));
}
