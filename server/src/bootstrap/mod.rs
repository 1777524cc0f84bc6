//! The edge of `quorate_core::bootstrap`: gathers its facts (disk, flags, the peers' answers), asks it to decide until it no
//! longer says "wait", and tells the operator every few seconds what it waits for. Where no flag lists the members, [`learn`]
//! comes first.

mod ask;
pub mod learn;
pub mod learned_file;
pub mod records;
pub mod registry;
pub(crate) mod registry_http;
mod resolve;
pub mod token_api;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quorate_core::bootstrap::{
    Answer, Disk, Facts, FormationHash, Incarnation, Intent, Known, Listed, Places, Start, decide,
};
use quorate_core::discovery::{Learned, member};
use quorate_core::{ClusterId, MemberId, identity};
use quorate_transport::dns::Dns;
use quorate_transport::http_client::Connector;

use crate::config::{AdvertiseUrl, Config, InitialClusterState};
use crate::pauses::Pauses;
use crate::peer_api::formation::{Announcement, PROTOCOL, Stage, show_bound};
use resolve::Resolve;

/// Between two rounds of questions: short at first and after a step, since members are mostly started together.
const ROUND_PAUSES: Pauses = Pauses::between(Duration::from_millis(1), Duration::from_millis(15));
/// Later on a member is waited for by a person.
const ROUND_PAUSE_LATER: Duration = Duration::from_millis(250);
/// When "later" begins.
const EAGER_FOR: Duration = Duration::from_secs(5);
/// How often the operator is told what is waited for.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// A joining member gives up when no member of the cluster answers for so long; its supervisor may start it again.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);

/// How this member starts, all said and agreed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Started {
    /// From the log on the disk.
    Restarts,
    /// It writes the first entry of a new cluster, as all its members do.
    Forms {
        /// The cluster's ID.
        cluster: ClusterId,
        /// All members.
        members: Vec<Listed>,
    },
    /// It waits for the leader of a running cluster.
    Joins {
        /// The cluster's ID.
        cluster: ClusterId,
        /// The ID it was given.
        member: MemberId,
        /// All members.
        members: Vec<Known>,
    },
}

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The facts forbid it.
    #[error("{0}")]
    Refused(String),
    /// What it waited for did not come.
    #[error("gave up after {}s: {reason}. Check that they run and that this machine reaches them, then start again", JOIN_PATIENCE.as_secs())]
    GaveUp {
        /// What was waited for.
        reason: String,
    },
    /// The members did not become known.
    #[error(transparent)]
    Learn(#[from] learn::LearnError),
    /// The disk failed.
    #[error("cannot write the formation record: {0}")]
    Disk(#[from] std::io::Error),
}

/// What this member tells others that are starting; shared with the peer port. Nothing before it knows who they are.
pub struct Forming {
    incarnation: Incarnation,
    told: Mutex<Option<Told>>,
}

#[derive(Clone)]
struct Told {
    own: MemberId,
    formation: FormationHash,
    bound: Option<BTreeMap<MemberId, Incarnation>>,
}

impl Forming {
    /// A member that does not know yet who the others are.
    #[must_use]
    pub fn learning(incarnation: Incarnation) -> Self {
        Self { incarnation, told: Mutex::new(None) }
    }

    /// What the flags and the disk say so far.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let forming = Self::learning(plan.incarnation);
        forming.learned(plan);
        forming
    }

    /// The others are known from now on, or others than before.
    pub fn learned(&self, plan: &Plan) {
        *self.told.lock() = Some(Told {
            own: plan.own.id,
            formation: FormationHash::of(&plan.listed, &plan.token),
            bound: plan.bound.clone(),
        });
    }

    /// The answer to a peer that asks; none while the others are not known.
    #[must_use]
    pub fn announcement(&self) -> Option<Announcement> {
        let told = self.told.lock().clone()?;
        let bound = told.bound.as_ref().map(show_bound);
        Some(Announcement {
            protocol: PROTOCOL,
            member: told.own.to_string(),
            incarnation: self.incarnation.0,
            stage: Stage::Forming { formation: told.formation.to_string(), bound },
        })
    }

    fn bound(&self) -> Option<BTreeMap<MemberId, Incarnation>> {
        self.told.lock().as_ref().and_then(|told| told.bound.clone())
    }

    fn bind(&self, present: BTreeMap<MemberId, Incarnation>) {
        if let Some(told) = self.told.lock().as_mut() {
            told.bound = Some(present);
        }
    }
}

