//! What a member does unasked: tells the cluster about itself, decides the cluster's version, lets keys expire, keeps its
//! links in step with the membership, and notices when it has to stop.

use std::time::Duration;

use quorate_core::{Command, MemberId};
use tokio::task::JoinHandle;

use crate::member::{Member as _, Role};
use crate::node::{Node, StopReason};
use crate::pauses::Pauses;
use crate::storage::log::Space;

/// The version of the v2 API and of all formats that this release speaks, as etcd names it.
const CLUSTER_VERSION: &str = "3.4.0";
/// Between two attempts at something that needs a leader: in a cluster that forms, it is there in milliseconds.
const RETRY_PAUSES: Pauses = Pauses::between(Duration::from_millis(1), Duration::from_millis(50));
/// A leader looks for due keys at most this often: an entry per key and instant would only load the log.
const EXPIRY_PAUSE_MIN: Duration = Duration::from_millis(20);
/// A leader looks for due keys at least this often, since a new key may be due before the one it waited for.
const EXPIRY_PAUSE_MAX: Duration = Duration::from_millis(100);
/// How often a member without a leader knocks at its peers.
const SEEK_PAUSE: Duration = Duration::from_millis(500);
/// A member without room that is elected again hands over again after this. If all are full, the leadership must not go in
/// circles.
const MAKE_WAY_PAUSES: Pauses = Pauses::between(Duration::from_secs(1), Duration::from_secs(60));
/// How often a member without room looks whether it leads.
const ROOM_PAUSE: Duration = Duration::from_millis(250);
/// How often the links are compared with the membership.
const LINKS_PAUSE: Duration = Duration::from_millis(50);

/// Starts all duties of `node`.
pub(crate) fn start(node: &Node) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(publish(node.clone())),
        tokio::spawn(expire(node.clone())),
        tokio::spawn(keep_links(node.clone())),
        tokio::spawn(seek_leader(node.clone())),
        tokio::spawn(make_way(node.clone())),
        tokio::spawn(notice_end(node.clone())),
    ]
}

/// Tells the cluster this member's name and client URLs, once per start; then, if it leads, decides the version.
async fn publish(node: Node) {
    let command = node.publication();
    let mut pauses = RETRY_PAUSES;
    // A member that is not in the log yet has nothing to tell; it waits for its own addition to arrive.
    while !node.view(|machine, _| machine.members().member(node.own().member).is_some()) {
        tokio::time::sleep(pauses.next()).await;
    }
    pauses.reset();
    while let Err(error) = node.propose(command.clone()).await {
        tracing::warn!(%error, "cannot tell the cluster about this member yet");
        tokio::time::sleep(pauses.next()).await;
    }
    tracing::info!(member = %node.own().member, cluster = %node.own().cluster, "published this member's client URLs");
    pauses.reset();
    while node.view(|machine, _| machine.members().cluster_version().is_none()) {
        if node.status().role == Role::Leader {
            let command = Command::ClusterVersion { version: CLUSTER_VERSION.to_owned() };
            if let Err(error) = node.propose(command).await {
                tracing::warn!(%error, "cannot set the cluster's version yet");
            }
        }
        tokio::time::sleep(pauses.next()).await;
    }
    node.published();
    tracing::info!(
        cluster_version = CLUSTER_VERSION,
        "enabled capabilities for version {CLUSTER_VERSION}"
    );
}

/// While this member leads, proposes the expiry of keys that are due by the cluster's clock.
async fn expire(node: Node) {
    loop {
        let next =
            node.view(|machine, now| machine.next_expiry().map(|at| at.0.saturating_sub(now.0)));
        let pause = match next {
            Some(ns) => Duration::from_nanos(ns).clamp(EXPIRY_PAUSE_MIN, EXPIRY_PAUSE_MAX),
            None => EXPIRY_PAUSE_MAX,
        };
        tokio::time::sleep(pause).await;
        if node.status().role != Role::Leader {
            continue;
        }
        let is_due = node.view(|machine, now| machine.next_expiry().is_some_and(|at| at <= now));
        if is_due && let Err(error) = node.propose(Command::Expire).await {
            tracing::warn!(%error, "cannot let keys expire yet");
        }
    }
}

/// Opens links to new members and closes those to removed ones.
async fn keep_links(node: Node) {
    let mut has_greeted = false;
    let mut pauses = RETRY_PAUSES;
    loop {
        tokio::time::sleep(if has_greeted { LINKS_PAUSE } else { pauses.next() }).await;
        let members: Vec<(MemberId, Vec<String>)> = node.view(|machine, _| {
            machine.members().iter().map(|member| (member.id, member.peer_urls.clone())).collect()
        });
        if members.is_empty() {
            continue;
        }
        node.align_links(&members);
        if !std::mem::replace(&mut has_greeted, true) {
            // Those who had given this member up while it was down hear that it is back, before they need it.
            tokio::spawn({
                let node = node.clone();
                async move { node.knock().await }
            });
        }
    }
}

/// While no leader is known, knocks at all peers: one that has removed this member, or leads without its knowledge, says so.
async fn seek_leader(node: Node) {
    loop {
        tokio::time::sleep(SEEK_PAUSE).await;
        if node.status().leader.is_none() {
            node.knock().await;
        }
    }
}

/// While this member has no room for its log, lets another one lead: a leader without room refuses every write.
async fn make_way(node: Node) {
    let mut space = node.space();
    loop {
        if space.wait_for(|space| *space != Space::Ample).await.is_err() {
            // The log was closed; this member is stopping.
            return;
        }
        let mut pauses = MAKE_WAY_PAUSES;
        while *space.borrow() != Space::Ample {
            if node.status().role == Role::Leader {
                tracing::warn!(
                    "no room for the raft log: handing the leadership to a member that may have some"
                );
                node.step_aside().await;
                tokio::time::sleep(pauses.next()).await;
            } else {
                tokio::time::sleep(ROOM_PAUSE).await;
            }
        }
    }
}

/// Notices what this member cannot go on after.
async fn notice_end(node: Node) {
    let reason = tokio::select! {
        reason = node.log_failed() => StopReason::LogFailed(reason),
        reason = node.raft_stopped() => StopReason::RaftStopped(reason),
        () = node.removed() => StopReason::Removed(node.own().member),
    };
    node.must_stop(reason);
}
