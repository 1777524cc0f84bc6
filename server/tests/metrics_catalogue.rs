//! The catalogue of metrics: its page, its names against those that etcd's dashboards and alerts use, and the exposition made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate_core::{Machine, MemberId, StoreIndex};
use quorate_server::member::{ProposeError, Role};
use quorate_server::metrics::catalogue::{SECTIONS, find};
use quorate_server::metrics::definition::{Kind, Metric};
use quorate_server::metrics::{Cause, Election, Metrics, Moment, StoreCounts, TlsSide, manual};
use quorate_server::peer_api::link::Class;
use quorate_server::raft::figures::{Figures, FollowerFigures};
use quorate_server::reports::Tally;
use quorate_server::storage::log::{BatchStats, LogUsage, Space};
use quorate_transport::tls::{Credentials, Failures, KeyPairFiles, TlsSettings, Trust};

const OWN: MemberId = MemberId(0xa);
const VOTER: MemberId = MemberId(0xb);
const LEARNER: MemberId = MemberId(0xc);

fn all() -> impl Iterator<Item = &'static Metric> {
    SECTIONS.iter().flat_map(|section| section.metrics).copied()
}

#[test]
fn the_page_is_made_from_the_catalogue() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let actual = manual::markdown();
    for metric in all() {
        assert!(
            actual.contains(&format!("| `{}` |", metric.name)),
            "{} is not on the page",
            metric.name
        );
    }
    if std::env::var_os("QUORATE_RECORD").is_some() {
        return fs::write(&path, actual).expect("the page can be written");
    }
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(recorded, actual, "docs/metrics.md is stale: run again with QUORATE_RECORD=1");
}

#[test]
fn our_own_names_follow_the_conventions() {
    let mut names = BTreeSet::new();
    for metric in all() {
        assert!(names.insert(metric.name), "{} is there twice", metric.name);
        assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{}", metric.name);
        assert!(metric.labels.iter().all(|label| !matches!(*label, "le" | "job" | "instance")));
        if metric.is_own() {
            let ends = metric.name.ends_with("_total");
            assert_eq!(ends, metric.kind == Kind::Counter, "{}: only counters end so", metric.name);
        }
    }
}

/// Name, kind, labels; for histograms the first bucket, the factor and the count.
type Known = (&'static str, &'static str, &'static [&'static str], Option<(f64, f64, usize)>);

