//! What a member tells the discovery service by which it, or another of its cluster, has met the others: how far it is, its clock,
//! whom it reaches, what is wrong with certificates, and, once it runs, its cluster's members. For people, and for who follows a membership.
//!
//! Invariant: nothing waits for a report and nothing is decided by one here. One task does all of it, one report at a time;
//! what it asks and sends is bounded in size and time; a service that does not answer is asked ever less often, and the log
//! says once that it does not. Only a service of ours is told anything: no other registry gets a request from here.

mod certificates;
mod inherited;
mod message;
mod reach;
mod reception;
mod service;
mod tally;
mod target;
mod teller;

use std::sync::Arc;

use quorate_core::MemberId;
use quorate_core::bootstrap::Listed;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use certificates::Papers;
pub use inherited::{Connect, Inherited, Peers};
pub use message::{MemberLine, Membership};
pub use reach::Prober;
pub use service::Service;
pub use tally::{Figures, Tally};
pub use target::{Target, Whereabouts};
pub use teller::{Teller, Whom};

/// A running member, as far as it is reported.
pub trait Running: Peers {
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

impl Reports {
    /// Starts to report to `whom` on `runtime`, as soon as there is something to tell and somebody who takes it.
    #[must_use]
    pub fn start(teller: Teller, whom: Whom, runtime: &Handle) -> (Self, Reporter) {
        let (sender, receiver) = watch::channel(Facts::default());
        let task = runtime.spawn(teller.run(whom, receiver));
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
