//! Cut networks, each member in a network namespace: the minority promises nothing and says so, the majority goes on, and
//! whoever comes back disturbs nobody. Left out, with a line, where namespaces are not allowed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_cluster_tests::{Load, Register, Retry, agreed_store, turn};
use quorate_harness::{Cluster, Http, KeyAnswer, Keys, Member, Network, Request, wait_until};

use crate::{SOON, others, quorate};

/// Five seconds and two election timeouts, as in etcd, and as much again for a busy machine.
const FAILS_WITHIN: Duration = Duration::from_secs(12);

/// Several election timeouts.
const STANDS_FOR: Duration = Duration::from_secs(3);

/// A cluster in a network of its own; none where that is not possible, after a line that says why.
fn apart(members: usize, flags: &[&str]) -> Option<(Arc<Network>, Cluster)> {
    match Network::new(members) {
        Ok(network) => {
            let network = Arc::new(network);
            let builder = quorate(members).network(&network);
            let cluster = flags.iter().fold(builder, |builder, flag| builder.flag(*flag)).start();
            Some((network, cluster))
        }
        Err(reason) => {
            eprintln!("skipped: no network namespaces here: {reason}");
            None
        }
    }
}

/// A member's place in the network.
fn place(cluster: &Cluster, member: &Member) -> usize {
    let found = cluster.members().iter().position(|it| it.name() == member.name());
    found.unwrap_or_else(|| panic!("{} is no member", member.name()))
}

fn places(cluster: &Cluster, members: &[Arc<Member>]) -> Vec<usize> {
    members.iter().map(|member| place(cluster, member)).collect()
}

/// Takes back all that was cut, and waits until every member is well.
#[track_caller]
fn heal(network: &Network, cluster: &Cluster) {
    let begun = Instant::now();
    network.heal();
    cluster.wait_ready();
    eprintln!("all well {:?} after the network was", begun.elapsed());
}

/// All members but these.
fn all_but(cluster: &Cluster, few: &[Arc<Member>]) -> Vec<Arc<Member>> {
    let is_one = |member: &Arc<Member>| few.iter().any(|it| it.name() == member.name());
    cluster.members().into_iter().filter(|member| !is_one(member)).collect()
}

/// The term a member is in, by its headers.
fn term(member: &Member) -> u64 {
    let answer = member.http().send(&Request::get("/v2/keys/")).expect("answers");
    answer.header("X-Raft-Term").and_then(|term| term.parse().ok()).expect("a term")
}

/// Writes and quorum reads at each of `members` fail in time with etcd's error, plain reads go on.
#[track_caller]
fn assert_without_quorum(members: &[Arc<Member>]) {
    std::thread::scope(|scope| {
        for member in members {
            let keys = || Keys::new(Http::new(member.client_address()).timeout(FAILS_WITHIN * 2));
            scope.spawn(move || {
                let begun = Instant::now();
                let answer = keys().put("/minority", "v").expect("an answer, if not a success");
                assert_refused(&answer);
                assert!(begun.elapsed() < FAILS_WITHIN, "it took {:?}", begun.elapsed());
            });
            scope.spawn(move || {
                assert_refused(&keys().get_with("/register", "quorum=true").expect("an answer"));
            });
            scope.spawn(move || {
                let answer = keys().get("/register").expect("an answer");
                assert!(answer.is_ok(), "{}", answer.answer);
            });
        }
    });
}

#[track_caller]
fn assert_refused(answer: &KeyAnswer) {
    assert_eq!((answer.status, answer.error_code()), (500, Some(300)), "{}", answer.answer);
}

