//! Whose data a directory holds, as a small text file that people can read.
//!
//! Invariant: the last line is a checksum of all before it; a file that does not match it to the byte
//! is refused, never repaired. Unknown lines are kept out by the format version.

use std::fmt::Write;
use std::io;
use std::path::Path;

use super::DataDirError;

/// The format version this program writes.
const VERSION: u32 = 1;
/// An identity file is a few lines; anything longer is not one.
const BYTES_MAX: usize = 4096;

/// Whose data a directory holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The cluster's id.
    pub cluster: u64,
    /// The member's id.
    pub member: u64,
    /// A random number made with the directory: tells this member from one that was later started
    /// under the same name with an empty directory.
    pub incarnation: u64,
    /// Whether the raft log has been made.
    pub has_log: bool,
}

impl Identity {
    pub(super) fn to_text(self) -> String {
        let mut text = format!(
            "format {VERSION}\ncluster {:x}\nmember {:x}\nincarnation {:x}\nlog {}\n",
            self.cluster,
            self.member,
            self.incarnation,
            if self.has_log { "yes" } else { "no" }
        );
        let checksum = crc32c::crc32c(text.as_bytes());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "crc32c {checksum:08x}");
        text
    }
}

/// Reads the identity in `dir`, if there is one.
pub(super) fn read(dir: &Path, name: &str) -> Result<Option<Identity>, DataDirError> {
    let file = dir.join(name);
    let damaged = |found| DataDirError::IdentityDamaged { file: file.clone(), found };
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DataDirError::io("read", &file, error)),
    };
    let text = String::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    if text.len() > BYTES_MAX {
        return Err(damaged("it is too long"));
    }
    let body = text.rfind("crc32c ").and_then(|at| text.split_at_checked(at));
    let (body, checksum) = body.ok_or_else(|| damaged("it has no checksum"))?;
    if checksum != format!("crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())) {
        return Err(damaged("its checksum does not hold"));
    }
    let version = value(body, "format").and_then(|text| text.parse().ok());
    let version = version.ok_or_else(|| damaged("it states no format version"))?;
    if version != VERSION {
        let (dir, known) = (dir.to_path_buf(), VERSION);
        return Err(DataDirError::NewerFormat { dir, found: version, known });
    }
    parse(body).map(Some).ok_or_else(|| damaged("a line is missing"))
}

fn parse(body: &str) -> Option<Identity> {
    let number = |key| value(body, key).and_then(|text| u64::from_str_radix(text, 16).ok());
    let has_log = match value(body, "log")? {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    Some(Identity {
        cluster: number("cluster")?,
        member: number("member")?,
        incarnation: number("incarnation")?,
        has_log,
    })
}

fn value<'a>(body: &'a str, key: &str) -> Option<&'a str> {
    body.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
}
