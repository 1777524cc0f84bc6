//! The task that reports: finds out what there is to tell, and whom, tells it, and waits until something is new.
//!
//! Invariant: one report at a time. A running member is silent while nothing is new, but for a sign of life every few minutes: each report
//! is a durable write at the service, of which thousands of clusters may use one.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_core::MemberId;
use quorate_core::bootstrap::Listed;
use tokio::sync::watch;
use tokio::time::Instant;

use super::inherited::Inherited;
use super::message::{Membership, Message, Progress};
use super::reception::{Reception, period};
use super::service::Service;
use super::tally::Tally;
use super::target::{Target, Whereabouts};
use super::{Facts, Papers, Prober, Running};

/// A running member that has nothing new to tell says so after this. A service takes one for silent that says nothing for much
/// longer, and those who follow the cluster by it are told that the news is old after a quarter of an hour more.
const KEEP_ALIVE: Duration = Duration::from_secs(240);
/// A clock that was set by more than this is news.
const CLOCK_STEP_MS: u64 = 250;
/// How often a running member looks whether its membership is another one.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// The same until it has started, which people wait for.
const LOOK_PAUSE_STARTING: Duration = Duration::from_millis(250);
/// What is new is told together with what else is new in the next moment; and the start is not held up by it.
const GATHER: Duration = Duration::from_millis(200);
/// Where another member said to report is asked for again once nothing has been taken there for so long: the service may have moved.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// What does not change while a member lives, and how to find out the rest.
pub struct Teller {
    /// This member, as it registers.
    pub own: MemberId,
    /// Where it serves clients, and where it tells its metrics apart from that.
    pub client_urls: Vec<String>,
    /// See `client_urls`.
    pub metrics_urls: Vec<String>,
    /// Finds out whom it reaches.
    pub prober: Prober,
    /// Its certificates.
    pub papers: Papers,
    /// For peers that ask where to report.
    pub whereabouts: Whereabouts,
    /// Counts.
    pub tally: Tally,
}

/// Whom a member tells.
pub enum Whom {
    /// The service that its flags name, once that says that it takes reports.
    Named(Target, Service),
    /// Whom the other members tell, once they have said so.
    Peers(Inherited),
}

/// What was told last; whoever runs tells it again when it has changed.
#[derive(Default)]
struct Told {
    progress: Progress,
    membership: Option<Membership>,
    /// What was taken last, and when it was so.
    message: Option<(Message, Instant)>,
}

