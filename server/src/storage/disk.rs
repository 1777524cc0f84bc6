//! The few file operations whose failure tests must be able to script, and the two idioms every
//! durable file here relies on: sync a directory, replace a file as a whole.
//!
//! Invariant: nothing here retries a failed sync; after one the page cache no longer tells the truth.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The writes and syncs of the log, as the device answers them.
pub trait Disk: Send + Sync + 'static {
    /// Writes some of `bytes` at `offset` and says how many, like `pwrite`.
    ///
    /// # Errors
    /// As the device says.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    /// Like [`Disk::write_at`], for space taken ahead of time: the only write that a full disk may fail.
    ///
    /// # Errors
    /// As the device says.
    fn fill_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    /// Returns once the file's data is on the device.
    ///
    /// # Errors
    /// As the device says. Never to be retried.
    fn sync_data(&self, file: &File) -> io::Result<()> {
        rustix::fs::fdatasync(file).map_err(io::Error::from)
    }
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {}

/// Calls `write` until all of `bytes` is written; a write of zero bytes is an error.
pub(super) fn write_fully(
    bytes: &[u8],
    offset: u64,
    mut write: impl FnMut(&[u8], u64) -> io::Result<usize>,
) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match write(rest, offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether an error means "no room": the disk is full or the quota is used up.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Bytes an unprivileged process may still write to the file system that holds `path`.
///
/// # Errors
/// As the file system says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes renames, creations and removals in `dir` durable.
///
/// # Errors
/// As the device says.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces `dir/name` as a whole: after a crash it is either the old file or the new one.
///
/// # Errors
/// As the file system says; the old file is then still in place.
pub fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let partial = dir.join(format!("{name}{PARTIAL_SUFFIX}"));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&partial, dir.join(name))?;
    sync_dir(dir)
}

/// How the name of a file ends while it is being written. Whatever ends so at a start is rubbish.
pub const PARTIAL_SUFFIX: &str = ".tmp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_interrupted_writes_are_finished() {
        let mut written = Vec::new();
        let mut calls = 0;
        write_fully(b"abcdefg", 10, |bytes, offset| {
            calls += 1;
            if calls == 2 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            assert_eq!(offset, 10 + written.len() as u64);
            let count = bytes.len().min(3);
            written.extend_from_slice(&bytes[..count]);
            Ok(count)
        })
        .expect("writes");
        assert_eq!(written, b"abcdefg");
    }

    #[test]
    fn a_write_of_nothing_is_an_error() {
        assert!(write_fully(b"a", 0, |_, _| Ok(0)).is_err());
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().expect("dir");
        replace_file(dir.path(), "x", b"one").expect("first");
        replace_file(dir.path(), "x", b"two").expect("second");
        assert_eq!(std::fs::read(dir.path().join("x")).expect("read"), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1);
    }
}
