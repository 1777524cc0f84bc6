//! A segment file: its name, its header, how it comes to be.
//!
//! ```text
//!  0 "QUORWAL\n"      16 u64 cluster id     32 u64 salt            48 u32 CRC32C of bytes 0..48
//!  8 u32 version      24 u64 sequence       40 u64 file size       4096 first frame  (little endian)
//! ```
//! Invariant: a file named `<sequence>.wal` was complete (its full size, its header) and on the
//! device before it got that name, so a short or headless one is damage and never a crash's trace.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::frame::{FrameKey, frame_bytes};
use crate::storage::disk::{Disk, PARTIAL_SUFFIX, sync_dir, write_fully};

/// The format version this program writes.
pub(super) const VERSION: u32 = 1;
/// Where frames begin: a whole page, so that the header's page is never written again.
pub(super) const RECORDS_START: u64 = 4096;
/// Room a segment keeps for the record that ends it.
pub(super) const SEAL_BYTES: u64 = frame_bytes(0) as u64;
const MAGIC: &[u8; 8] = b"QUORWAL\n";
const HEADER_BYTES: usize = 52;
/// Zeros written by one call. Few enough that the allocator gives their memory back: a megabyte of them stayed in each
/// member.
const FILL_BYTES: usize = 128 << 10;
/// Zeros allowed to pile up in the page cache before they are synced: a 64 MiB flush at once would
/// hold up the log's own small ones.
const FILL_SYNC_BYTES: u64 = 4 << 20;

/// An open segment file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Its size in bytes, fixed when it was made.
    pub(super) size: u64,
    pub(super) key: FrameKey,
}

/// What to make a segment for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) cluster: u64,
    pub(super) sequence: u64,
    pub(super) size: u64,
}

impl Segment {
    pub(super) const fn sequence(&self) -> u64 {
        self.key.sequence
    }

    /// Makes an empty segment, from `old` if its size fits and from nothing otherwise.
    pub(super) fn create(
        dir: &Path,
        plan: Plan,
        old: Option<Self>,
        disk: &dyn Disk,
    ) -> io::Result<Self> {
        let partial = dir.join(format!("{:016x}{PARTIAL_SUFFIX}", plan.sequence));
        let made = Self::create_at(dir, &partial, plan, old, disk);
        if made.is_err() {
            // Rubbish by its name; the next start would remove it too.
            let _ = std::fs::remove_file(&partial);
        }
        made
    }

    fn create_at(
        dir: &Path,
        partial: &Path,
        plan: Plan,
        old: Option<Self>,
        disk: &dyn Disk,
    ) -> io::Result<Self> {
        let file = match old {
            Some(old) if old.size == plan.size => {
                std::fs::rename(&old.path, partial)?;
                old.file
            }
            _ => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true).truncate(true).mode(0o600);
                let file = options.open(partial)?;
                fill(&file, plan.size, disk)?;
                file
            }
        };
        let salt = fresh_salt(plan.sequence);
        write_fully(&header(plan, salt), 0, |bytes, offset| disk.fill_at(&file, bytes, offset))?;
        disk.sync_data(&file)?;
        let path = dir.join(file_name(plan.sequence));
        std::fs::rename(partial, &path)?;
        sync_dir(dir)?;
        Ok(Self { file, path, size: plan.size, key: FrameKey::new(plan.sequence, salt) })
    }

    /// Opens an existing segment and checks its header.
    pub(super) fn open(path: &Path, sequence: u64, cluster: u64) -> Result<Self, OpenError> {
        let io = |doing| move |source| OpenError::io(doing, path, source);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io("open"))?;
        let length = file.metadata().map_err(io("examine"))?.len();
        // After a failed sync the page cache may hold what the device does not: read the device.
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
            .map_err(|error| OpenError::io("drop cached pages of", path, error.into()))?;
        let mut bytes = [0; HEADER_BYTES];
        if length >= RECORDS_START {
            file.read_exact_at(&mut bytes, 0).map_err(io("read"))?;
        }
        let damaged = |offset, found| OpenError::Damaged { file: path.into(), offset, found };
        let header = parse_header(&bytes)
            .ok_or_else(|| damaged(0, "the segment's header is not valid".into()))?;
        if header.version != VERSION {
            let (found, known) = (header.version, VERSION);
            return Err(OpenError::NewerFormat { file: path.into(), found, known });
        }
        if header.cluster != cluster {
            let (found, expected) = (header.cluster, cluster);
            return Err(OpenError::OtherCluster { file: path.into(), found, expected });
        }
        if header.sequence != sequence {
            let found = format!("the segment says it is number {:x}: renamed?", header.sequence);
            return Err(damaged(24, found));
        }
        if header.size != length {
            let found =
                format!("the file is {length} bytes long, but was made with {}", header.size);
            return Err(damaged(length.min(header.size), found));
        }
        let key = FrameKey::new(sequence, header.salt);
        Ok(Self { file, path: path.into(), size: header.size, key })
    }
}

/// Every segment in `dir` as (sequence, path), in order.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let sequence =
            name.strip_suffix(".wal").and_then(|stem| u64::from_str_radix(stem, 16).ok());
        if let Some(sequence) = sequence.filter(|&sequence| file_name(sequence) == name) {
            found.push((sequence, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn file_name(sequence: u64) -> String {
    format!("{sequence:016x}.wal")
}

/// Real zeros, not just reserved blocks: the first write to a reserved block costs a journal commit
/// on every later sync.
fn fill(file: &File, size: u64, disk: &dyn Disk) -> io::Result<()> {
    let zeros = vec![0; FILL_BYTES];
    let mut offset = 0;
    while offset < size {
        let count = usize::try_from(size - offset).map_or(FILL_BYTES, |rest| rest.min(FILL_BYTES));
        let zeros = zeros.get(..count).unwrap_or(&zeros);
        write_fully(zeros, offset, |bytes, offset| disk.fill_at(file, bytes, offset))?;
        offset += zeros.len() as u64;
        if offset.is_multiple_of(FILL_SYNC_BYTES) {
            disk.sync_data(file)?;
        }
    }
    Ok(())
}

/// A number no client can guess, so that no value can be made to look like a frame.
fn fresh_salt(sequence: u64) -> u64 {
    RandomState::new().hash_one(sequence)
}

struct Parsed {
    version: u32,
    cluster: u64,
    sequence: u64,
    salt: u64,
    size: u64,
}

fn header(plan: Plan, salt: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for number in [plan.cluster, plan.sequence, salt, plan.size] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn parse_header(bytes: &[u8; HEADER_BYTES]) -> Option<Parsed> {
    let (body, crc) = bytes.split_at(HEADER_BYTES - 4);
    let u64_at =
        |at: usize| body.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    let intact = crc32c::crc32c(body).to_le_bytes() == crc && body.starts_with(MAGIC);
    let version = u32::try_from(u64_at(8)? & u64::from(u32::MAX)).ok()?;
    intact.then_some(Parsed {
        version,
        cluster: u64_at(16)?,
        sequence: u64_at(24)?,
        salt: u64_at(32)?,
        size: u64_at(40)?,
    })
}
