//! Reading a snapshot back, verified chunk by chunk.
//!
//! Invariant: no byte of a chunk is handed out before its checksum held, and the end is reported only
//! if the totals agree; memory is one chunk. Arbitrary bytes are an error, never a panic.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use prost::Message;

use super::{CHUNK_BYTES_MAX, MAGIC, META_BYTES_MAX, SnapshotError, SnapshotMeta, VERSION};

/// An open snapshot.
#[derive(Debug)]
pub struct SnapshotReader {
    path: PathBuf,
    file: BufReader<File>,
    meta: SnapshotMeta,
    size: u64,
    offset: u64,
    chunks: u64,
    bytes: u64,
    chunk: Vec<u8>,
    ended: bool,
}

impl SnapshotReader {
    /// Opens a snapshot and checks its header.
    ///
    /// # Errors
    /// It cannot be read, its header is damaged or newer, or it is another cluster's.
    pub fn open(path: &Path, cluster: u64) -> Result<Self, SnapshotError> {
        let io = |error| SnapshotError::io("open", path, error);
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut reader = Self {
            path: path.into(),
            file: BufReader::new(file),
            meta: SnapshotMeta::default(),
            size,
            offset: 0,
            chunks: 0,
            bytes: 0,
            chunk: Vec::new(),
            ended: false,
        };
        reader.header()?;
        let (found, path) = (reader.meta.cluster, path.into());
        if found != cluster {
            return Err(SnapshotError::OtherCluster { path, found, expected: cluster });
        }
        Ok(reader)
    }

    /// What it is a snapshot of.
    #[must_use]
    pub const fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// The file's size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next chunk, or `None` after the last one. Blocks.
    ///
    /// # Errors
    /// A read failed, or what was read is not what was written.
    pub fn next_chunk(&mut self) -> Result<Option<&[u8]>, SnapshotError> {
        if self.ended {
            return Ok(None);
        }
        let length = u32::from_le_bytes(self.take()?) as usize;
        if length == 0 {
            return self.footer();
        }
        if length > CHUNK_BYTES_MAX || self.offset + length as u64 > self.size {
            return Err(self.damaged("a chunk of impossible length"));
        }
        let checksum = u32::from_le_bytes(self.take()?);
        self.fill(length)?;
        if chunk_checksum(self.chunks, &self.chunk) != checksum {
            return Err(self.damaged("a chunk whose checksum does not hold"));
        }
        self.chunks += 1;
        self.bytes += length as u64;
        Ok(Some(&self.chunk))
    }

    /// Reads raw bytes of the file at `offset`, to send them to another member, whose receiver
    /// verifies them. Returns how many; 0 at the end. Does not disturb [`SnapshotReader::next_chunk`].
    ///
    /// # Errors
    /// The read failed.
    pub fn raw(&self, offset: u64, into: &mut [u8]) -> Result<usize, SnapshotError> {
        use std::os::unix::fs::FileExt;
        let read = self.file.get_ref().read_at(into, offset);
        read.map_err(|error| SnapshotError::io("read", &self.path, error))
    }

    /// Starts over from the first chunk.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn rewind(&mut self) -> Result<(), SnapshotError> {
        let sought = self.file.seek(SeekFrom::Start(0));
        sought.map_err(|error| SnapshotError::io("read", &self.path, error))?;
        (self.offset, self.chunks, self.bytes, self.ended) = (0, 0, 0, false);
        self.header()
    }

    fn header(&mut self) -> Result<(), SnapshotError> {
        let fixed: [u8; 16] = self.take()?;
        let (magic, numbers) = fixed.split_at(8);
        let (version, length) = numbers.split_at(4);
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        let (version, length) = (number(version), number(length) as usize);
        if magic != MAGIC {
            return Err(self.damaged("not a snapshot's first bytes"));
        }
        if length > META_BYTES_MAX {
            return Err(self.damaged("a header of impossible length"));
        }
        self.fill(length)?;
        let checksum = u32::from_le_bytes(self.take()?);
        if crc32c::crc32c_append(crc32c::crc32c(&fixed), &self.chunk) != checksum {
            return Err(self.damaged("a header whose checksum does not hold"));
        }
        if version != VERSION {
            return Err(SnapshotError::NewerFormat { path: self.path.clone(), found: version });
        }
        let meta = SnapshotMeta::decode(self.chunk.as_slice());
        self.meta = meta.map_err(|_| self.damaged("a header that cannot be understood"))?;
        let ids = [self.meta.last, self.meta.membership_at];
        if ids.into_iter().flatten().any(|id| !id.is_possible()) {
            return Err(self.damaged("a header that names an impossible entry"));
        }
        Ok(())
    }

    fn footer(&mut self) -> Result<Option<&[u8]>, SnapshotError> {
        let totals: [u8; 16] = self.take()?;
        let checksum = u32::from_le_bytes(self.take()?);
        let mut expected = [0; 16];
        let numbers = self.chunks.to_le_bytes().into_iter().chain(self.bytes.to_le_bytes());
        expected.iter_mut().zip(numbers).for_each(|(slot, byte)| *slot = byte);
        if totals != expected || crc32c::crc32c(&totals) != checksum {
            return Err(self.damaged("totals that do not agree with the chunks"));
        }
        if self.offset != self.size {
            return Err(self.damaged("bytes after the end"));
        }
        self.ended = true;
        Ok(None)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        let read = self.file.read_exact(&mut bytes);
        read.map_err(|error| self.unreadable(error))?;
        self.offset += N as u64;
        Ok(bytes)
    }

    fn fill(&mut self, length: usize) -> Result<(), SnapshotError> {
        self.chunk.resize(length, 0);
        let read = self.file.read_exact(&mut self.chunk);
        read.map_err(|error| self.unreadable(error))?;
        self.offset += length as u64;
        Ok(())
    }

    fn unreadable(&self, error: io::Error) -> SnapshotError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            self.damaged("the end, although more must follow")
        } else {
            SnapshotError::io("read", &self.path, error)
        }
    }

    fn damaged(&self, found: &'static str) -> SnapshotError {
        SnapshotError::Damaged { path: self.path.clone(), offset: self.offset, found }
    }
}

/// Covers the chunk's number too, so that exchanged chunks do not pass.
pub(super) fn chunk_checksum(number: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), bytes)
}
