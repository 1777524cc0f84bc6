//! What a member tells the discovery service by which it has met the others: how far it is, its clock, whom it reaches, what is
//! wrong with certificates, and, once it runs, its cluster's members. For people, and for who follows a membership.
//!
//! Invariant: nothing waits for a report and nothing is decided by one here. One task does all of it, one report at a time;
//! what it asks and sends is bounded in size and time; a service that does not answer is asked ever less often, and the log
//! says once that it does not. Only a service of ours is told anything: no other registry gets a request from here.

mod certificates;
mod message;
mod reach;
mod service;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_core::MemberId;
use quorate_core::bootstrap::Listed;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use certificates::Papers;
pub use message::{MemberLine, Membership};
pub use reach::Prober;
pub use service::Service;

use crate::bootstrap::learn::scattered;
use message::{Message, Progress};
use service::Untaken;

/// How often a member that waits for others reports: somebody may be looking on.
const WAITING_PERIOD: Duration = Duration::from_secs(5);
/// How often a running one does.
const RUNNING_PERIOD: Duration = Duration::from_secs(30);
/// How often a running member looks whether its membership is another one.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// The same until it has started, which people wait for.
const LOOK_PAUSE_STARTING: Duration = Duration::from_millis(250);
/// What is new is told together with what else is new in the next moment; and the start is not held up by it.
const GATHER: Duration = Duration::from_millis(200);
/// A service that takes no reports is asked again after this, at first.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// And after no more than this: it tells nobody when it is back.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// A member that waits does so for minutes, and is looked at.
const PAUSE_MAX_WAITING: Duration = Duration::from_secs(15);
/// So many reports in a row must have failed before the log says so: a service that restarts is no news.
const FAILURES_UNTOLD: u32 = 3;

/// A running member, as far as it is reported.
pub trait Running: Send + Sync {
    /// Its ID.
    fn id(&self) -> MemberId;
    /// Whether it serves its clients, and so has data on its disk.
    fn has_started(&self) -> bool;
    /// Its cluster's members; nothing while the newest membership is not applied yet.
    fn membership(&self) -> Option<Membership>;
}

/// Where the parts of a start leave what is to be reported. Cheap to clone; does nothing if nothing is reported.
#[derive(Clone, Default)]
pub struct Reports(Option<watch::Sender<Facts>>);

/// The task that reports; it ends with this value.
pub struct Reporter(JoinHandle<()>);

/// What does not change while a member lives, and how to find out the rest.
pub struct Teller {
    /// Whom to tell.
    pub service: Service,
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
}

/// What is known right now.
#[derive(Clone, Default)]
struct Facts {
    /// Whether the service is one that takes reports.
    takes: bool,
    /// Who is registered or listed, this member among them.
    known: Vec<Listed>,
    are_all_known: bool,
    running: Option<Arc<dyn Running>>,
}

/// What was told last; whoever runs tells it again when it has changed.
#[derive(Default)]
struct Told {
    progress: Progress,
    membership: Option<Membership>,
}

/// How the service took what was sent.
#[derive(Default)]
struct Reception {
    /// Failures in a row.
    failures: u32,
    is_logged: bool,
}

impl Reports {
    /// Starts to report on `runtime`, as soon as there is something to tell and somebody who takes it.
    #[must_use]
    pub fn start(teller: Teller, runtime: &Handle) -> (Self, Reporter) {
        let (sender, receiver) = watch::channel(Facts::default());
        let task = runtime.spawn(teller.run(receiver));
        (Self(Some(sender)), Reporter(task))
    }

    /// The service takes reports, as it said itself.
    pub fn are_taken(&self) {
        self.change(|facts| !std::mem::replace(&mut facts.takes, true));
    }

    /// These have registered so far.
    pub fn registered(&self, known: Vec<Listed>) {
        self.change(|facts| {
            let is_news = facts.known != known;
            facts.known = known;
            is_news
        });
    }

