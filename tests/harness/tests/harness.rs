//! The harness against a server whose behaviour is known: etcd. A harness that cannot see a fault proves nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quorate_harness::{
    Cluster, Ending, Exit, Framing, Ledger, Line, Owned, Program, Request, eventually,
    skip_without_etcd, wait_until,
};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn answers_are_shown_as_they_are_on_the_wire() {
    if skip_without_etcd() {
        return;
    }
    let cluster = Cluster::builder(Program::Etcd).start();
    let http = cluster.http().keep_alive();
    let put = http.send(&Request::put("/v2/keys/a", "value=1")).unwrap();
    assert_eq!(put.status_line, "HTTP/1.1 201 Created");
    assert!(put.headers.iter().any(|(name, _)| name == "X-Etcd-Index"), "{put}");
    assert_eq!(put.framing, Framing::Length(put.body.len()));
    let head = http.send(&Request::new("HEAD", "/v2/keys/a")).unwrap();
    assert!(
        head.body.is_empty() && matches!(head.framing, Framing::Length(length) if length > 0),
        "{head}"
    );
    let big = "x".repeat(300_000);
    http.send(&Request::put("/v2/keys/big", &format!("value={big}"))).unwrap();
    let watch = http.send(&Request::get("/v2/keys/big?wait=true&waitIndex=1")).unwrap();
    assert_eq!((watch.framing, watch.ending), (Framing::Chunked, Ending::Complete));
    assert_eq!(watch.json()["node"]["value"].as_str().unwrap().len(), big.len());
}

#[test]
fn a_stream_is_quiet_then_speaks_then_is_cut() {
    if skip_without_etcd() {
        return;
    }
    let cluster = Cluster::builder(Program::Etcd).start();
    let watch = Request::get("/v2/keys/a?wait=true&stream=true");
    let mut stream = cluster.http().stream(&watch).unwrap();
    assert_eq!(stream.head().status, 200);
    assert_eq!(stream.next_line(Duration::from_millis(30)).unwrap(), Line::Quiet);
    for value in ["1", "2"] {
        cluster.keys().put("/a", value).unwrap();
        let line = stream.next_line(SOON).unwrap().text().unwrap();
        assert!(line.contains(&format!("\"value\":\"{value}\"")), "{line}");
    }
    cluster.member(0).kill9();
    assert_eq!(stream.next_line(SOON).unwrap(), Line::End(Ending::Premature));
}

#[test]
fn a_member_can_be_killed_restarted_paused_ended_and_wiped() {
    if skip_without_etcd() {
        return;
    }
    let cluster = Cluster::builder(Program::Etcd).start();
    let (member, keys) = (cluster.member(0), cluster.keys());
    let first = keys.put("/a", "1").unwrap().modified_index().unwrap();
    let first_pid = member.pid().unwrap();
    member.restart();
    member.wait_ready(SOON);
    assert_ne!(member.pid().unwrap(), first_pid);
    assert_eq!(keys.get("/a").unwrap().modified_index(), Some(first));

    member.pause();
    assert!(
        cluster.http().timeout(Duration::from_millis(50)).send(&Request::get("/version")).is_err()
    );
    member.resume();
    assert_eq!(cluster.http().send(&Request::get("/version")).unwrap().status, 200);

    assert_eq!(member.terminate(SOON), Exit::Signal(15));
    assert!(!member.is_running() && member.log_text().contains("received terminated signal"));
    assert!(member.data_dir().exists());
    member.wipe();
    member.start();
    member.wait_ready(SOON);
    assert_eq!(keys.get("/a").unwrap().error_code(), Some(100));
}

#[test]
fn three_members_elect_again_and_take_in_a_fourth() {
    if skip_without_etcd() {
        return;
    }
    let fast = ["--heartbeat-interval=50", "--election-timeout=500"];
    let builder = Cluster::builder(Program::Etcd).members(3);
    let cluster = fast.iter().fold(builder, |builder, flag| builder.flag(*flag)).start();
    let old = cluster.wait_leader(SOON);
    old.kill9();
    wait_until("another member leads", SOON, || {
        cluster.leader().is_some_and(|it| it.name() != old.name())
    });
    old.start();
    cluster.wait_ready();

    let joiner = cluster.prepare_joiner(&fast);
    let body = format!("{{\"peerURLs\":[\"{}\"]}}", joiner.peer_url());
    let add = Request::new("POST", "/v2/members").body("application/json", body);
    let added = || cluster.http().send(&add).is_ok_and(|answer| matches!(answer.status, 201 | 409));
    wait_until("the cluster lets a fourth member join", SOON, added);
    joiner.start();
    joiner.wait_ready(SOON);
    assert_eq!(cluster.members().len(), 4);
    cluster.retire(&joiner);
    assert_eq!(cluster.members().len(), 3);
}

#[test]
fn the_ledger_sees_a_lost_write() {
    if skip_without_etcd() {
        return;
    }
    let cluster = Cluster::builder(Program::Etcd).start();
    let ledger = Ledger::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (ledger, cluster) = (&ledger, &cluster);
            scope.spawn(move || {
                let keys = cluster.keys();
                for round in 0..5 {
                    let (key, value) = (format!("/w{writer}"), format!("{writer}-{round}"));
                    let attempt = ledger.attempt(&key, &value);
                    attempt.acknowledged(keys.put(&key, &value).unwrap().modified_index().unwrap());
                }
            });
        }
    });
    assert_eq!(ledger.acknowledged(), 20);
    assert_eq!(ledger.verify(&cluster.keys(), "quorum=true").unwrap(), []);
    cluster.keys().delete("/w2").unwrap();
    let losses = ledger.verify(&cluster.keys(), "").unwrap();
    assert_eq!(losses.len(), 1);
    assert_eq!(losses[0].key, "/w2");
}

#[test]
fn a_member_that_cannot_start_is_reported_at_once() {
    if skip_without_etcd() {
        return;
    }
    let cluster = Cluster::builder(Program::Etcd).flag("--election-timeout=1").prepare();
    let member = cluster.member(0);
    member.start();
    let started = Instant::now();
    let refused =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| member.wait_ready(SOON)))
            .unwrap_err();
    assert!(started.elapsed() < SOON);
    let text = refused.downcast_ref::<String>().unwrap();
    assert!(text.contains("--election-timeout"), "{text}");
    assert!(eventually(SOON, || !member.is_running()));
}

/// What a test says before the ID of the process it started.
const STARTED: &str = "started process ";

#[test]
#[ignore = "the victim of the test that follows"]
fn waits_to_be_killed() {
    let owned = Owned::start(Command::new("sleep").arg("300")).expect("it starts");
    println!("{STARTED}{}", owned.id());
    std::thread::park_timeout(SOON);
}

#[test]
fn a_test_that_is_killed_outright_leaves_no_process_behind() {
    let mut test = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "waits_to_be_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a test starts");
    let lines = BufReader::new(test.stdout.take().expect("a pipe")).lines();
    let id = lines.map_while(Result::ok).find_map(|line| {
        line.split_once(STARTED).and_then(|(_, id)| id.trim().parse::<u32>().ok())
    });
    test.kill().expect("it runs");
    test.wait().expect("it ends");
    let stat = format!("/proc/{}/stat", id.expect("it started a process"));
    // Whoever inherited it may not have waited for it yet.
    let is_gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    wait_until("the process is gone", SOON, is_gone);
}
