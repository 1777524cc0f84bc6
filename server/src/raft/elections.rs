//! The story of each election that this member wins: why it was needed, how long it took to notice, to be elected, and to
//! commit again. Told in pieces by those who see them happen, and put together here for a log line and the metrics.
//!
//! Invariant: nothing is decided here. A piece that is missing makes a duration shorter or a cause `unknown`, no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::leadership::View;
use crate::member::Role;
use crate::metrics::{Cause, Election, Metrics};

/// A hand-over leads to an election at once, or to none.
const TRANSFER_FRESH: Duration = Duration::from_secs(2);

/// See the module.
pub struct Elections {
    own: u64,
    metrics: Arc<Metrics>,
    began: Instant,
    /// When the leader was last heard of, in nanoseconds since `began`; 0 for never.
    last_sign: AtomicU64,
    /// Whether this member stands, so that a sign of the leader can put an end to it.
    is_standing: AtomicBool,
    applied_term: AtomicU64,
    story: Mutex<Story>,
}

impl Elections {
    /// Nothing happened yet.
    pub fn new(own: u64, metrics: Arc<Metrics>) -> Self {
        Self {
            own,
            metrics,
            began: Instant::now(),
            last_sign: AtomicU64::new(0),
            is_standing: AtomicBool::new(false),
            applied_term: AtomicU64::new(0),
            story: Mutex::default(),
        }
    }

    /// This member's ID.
    pub fn own(&self) -> u64 {
        self.own
    }

    /// How long ago the leader was last heard of; since the start if never.
    pub fn silence(&self) -> Duration {
        let heard = Duration::from_nanos(self.last_sign.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(heard)
    }

    /// Entries or a heartbeat came.
    pub fn heard_of_leader(&self) {
        let elapsed = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last_sign.store(elapsed.max(1), Ordering::Relaxed);
        if self.is_standing.load(Ordering::Relaxed) {
            self.is_standing.store(false, Ordering::Relaxed);
            self.story.lock().standing_since = None;
        }
    }

    /// The process of the leader of `term` was seen to have ended.
    pub fn process_ended(&self, leader: u64, term: u64) {
        self.story.lock().ended = Some((leader, term));
    }

    /// The leader asks this member to take over.
    pub fn asked_to_take_over(&self) {
        self.story.lock().asked_at = Some(Instant::now());
    }

    /// This member asks for votes.
    pub fn stands(&self) {
        if !self.is_standing.swap(true, Ordering::Relaxed) {
            self.story.lock().standing_since.get_or_insert_with(Instant::now);
        }
    }

    /// What this member knows about the leadership has changed.
    pub fn viewed(&self, view: View) {
        let last_sign = match self.last_sign.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(self.began + Duration::from_nanos(nanos)),
        };
        let won = {
            let mut story = self.story.lock();
            story.view(self.own, view, last_sign, Instant::now());
            story.conclude()
        };
        if view.leader.is_some() {
            self.is_standing.store(false, Ordering::Relaxed);
        }
        self.tell(won);
    }

    /// An entry of `term` was applied.
    pub fn applied(&self, term: u64) {
        if term <= self.applied_term.load(Ordering::Relaxed) {
            return;
        }
        self.applied_term.store(term, Ordering::Relaxed);
        let won = {
            let mut story = self.story.lock();
            story.applied = Some((term, Instant::now()));
            story.conclude()
        };
        self.tell(won);
    }

    /// How long this member has been leading, if it does.
    pub fn leading_for(&self) -> Option<Duration> {
        self.story.lock().leading_since.map(|since| since.elapsed())
    }

    fn tell(&self, won: Option<Election>) {
        let Some(election) = won else { return };
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            term = election.term,
            cause = election.cause.name(),
            detection_ms = election.detection.map(millis),
            vote_ms = millis(election.vote),
            first_commit_ms = millis(election.first_commit),
            total_ms = millis(election.total()),
            "this member was elected and has committed"
        );
        self.metrics.election_won(&election);
    }
}

/// The pieces so far.
#[derive(Debug, Default)]
struct Story {
    /// The newest leader known, and its term.
    leader: Option<(u64, u64)>,
    /// Whether this member had voted or followed before this process.
    has_past: Option<bool>,
    /// Whose process ended, and in which term it led.
    ended: Option<(u64, u64)>,
    asked_at: Option<Instant>,
    standing_since: Option<Instant>,
    leading_since: Option<Instant>,
    /// When this member last ceased to lead.
    stepped_down: Option<Instant>,
    /// An election won, not yet followed by an entry, and when it was won.
    won: Option<(Election, Instant)>,
    /// The newest term of which an entry was applied, and when the first one was.
    applied: Option<(u64, Instant)>,
}

impl Story {
    fn view(&mut self, own: u64, view: View, last_sign: Option<Instant>, now: Instant) {
        self.has_past.get_or_insert(view.term > 0);
        let leads = view.leader == Some(own) && view.role == Role::Leader;
        if leads && self.leader == Some((own, view.term)) {
            return;
        }
        if self.leading_since.take().is_some() {
            self.stepped_down = Some(now);
        }
        if leads {
            let last_sign = last_sign.max(self.stepped_down);
            self.won = Some((self.election(view.term, last_sign, now), now));
            self.leading_since = Some(now);
        }
        if let Some(leader) = view.leader {
            self.leader = Some((leader, view.term));
            (self.standing_since, self.asked_at) = (None, None);
        }
    }

