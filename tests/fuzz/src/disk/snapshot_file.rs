//! `snapshot_file`: a snapshot file, found on disk or received from the leader.
//!
//! The input's first byte says how: as it is, or as head and chunks that get true lengths and checksums. Promises: a
//! file is read to its end or refused; receiver and reader agree on it; one that is refused is not there afterwards, one
//! that is accepted is what the directory offers next.

use quorate_server::storage::snapshot::{SnapshotDir, SnapshotError, SnapshotReader};

use super::scratch::dir;
use crate::choices::Choices;
use crate::state;

/// The cluster whose snapshots are expected, so that inputs can name it in a byte.
const CLUSTER: u64 = 5;

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let piece = 1 + choices.below(256);
    let bytes = if choices.flag() { sealed(choices) } else { choices.rest().to_vec() };
    let dir = dir();
    let path = dir.path().join("given");
    std::fs::write(&path, &bytes).expect("room for a file");
    let direct = SnapshotReader::open(&path, CLUSTER).and_then(read);
    let snapshots = SnapshotDir::open(dir.path(), CLUSTER, 1).expect("a directory");
    let mut receiver = snapshots.receive().expect("room for a file");
    for piece in bytes.chunks(piece) {
        receiver.bytes(piece).expect("room for a file");
    }
    match (receiver.finish(), direct) {
        (Ok(received), Ok(payload)) => {
            let meta = received.meta().clone();
            assert_eq!(read(received).expect("it was verified"), payload);
            let newest = snapshots.newest(None).expect("it was verified").expect("it is there");
            assert_eq!((newest.meta(), read_raw(&newest)), (&meta, bytes));
            // What the chunks hold is another matter, but must not bring a member down.
            if let Ok(machine) = state::restored(&payload, payload.len()) {
                drop(state::shown(&machine));
            }
        }
        (Err(error), Err(other)) => {
            assert!(!matches!(error, SnapshotError::Io { .. }), "{error}");
            assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&other));
            assert_eq!(snapshots.list().expect("a directory"), Vec::<std::path::PathBuf>::new());
        }
        (received, direct) => panic!("received: {received:?}, read: {direct:?}"),
    }
}

fn read(mut reader: SnapshotReader) -> Result<Vec<u8>, SnapshotError> {
    let mut payload = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        payload.extend_from_slice(chunk);
    }
    reader.rewind()?;
    Ok(payload)
}

fn read_raw(reader: &SnapshotReader) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(reader.size()).unwrap_or(0) + 1];
    let length = reader.raw(0, &mut bytes).expect("it is there");
    bytes.truncate(length);
    bytes
}

/// A file as the format has it, around whatever meta data and chunks.
fn sealed(mut choices: Choices<'_>) -> Vec<u8> {
    let word = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = b"QUORSNP\n".to_vec();
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    let meta = choices.bytes();
    bytes.extend_from_slice(&word(meta.len()));
    bytes.extend_from_slice(meta);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let (mut chunks, mut total) = (0_u64, 0_u64);
    while !choices.is_done() {
        let chunk = choices.bytes();
        if chunk.is_empty() {
            continue;
        }
        let crc = crc32c::crc32c_append(crc32c::crc32c(&chunks.to_le_bytes()), chunk);
        bytes.extend_from_slice(&word(chunk.len()));
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(chunk);
        chunks += 1;
        total += chunk.len() as u64;
    }
    let totals = [chunks.to_le_bytes(), total.to_le_bytes()].concat();
    bytes.extend_from_slice(&word(0));
    bytes.extend_from_slice(&totals);
    bytes.extend_from_slice(&crc32c::crc32c(&totals).to_le_bytes());
    bytes
}
