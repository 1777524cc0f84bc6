//! Writing a snapshot: our own chunk by chunk, or another member's byte for byte.
//!
//! Invariant: the file gets its name only when it is complete, verified and on the device.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message;

use super::reader::{SnapshotReader, chunk_checksum};
use super::{CHUNK_BYTES_MAX, MAGIC, SnapshotDir, SnapshotError, SnapshotMeta, VERSION, file_name};
use crate::storage::disk::{PARTIAL_SUFFIX, sync_dir};

/// Bytes written between two syncs: one sync of a whole snapshot at the end would hold up the log's.
const SYNC_BYTES: u64 = 8 << 20;

/// A snapshot being written. Dropping it unfinished removes it.
#[derive(Debug)]
pub struct SnapshotWriter {
    partial: Partial,
    meta: SnapshotMeta,
    chunks: u64,
    bytes: u64,
}

impl SnapshotWriter {
    pub(super) fn create(dir: &Path, meta: SnapshotMeta) -> Result<Self, SnapshotError> {
        let mut partial = Partial::create(dir)?;
        let encoded = meta.encode_to_vec();
        let mut head = Vec::with_capacity(encoded.len() + 20);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&length(&encoded).to_le_bytes());
        head.extend_from_slice(&encoded);
        head.extend_from_slice(&crc32c::crc32c(&head).to_le_bytes());
        partial.write(&head)?;
        Ok(Self { partial, meta, chunks: 0, bytes: 0 })
    }

    /// Appends a chunk. An empty one is nothing.
    ///
    /// # Errors
    /// The write failed, or the chunk exceeds [`CHUNK_BYTES_MAX`].
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() > CHUNK_BYTES_MAX {
            let error =
                io::Error::new(io::ErrorKind::InvalidInput, "a chunk larger than readers take");
            return Err(SnapshotError::io("write", &self.partial.path, error));
        }
        self.partial.write(&length(bytes).to_le_bytes())?;
        self.partial.write(&chunk_checksum(self.chunks, bytes).to_le_bytes())?;
        self.partial.write(bytes)?;
        self.chunks += 1;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Completes the snapshot: on the device, then in place. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// As the disk says; there is then no new snapshot.
    pub fn finish(mut self) -> Result<SnapshotReader, SnapshotError> {
        let mut totals = Vec::with_capacity(16);
        totals.extend_from_slice(&self.chunks.to_le_bytes());
        totals.extend_from_slice(&self.bytes.to_le_bytes());
        self.partial.write(&0u32.to_le_bytes())?;
        self.partial.write(&totals)?;
        self.partial.write(&crc32c::crc32c(&totals).to_le_bytes())?;
        let path = self.partial.finish(&file_name(self.meta.last))?;
        SnapshotReader::open(&path, self.meta.cluster)
    }
}

/// A snapshot file being received. Dropping it unfinished removes it.
#[derive(Debug)]
pub struct SnapshotReceiver {
    into: SnapshotDir,
    partial: Partial,
}

impl SnapshotReceiver {
    pub(super) fn create(into: SnapshotDir) -> Result<Self, SnapshotError> {
        let partial = Partial::create(&into.dir)?;
        Ok(Self { into, partial })
    }

    /// Appends the next bytes of the file, in pieces of any size.
    ///
    /// # Errors
    /// The write failed.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.partial.write(bytes)
    }

    /// Bytes received so far.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.partial.written
    }

    /// Verifies the whole file and puts it in place. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// It does not verify, is another cluster's, or the disk failed; there is then no new snapshot.
    pub fn finish(mut self) -> Result<SnapshotReader, SnapshotError> {
        self.partial.flush()?;
        let mut reader = SnapshotReader::open(&self.partial.path, self.into.cluster)?;
        while reader.next_chunk()?.is_some() {}
        let path = self.partial.finish(&file_name(reader.meta().last))?;
        SnapshotReader::open(&path, self.into.cluster)
    }
}

/// A file that does not count yet.
#[derive(Debug)]
struct Partial {
    dir: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    written: u64,
    synced: u64,
}

impl Partial {
    fn create(dir: &Path) -> Result<Self, SnapshotError> {
        // Two at once are possible: one being built, one being received.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{number}{PARTIAL_SUFFIX}"));
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = BufWriter::new(file.map_err(|error| SnapshotError::io("create", &path, error))?);
        Ok(Self { dir: dir.into(), path, file, written: 0, synced: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let io = |error| SnapshotError::io("write", &self.path, error);
        self.file.write_all(bytes).map_err(io)?;
        self.written += bytes.len() as u64;
        if self.written - self.synced >= SYNC_BYTES {
            self.synced = self.written;
            self.file.flush().and_then(|()| self.file.get_ref().sync_data()).map_err(io)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        self.file.flush().map_err(|error| SnapshotError::io("write", &self.path, error))
    }

    fn finish(&mut self, name: &str) -> Result<PathBuf, SnapshotError> {
        self.flush()?;
        let path = self.dir.join(name);
        let synced = self.file.get_ref().sync_all();
        synced
            .and_then(|()| std::fs::rename(&self.path, &path))
            .and_then(|()| sync_dir(&self.dir))
            .map_err(|error| SnapshotError::io("complete", &path, error))?;
        Ok(path)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After a rename there is nothing there; a leftover is removed at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