    fn election(&self, term: u64, last_sign: Option<Instant>, now: Instant) -> Election {
        let stood = self.standing_since.unwrap_or(now);
        let cause = match self.leader {
            _ if self
                .asked_at
                .is_some_and(|at| stood.saturating_duration_since(at) <= TRANSFER_FRESH) =>
            {
                Cause::Transfer
            }
            Some(_) if self.ended == self.leader => Cause::LeaderProcessEnded,
            Some(_) => Cause::Timeout,
            None if self.has_past == Some(false) => Cause::Formation,
            None => Cause::Unknown,
        };
        let detection =
            self.leader.and(last_sign).map(|sign| stood.saturating_duration_since(sign));
        let vote = now.saturating_duration_since(stood);
        Election { term, cause, detection, vote, first_commit: Duration::ZERO }
    }

    /// The election that is now complete: either piece may come first.
    fn conclude(&mut self) -> Option<Election> {
        let ((election, won_at), (term, applied_at)) = (self.won?, self.applied?);
        if term < election.term {
            return None;
        }
        self.won = None;
        // An entry of a later term: this election came to nothing.
        let first_commit = applied_at.saturating_duration_since(won_at);
        (term == election.term).then_some(Election { first_commit, ..election })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u64 = 1;
    const OTHER: u64 = 2;

    /// A story with a clock in milliseconds.
    struct Told {
        story: Story,
        start: Instant,
        last_sign: Option<Instant>,
    }

    impl Told {
        fn new() -> Self {
            Self { story: Story::default(), start: Instant::now(), last_sign: None }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn sees(&mut self, ms: u64, term: u64, leader: Option<u64>) -> Option<Election> {
            let role = if leader == Some(OWN) { Role::Leader } else { Role::Follower };
            let view = View { term, leader, role, voted_for: None };
            self.story.view(OWN, view, self.last_sign, self.at(ms));
            self.story.conclude()
        }

        fn applies(&mut self, ms: u64, term: u64) -> Option<Election> {
            self.story.applied = Some((term, self.at(ms)));
            self.story.conclude()
        }

        fn stands(&mut self, ms: u64) {
            let at = self.at(ms);
            self.story.standing_since.get_or_insert(at);
        }

        /// Follows `OTHER` in term 3, heard of last at 1000 ms.
        fn following() -> Self {
            let mut told = Self::new();
            assert_eq!(told.sees(0, 0, None), None);
            assert_eq!(told.sees(100, 3, Some(OTHER)), None);
            told.last_sign = Some(told.at(1000));
            told
        }
    }

    fn parts(election: Election) -> (Cause, Option<u64>, u64, u64) {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let Election { cause, detection, vote, first_commit, .. } = election;
        (cause, detection.map(ms), ms(vote), ms(first_commit))
    }

    #[test]
    fn a_silent_leader_is_a_timeout() {
        let mut told = Told::following();
        told.stands(1300);
        assert_eq!(told.sees(1310, 4, None), None);
        assert_eq!(told.sees(1320, 4, Some(OWN)), None);
        let won = told.applies(1325, 4).expect("the election is complete");
        assert_eq!(parts(won), (Cause::Timeout, Some(300), 20, 5));
        assert_eq!(won.total(), Duration::from_millis(325));
        assert_eq!(told.applies(1400, 4), None, "told once");
    }

    #[test]
    fn evidence_counts_only_against_the_leader_it_is_about() {
        for (ended, cause) in
            [((OTHER, 3), Cause::LeaderProcessEnded), ((OTHER, 2), Cause::Timeout)]
        {
            let mut told = Told::following();
            told.story.ended = Some(ended);
            told.stands(1010);
            told.sees(1012, 4, Some(OWN));
            assert_eq!(told.applies(1015, 4).map(parts), Some((cause, Some(10), 2, 3)));
        }
    }

    #[test]
    fn a_hand_over_that_came_to_nothing_explains_no_later_election() {
        for (asked, cause) in [(5000, Cause::Transfer), (1000, Cause::Timeout)] {
            let mut told = Told::following();
            told.story.asked_at = Some(told.at(asked));
            told.stands(5001);
            told.sees(5003, 4, Some(OWN));
            assert_eq!(told.applies(5003, 4).map(|won| won.cause), Some(cause));
        }
    }

    #[test]
    fn without_a_leader_before_it_was_a_formation_or_is_unknown() {
        for (first_term, cause) in [(0, Cause::Formation), (7, Cause::Unknown)] {
            let mut told = Told::new();
            told.sees(0, first_term, None);
            told.stands(50);
            told.sees(60, first_term + 1, Some(OWN));
            assert_eq!(told.applies(61, first_term + 1).map(parts), Some((cause, None, 10, 1)));
        }
    }

    #[test]
    fn the_entry_may_be_applied_before_the_election_is_seen() {
        let mut told = Told::following();
        told.stands(1300);
        assert_eq!(told.applies(1305, 4), None);
        assert_eq!(
            told.sees(1306, 4, Some(OWN)).map(parts),
            Some((Cause::Timeout, Some(300), 6, 0))
        );
    }

    #[test]
    fn a_leader_that_stepped_down_was_the_last_sign_of_itself() {
        let mut told = Told::new();
        told.sees(0, 0, None);
        told.sees(10, 1, Some(OWN));
        told.applies(11, 1);
        assert!(told.story.leading_since.is_some());
        told.sees(500, 1, None);
        assert!(told.story.leading_since.is_none());
        told.stands(800);
        told.sees(810, 2, Some(OWN));
        assert_eq!(told.applies(812, 2).map(parts), Some((Cause::Timeout, Some(300), 10, 2)));
    }

    #[test]
    fn an_election_that_came_to_nothing_is_not_told() {
        let mut told = Told::following();
        told.stands(1300);
        told.sees(1310, 4, Some(OWN));
        told.sees(1320, 5, Some(OTHER));
        assert_eq!(told.applies(1330, 5), None);
        assert!(told.story.won.is_none());
    }
}
