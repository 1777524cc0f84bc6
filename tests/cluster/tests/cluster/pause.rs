//! Paused processes (SIGSTOP): a deposed leader that wakes up serves no stale quorum read, and the others go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quorate_cluster_tests::{Load, Retry, agreed_store, turn};
use quorate_harness::{Cluster, Http, Keys, Member, wait_until};

use crate::{SOON, others, quorate};

/// An election after the default timeout and the patience with the former leader, with room for a busy machine.
const GOES_ON_WITHIN: Duration = Duration::from_secs(3);

/// One writer raises a register; readers of all members check that a quorum read never shows less than what was
/// acknowledged before it began, nor less than they have read before.
struct Register {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<Result<u64, String>>>,
}

impl Register {
    fn start(cluster: &Cluster) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let members = cluster.members();
        let created = cluster.keys().put("/register", "0").expect("the cluster answers");
        assert!(created.is_ok(), "{}", created.answer);
        let mut threads = Vec::new();
        for member in &members {
            let (stop, acknowledged, keys) =
                (Arc::clone(&stop), Arc::clone(&acknowledged), quick_keys(member));
            let name = member.name().to_owned();
            threads.push(std::thread::spawn(move || read(&keys, &name, &stop, &acknowledged)));
        }
        let (flag, newest) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        threads.push(std::thread::spawn(move || write(&members, &flag, &newest)));
        Self { stop, acknowledged, threads }
    }

    fn wait_more(&self, count: u64, within: Duration) {
        let before = self.acknowledged.load(Ordering::SeqCst);
        wait_until("the register is raised", within, || {
            self.acknowledged.load(Ordering::SeqCst) >= before + count
        });
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        let mut reads = 0;
        for thread in self.threads {
            match thread.join().expect("the thread ends") {
                Ok(count) => reads += count,
                Err(violation) => panic!("{violation}"),
            }
        }
        reads
    }
}

fn quick_keys(member: &Member) -> Keys {
    Keys::new(Http::new(member.client_address()).timeout(Duration::from_secs(1)))
}

fn read(
    keys: &Keys,
    name: &str,
    stop: &AtomicBool,
    acknowledged: &AtomicU64,
) -> Result<u64, String> {
    let (mut newest, mut reads) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        let floor = acknowledged.load(Ordering::SeqCst).max(newest);
        let Ok(answer) = keys.get_with("/register", "quorum=true") else { continue };
        let Some(found) = answer.value().and_then(|value| value.parse::<u64>().ok()) else {
            continue;
        };
        if found < floor {
            return Err(format!(
                "a quorum read through {name} gave {found} when {floor} was known: {}",
                answer.answer
            ));
        }
        newest = found;
        reads += 1;
    }
    Ok(reads)
}

/// Raises the register by one at a time, each time from the value before: a write whose answer never came cannot undo a
/// newer one when it is carried out late.
fn write(
    members: &[Arc<Member>],
    stop: &AtomicBool,
    acknowledged: &AtomicU64,
) -> Result<u64, String> {
    let all: Vec<Keys> = members.iter().map(|member| quick_keys(member)).collect();
    let mut at = 0;
    for value in 1_u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        while !is_raised_to(&all[at % all.len()], value) {
            at += 1;
            if stop.load(Ordering::SeqCst) {
                return Ok(0);
            }
        }
        acknowledged.store(value, Ordering::SeqCst);
    }
    Ok(0)
}

fn is_raised_to(keys: &Keys, value: u64) -> bool {
    let Ok(answer) = keys.cas("/register", &(value - 1).to_string(), &value.to_string()) else {
        return false;
    };
    // An attempt before this one may have done it, its answer lost.
    let is_there = answer.json["cause"]
        .as_str()
        .is_some_and(|cause| cause == format!("[{} != {value}]", value - 1));
    answer.is_ok() || is_there
}

#[test]
fn quorum_reads_never_go_back_when_the_leader_is_paused() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let register = Register::start(&cluster);
    for _ in 0..3 {
        register.wait_more(20, SOON);
        let leader = cluster.wait_leader(SOON);
        leader.pause();
        wait_until("the others have another leader", SOON, || {
            cluster.leader().is_some_and(|now| now.name() != leader.name())
        });
        register.wait_more(20, SOON);
        leader.resume();
    }
    register.wait_more(20, SOON);
    let reads = register.stop();
    eprintln!("{reads} quorum reads checked");
    cluster.wait_ready();
    agreed_store(&cluster.members(), SOON);
}

#[test]
fn writes_through_the_others_go_on_while_the_leader_is_paused() {
    let _turn = turn::alone();
    let cluster = quorate(3).start();
    let leader = cluster.wait_leader(SOON);
    let load = Load::through(&others(&cluster, &leader), 4, Retry::Never, Duration::ZERO);
    load.wait_more(50, SOON);
    leader.pause();
    load.wait_more(50, SOON);
    let paused = load.stop();
    let outage = paused.longest_outage();
    eprintln!("leader paused: {}", paused.summary());
    leader.resume();
    cluster.wait_ready();
    let store = agreed_store(&cluster.members(), SOON);
    paused.assert_kept(&store);
    assert!(
        outage < GOES_ON_WITHIN,
        "no write went through for {outage:?} after the leader was paused"
    );
    wait_until("the paused leader follows", SOON, || {
        cluster.leader().is_some_and(|now| now.name() != leader.name())
    });
}

#[test]
fn a_paused_follower_disturbs_nobody_and_catches_up() {
    let _turn = turn::alone();
    // Patient enough that a busy machine causes no election; what is looked for is one that the follower causes.
    let cluster =
        quorate(3).flag("--heartbeat-interval=100").flag("--election-timeout=2000").start();
    let leader = cluster.wait_leader(SOON);
    let follower = others(&cluster, &leader).remove(0);
    let load = Load::through(&others(&cluster, &follower), 4, Retry::Never, Duration::ZERO);
    load.wait_more(50, SOON);
    follower.pause();
    load.wait_more(400, SOON);
    follower.resume();
    load.wait_more(100, SOON);
    let account = load.stop();
    eprintln!("follower paused: {}", account.summary());
    account.assert_kept(&agreed_store(&cluster.members(), SOON));
    assert_eq!(
        cluster.wait_leader(SOON).name(),
        leader.name(),
        "the leadership moved for no reason"
    );
    let outage = account.longest_outage();
    assert!(
        outage < Duration::from_secs(1),
        "no write went through for {outage:?} while a follower was paused"
    );
}
