//! Puts a member together, each part after the ones it needs: first what all share, then replication, then the services.
//!
//! It starts the parts and connects them. What they do is theirs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quorate_core::Stamp;
use tokio::sync::watch;

use super::gate::MemberGate;
use super::{Ingredients, Inner, Node, NodeError, Refusals, request_timeout};
use crate::clock::ClusterClock;
use crate::duties;
use crate::peer_api::link::PeerEndpoint;
use crate::peer_api::links::Links;
use crate::raft::apply::StateMachine;
use crate::raft::elections::Elections;
use crate::raft::gatherer::Parts;
use crate::raft::inbound::PeerServer;
use crate::raft::leadership::Leadership;
use crate::raft::membership::{Membership, Rules};
use crate::raft::network::Network;
use crate::raft::proposals::Proposals;
use crate::raft::reads::Reads;
use crate::raft::settings::settings;
use crate::raft::takeover::{self, Takeover};
use crate::raft::waiters::Waiters;
use crate::raft::{LogStore, Raft};
use crate::replica::Replica;

/// A follower that does not answer an append for so long is tried anew.
const APPEND_PATIENCE_MIN: Duration = Duration::from_secs(2);

impl Node {
    /// Puts a member together; it replicates and serves peers from now on.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn start(ingredients: Ingredients) -> Result<Self, NodeError> {
        let ground = Ground::new(&ingredients);
        let (raft, leadership) = replicate(&ingredients, &ground).await?;
        let services = Services::start(&ingredients, &ground, &raft, &leadership);
        let endpoint = Arc::new(endpoint(&ingredients, &ground, &raft, &services));
        let Ingredients { config, own, founders, log, snapshots, metrics, logging, .. } =
            ingredients;
        let Ground {
            clock: _,
            started_at,
            replica,
            waiters,
            refusals,
            links,
            elections,
            takeover: _,
        } = ground;
        let Services { proposals, reads, membership } = services;
        let node = Self(Arc::new(Inner {
            own,
            config,
            founders,
            raft,
            log,
            leadership,
            links,
            replica,
            proposals,
            reads,
            membership,
            elections,
            waiters,
            endpoint,
            metrics,
            logging,
            started_at,
            made_at: Instant::now(),
            has_published: AtomicBool::new(false),
            stop: watch::Sender::new(None),
            refusals,
            duties: Mutex::default(),
        }));
        snapshots.attach(node.0.raft.clone());
        let tasks = duties::start(&node);
        *node.0.duties.lock() = tasks;
        Ok(node)
    }
}

/// What all parts share. Nothing in it runs by itself.
struct Ground {
    clock: Arc<ClusterClock>,
    started_at: Stamp,
    replica: Arc<Replica>,
    waiters: Arc<Waiters>,
    refusals: Arc<Refusals>,
    links: Arc<Links>,
    elections: Arc<Elections>,
    takeover: Arc<Takeover>,
}

impl Ground {
    fn new(ingredients: &Ingredients) -> Self {
        let (own, metrics) = (ingredients.own, &ingredients.metrics);
        let clock = Arc::new(ClusterClock::default());
        let refusals = Arc::new(Refusals::new(Arc::clone(metrics)));
        let connector = Arc::clone(&ingredients.connector);
        let links = Arc::new(Links::new(own, connector, Arc::clone(&refusals) as _));
        let elections = Arc::new(Elections::new(own.member.0, Arc::clone(metrics)));
        let takeover = Takeover::new(own.member, Arc::clone(&links), Arc::clone(&elections));
        Self {
            started_at: clock.now(),
            replica: Arc::new(Replica::new(Arc::clone(&clock), ingredients.clients.clone())),
            clock,
            waiters: Arc::new(Waiters::new(ingredients.clients.clone())),
            refusals,
            links,
            elections,
            takeover: Arc::new(takeover),
        }
    }
}