#[test]
fn the_minority_promises_nothing_and_the_majority_goes_on() {
    let _turn = turn::shared();
    let Some((network, cluster)) = apart(5, &[]) else { return };
    let register = Register::start(&cluster.members());
    let load = Load::start(&cluster, 3, Retry::Never);
    load.wait_more(50, SOON);
    // Once with the leader among the few, once without.
    for with_leader in [true, false] {
        let leader = cluster.wait_leader(SOON);
        let mut few = others(&cluster, &leader);
        if with_leader {
            few.insert(0, leader);
        }
        few.truncate(2);
        network.part(&places(&cluster, &few), &places(&cluster, &all_but(&cluster, &few)));
        assert_without_quorum(&few);
        load.wait_more(10, SOON);
        heal(&network, &cluster);
        register.wait_more(20, SOON);
    }
    let (account, reads) = (load.stop(), register.stop());
    eprintln!("{}, {reads} quorum reads", account.summary());
    account.assert_kept(&agreed_store(&cluster.members(), SOON));
}

#[test]
fn a_follower_that_comes_back_deposes_nobody() {
    let _turn = turn::alone();
    // Patient enough that a busy machine causes no election; what is looked for is one that the follower causes.
    let flags = ["--heartbeat-interval=100", "--election-timeout=1000"];
    let Some((network, cluster)) = apart(3, &flags) else { return };
    let register = Register::start(&cluster.members());
    let leader = cluster.wait_leader(SOON);
    let (follower, other) = (&others(&cluster, &leader)[0], &others(&cluster, &leader)[1]);
    let (alone, rest) =
        (place(&cluster, follower), [place(&cluster, &leader), place(&cluster, other)]);
    let before = term(&leader);
    // Both ways; then it hears nobody; then nobody hears it.
    for (deaf, mute) in [(true, true), (true, false), (false, true)] {
        if deaf {
            network.cut(&rest, &[alone]);
        }
        if mute {
            network.cut(&[alone], &rest);
        }
        wait_until("the lonely member misses its leader", SOON, || !follower.is_ready());
        register.wait_more(20, SOON);
        // Long enough for it to stand for election several times.
        std::thread::sleep(STANDS_FOR);
        heal(&network, &cluster);
        register.wait_more(20, SOON);
        assert_eq!(term(&leader), before, "deaf {deaf}, mute {mute}: the leadership moved");
    }
    eprintln!("{} quorum reads", register.stop());
    agreed_store(&cluster.members(), SOON);
}

#[test]
fn a_leader_that_is_cut_off_in_any_way_is_replaced() {
    let _turn = turn::shared();
    let Some((network, cluster)) = apart(3, &[]) else { return };
    let register = Register::start(&cluster.members());
    let load = Load::start(&cluster, 2, Retry::Never);
    for (deaf, mute) in [(true, true), (false, true), (true, false)] {
        let leader = cluster.wait_leader(SOON);
        let rest = places(&cluster, &others(&cluster, &leader));
        let alone = place(&cluster, &leader);
        if deaf {
            network.cut(&rest, &[alone]);
        }
        if mute {
            network.cut(&[alone], &rest);
        }
        let begun = Instant::now();
        wait_until("the others have another leader", SOON, || {
            cluster.leader().is_some_and(|now| now.name() != leader.name())
        });
        eprintln!("leader deaf {deaf}, mute {mute}: replaced after {:?}", begun.elapsed());
        register.wait_more(20, SOON);
        load.wait_more(20, SOON);
        heal(&network, &cluster);
    }
    let (account, reads) = (load.stop(), register.stop());
    eprintln!("{}, {reads} quorum reads", account.summary());
    account.assert_kept(&agreed_store(&cluster.members(), SOON));
}

#[test]
fn members_that_lose_packets_go_on() {
    let _turn = turn::shared();
    let Some((network, cluster)) = apart(3, &[]) else { return };
    let register = Register::start(&cluster.members());
    let load = Load::start(&cluster, 2, Retry::Never);
    for percent in [2, 20] {
        network.lose(percent);
        load.wait_more(40, SOON * 2);
        register.wait_more(10, SOON * 2);
        heal(&network, &cluster);
    }
    let (account, reads) = (load.stop(), register.stop());
    eprintln!("{}, {reads} quorum reads", account.summary());
    account.assert_kept(&agreed_store(&cluster.members(), SOON));
}
