//! What the registrations below a discovery token say: who is in, who is missing, or why this token cannot be used.
//!
//! Invariant: the members are the first N registrations by the index of their creation, whatever the order they are listed
//! in, and a registration is this member's own only if ID and value both are. Values are `name=peerURL`, with a comma and
//! the name again for each further URL.

use std::collections::{BTreeMap, BTreeSet};

use super::{Learned, member};
use crate::bootstrap::Listed;
use crate::ids::MemberId;
use crate::peer_urls;

/// The largest cluster that a token may ask for: far above any that makes sense, far below what would hurt.
pub const SIZE_MAX: usize = 99;

/// A registration as the service lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registration {
    /// The last part of its key: the member's ID in hex, if a member wrote it.
    pub key: String,
    /// `name=peerURL`.
    pub value: String,
    /// The index of its creation: who came first.
    pub created: u64,
}

impl Registration {
    /// The member that it registers, under the ID that its key is; none if no member can have made it.
    #[must_use]
    pub fn listed(&self) -> Option<Listed> {
        let id = MemberId(u64::from_str_radix(&self.key, 16).ok()?);
        parse(self, "").ok().map(|listed| Listed { id, ..listed })
    }
}

/// How things stand for this member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is not registered yet, and there is room.
    Open,
    /// It is registered, and others are missing.
    Waiting {
        /// The names of those that are registered, in order.
        registered: Vec<String>,
        /// How many are missing.
        missing: usize,
    },
    /// All are there.
    Complete(Learned),
    /// All are there, and this member is not one of them.
    Full {
        /// Those that are.
        members: Vec<Listed>,
    },
}

/// Why a token cannot be used, by its size or by what is registered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RegistryError {
    /// The size is no number from 1 to [`SIZE_MAX`].
    #[error(
        "discovery: size key is bad: the token asks for a cluster of {0:?} members, and a whole number from 1 to \
         {SIZE_MAX} is needed. Make a new token with a valid size"
    )]
    Size(String),
    /// A registration that no member can have made.
    #[error(
        "discovery: the registration {key} has the value {value:?}, which is not of the form NAME=PEER-URL ({reason}). \
         Delete it, or make a new token"
    )]
    Malformed {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The own ID is registered with another value.
    #[error(
        "discovery: found duplicate id: {key} is registered as {theirs:?}, and this member is {own:?}. Two members have the \
         same peer URLs, or this one was registered under another name. Give each member URLs of its own and keep its name, \
         or make a new token"
    )]
    DuplicateId {
        /// The ID.
        key: String,
        /// The value that is registered.
        theirs: String,
        /// The value this member would register.
        own: String,
    },
    /// Two members have one name.
    #[error(
        "discovery: found duplicate name {name:?}: {first} and {second} both have it. Give each member a name of its own \
         (--name) and make a new token"
    )]
    DuplicateName {
        /// The name.
        name: String,
        /// The key of the one.
        first: String,
        /// The key of the other.
        second: String,
    },
    /// Two members have one URL.
    #[error(
        "discovery: found duplicate URL {url}: {first:?} and {second:?} both have it. Give each member peer URLs of its own \
         (--initial-advertise-peer-urls) and make a new token"
    )]
    DuplicateUrl {
        /// The URL.
        url: String,
        /// The name of the one.
        first: String,
        /// The name of the other.
        second: String,
    },
}

/// Reads the size of a token.
///
/// # Errors
/// [`RegistryError::Size`].
pub fn size(text: &str) -> Result<usize, RegistryError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let size = text.parse().ok().filter(|size| is_number && (1..=SIZE_MAX).contains(size));
    size.ok_or_else(|| RegistryError::Size(text.to_owned()))
}

/// The value that registers a member.
#[must_use]
pub fn value_of(own: &Listed) -> String {
    let pairs: Vec<String> =
        own.peer_urls.iter().map(|url| format!("{}={url}", own.name)).collect();
    pairs.join(",")
}