/// What the flags and the disk say before anyone is asked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What `--initial-cluster-state` asks for.
    pub intent: Intent,
    /// What the disk holds.
    pub disk: Disk,
    /// This member as the flags list it.
    pub own: Listed,
    /// All members as the flags list them.
    pub listed: Vec<Listed>,
    /// The salt of the IDs.
    pub token: String,
    /// The data directory's incarnation.
    pub incarnation: Incarnation,
    /// Whom this member has bound itself to, by its disk.
    pub bound: Option<BTreeMap<MemberId, Incarnation>>,
    /// Where host names are looked up.
    pub dns: Dns,
}

impl Plan {
    /// Puts flags and disk together.
    #[must_use]
    pub fn new(
        config: &Config,
        disk: Disk,
        incarnation: Incarnation,
        bound: Option<BTreeMap<MemberId, Incarnation>>,
    ) -> Self {
        let token = config.initial_cluster_token.clone();
        let list = |name: &str, urls: &[AdvertiseUrl]| {
            member(name, urls.iter().map(ToString::to_string).collect(), &token)
        };
        let listed: Vec<Listed> =
            config.initial_cluster.members().map(|(name, urls)| list(name, urls)).collect();
        // The others know this member as the list has it, which may spell its addresses in another way.
        let own = listed.iter().find(|listed| listed.name == config.name).cloned();
        let own = own.unwrap_or_else(|| list(&config.name, &config.initial_advertise_peer_urls));
        Self::of(config, disk, Learned { own, listed, token }, incarnation, bound)
    }

    /// Puts together a list that was learned and what the disk says.
    #[must_use]
    pub fn of(
        config: &Config,
        disk: Disk,
        learned: Learned,
        incarnation: Incarnation,
        bound: Option<BTreeMap<MemberId, Incarnation>>,
    ) -> Self {
        let intent = match config.initial_cluster_state {
            InitialClusterState::New => Intent::Form,
            InitialClusterState::Existing => Intent::Join,
            InitialClusterState::Auto => Intent::Auto,
        };
        let Learned { own, listed, token } = learned;
        let dns = config.discovery.dns.clone();
        Self { intent, disk, own, listed, token, incarnation, bound, dns }
    }

    fn facts(
        &self,
        bound: Option<BTreeMap<MemberId, Incarnation>>,
        answers: BTreeMap<MemberId, Answer>,
        places: Places,
    ) -> Facts {
        Facts {
            intent: self.intent,
            disk: self.disk,
            own: self.own.clone(),
            incarnation: self.incarnation,
            bound,
            listed: self.listed.clone(),
            token: self.token.clone(),
            answers,
            places,
        }
    }

    /// The cluster's ID if it is formed of the listed members.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        identity::cluster_id(&self.listed.iter().map(|listed| listed.id).collect::<Vec<_>>())
    }
}

/// Finds out how to start, asking peers through `connector`. `write_bound` puts the binding on the disk before anyone hears of it.
///
/// # Errors
/// See [`BootstrapError`].
pub async fn run(
    plan: &Plan,
    forming: &Arc<Forming>,
    connector: &dyn Connector,
    write_bound: impl Fn(&BTreeMap<MemberId, Incarnation>) -> std::io::Result<()>,
) -> Result<Started, BootstrapError> {
    let begun = Instant::now();
    let mut reported = begun;
    let mut answers = BTreeMap::new();
    let mut pauses = ROUND_PAUSES;
    let mut resolve = Resolve::new(plan.dns.clone());
    loop {
        let bound = forming.bound();
        let places = resolve.places(&plan.listed, &answers).await.clone();
        let reason = match decide(&plan.facts(bound, answers.clone(), places)) {
            Start::Restart => return Ok(Started::Restarts),
            Start::Form => {
                return Ok(Started::Forms {
                    cluster: plan.cluster(),
                    members: plan.listed.clone(),
                });
            }
            Start::Join { cluster, member, members } => {
                return Ok(Started::Joins { cluster, member, members });
            }
            Start::Refuse { reason } => return Err(BootstrapError::Refused(reason)),
            Start::Bind(present) => {
                write_bound(&present)?;
                forming.bind(present);
                pauses.reset();
                continue;
            }
            Start::Wait { reason } => reason,
        };
        let waited = begun.elapsed();
        if plan.intent == Intent::Join && waited >= JOIN_PATIENCE {
            return Err(BootstrapError::GaveUp { reason });
        }
        if reported.elapsed() >= REPORT_INTERVAL {
            reported = Instant::now();
            tracing::warn!(waited_s = waited.as_secs(), "still waiting: {reason}");
        }
        if !answers.is_empty() {
            let is_eager = waited < EAGER_FOR;
            tokio::time::sleep(if is_eager { pauses.next() } else { ROUND_PAUSE_LATER }).await;
        }
        answers = ask::all(plan, connector).await;
    }
}
