//! Linearizable reads by read index (Raft dissertation, section 6.4): the leader proves that it still leads, names its
//! commit index, and the reader answers once it has applied that far. Nothing is written to the log.
//!
//! Readers that arrive while a proof is under way share the next one, so a thousand readers cost one round of heartbeats.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::raft::ReadPolicy;
use prost::Message as _;
use quorate_core::MemberId;
use tokio::sync::{mpsc, oneshot};

use super::leadership::Leadership;
use super::Raft;
use crate::member::{ProposeError, Role};
use crate::peer_api::links::Links;
use crate::peer_api::messages::{Kind, ReadIndexReply};
use crate::replica::Replica;

/// Readers waiting for a proof. At the bound a client is told at once that the member is overloaded.
const QUEUE_LENGTH: usize = 16_384;
/// Between two attempts while there is no leader.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

type Reader = oneshot::Sender<Result<u64, ProposeError>>;

/// See the module.
#[derive(Clone)]
pub struct Reads {
    queue: mpsc::Sender<Reader>,
    replica: Arc<Replica>,
    timeout: Duration,
}

struct Prover {
    own: MemberId,
    raft: Raft,
    leadership: Leadership,
    links: Arc<Links>,
    timeout: Duration,
}

impl Reads {
    /// Starts the proving task. `timeout` bounds a read, all in all.
    pub fn start(
        own: MemberId,
        raft: Raft,
        leadership: Leadership,
        links: Arc<Links>,
        replica: Arc<Replica>,
        timeout: Duration,
    ) -> Self {
        let (queue, readers) = mpsc::channel(QUEUE_LENGTH);
        tokio::spawn(Prover { own, raft, leadership, links, timeout }.run(readers));
        Self { queue, replica, timeout }
    }

    /// Reads that wait for the next proof.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Returns once a read of this member's state is linearizable.
    ///
    /// # Errors
    /// When no leader could prove itself in time.
    pub async fn barrier(&self) -> Result<(), ProposeError> {
        let deadline = Instant::now() + self.timeout;
        let (reader, index) = oneshot::channel();
        self.queue.try_send(reader).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ProposeError::TooManyRequests,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Stopped,
        })?;
        let index = match tokio::time::timeout_at(deadline.into(), index).await {
            Ok(Ok(index)) => index?,
            Ok(Err(_)) => return Err(ProposeError::Stopped),
            Err(_) => return Err(ProposeError::TimedOut),
        };
        if self.replica.applied_index() >= index {
            return Ok(());
        }
        tokio::time::timeout_at(deadline.into(), self.replica.wait_applied(index))
            .await
            .map_err(|_| ProposeError::TimedOut)
    }
}

impl Prover {
    async fn run(self, mut readers: mpsc::Receiver<Reader>) {
        while let Some(first) = readers.recv().await {
            let mut group = vec![first];
            while let Ok(reader) = readers.try_recv() {
                group.push(reader);
            }
            let result = self.prove().await;
            for reader in group {
                // A client that went away no longer listens.
                let _ = reader.send(result.clone());
            }
        }
    }

    /// The index a reader must have applied, once a leader has proved itself.
    async fn prove(&self) -> Result<u64, ProposeError> {
        let deadline = Instant::now() + self.timeout;
        while Instant::now() < deadline {
            let view = self.leadership.view();
            let proof = match view.leader {
                Some(leader) if leader == self.own.0 && view.role == Role::Leader => self.prove_here().await,
                Some(leader) if leader != self.own.0 => self.ask(MemberId(leader), view.term, deadline).await,
                _ => None,
            };
            if let Some(index) = proof {
                return Ok(index);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        Err(ProposeError::TimedOut)
    }

    async fn prove_here(&self) -> Option<u64> {
        prove_leadership(&self.raft).await
    }

    async fn ask(&self, leader: MemberId, term: u64, deadline: Instant) -> Option<u64> {
        let left = deadline.saturating_duration_since(Instant::now());
        let reply = tokio::select! {
            reply = self.links.call(leader, Kind::ReadIndex, Bytes::new(), left) => reply.ok()?,
            // A leader that hangs must not hold up readers whom its successor could serve.
            () = self.leadership.replaced(leader.0, term) => return None,
        };
        let reply = ReadIndexReply::decode(reply).ok()?;
        reply.confirmed.then_some(reply.index)
    }
}

/// Proves that this member leads, by a round of heartbeats; the index a linearizable reader must have applied.
pub async fn prove_leadership(raft: &Raft) -> Option<u64> {
    let (read_log_id, _) = raft.get_read_log_id(ReadPolicy::ReadIndex).await.ok()?;
    Some(read_log_id.index())
}