/// Judges what is registered, from the view of the member `own`, whose IDs are salted with `token`.
///
/// # Errors
/// See [`RegistryError`]. Only the first `size` registrations are looked at: what came later is in nobody's list.
pub fn judge(
    own: &Listed,
    token: &str,
    size: usize,
    registrations: &[Registration],
) -> Result<Standing, RegistryError> {
    check_registrable(own)?;
    let mut sorted: Vec<&Registration> =
        registrations.iter().filter(|found| !found.key.starts_with('_')).collect();
    // Indexes are unique in a store; the key decides all the same, so that no order of listing can.
    sorted.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
    let own_key = own.id.to_string();
    if let Some(mine) = sorted.iter().find(|found| found.key == own_key) {
        check_own(own, mine)?;
    }
    sorted.truncate(size);
    let mut members = Vec::with_capacity(sorted.len());
    for found in &sorted {
        members.push(parse(found, token)?);
    }
    check_unique(&sorted, &members)?;
    let is_in = sorted.iter().any(|found| found.key == own_key);
    let missing = size.saturating_sub(members.len());
    Ok(match (is_in, missing) {
        (true, 0) => {
            members.sort_by(|a, b| a.name.cmp(&b.name));
            Standing::Complete(Learned {
                own: own.clone(),
                listed: members,
                token: token.to_owned(),
            })
        }
        (false, 0) => Standing::Full { members },
        (true, missing) => Standing::Waiting {
            registered: members.into_iter().map(|member| member.name).collect(),
            missing,
        },
        (false, _) => Standing::Open,
    })
}

/// Whether the others would read back what this member would register.
fn check_registrable(own: &Listed) -> Result<(), RegistryError> {
    let value = value_of(own);
    let found = Registration { key: own.id.to_string(), value: value.clone(), created: 0 };
    let reason = "a name in a registry holds neither = nor a comma".to_owned();
    match parse(&found, "") {
        Ok(read) if read.name == own.name && read.peer_urls == own.peer_urls => Ok(()),
        _ => Err(RegistryError::Malformed { key: found.key, value, reason }),
    }
}

/// Whether the registration under the own ID is the own one.
fn check_own(own: &Listed, found: &Registration) -> Result<(), RegistryError> {
    // Compared by meaning: another program may order the URLs in another way.
    let is_same = parse(found, "")
        .is_ok_and(|theirs| theirs.name == own.name && theirs.peer_urls == own.peer_urls);
    if is_same {
        return Ok(());
    }
    Err(RegistryError::DuplicateId {
        key: found.key.clone(),
        theirs: found.value.clone(),
        own: value_of(own),
    })
}

fn parse(found: &Registration, token: &str) -> Result<Listed, RegistryError> {
    let malformed = |reason: &str| RegistryError::Malformed {
        key: found.key.clone(),
        value: found.value.clone(),
        reason: reason.to_owned(),
    };
    let mut name = None;
    let mut urls = Vec::new();
    for pair in found.value.split(',') {
        let (left, url) = pair.split_once('=').ok_or_else(|| malformed("there is no ="))?;
        if left.is_empty() {
            return Err(malformed("the name is empty"));
        }
        if *name.get_or_insert(left) != left {
            return Err(malformed("it holds two names"));
        }
        urls.push(url.to_owned());
    }
    let urls = peer_urls::clean(&urls).map_err(|error| malformed(&error.to_string()))?;
    Ok(member(name.unwrap_or_default(), urls, token))
}

fn check_unique(sorted: &[&Registration], members: &[Listed]) -> Result<(), RegistryError> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut urls: BTreeMap<&str, &str> = BTreeMap::new();
    for (found, member) in sorted.iter().zip(members) {
        if let Some(first) = names.insert(&member.name, &found.key) {
            return Err(RegistryError::DuplicateName {
                name: member.name.clone(),
                first: first.to_owned(),
                second: found.key.clone(),
            });
        }
        // A URL that one member has twice is no contradiction.
        for url in member.peer_urls.iter().collect::<BTreeSet<_>>() {
            if let Some(first) = urls.insert(url, &member.name) {
                return Err(RegistryError::DuplicateUrl {
                    url: url.clone(),
                    first: first.to_owned(),
                    second: member.name.clone(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
