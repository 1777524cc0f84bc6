//! Where member folders go, and whether that place is a disk at all.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Magic numbers `statfs` gives for file systems that live in memory, where an fsync proves nothing.
const IN_MEMORY: [u64; 2] = [0x0102_1994 /* tmpfs */, 0x8584_58f6 /* ramfs */];

/// Whether `path` is on a file system that lives in memory. A durability test must refuse such a place.
pub fn is_in_memory(path: &Path) -> io::Result<bool> {
    let found = rustix::fs::statfs(path)?;
    Ok(IN_MEMORY.contains(&(found.f_type as u64)))
}

/// A fresh folder below `root`, or below the default place when `None`.
pub(crate) fn fresh_folder(root: Option<&Path>) -> io::Result<TempDir> {
    let root = root.map_or_else(default_root, Path::to_owned);
    std::fs::create_dir_all(&root)?;
    tempfile::Builder::new().prefix("cluster-").tempdir_in(root)
}

/// `TMPDIR` when it is set, else a folder in the build's target folder: that one is on a disk.
fn default_root() -> PathBuf {
    if env::var_os("TMPDIR").is_some() {
        return env::temp_dir();
    }
    let test = env::current_exe().unwrap_or_default();
    match test.ancestors().find(|folder| folder.ends_with("deps")).and_then(Path::parent) {
        Some(profile) => profile.join("test-clusters"),
        None => env::temp_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_fresh_and_removed() {
        let (one, two) = (fresh_folder(None).unwrap(), fresh_folder(None).unwrap());
        assert_ne!(one.path(), two.path());
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists());
    }

    #[test]
    fn shared_memory_is_told_from_a_disk() {
        if Path::new("/dev/shm").is_dir() {
            assert!(is_in_memory(Path::new("/dev/shm")).unwrap());
        }
        assert!(!is_in_memory(Path::new("/proc")).unwrap());
    }
}