/// What etcd's dashboards and alerts (3.4's and the newest), and what is often used beside them, read of a v2 store.
const KNOWN_FROM_ETCD: &[Known] = &[
    ("etcd_server_has_leader", "gauge", &[], None),
    ("etcd_server_is_leader", "gauge", &[], None),
    ("etcd_server_is_learner", "gauge", &[], None),
    ("etcd_server_leader_changes_seen_total", "counter", &[], None),
    ("etcd_server_proposals_committed_total", "gauge", &[], None),
    ("etcd_server_proposals_applied_total", "gauge", &[], None),
    ("etcd_server_proposals_pending", "gauge", &[], None),
    ("etcd_server_proposals_failed_total", "counter", &[], None),
    ("etcd_server_heartbeat_send_failures_total", "counter", &[], None),
    ("etcd_server_read_indexes_failed_total", "counter", &[], None),
    ("etcd_server_health_success", "counter", &[], None),
    ("etcd_server_health_failures", "counter", &[], None),
    ("etcd_server_id", "gauge", &["server_id"], None),
    ("etcd_server_version", "gauge", &["server_version"], None),
    ("etcd_cluster_version", "gauge", &["cluster_version"], None),
    ("etcd_disk_wal_fsync_duration_seconds", "histogram", &[], Some((0.001, 2.0, 14))),
    ("etcd_disk_wal_write_bytes_total", "gauge", &[], None),
    ("etcd_network_peer_sent_bytes_total", "counter", &["To"], None),
    ("etcd_network_peer_received_bytes_total", "counter", &["From"], None),
    ("etcd_network_peer_sent_failures_total", "counter", &["To"], None),
    ("etcd_network_peer_round_trip_time_seconds", "histogram", &["To"], Some((0.0001, 2.0, 16))),
    ("etcd_network_client_grpc_received_bytes_total", "counter", &[], None),
    ("etcd_network_client_grpc_sent_bytes_total", "counter", &[], None),
    ("etcd_network_snapshot_send_success", "counter", &["To"], None),
    ("etcd_network_snapshot_send_failures", "counter", &["To"], None),
    ("etcd_network_snapshot_send_inflights_total", "gauge", &["To"], None),
    (
        "etcd_network_snapshot_send_total_duration_seconds",
        "histogram",
        &["To"],
        Some((0.1, 2.0, 10)),
    ),
    ("etcd_network_snapshot_receive_success", "counter", &["From"], None),
    ("etcd_network_snapshot_receive_failures", "counter", &["From"], None),
    ("etcd_network_snapshot_receive_inflights_total", "gauge", &["From"], None),
    (
        "etcd_network_snapshot_receive_total_duration_seconds",
        "histogram",
        &["From"],
        Some((0.1, 2.0, 10)),
    ),
    ("etcd_debugging_snap_save_total_duration_seconds", "histogram", &[], Some((0.001, 2.0, 14))),
    ("etcd_http_received_total", "counter", &["method"], None),
    ("etcd_http_failed_total", "counter", &["method", "code"], None),
    ("etcd_http_successful_duration_seconds", "histogram", &["method"], Some((0.0005, 2.0, 13))),
    ("etcd_debugging_store_reads_total", "counter", &["action"], None),
    ("etcd_debugging_store_reads_failed_total", "counter", &["action"], None),
    ("etcd_debugging_store_writes_total", "counter", &["action"], None),
    ("etcd_debugging_store_writes_failed_total", "counter", &["action"], None),
    ("etcd_debugging_store_expires_total", "counter", &[], None),
    ("etcd_debugging_store_watch_requests_total", "counter", &[], None),
    ("etcd_debugging_store_watchers", "gauge", &[], None),
    ("os_fd_used", "gauge", &[], None),
    ("os_fd_limit", "gauge", &[], None),
    ("process_cpu_seconds_total", "counter", &[], None),
    ("process_open_fds", "gauge", &[], None),
    ("process_max_fds", "gauge", &[], None),
    ("process_virtual_memory_bytes", "gauge", &[], None),
    ("process_resident_memory_bytes", "gauge", &[], None),
    ("process_start_time_seconds", "gauge", &[], None),
];

