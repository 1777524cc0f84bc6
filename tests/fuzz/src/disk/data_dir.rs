//! `data_dir`: the identity file, which says whose data a directory holds.
//!
//! The input's first byte says how: as it is, or as text that gets its true checksum. Promises: the file is understood
//! or refused with a reason that names it, and in no case changed.

use quorate_server::storage::data_dir::{DataDir, DataDirError};

use super::scratch::dir;

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    let mut bytes = rest.to_vec();
    if how & 1 == 1 {
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(format!("crc32c {crc:08x}\n").as_bytes());
    }
    let dir = dir();
    let file = dir.path().join("identity");
    std::fs::write(&file, &bytes).expect("room for a file");
    match DataDir::open(dir.path(), None) {
        Ok(opened) => {
            assert!(opened.identity().is_some(), "an identity was overlooked");
            drop(opened);
            let again = DataDir::open(dir.path(), None).expect("what opened opens again");
            assert!(!again.is_removed());
        }
        Err(error) => {
            let named = matches!(error, DataDirError::IdentityDamaged { .. });
            let newer = matches!(error, DataDirError::NewerFormat { .. });
            assert!(named || newer, "{error}");
        }
    }
    assert_eq!(std::fs::read(&file).expect("it is still there"), bytes);
}
