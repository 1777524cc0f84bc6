//! The data directory: one owner, one identity, and a refusal with a reason for everything else.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use quorate_server::storage::data_dir::{DataDir, DataDirError, Identity};

const IDENTITY: Identity =
    Identity { cluster: 0xc1, member: 0xa, incarnation: 0xfeed, has_log: false };

fn refusal(dir: &Path) -> DataDirError {
    DataDir::open(dir, None).expect_err("refused")
}

#[test]
fn an_identity_is_given_once_and_stays() {
    let root = tempfile::tempdir().expect("dir");
    let path = root.path().join("a/b.quorate");
    let mut dir = DataDir::open(&path, None).expect("made");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(dir.identity(), None);
    dir.identify(IDENTITY).expect("identified");
    assert!(matches!(
        dir.identify(Identity { member: 1, ..IDENTITY }),
        Err(DataDirError::AlreadyIdentified { cluster: 0xc1, member: 0xa, .. })
    ));
    drop(dir);
    let mut dir = DataDir::open(&path, None).expect("opens");
    assert_eq!(dir.identity(), Some(IDENTITY));
    dir.log_created().expect("noted");
    assert!(!dir.is_removed());
    dir.mark_removed().expect("marked");
    drop(dir);
    let dir = DataDir::open(&path, None).expect("opens");
    assert_eq!(dir.identity(), Some(Identity { has_log: true, ..IDENTITY }));
    assert!(dir.is_removed());
}

#[test]
fn a_second_process_is_refused_by_name() {
    let root = tempfile::tempdir().expect("dir");
    let elsewhere = root.path().join("wal");
    let first = DataDir::open(&root.path().join("a"), Some(&elsewhere)).expect("opens");
    let text = refusal(&root.path().join("a")).to_string();
    assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
    let shared = DataDir::open(&root.path().join("b"), Some(&elsewhere));
    assert!(matches!(shared, Err(DataDirError::InUse { dir, .. }) if dir == elsewhere));
    assert_eq!(first.log_dir(), elsewhere);
    drop(first);
    DataDir::open(&root.path().join("a"), Some(&elsewhere)).expect("free again");
}

#[test]
fn every_damaged_byte_of_an_identity_is_refused() {
    let root = tempfile::tempdir().expect("dir");
    DataDir::open(root.path(), None).expect("opens").identify(IDENTITY).expect("identified");
    let file = root.path().join("identity");
    let bytes = std::fs::read(&file).expect("read");
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        for bytes in [damaged.as_slice(), &bytes[..at]] {
            std::fs::write(&file, bytes).expect("write");
            let error = refusal(root.path());
            assert!(matches!(error, DataDirError::IdentityDamaged { .. }), "byte {at}: {error}");
        }
    }
    std::fs::write(&file, &bytes).expect("write");
    assert_eq!(DataDir::open(root.path(), None).expect("opens").identity(), Some(IDENTITY));
}

#[test]
fn newer_formats_are_refused() {
    let root = tempfile::tempdir().expect("dir");
    let body = "format 2\nwhatever\n";
    let text = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
    std::fs::write(root.path().join("identity"), text).expect("write");
    assert!(matches!(refusal(root.path()), DataDirError::NewerFormat { found: 2, known: 1, .. }));
}

#[test]
fn etcds_directory_is_refused() {
    let root = tempfile::tempdir().expect("dir");
    std::fs::create_dir_all(root.path().join("member/wal")).expect("make");
    let before = std::fs::read_dir(root.path()).expect("list").count();
    let text = refusal(root.path()).to_string();
    assert!(text.contains("data directory of etcd"), "{text}");
    assert_eq!(std::fs::read_dir(root.path()).expect("list").count(), before, "nothing touched");
    let wal = root.path().join("member/wal");
    std::fs::write(wal.join("0000000000000000-0000000000000000.wal"), b"x").expect("write");
    let separate = DataDir::open(&root.path().join("new"), Some(&wal));
    assert!(matches!(separate, Err(DataDirError::Etcd { .. })));
}

#[test]
fn data_without_an_identity_is_refused_and_rubbish_is_removed() {
    let root = tempfile::tempdir().expect("dir");
    std::fs::write(root.path().join("identity.tmp"), b"half").expect("write");
    let dir = DataDir::open(root.path(), None).expect("opens");
    assert!(!root.path().join("identity.tmp").exists());
    std::fs::write(dir.log_dir().join("0000000000000001.wal"), b"x").expect("write");
    drop(dir);
    assert!(matches!(refusal(root.path()), DataDirError::IdentityMissing { .. }));
}
