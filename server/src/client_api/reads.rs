//! The bodies of reads: small ones at once, large ones where they hold up nobody.
//!
//! A tree of a million keys takes seconds to write down. On a client thread it would stall every other client for so long, and
//! under the store's lock the log as well; so whatever is large is written from a frozen view on a thread of its own, and
//! only a few at a time.

use quorate_core::{Key, StoreError, StoreIndex};
use tokio::sync::Semaphore;

use crate::member::{Member, ProposeError};

/// The room a body is given at first: most nodes fit.
const NODE_BYTES: usize = 512;
/// A body up to this size is written under the lock: that takes less than the way to another thread and back is worth.
const AT_ONCE_BYTES_MAX: usize = 64 * 1024;
/// Large bodies written at the same time: each takes a core, and as much memory as the tree.
const LARGE_AT_ONCE: usize = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Reads {
    large: Semaphore,
}

impl Default for Reads {
    fn default() -> Self {
        Self { large: Semaphore::new(LARGE_AT_ONCE) }
    }
}

impl Reads {
    /// The body of a read of `key`, and the store index it is true for.
    pub(super) async fn render<M: Member>(
        &self,
        member: &M,
        key: &Key,
        recursive: bool,
    ) -> Result<(Vec<u8>, StoreIndex), StoreError> {
        let mut body = Vec::with_capacity(NODE_BYTES);
        let (complete, index) = member.view(|machine, now| {
            let written =
                machine.write_get_within(key, recursive, now, AT_ONCE_BYTES_MAX, &mut body);
            (written, machine.index())
        });
        if complete? {
            return Ok((body, index));
        }
        drop(body);
        // Never closed; were it, the read would be done all the same.
        let _place = self.large.acquire().await;
        // Frozen only now: a view that waits would keep what is overwritten meanwhile.
        let (machine, now) = member.view(|machine, now| (machine.clone(), now));
        let key = key.clone();
        let written = tokio::task::spawn_blocking(move || {
            let mut body = Vec::with_capacity(2 * AT_ONCE_BYTES_MAX);
            let written = machine.write_get(&key, recursive, now, &mut body);
            written.map(|()| (body, machine.index()))
        });
        // It has no end only when the member is stopping.
        written.await.unwrap_or_else(|_| Err(ProposeError::Stopped.into()))
    }
}