impl Teller {
    pub(super) async fn run(self, whom: Whom, mut facts: watch::Receiver<Facts>) {
        let mut told = Told::default();
        let mut reception = Reception::new(self.tally.clone());
        let Some((mut target, mut service, inherited)) = Self::service(whom, &mut facts).await
        else {
            return;
        };
        loop {
            let now = facts.borrow_and_update().clone();
            let takes = inherited.is_some() || now.takes;
            let Some((id, message, at)) = self.compose(&now, takes, &mut told).await else {
                if facts.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let is_running = told.progress == Progress::Started;
            let pause = if reception.is_failing() || told.is_news(&message, at) {
                let sent = service.put(id, &message).await;
                if sent.is_ok() {
                    self.whereabouts.are(&target).await;
                } else if reception.is_failing_for(ASK_AGAIN_AFTER) {
                    self.whereabouts.are_unknown();
                }
                told.message = sent.is_ok().then_some((message, at));
                reception.note(sent, is_running)
            } else {
                period(is_running)
            };
            if let (Some(inherited), Some(running)) = (&inherited, &now.running)
                && reception.is_failing_for(ASK_AGAIN_AFTER)
            {
                reception.wait_anew();
                let found = inherited.ask_once(&**running).await;
                if let Some((other, connector)) = found.filter(|(it, _)| !it.is_same_place(&target))
                {
                    tracing::info!(
                        "another member reports elsewhere, and so does this one from now on"
                    );
                    (service, target) = (Service::new(&other, connector), other);
                }
            }
            rest(&mut facts, &told, pause, reception.is_failing()).await;
        }
    }

    /// Whom to tell, as soon as it is known; nothing if the member ends before that.
    async fn service(
        whom: Whom,
        facts: &mut watch::Receiver<Facts>,
    ) -> Option<(Target, Service, Option<Inherited>)> {
        let inherited = match whom {
            Whom::Named(target, service) => return Some((target, service, None)),
            Whom::Peers(inherited) => inherited,
        };
        let running = started(facts).await?;
        let (target, connector) = match inherited.kept() {
            Some(kept) => kept,
            None => inherited.ask(&*running).await,
        };
        tracing::info!(
            service = target.shown(),
            "reports go to the discovery service that the other members report to"
        );
        let service = Service::new(&target, connector);
        Some((target, service, Some(inherited)))
    }

    /// What there is to tell, and when it was so; nothing while nobody takes it, or while this member has no place at the service.
    async fn compose(
        &self,
        facts: &Facts,
        takes: bool,
        told: &mut Told,
    ) -> Option<(MemberId, Message, Instant)> {
        let id = facts.running.as_ref().map_or(self.own, |running| running.id());
        let is_registered = facts.known.iter().any(|known| known.id == id);
        if !takes || !(is_registered || facts.running.is_some()) {
            return None;
        }
        told.progress = progress(facts);
        let membership = facts.running.as_ref().and_then(|running| running.membership());
        // The same members under a higher index are no other list.
        let is_new =
            |now: &Membership| told.membership.as_ref().is_none_or(|it| it.members != now.members);
        if let Some(membership) = membership.filter(is_new) {
            told.membership = Some(membership);
        }
        let others = told.membership.as_ref().map_or_else(|| facts.known.clone(), listed);
        let (reach, theirs) = self.prober.reach(id, &others).await;
        let (client_urls, metrics_urls) = match told.progress {
            Progress::Started => (self.client_urls.clone(), self.metrics_urls.clone()),
            Progress::Waiting | Progress::Starting => Default::default(),
        };
        // Both clocks at once: however long the service takes for its answer, that is no step of the clock.
        let (at, clock_ms) = (Instant::now(), clock_ms());
        let message = Message {
            progress: told.progress,
            clock_ms,
            program: concat!("quorate-server ", env!("CARGO_PKG_VERSION")).to_owned(),
            reach,
            certificate_problems: self.papers.problems().into_iter().chain(theirs).collect(),
            client_urls,
            metrics_urls,
            membership: told.membership.clone(),
        };
        Some((id, message.bounded(), at))
    }
}

impl Told {
    /// Whether the service has to hear of it: it knows nothing of this yet, or it must not forget that this member lives.
    fn is_news(&self, message: &Message, now: Instant) -> bool {
        let Some((last, at)) = &self.message else { return true };
        let passed = now.saturating_duration_since(*at);
        let expected_ms = last.clock_ms.saturating_add(passed.as_millis() as u64);
        passed >= KEEP_ALIVE
            || message.progress != Progress::Started
            || message.clock_ms.abs_diff(expected_ms) > CLOCK_STEP_MS
            || !message.says_the_same(last)
    }
}

/// The member, once it has started; nothing if it ends before that.
async fn started(facts: &mut watch::Receiver<Facts>) -> Option<Arc<dyn Running>> {
    loop {
        let running = facts.borrow_and_update().running.clone();
        if let Some(running) = running.filter(|running| running.has_started()) {
            return Some(running);
        }
        tokio::select! {
            changed = facts.changed() => changed.ok()?,
            () = tokio::time::sleep(LOOK_PAUSE) => {}
        }
    }
}

/// Returns when it is time for the next report: after `pause`, or as soon as something is new and the service takes reports.
async fn rest(facts: &mut watch::Receiver<Facts>, told: &Told, pause: Duration, is_failing: bool) {
    let until = Instant::now() + pause;
    loop {
        let look = match told.progress {
            Progress::Started => LOOK_PAUSE,
            Progress::Waiting | Progress::Starting => LOOK_PAUSE_STARTING,
        };
        let look = if is_failing { pause } else { look };
        let has_changed = tokio::select! {
            changed = facts.changed() => match changed {
                Ok(()) => true,
                // The member ends, and this task with it.
                Err(_) => return std::future::pending().await,
            },
            () = tokio::time::sleep_until(until.min(Instant::now() + look)) => false,
        };
        if Instant::now() >= until {
            return;
        }
        if !is_failing && (has_changed || is_outdated(&facts.borrow(), told)) {
            return tokio::time::sleep(GATHER).await;
        }
    }
}

fn is_outdated(facts: &Facts, told: &Told) -> bool {
    let membership = facts.running.as_ref().and_then(|running| running.membership());
    progress(facts) != told.progress
        || membership.is_some_and(|now| {
            told.membership.as_ref().is_none_or(|told| told.members != now.members)
        })
}

fn progress(facts: &Facts) -> Progress {
    match &facts.running {
        Some(running) if running.has_started() => Progress::Started,
        Some(_) => Progress::Starting,
        None if facts.are_all_known => Progress::Starting,
        None => Progress::Waiting,
    }
}

fn listed(membership: &Membership) -> Vec<Listed> {
    let lines = membership.members.iter().map(|member| Listed {
        id: member.id,
        name: member.name.clone(),
        peer_urls: member.peer_urls.clone(),
    });
    lines.collect()
}

fn clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::message::Reach;

    fn message() -> Message {
        let reach = Reach { member: MemberId(2), ok: true, detail: String::new(), rtt_ms: Some(1) };
        Message {
            progress: Progress::Started,
            clock_ms: 1_000_000,
            program: String::new(),
            reach: vec![reach],
            certificate_problems: Vec::new(),
            client_urls: Vec::new(),
            metrics_urls: Vec::new(),
            membership: None,
        }
    }

    #[test]
    fn a_running_member_says_only_what_is_new_and_now_and_then_that_it_lives() {
        let start = Instant::now();
        let told = Told { message: Some((message(), start)), ..Told::default() };
        let later = |seconds: u64, change: &dyn Fn(&mut Message)| {
            let mut message = message();
            message.clock_ms += seconds * 1000;
            change(&mut message);
            told.is_news(&message, start + Duration::from_secs(seconds))
        };
        assert!(Told::default().is_news(&message(), start));
        assert!(!later(30, &|_| ()));
        assert!(!later(30, &|it| it.reach[0].rtt_ms = Some(9)), "how long it takes always changes");
        assert!(later(30, &|it| it.reach[0].ok = false));
        assert!(later(30, &|it| it.certificate_problems.push("expired".to_owned())));
        assert!(later(30, &|it| it.clock_ms += 2000), "the clock was set");
        assert!(later(30, &|it| it.membership = Some(Membership::default())));
        assert!(later(KEEP_ALIVE.as_secs(), &|_| ()));
        // Whoever waits is looked at.
        assert!(later(5, &|it| it.progress = Progress::Waiting));
    }
}