    /// All are known, and this member starts.
    pub fn all_known(&self, known: &[Listed]) {
        self.change(|facts| {
            let is_news = !facts.are_all_known || facts.known != known;
            facts.known = known.to_vec();
            facts.are_all_known = true;
            is_news
        });
    }

    /// The member runs.
    pub fn runs(&self, member: Arc<dyn Running>) {
        self.change(|facts| {
            facts.running = Some(member);
            true
        });
    }

    fn change(&self, change: impl FnOnce(&mut Facts) -> bool) {
        if let Some(facts) = &self.0 {
            facts.send_if_modified(change);
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Teller {
    async fn run(mut self, mut facts: watch::Receiver<Facts>) {
        let (mut told, mut reception) = (Told::default(), Reception::default());
        loop {
            let now = facts.borrow_and_update().clone();
            let Some((id, message)) = self.compose(&now, &mut told).await else {
                if facts.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let is_running = told.progress == Progress::Started;
            let sent = self.service.put(id, &message).await;
            let pause = reception.note(sent, is_running);
            rest(&mut facts, &told, pause, reception.failures > 0).await;
        }
    }

    /// What there is to tell; nothing while nobody takes it, or while this member has no place at the service.
    async fn compose(&self, facts: &Facts, told: &mut Told) -> Option<(MemberId, Message)> {
        let id = facts.running.as_ref().map_or(self.own, |running| running.id());
        let is_registered = facts.known.iter().any(|known| known.id == id);
        if !facts.takes || !(is_registered || facts.running.is_some()) {
            return None;
        }
        told.progress = progress(facts);
        let membership = facts.running.as_ref().and_then(|running| running.membership());
        told.membership = membership.or_else(|| told.membership.take());
        let others = told.membership.as_ref().map_or_else(|| facts.known.clone(), listed);
        let (reach, theirs) = self.prober.reach(id, &others).await;
        let (client_urls, metrics_urls) = match told.progress {
            Progress::Started => (self.client_urls.clone(), self.metrics_urls.clone()),
            Progress::Waiting | Progress::Starting => Default::default(),
        };
        let message = Message {
            progress: told.progress,
            clock_ms: clock_ms(),
            program: concat!("quorate-server ", env!("CARGO_PKG_VERSION")).to_owned(),
            reach,
            certificate_problems: self.papers.problems().into_iter().chain(theirs).collect(),
            client_urls,
            metrics_urls,
            membership: told.membership.clone(),
        };
        Some((id, message.bounded()))
    }
}

impl Reception {
    /// Notes how a report was taken, says so if that has changed, and gives the pause until the next one.
    fn note(&mut self, sent: Result<(), Untaken>, is_running: bool) -> Duration {
        let Err(Untaken { reason, may_pass }) = sent else {
            if std::mem::take(self).is_logged {
                tracing::info!("the discovery service takes this member's reports again");
            }
            return if is_running { RUNNING_PERIOD } else { WAITING_PERIOD };
        };
        self.failures = self.failures.saturating_add(1);
        tracing::debug!(reason, failures = self.failures, "a report was not taken");
        let is_news = !may_pass || self.failures >= FAILURES_UNTOLD;
        // A member that waits says what it waits for anyway.
        if is_running && is_news && !std::mem::replace(&mut self.is_logged, true) {
            tracing::warn!(
                reason,
                "the discovery service takes no reports of this member: its status page and who follows the cluster by it do \
                 not learn what is new; nothing else depends on it, and it is tried again"
            );
        }
        let doublings = if may_pass { (self.failures - 1).min(16) } else { 16 };
        let most = if is_running { PAUSE_MAX } else { PAUSE_MAX_WAITING };
        scattered((PAUSE_MIN * 2u32.saturating_pow(doublings)).min(most))
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
    progress(facts) != told.progress || (membership.is_some() && membership != told.membership)
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
