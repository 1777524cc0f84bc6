//! Who waits for a change of which token, and how they are woken.
//!
//! Invariant: whoever subscribes before reading a token hears of every change that the reading did not show. What changed is not
//! told: the token is read again. Rooms exist only while somebody is in them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::registry::TokenId;
use crate::store::Changed;

/// See the module. Cheap to clone.
#[derive(Clone, Default)]
pub struct Changes {
    rooms: Arc<Mutex<HashMap<TokenId, watch::Sender<u64>>>>,
}

/// A place among those who wait for one token.
pub struct Waiting {
    changes: Changes,
    id: TokenId,
    told: watch::Receiver<u64>,
}

impl Changes {
    /// Waits for changes of a token from now on.
    #[must_use]
    pub fn subscribe(&self, id: &TokenId) -> Waiting {
        let mut rooms = self.rooms.lock();
        let room = rooms.entry(id.clone()).or_insert_with(|| watch::Sender::new(0));
        Waiting { changes: self.clone(), id: id.clone(), told: room.subscribe() }
    }

    /// Wakes those concerned.
    pub fn tell(&self, changed: &Changed) {
        let rooms = self.rooms.lock();
        match changed {
            Changed::Token(id) => rooms.get(id).into_iter().for_each(wake),
            Changed::Everything => rooms.values().for_each(wake),
        }
    }

    /// How many wait for this token.
    #[must_use]
    pub fn waiting_for(&self, id: &TokenId) -> usize {
        self.rooms.lock().get(id).map_or(0, watch::Sender::receiver_count)
    }

    /// How many wait at all.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.rooms.lock().values().map(watch::Sender::receiver_count).sum()
    }
}

impl Waiting {
    /// Returns at the next change, at once if there was one since the last call.
    pub async fn changed(&mut self) {
        if self.told.changed().await.is_err() {
            // The room lives as long as somebody is in it.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut rooms = self.changes.rooms.lock();
        // This one is still counted.
        if rooms.get(&self.id).is_some_and(|room| room.receiver_count() <= 1) {
            rooms.remove(&self.id);
        }
    }
}

fn wake(room: &watch::Sender<u64>) {
    room.send_modify(|times| *times = times.wrapping_add(1));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn only_those_concerned_are_woken_and_empty_rooms_are_closed() {
        let changes = Changes::default();
        let id = |n: u8| TokenId::parse(&format!("{n:024x}")).unwrap();
        let mut one = changes.subscribe(&id(1));
        let mut other = changes.subscribe(&id(2));
        let quiet = Duration::from_millis(20);
        changes.tell(&Changed::Token(id(1)));
        one.changed().await;
        assert!(tokio::time::timeout(quiet, other.changed()).await.is_err());
        changes.tell(&Changed::Everything);
        one.changed().await;
        other.changed().await;
        drop(one);
        assert_eq!((changes.waiting(), changes.waiting_for(&id(1))), (1, 0));
        drop(other);
        assert!(changes.rooms.lock().is_empty());
    }
}
