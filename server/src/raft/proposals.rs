//! Where operations come in: from this member's clients, and from other members that forward theirs to this leader.
//!
//! `raft::gatherer` makes entries of them; the outcome comes from `raft::waiters` when the entry is applied here, never
//! earlier. Whoever asks waits for a bounded time and in a bounded queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_core::{Batch, Command, MemberId, Proposal};
use tokio::sync::{mpsc, oneshot, watch};

use super::gatherer::{Gatherer, Item, Parts};
use super::waiters::Waiters;
use crate::member::{Committed, ProposeError};
use crate::peer_api::messages::ForwardReply;
use crate::storage::log::Space;

/// Operations waiting to be proposed. At the bound a client is told at once that the member is overloaded.
pub(super) const QUEUE_LENGTH: usize = 16_384;
/// Operations of this member's clients whose outcome is awaited, queued or not. They are kept until it is known.
const UNANSWERED_MAX: usize = 2 * QUEUE_LENGTH;

/// Takes operations; see the module.
#[derive(Clone)]
pub struct Proposals {
    queue: mpsc::Sender<Item>,
    waiters: Arc<Waiters>,
    space: watch::Receiver<Space>,
    own: MemberId,
    timeout: Duration,
}

impl Proposals {
    /// Starts the gathering task.
    pub fn start(parts: Parts) -> Self {
        let (queue, items) = mpsc::channel(QUEUE_LENGTH);
        let (waiters, space) = (Arc::clone(&parts.waiters), parts.space.clone());
        let (own, timeout) = (parts.own, parts.timeout);
        tokio::spawn(Gatherer::new(parts, items).run());
        Self { queue, waiters, space, own, timeout }
    }

    /// Proposes one operation and waits until it is applied on this member.
    ///
    /// # Errors
    /// The store's refusal, or why the operation was not (or may not have been) carried out.
    pub async fn propose(&self, command: Command) -> Result<Committed, ProposeError> {
        if *self.space.borrow() != Space::Ample {
            return Err(ProposeError::StorageFull);
        }
        if self.waiters.pending() >= UNANSWERED_MAX {
            return Err(ProposeError::TooManyRequests);
        }
        let (registration, answer) = self.waiters.register();
        let proposal = Proposal { origin: self.own, request: registration.request(), command };
        let encoded = Batch::encode_proposal(&proposal);
        let deadline = Instant::now() + self.timeout;
        let item = Item::Own { request: registration.request(), encoded, deadline };
        self.queue.try_send(item).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ProposeError::TooManyRequests,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Stopped,
        })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ProposeError::Stopped),
            Err(_) => Err(ProposeError::TimedOut),
        }
    }

    /// Operations that wait to be gathered.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Takes operations that another member forwarded to the leader of `term`; answers once they are applied or certainly not
    /// taken, or when their fate is unknown, as if they were taken.
    pub async fn forward(&self, encoded: Bytes, term: u64) -> ForwardReply {
        let refused = ForwardReply { accepted: false, leader: 0, storage_full: false };
        if *self.space.borrow() != Space::Ample {
            return ForwardReply { storage_full: true, ..refused };
        }
        let (reply, answer) = oneshot::channel();
        if self.queue.try_send(Item::Forwarded { encoded, term, reply }).is_err() {
            return refused;
        }
        answer.await.unwrap_or(refused)
    }
}