#[test]
fn etcds_metrics_have_etcds_names_labels_and_buckets() {
    for (name, kind, labels, buckets) in KNOWN_FROM_ETCD {
        let metric = find(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!((metric.kind.name(), metric.labels), (*kind, *labels), "{name}");
        let defined = match metric.kind {
            Kind::Histogram(buckets) => Some((buckets.start, buckets.factor, buckets.count)),
            _ => None,
        };
        assert_eq!(defined, *buckets, "{name}");
    }
    let known: BTreeSet<&str> = KNOWN_FROM_ETCD.iter().map(|(name, ..)| *name).collect();
    // The Prometheus library's own.
    let extra = ["process_threads"];
    for metric in all().filter(|metric| !metric.is_own() && !extra.contains(&metric.name)) {
        assert!(
            known.contains(metric.name),
            "{} has no prefix of ours, and is it etcd's?",
            metric.name
        );
    }
}

fn moment() -> Moment {
    let follower = |member, matched_index, ack_age| FollowerFigures {
        member,
        matched_index,
        ack_age: Some(Duration::from_millis(ack_age)),
    };
    Moment {
        member: OWN,
        role: Role::Leader,
        has_leader: true,
        leader_changes: 3,
        leaderless: Duration::from_millis(1250),
        leading_for: Some(Duration::from_secs(60)),
        heartbeat_interval: Duration::from_millis(50),
        figures: Figures {
            term: 7,
            last_index: 110,
            commit_index: 108,
            purged_index: 10,
            snapshot_index: 90,
            quorum_ack_age: Some(Duration::from_millis(20)),
            followers: vec![follower(VOTER, 109, 20), follower(LEARNER, 60, 5000)],
            ..Figures::default()
        },
        applied_index: 107,
        proposals_pending: 4,
        proposals_queued: 2,
        reads_queued: 1,
        members: vec![(OWN, false), (VOTER, false), (LEARNER, true)],
        removed: Vec::new(),
        cluster_version: Some("3.4.0".to_owned()),
        store_index: StoreIndex(99),
        store: StoreCounts::from(Machine::new().stats()),
        watchers: 5,
        log: LogUsage { segments: 2, bytes: 128 << 20 },
        space: Space::Full,
    }
}

/// The samples of a page by name and labels.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

fn exposition(metrics: &Metrics, moment: &Moment) -> String {
    String::from_utf8(metrics.exposition(moment).to_vec()).expect("text")
}

#[test]
fn what_is_looked_up_appears_as_it_is() {
    let metrics = Metrics::new().expect("each metric is defined once");
    let samples = samples(&exposition(&metrics, &moment()));
    let expected = [
        ("etcd_server_id{server_id=\"a\"}", 1.0),
        ("etcd_cluster_version{cluster_version=\"3.4\"}", 1.0),
        ("etcd_server_is_leader", 1.0),
        ("etcd_server_leader_changes_seen_total", 3.0),
        ("etcd_server_proposals_committed_total", 108.0),
        ("etcd_server_proposals_applied_total", 107.0),
        ("etcd_server_proposals_pending", 4.0),
        ("quorate_leaderless_seconds_total", 1.25),
        ("quorate_term", 7.0),
        ("quorate_members{role=\"learner\"}", 1.0),
        ("quorate_members{role=\"voter\"}", 2.0),
        ("quorate_failure_tolerance", 0.0),
        ("quorate_quorum_ack_age_seconds", 0.02),
        ("quorate_follower_heartbeat_ack_age_seconds{To=\"c\"}", 5.0),
        ("quorate_follower_lag_entries{To=\"b\",role=\"voter\"}", 1.0),
        ("quorate_follower_lag_entries{To=\"c\",role=\"learner\"}", 50.0),
        ("quorate_log_entries", 100.0),
        ("quorate_log_disk_bytes", f64::from(128 << 20)),
        ("quorate_log_space{state=\"ample\"}", 0.0),
        ("quorate_log_space{state=\"full\"}", 1.0),
        ("etcd_debugging_store_watchers", 5.0),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
    assert_eq!(samples.get("os_fd_used"), samples.get("process_open_fds"));
}

#[test]
fn only_a_leader_speaks_of_followers() {
    let metrics = Metrics::new().expect("each metric is defined once");
    let page = exposition(&metrics, &Moment { role: Role::Follower, ..moment() });
    for name in ["quorate_follower_", "quorate_failure_tolerance", "quorate_quorum_ack_age"] {
        let samples = samples(&page);
        let found: Vec<&String> = samples
            .keys()
            .filter(|sample| sample.starts_with(name) && !sample.contains("append_duration"))
            .collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn a_silent_follower_is_as_old_as_the_leadership_and_counts_for_nothing() {
    let metrics = Metrics::new().expect("each metric is defined once");
    let mut moment = moment();
    moment.figures.followers[0].ack_age = None;
    let samples = samples(&exposition(&metrics, &moment));
    assert_eq!(samples["quorate_follower_heartbeat_ack_age_seconds{To=\"b\"}"], 60.0);
    assert_eq!(samples["quorate_failure_tolerance"], -1.0, "of two voters one is left");
}

fn do_something_of_everything(metrics: &Metrics) {
    let peers = metrics.peers();
    let took = Duration::from_millis(3);
    for peer in [VOTER, LEARNER] {
        peers.sent(peer, 10);
        peers.received(peer, 20);
        peers.failed(peer, 0);
        peers.linked(peer, Class::Log, true);
        peers.heartbeat(peer, Some(took));
        peers.append(peer, Some(took));
        peers.append(peer, None);
        metrics.snapshots().sending(peer).done();
        drop(metrics.snapshots().sending(peer));
        metrics.snapshots().receiving(peer).done();
        drop(metrics.snapshots().receiving(peer));
    }
    metrics.requests().applied(7);
    metrics.requests().proposed(took, &Ok::<(), _>(()));
    metrics.requests().proposed(took, &Err::<(), _>(ProposeError::TimedOut));
    let batch = BatchStats { entries: 5, bytes: 600, sync: took, ..BatchStats::default() };
    metrics.log_observer().batch_synced(&batch);
    metrics.election_won(&Election {
        term: 7,
        cause: Cause::Timeout,
        detection: Some(Duration::from_millis(300)),
        vote: took,
        first_commit: took,
    });
}

#[test]
fn what_happened_is_counted() {
    let metrics = Metrics::new().expect("each metric is defined once");
    do_something_of_everything(&metrics);
    let samples = samples(&exposition(&metrics, &moment()));
    let expected = [
        ("etcd_network_peer_sent_bytes_total{To=\"b\"}", 10.0),
        ("etcd_network_peer_received_bytes_total{From=\"c\"}", 20.0),
        ("etcd_network_peer_sent_failures_total{To=\"b\"}", 1.0),
        ("etcd_network_peer_round_trip_time_seconds_count{To=\"b\"}", 1.0),
        ("quorate_peer_links{To=\"b\",class=\"log\"}", 1.0),
        ("quorate_peer_links{To=\"b\",class=\"heartbeat\"}", 0.0),
        ("etcd_network_snapshot_send_success{To=\"b\"}", 1.0),
        ("etcd_network_snapshot_receive_failures{From=\"b\"}", 1.0),
        ("etcd_network_snapshot_receive_inflights_total{From=\"b\"}", 0.0),
        ("quorate_operations_applied_total", 7.0),
        ("quorate_proposal_duration_seconds_count", 1.0),
        ("etcd_server_proposals_failed_total", 1.0),
        ("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.004\"}", 1.0),
        ("etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.002\"}", 0.0),
        ("etcd_disk_wal_write_bytes_total", 600.0),
        ("quorate_log_entries_per_fsync_sum", 5.0),
        ("quorate_election_duration_seconds_count{cause=\"timeout\"}", 1.0),
        ("quorate_election_duration_seconds_count{cause=\"transfer\"}", 0.0),
        ("quorate_election_phase_duration_seconds_sum{cause=\"timeout\",phase=\"detection\"}", 0.3),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
    let follower = metrics.follower(&moment().figures.followers[0]);
    assert_eq!((follower.id, follower.success, follower.fail), (VOTER, 1, 1));
    assert!((follower.latency.current_ms - 3.0).abs() < 1e-9);
}

#[test]
fn a_removed_member_leaves_no_series_and_gets_none() {
    let metrics = Metrics::new().expect("each metric is defined once");
    do_something_of_everything(&metrics);
    let mut moment = moment();
    assert!(exposition(&metrics, &moment).contains("=\"c\""));
    moment.removed = vec![LEARNER];
    moment.members.pop();
    moment.figures.followers.pop();
    assert!(!exposition(&metrics, &moment).contains("=\"c\""));
    metrics.peers().failed(LEARNER, 3);
    metrics.peers().linked(LEARNER, Class::Log, false);
    let page = exposition(&metrics, &moment);
    assert!(!page.contains("=\"c\"") && page.contains("=\"b\""));
}

/// A side that shows a certificate of its own making, kept in `folder`.
fn protected_side(folder: &Path) -> TlsSide {
    let key_pair =
        KeyPairFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    let settings = TlsSettings {
        self_made_for: Some(vec!["localhost".to_owned()]),
        ..TlsSettings::listening("client", key_pair, Trust::System)
    };
    let credentials = Credentials::load(settings).expect("a certificate can be made");
    TlsSide { credentials, failures: Arc::new(Failures::new("client")) }
}

#[test]
fn pages_are_in_order_and_show_what_the_catalogue_says() {
    let metrics = Metrics::new().expect("each metric is defined once");
    do_something_of_everything(&metrics);
    let folder = tempfile::tempdir().expect("a folder");
    metrics.add_tls(protected_side(folder.path()));
    let reports = Tally::default();
    [false, true].into_iter().for_each(|is_taken| reports.note(is_taken));
    metrics.add_reports(reports);
    let page = exposition(&metrics, &moment());
    let families: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(families.is_sorted());
    for family in &families {
        let (name, kind) = family.split_once(' ').expect("a name and a kind");
        let metric = find(name).unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        assert_eq!(metric.kind.name(), kind, "{name}");
        assert!(page.contains(&format!("# HELP {name} {}\n", metric.help)), "{name}");
    }
    // A failed request needs a member that serves.
    let missing: Vec<&str> = all()
        .map(|metric| metric.name)
        .filter(|name| !families.iter().any(|family| family.split(' ').next() == Some(name)))
        .collect();
    assert_eq!(missing, ["etcd_http_failed_total"]);
    let without_process = |page: &str| -> Vec<String> {
        let is_ours = |line: &&str| !line.contains("process_") && !line.contains("os_fd_");
        page.lines().filter(is_ours).map(str::to_owned).collect()
    };
    let again = exposition(&metrics, &moment());
    assert_eq!(without_process(&page), without_process(&again));
}
