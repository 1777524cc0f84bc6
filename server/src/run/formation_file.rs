//! `formation` in the data directory: this directory's incarnation, and which incarnations of the others it has bound itself to
//! while forming. JSON, replaced as a whole and durable before anyone hears of it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use quorate_core::MemberId;
use quorate_core::bootstrap::Incarnation;
use serde::{Deserialize, Serialize};

use crate::peer_api::formation::{parse_bound, show_bound};
use crate::storage::disk::replace_file;

const NAME: &str = "formation";

#[derive(Debug, Deserialize, Serialize)]
struct Contents {
    incarnation: u64,
    #[serde(default)]
    bound: BTreeMap<String, u64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct FormationFile {
    dir: PathBuf,
    incarnation: Incarnation,
    /// As read at the start; a binding made later is in `Forming`.
    bound: parking_lot::Mutex<BTreeMap<MemberId, Incarnation>>,
}

impl FormationFile {
    /// Reads the file, or draws an incarnation and writes it.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let (incarnation, bound) = match std::fs::read(dir.join(NAME)) {
            Ok(bytes) => {
                let contents: Contents =
                    serde_json::from_slice(&bytes).map_err(|error| damaged(dir, &error))?;
                let bound = parse_bound(contents.bound).map_err(|error| damaged(dir, &error))?;
                (Incarnation(contents.incarnation), bound)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let incarnation = draw()?;
                write(dir, incarnation, &BTreeMap::new())?;
                (incarnation, BTreeMap::new())
            }
            Err(error) => return Err(error),
        };
        Ok(Self { dir: dir.into(), incarnation, bound: parking_lot::Mutex::new(bound) })
    }

    /// The directory's incarnation.
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whom this member has bound itself to; empty if it has not.
    pub(crate) fn bound(&self) -> BTreeMap<MemberId, Incarnation> {
        self.bound.lock().clone()
    }

    /// Binds this member, durably.
    pub(crate) fn bind(&self, bound: &BTreeMap<MemberId, Incarnation>) -> io::Result<()> {
        write(&self.dir, self.incarnation, bound)?;
        bound.clone_into(&mut self.bound.lock());
        Ok(())
    }
}

fn write(
    dir: &Path,
    incarnation: Incarnation,
    bound: &BTreeMap<MemberId, Incarnation>,
) -> io::Result<()> {
    let contents = Contents { incarnation: incarnation.0, bound: show_bound(bound) };
    replace_file(dir, NAME, &serde_json::to_vec(&contents)?)
}

/// A number that no other directory has: eight bytes of the system's randomness.
fn draw() -> io::Result<Incarnation> {
    let mut bytes = [0; 8];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(Incarnation(u64::from_be_bytes(bytes)))
}

fn damaged(dir: &Path, error: &dyn std::fmt::Display) -> io::Error {
    let text = format!(
        "{} is damaged ({error}). It tells this member from one whose disk was wiped. Restore the file from a backup, or \
         remove this member from its cluster and add it again with an empty data directory",
        dir.join(NAME).display()
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}
