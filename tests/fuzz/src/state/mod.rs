//! What the log and snapshots bring to the machine.

pub mod batch;
pub mod machine;
pub mod snapshot_restore;

use quorate_core::snapshot::{Restore, RestoreError};
use quorate_core::{Key, Machine};

/// The machine in the bytes of a snapshot, fed in pieces of `piece` bytes.
///
/// # Errors
/// There is none.
pub fn restored(bytes: &[u8], piece: usize) -> Result<Machine, RestoreError> {
    let mut restore = Restore::new();
    for piece in bytes.chunks(piece.max(1)) {
        restore.feed(piece)?;
    }
    restore.finish()
}

/// The bytes of a machine's snapshot.
#[must_use]
pub fn snapshot(machine: &Machine) -> Vec<u8> {
    machine.snapshot().flatten().collect()
}

/// All keys as clients see them.
///
/// # Panics
/// When that is no JSON.
#[must_use]
pub fn shown(machine: &Machine) -> Vec<u8> {
    let mut body = Vec::new();
    let read = machine.write_get(&Key::root(), true, machine.last_stamp(), &mut body);
    read.expect("the root is always there");
    serde_json::from_slice::<serde_json::Value>(&body).expect("a read is JSON");
    body
}