/// Starts the raft library on the log, and follows who leads.
async fn replicate(
    ingredients: &Ingredients,
    ground: &Ground,
) -> Result<(Raft, Leadership), NodeError> {
    let Ingredients { config, own, log, snapshots, metrics, .. } = ingredients;
    let library = settings(own.cluster, config.heartbeat_interval, config.election_timeout)
        .map_err(|error| NodeError::Timings(error.to_string()))?;
    let network = Network {
        links: Arc::clone(&ground.links),
        takeover: Arc::clone(&ground.takeover),
        patience: (config.election_timeout * 2).max(APPEND_PATIENCE_MIN),
        clock: Arc::clone(&ground.clock),
        elections: Arc::clone(&ground.elections),
        metrics: Arc::clone(metrics),
    };
    let machine = StateMachine::new(
        own.member,
        Arc::clone(&ground.replica),
        Arc::clone(&ground.waiters),
        Arc::clone(snapshots),
        Arc::clone(metrics),
        Arc::clone(&ground.elections),
    );
    let raft =
        Raft::new(own.member.0, Arc::new(library), network, LogStore::new(log.clone()), machine)
            .await
            .map_err(|error| NodeError::Raft(error.to_string()))?;
    let leadership = Leadership::follow(
        &raft,
        own.member.0,
        config.election_timeout * 2,
        Arc::clone(&ground.elections),
    );
    ground.takeover.attach(raft.clone(), leadership.clone());
    let (alone, member) = (raft.clone(), own.member);
    tokio::spawn(async move { takeover::stand_if_alone(&alone, member).await });
    Ok((raft, leadership))
}

/// What requests are handed to.
struct Services {
    proposals: Proposals,
    reads: Reads,
    membership: Arc<Membership>,
}

impl Services {
    fn start(
        ingredients: &Ingredients,
        ground: &Ground,
        raft: &Raft,
        leadership: &Leadership,
    ) -> Self {
        let Ingredients { config, own, log, .. } = ingredients;
        let timeout = request_timeout(config.election_timeout);
        let proposals = Proposals::start(Parts {
            own: own.member,
            raft: raft.clone(),
            leadership: leadership.clone(),
            links: Arc::clone(&ground.links),
            replica: Arc::clone(&ground.replica),
            waiters: Arc::clone(&ground.waiters),
            clock: Arc::clone(&ground.clock),
            space: log.space(),
            timeout,
        });
        let reads = Reads::start(
            own.member,
            raft.clone(),
            leadership.clone(),
            Arc::clone(&ground.links),
            Arc::clone(&ground.replica),
            timeout,
        );
        let rules = Rules {
            strict: config.strict_reconfig_check,
            heartbeat_interval: config.heartbeat_interval,
            timeout,
        };
        let membership = Membership::start(
            own.member,
            raft.clone(),
            leadership.clone(),
            Arc::clone(&ground.links),
            Arc::clone(&ground.replica),
            rules,
        );
        Self { proposals, reads, membership }
    }
}

/// What serves the links of peers.
fn endpoint(
    ingredients: &Ingredients,
    ground: &Ground,
    raft: &Raft,
    services: &Services,
) -> PeerEndpoint {
    let server = PeerServer {
        raft: raft.clone(),
        takeover: Arc::clone(&ground.takeover),
        proposals: services.proposals.clone(),
        replica: Arc::clone(&ground.replica),
        membership: Arc::clone(&services.membership),
        snapshots: Arc::clone(&ingredients.snapshots),
        refusals: Arc::clone(&ground.refusals),
        space: ingredients.log.space(),
        clock: Arc::clone(&ground.clock),
        elections: Arc::clone(&ground.elections),
        reporting: ingredients.reporting.clone(),
        metrics: Arc::clone(&ingredients.metrics),
    };
    let gate = MemberGate::new(ingredients.own, Arc::clone(&ground.replica), &ingredients.founders);
    PeerEndpoint::new(Arc::new(gate), Arc::new(server), Arc::clone(&ground.refusals) as _)
}
