//! `discovery` in the data directory: what this member has registered, and the list of members once it is known. JSON, replaced
//! as a whole and durable before anyone hears of it.
//!
//! Invariant: a list that was learned here is used until the log takes over, whether the service lives or not. The file holds
//! no token: where it came from is kept as a hash.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use quorate_core::MemberId;
use quorate_core::bootstrap::Listed;
use quorate_core::discovery::Learned;
use quorate_core::discovery::registry::value_of;
use serde::{Deserialize, Serialize};

use super::learn::Trouble;
use crate::storage::disk::replace_file;

const NAME: &str = "discovery";

/// See the module.
#[derive(Debug)]
pub struct LearnedFile {
    dir: PathBuf,
    contents: Mutex<Contents>,
}

/// What a member has registered, or was about to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Registered {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Contents {
    /// The hash of where the list comes from.
    source: String,
    #[serde(default)]
    registered: Option<Registered>,
    #[serde(default)]
    own: Option<String>,
    #[serde(default)]
    members: Vec<Entry>,
    /// The peer URLs of the cluster that this process is a proxy of.
    #[serde(default)]
    proxy_of: Vec<String>,
    /// Whether the source is a service that takes reports.
    #[serde(default)]
    takes_reports: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entry {
    id: String,
    name: String,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
}

impl LearnedFile {
    /// Reads the file; nothing is written yet.
    ///
    /// # Errors
    /// The disk fails, or the file is damaged.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let contents = match std::fs::read(dir.join(NAME)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(dir, &error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Contents::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { dir: dir.into(), contents: Mutex::new(contents) })
    }

    /// Forgets all that came from another source than this one.
    pub fn of_source(&self, source: &str) {
        let mut contents = self.contents.lock();
        if contents.source != source {
            if !contents.source.is_empty() {
                tracing::warn!(
                    "what this data directory has learned from another discovery source is forgotten"
                );
            }
            *contents = Contents { source: source.to_owned(), ..Contents::default() };
        }
    }

    /// What was registered, or was about to be.
    pub fn registered(&self) -> Option<Registered> {
        self.contents.lock().registered.clone()
    }

    /// Notes what is about to be registered.
    ///
    /// # Errors
    /// The disk fails.
    pub fn registers(&self, registered: Registered) -> io::Result<()> {
        self.change(|contents| contents.registered = Some(registered))
    }

    /// Notes that the registration was taken back.
    ///
    /// # Errors
    /// The disk fails.
    pub fn unregistered(&self) -> io::Result<()> {
        self.change(|contents| contents.registered = None)
    }

    /// Notes that this process is a proxy of the members at `peer_urls`.
    ///
    /// # Errors
    /// The disk fails.
    pub fn proxies(&self, peer_urls: &[String]) -> io::Result<()> {
        self.change(|contents| contents.proxy_of = peer_urls.to_vec())
    }

    /// The peer URLs of the cluster that this process is a proxy of; none if it is no proxy.
    pub fn proxied(&self) -> Vec<String> {
        self.contents.lock().proxy_of.clone()
    }

    /// Notes that the source takes reports, so that a member that looks nothing up any more knows it.
    ///
    /// # Errors
    /// The disk fails.
    pub fn reports_are_taken(&self) -> io::Result<()> {
        if self.contents.lock().takes_reports {
            return Ok(());
        }
        self.change(|contents| contents.takes_reports = true)
    }

    /// Whether `source` takes reports, as far as was noted.
    pub fn takes_reports(&self, source: &str) -> bool {
        let contents = self.contents.lock();
        contents.takes_reports && contents.source == source
    }

    /// Keeps a list.
    ///
    /// # Errors
    /// The disk fails.
    pub fn keep(&self, learned: &Learned) -> io::Result<()> {
        self.change(|contents| {
            contents.own = Some(learned.own.id.to_string());
            contents.members = learned.listed.iter().map(Entry::from).collect();
        })
    }

    /// The list that was kept, with `token` as the salt it was made with.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn learned(&self, token: &str) -> io::Result<Option<Learned>> {
        let contents = self.contents.lock();
        let Some(own) = &contents.own else { return Ok(None) };
        let listed: Option<Vec<Listed>> = contents.members.iter().map(Entry::listed).collect();
        let listed = listed.ok_or_else(|| damaged(&self.dir, &"an ID is malformed"))?;
        let own = listed.iter().find(|member| member.id.to_string() == *own).cloned();
        let own = own.ok_or_else(|| damaged(&self.dir, &"this member is not in its list"))?;
        Ok(Some(Learned { own, listed, token: token.to_owned() }))
    }

    fn change(&self, change: impl FnOnce(&mut Contents)) -> io::Result<()> {
        let mut contents = self.contents.lock();
        let mut new = contents.clone();
        change(&mut new);
        replace_file(&self.dir, NAME, &serde_json::to_vec(&new)?)?;
        *contents = new;
        Ok(())
    }
}

