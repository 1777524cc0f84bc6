//! Who waits for the outcome of which operation on this member.
//!
//! Every operation a client sends to this member gets a request number of its own. Whoever leads puts operation and
//! number into the log; when the entry is applied *here*, the outcome goes to the waiter. So a client reads its own write
//! from the member it wrote to, and outcomes need not travel back from the leader.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::client_tasks::ClientTasks;
use crate::member::{Committed, ProposeError};
use crate::replica::Outcome;

/// The result of a proposed operation and where in the log it was applied.
pub type Answer = Result<Committed, ProposeError>;

/// See the module.
pub struct Waiters {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next: AtomicU64,
    clients: ClientTasks,
}

impl Waiters {
    /// Nobody waits; those who will, do so in tasks that run on `clients`.
    #[must_use]
    pub fn new(clients: ClientTasks) -> Self {
        // Numbers start by chance, so that a restarted member does not take an outcome of its former life for a new one. A wall
        // clock would not do: on a machine that has none of its own, every start is at the same time.
        let start = RandomState::new().hash_one(std::process::id());
        Self { waiting: Mutex::default(), next: AtomicU64::new(start), clients }
    }

    /// A new request number, and where its outcome will arrive. The returned guard forgets the request when dropped.
    pub fn register(&self) -> (Registration<'_>, oneshot::Receiver<Answer>) {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(request, sender);
        (Registration { waiters: self, request }, receiver)
    }

    /// Hands out the outcomes of an entry's operations that were this member's.
    pub fn complete(
        &self,
        outcomes: impl IntoIterator<Item = (u64, Outcome)>,
        raft_index: u64,
        term: u64,
    ) {
        let mut answers = Vec::new();
        {
            let mut waiting = self.waiting.lock();
            for (request, outcome) in outcomes {
                answers.extend(waiting.remove(&request).map(|sender| (sender, outcome)));
            }
        }
        self.clients.wake(answers.len(), move || {
            for (sender, outcome) in answers {
                let answer = outcome
                    .map(|event| Committed { event, raft_index, term })
                    .map_err(ProposeError::Store);
                // A client that went away no longer listens; its write stands.
                let _ = sender.send(answer);
            }
        });
    }

    /// Tells a waiter that its operation failed before it could reach the log.
    pub fn fail(&self, request: u64, error: ProposeError) {
        if let Some(sender) = self.waiting.lock().remove(&request) {
            let _ = sender.send(Err(error));
        }
    }

    /// Keeps only those items whose request still waits for its outcome.
    pub fn retain_pending<T>(&self, items: &mut Vec<T>, request: impl Fn(&T) -> u64) {
        if !items.is_empty() {
            let waiting = self.waiting.lock();
            items.retain(|item| waiting.contains_key(&request(item)));
        }
    }

    /// Operations whose outcome is awaited.
    pub fn pending(&self) -> usize {
        self.waiting.lock().len()
    }
}

/// Keeps a request's waiter registered; see [`Waiters::register`].
pub struct Registration<'a> {
    waiters: &'a Waiters,
    request: u64,
}

impl Registration<'_> {
    /// The request's number.
    pub fn request(&self) -> u64 {
        self.request
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.waiters.waiting.lock().remove(&self.request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lives_give_out_different_numbers_whatever_the_clock() {
        let first = |waiters: Waiters| waiters.register().0.request();
        let lives: std::collections::BTreeSet<u64> =
            (0..1000).map(|_| first(Waiters::new(ClientTasks::default())) >> 20).collect();
        assert_eq!(lives.len(), 1000);
    }
}
