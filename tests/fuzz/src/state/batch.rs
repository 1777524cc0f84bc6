//! `batch`: the payload of a log entry.
//!
//! Promises: it is understood or refused with a reason; what is understood encodes to something that means the same; two
//! batches one after the other mean both; every command can be applied, and its events and errors are JSON.

use bytes::Bytes;
use quorate_core::{Batch, Machine, Stamp};

use super::{restored, shown, snapshot};

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let batch = match Batch::decode(Bytes::copy_from_slice(input)) {
        Ok(batch) => batch,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let encoded = batch.encode();
    assert_eq!(Batch::decode(encoded.clone()).expect("our own encoding"), batch);
    let mut joined = Vec::new();
    for proposal in &batch.proposals {
        joined.extend_from_slice(&Batch::encode_proposal(proposal));
    }
    joined.extend_from_slice(&Batch { stamp: batch.stamp, proposals: Vec::new() }.encode());
    assert_eq!(Batch::decode(joined.into()).expect("joined batches are a batch"), batch);
    let mut machine = Machine::new();
    for proposal in &batch.proposals {
        let applied = machine.apply(batch.stamp, &proposal.command);
        for event in applied.outcome.iter().chain(applied.events()) {
            if event.is_visible() {
                is_json(&event.json());
            }
        }
        if let Err(error) = &applied.outcome {
            let mut body = Vec::new();
            error.write_json(&mut body);
            is_json(&body);
        }
    }
    machine.apply(Stamp(u64::MAX), &quorate_core::Command::Expire);
    let bytes = snapshot(&machine);
    let back = restored(&bytes, bytes.len()).expect("a snapshot restores");
    assert_eq!(shown(&back), shown(&machine));
}

fn is_json(bytes: &[u8]) {
    serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON for clients");
}