/// Notes what `own` is about to register, before it is sent.
pub(super) fn note(file: &LearnedFile, own: &Listed) -> Result<Registered, Trouble> {
    let registered = Registered { key: own.id.to_string(), value: value_of(own) };
    if file.registered().as_ref() != Some(&registered) {
        file.registers(registered.clone()).map_err(|error| {
            Trouble::Final(format!("cannot note the registration in the data directory: {error}"))
        })?;
    }
    Ok(registered)
}

/// Flags that changed since would register this member a second time, and nobody for the place of the first.
pub(super) fn check_note(file: &LearnedFile, own: &Listed) -> Result<(), Trouble> {
    let own = Registered { key: own.id.to_string(), value: value_of(own) };
    match file.registered().filter(|noted| *noted != own) {
        None => Ok(()),
        Some(noted) => Err(Trouble::Final(format!(
            "discovery: this data directory has registered {:?} (key {}) with this token, and now the flags say {:?} (key {}). \
             Registering again would take up two places. Set --name and --initial-advertise-peer-urls back, or delete that key \
             below the token and the data directory",
            noted.value, noted.key, own.value, own.key
        ))),
    }
}

impl From<&Listed> for Entry {
    fn from(listed: &Listed) -> Self {
        let (id, name) = (listed.id.to_string(), listed.name.clone());
        Self { id, name, peer_urls: listed.peer_urls.clone() }
    }
}

impl Entry {
    fn listed(&self) -> Option<Listed> {
        let id = MemberId(u64::from_str_radix(&self.id, 16).ok()?);
        Some(Listed { id, name: self.name.clone(), peer_urls: self.peer_urls.clone() })
    }
}

fn damaged(dir: &Path, error: &dyn std::fmt::Display) -> io::Error {
    let text = format!(
        "{} is damaged ({error}). It holds what this member has registered with a discovery service and who the others are. \
         If the cluster has not formed yet, remove the file and start again; otherwise restore it from a backup",
        dir.join(NAME).display()
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use quorate_core::discovery::member;

    use super::*;

    #[test]
    fn what_was_kept_is_there_for_the_same_source_only() {
        let dir = tempfile::tempdir().unwrap();
        let own = member("a", vec!["http://a:1".to_owned()], "t");
        let other = member("b", vec!["http://b:1".to_owned()], "t");
        let learned = Learned { own: own.clone(), listed: vec![own, other], token: "t".to_owned() };
        let registered = Registered { key: "1".to_owned(), value: "a=http://a:1".to_owned() };
        {
            let file = LearnedFile::open(dir.path()).unwrap();
            file.of_source("s");
            assert_eq!(file.learned("t").unwrap(), None);
            file.registers(registered.clone()).unwrap();
            file.keep(&learned).unwrap();
        }
        let file = LearnedFile::open(dir.path()).unwrap();
        file.of_source("s");
        assert_eq!(file.registered(), Some(registered));
        assert_eq!(file.learned("t").unwrap(), Some(learned));
        file.of_source("another");
        assert_eq!((file.registered(), file.learned("t").unwrap()), (None, None));
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NAME), "{").unwrap();
        let error = LearnedFile::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("is damaged") && error.contains("remove the file"), "{error}");
    }
}
