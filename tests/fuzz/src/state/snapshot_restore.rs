//! `snapshot_restore`: the machine in a snapshot, from bytes that were never one.
//!
//! The input's first byte says how: as they are, or as records that get their true lengths, since a fuzzer hardly
//! guesses those. Promises: cut anywhere, the bytes mean the same; what is accepted is a working machine, whose own
//! snapshot restores to the same.

use quorate_core::{Command, Key, Machine, Roster, Stamp, Ttl, Value};

use super::{restored, shown, snapshot};
use crate::choices::Choices;

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let piece = 1 + choices.below(64);
    let bytes = if choices.flag() { framed(choices) } else { choices.rest().to_vec() };
    let whole = restored(&bytes, bytes.len());
    let in_pieces = restored(&bytes, piece);
    match (whole, in_pieces) {
        (Ok(mut machine), Ok(same)) => {
            assert_eq!(snapshot(&machine), snapshot(&same));
            check(&mut machine);
        }
        (Err(error), Err(same)) => assert_eq!(error, same, "in pieces of {piece}"),
        (whole, in_pieces) => panic!("whole {whole:?}, in pieces of {piece} {in_pieces:?}"),
    }
}

/// The beginning of a snapshot, and records with whatever in them.
fn framed(mut choices: Choices<'_>) -> Vec<u8> {
    let mut bytes = b"quorate\x01".to_vec();
    while !choices.is_done() {
        let record = choices.bytes();
        bytes.extend_from_slice(&(record.len() as u64).to_le_bytes());
        bytes.extend_from_slice(record);
    }
    bytes
}

fn check(machine: &mut Machine) {
    let bytes = snapshot(machine);
    let same = restored(&bytes, bytes.len()).expect("a restored machine's snapshot restores");
    assert_eq!(snapshot(&same), bytes);
    assert_eq!(shown(&same), shown(machine));
    let key = Key::parse(b"/a/b").expect("a short key");
    let command = Command::Set {
        key,
        value: Value::new(b"v"),
        dir: false,
        ttl: Ttl::Seconds(1),
        refresh: false,
    };
    machine.apply(Stamp(1), &command);
    machine.apply_roster(&Roster::default());
    machine.apply(Stamp(u64::MAX), &Command::Expire);
    assert_eq!(machine.next_expiry(), None, "something never expires");
    drop(shown(machine));
}
