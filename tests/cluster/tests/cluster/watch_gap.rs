//! Watchers that move between members with `waitIndex` miss nothing and see nothing twice, while members die.

use quorate_cluster_tests::{Follower, Load, Manner, Retry, agreed_store, turn};
use quorate_harness::{Seeded, wait_until};

use crate::{SOON, quorate};

#[test]
fn watchers_see_the_whole_history_in_order_and_once() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let mut rng = Seeded::from_environment("watch gap");
    let begin = agreed_store(&cluster.members(), SOON).index + 1;
    let manners =
        [Manner::Stream, Manner::LongPoll, Manner::Stream, Manner::LongPoll, Manner::Stream];
    let watchers: Vec<Follower> = (manners.iter().enumerate())
        .map(|(at, manner)| Follower::start(&cluster.members(), at, "/", begin, *manner))
        .collect();
    // At a moderate pace: the history holds a thousand events, and a watcher has to come back before it has moved on.
    let load =
        Load::through(&cluster.members(), 3, Retry::Never, std::time::Duration::from_millis(10));
    for _ in 0..6 {
        load.wait_more(60, SOON);
        let victim = cluster.leader().unwrap_or_else(|| cluster.member(0));
        let victim = if rng.one_in(3) { rng.pick(&cluster.members()).clone() } else { victim };
        victim.kill9();
        load.wait_more(60, SOON);
        victim.start();
    }
    load.stop();
    cluster.wait_ready();
    let store = agreed_store(&cluster.members(), SOON);
    // Every key of the load is written once, so the store is the history.
    let mut history: Vec<(u64, String)> = (store.nodes.iter())
        .filter(|(_, (value, index, _))| *index >= begin && value != "(directory)")
        .map(|(key, (value, index, _))| {
            let action = if key.starts_with("/load-queue/") { "create" } else { "set" };
            (*index, format!("{action} {key} {value}"))
        })
        .collect();
    history.sort();
    for (watcher, manner) in watchers.iter().zip(manners) {
        wait_until("the watcher has seen the last event", SOON, || {
            watcher.seen().last().map(|(index, _)| *index)
                >= history.last().map(|(index, _)| *index)
        });
        let seen = watcher.seen();
        let first = seen.iter().zip(&history).position(|(seen, there)| seen != there);
        let around = |all: &[(u64, String)]| {
            first.map(|at| all[at.saturating_sub(1)..all.len().min(at + 3)].to_vec())
        };
        assert!(
            first.is_none() && seen.len() == history.len(),
            "{manner:?} saw {} of {} events; it differs at {first:?}: seen {:?}, history {:?}",
            seen.len(),
            history.len(),
            around(&seen),
            around(&history)
        );
    }
    eprintln!("{} events, {} watchers", history.len(), watchers.len());
}
