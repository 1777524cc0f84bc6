//! Who leads, as this member knows: a cheap view of the raft library's server metrics for everyone who asks often.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::{Instant as _, ServerState};
use openraft::async_runtime::WatchReceiver as _;
use parking_lot::Mutex;
use quorate_core::Stamp;
use tokio::sync::watch;

use super::Raft;
use super::elections::Elections;
use crate::clock::wall_clock;
use crate::member::Role;

/// A moment's view of the leadership.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct View {
    /// The term.
    pub term: u64,
    /// The leader's ID, if known.
    pub leader: Option<u64>,
    /// What this member does.
    pub role: Role,
    /// Whom this member voted for in the term.
    pub voted_for: Option<u64>,
}

impl Default for View {
    fn default() -> Self {
        Self { term: 0, leader: None, role: Role::Learner, voted_for: None }
    }
}

/// Counts and times of leadership, for the metrics.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// How often a leader was seen that was not the one before.
    pub changes: u64,
    /// Seconds spent without a leader so far, not counting the present spell.
    pub leaderless: Duration,
    /// Since when there is no leader, if so.
    pub leaderless_since: Option<Instant>,
    /// Since when the present leader leads, by this member's wall clock.
    pub leader_since: Stamp,
}

/// See the module.
#[derive(Clone)]
pub struct Leadership {
    views: watch::Receiver<View>,
    history: Arc<Mutex<History>>,
}

impl Leadership {
    /// Follows `raft`'s metrics until it shuts down.
    ///
    /// A leader counts as lost when it was silent for `patience`: towards its followers, or as a leader itself when no quorum
    /// acknowledges it any more. No write could succeed then, so it is honest to say that there is no leader.
    pub fn follow(raft: &Raft, own: u64, patience: Duration, elections: Arc<Elections>) -> Self {
        let (sender, views) = watch::channel(View::default());
        let history = Arc::new(Mutex::new(History { leaderless_since: Some(Instant::now()), ..History::default() }));
        let mut metrics = raft.server_metrics();
        let data = raft.data_metrics();
        let kept = Arc::clone(&history);
        tokio::spawn(async move {
            let mut elected = Instant::now();
            loop {
                let mut view = {
                    let now = metrics.borrow_watched();
                    let role = match now.state {
                        ServerState::Leader => Role::Leader,
                        ServerState::Candidate => Role::Candidate,
                        ServerState::Follower => Role::Follower,
                        ServerState::Learner | ServerState::Shutdown => Role::Learner,
                    };
                    let term = now.vote.leader_id.term;
                    let voted_for = (term > 0).then_some(now.vote.leader_id.voted_for);
                    View { term, leader: now.current_leader, role, voted_for }
                };
                if view.term != sender.borrow().term {
                    elected = Instant::now();
                }
                let is_alone = metrics.borrow_watched().membership_config.voter_ids().count() <= 1;
                let silence = match view.role {
                    Role::Leader if is_alone => Duration::ZERO,
                    Role::Leader => data.borrow_watched().last_quorum_acked.as_ref().map_or(elected.elapsed(), |at| at.elapsed()),
                    _ => elections.silence(),
                };
                if silence >= patience && view.leader.is_some() {
                    // The library keeps naming the old leader, and a leader without a quorum keeps naming itself.
                    view = View { leader: None, role: if view.role == Role::Leader { Role::Candidate } else { view.role }, ..view };
                }
                record(&kept, *sender.borrow(), view, own);
                elections.viewed(view);
                sender.send_if_modified(|old| std::mem::replace(old, view) != view);
                tokio::select! {
                    changed = metrics.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(patience / 4) => {}
                }
            }
        });
        Self { views, history }
    }

    /// The present view.
    pub fn view(&self) -> View {
        *self.views.borrow()
    }

    /// A receiver of views, to wait for a change.
    pub fn watch(&self) -> watch::Receiver<View> {
        self.views.clone()
    }

    /// Returns once another member than `leader` is known to lead in a later term than `term`.
    pub async fn replaced(&self, leader: u64, term: u64) {
        let mut views = self.watch();
        let replaced = views.wait_for(|view| view.term > term && view.leader.is_some_and(|now| now != leader));
        if replaced.await.is_err() {
            // This member is stopping; whoever asked finds out elsewhere.
            std::future::pending::<()>().await;
        }
    }

    /// Since when the present leader leads, by this member's wall clock.
    pub fn leader_since(&self) -> Stamp {
        self.history.lock().leader_since
    }

    /// Counts and times so far.
    pub fn history(&self) -> History {
        self.history.lock().clone()
    }
}

fn record(history: &Mutex<History>, before: View, now: View, own: u64) {
    if before.leader == now.leader && before.term == now.term {
        return;
    }
    let mut history = history.lock();
    match now.leader {
        Some(leader) => {
            let gap = history.leaderless_since.take().map(|since| since.elapsed()).unwrap_or_default();
            history.leaderless += gap;
            history.changes += 1;
            history.leader_since = wall_clock();
            let whose = if leader == own { "this member leads" } else { "leader elected" };
            tracing::info!(leader = %format_args!("{leader:x}"), term = now.term, leaderless_ms = gap.as_millis(), "{whose}");
        }
        None => {
            if before.leader.is_some() {
                tracing::warn!(term = now.term, "no leader known; an election is due");
            }
            history.leaderless_since.get_or_insert_with(Instant::now);
        }
    }
}
