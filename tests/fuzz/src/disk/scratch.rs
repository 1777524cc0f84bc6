//! Directories that hold a target's files for one input, in memory where the system has such a place.
//!
//! Invariant: nothing is left behind, and no sync waits for a device: what is tested is what is read back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use quorate_server::storage::disk::Disk;
use tempfile::TempDir;

/// Where memory looks like a disk on Linux.
const IN_MEMORY: &str = "/dev/shm";

/// A new directory.
///
/// # Panics
/// When none can be made.
#[must_use]
pub fn dir() -> TempDir {
    let made = tempfile::tempdir_in(IN_MEMORY).or_else(|_| tempfile::tempdir());
    made.expect("a directory for the input's files")
}

/// The files in a directory, by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Image(pub BTreeMap<String, Vec<u8>>);

impl Image {
    /// What is in `dir`.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let files = std::fs::read_dir(dir).expect("a directory").map(|entry| {
            let path: PathBuf = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a file"))
        });
        Self(files.collect())
    }

    /// Puts the files into an empty directory.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write(&self, dir: &Path) {
        for (name, bytes) in &self.0 {
            std::fs::write(dir.join(name), bytes).expect("room for a file");
        }
    }
}

/// A disk that does not wait for the device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsynced;

impl Disk for Unsynced {
    fn sync_data(&self, _: &File) -> io::Result<()> {
        Ok(())
    }
}
