//! `GET /quorate/formation` on the peer port: what a member tells others that are starting. JSON, so that a person can ask, too.
//!
//! The answer states facts only; what follows from them is `quorate_core::bootstrap`'s decision on the asking side.

use std::collections::BTreeMap;

use quorate_core::bootstrap::{Answer, FormationHash, Incarnation, Known};
use quorate_core::{ClusterId, MemberId};
use serde::{Deserialize, Serialize};

/// The path.
pub const PATH: &str = "/quorate/formation";
pub use super::link::PROTOCOL;

/// The body of the answer. IDs and hashes are in hex, as everywhere.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Announcement {
    /// The version of the protocol.
    pub protocol: u32,
    /// The answering member.
    pub member: String,
    /// Its data directory's incarnation.
    pub incarnation: u64,
    /// What it is: forming, or a member of a cluster.
    #[serde(flatten)]
    pub stage: Stage,
}

/// How far a member is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "stage")]
pub enum Stage {
    /// It waits for others to form a cluster with.
    Forming {
        /// The hash of its member list and token.
        formation: String,
        /// Member ID to incarnation, once it has bound itself.
        bound: Option<BTreeMap<String, u64>>,
    },
    /// It is a member of a cluster.
    #[serde(rename_all = "camelCase")]
    Formed {
        /// The cluster's ID.
        cluster: String,
        /// The cluster's members.
        members: Vec<Entry>,
        /// IDs of former members.
        removed: Vec<String>,
        /// The index up to which the answering member has applied the log, at least.
        #[serde(default)]
        applied: u64,
    },
}

/// A member in the answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// Its ID.
    pub id: String,
    /// Its name; empty before its first start.
    pub name: String,
    /// Where its peers reach it, sorted.
    #[serde(rename = "peerURLs")]
    pub peer_urls: Vec<String>,
    /// The incarnation it lives in, if it has ever started.
    pub incarnation: Option<u64>,
}

/// Why an announcement could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum AnnouncementError {
    /// Not the JSON that is expected here.
    #[error("the answer is not a quorate member's: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error(
        "the peer speaks version {0} of the peer protocol, this member version {PROTOCOL}. Run the same release on both"
    )]
    Protocol(u32),
    /// A number that is none.
    #[error("the answer has a malformed {0}")]
    Malformed(&'static str),
}

impl Announcement {
    /// Reads an answer's body.
    ///
    /// # Errors
    /// See [`AnnouncementError`].
    pub fn parse(body: &[u8]) -> Result<Answer, AnnouncementError> {
        let announcement: Self = serde_json::from_slice(body)?;
        if announcement.protocol != PROTOCOL {
            return Err(AnnouncementError::Protocol(announcement.protocol));
        }
        announcement.into_answer()
    }

    fn into_answer(self) -> Result<Answer, AnnouncementError> {
        Ok(match self.stage {
            Stage::Forming { formation, bound } => Answer::Forming {
                formation: parse_hash(&formation)?,
                incarnation: Incarnation(self.incarnation),
                bound: bound.map(parse_bound).transpose()?,
            },
            Stage::Formed { cluster, members, removed, applied } => Answer::Formed {
                cluster: ClusterId(parse_id(&cluster)?),
                members: members.into_iter().map(Known::try_from).collect::<Result<_, _>>()?,
                removed: removed
                    .iter()
                    .map(|id| parse_id(id).map(MemberId))
                    .collect::<Result<_, _>>()?,
                applied,
            },
        })
    }
}

impl From<&Known> for Entry {
    fn from(known: &Known) -> Self {
        Self {
            id: known.id.to_string(),
            name: known.name.clone(),
            peer_urls: known.peer_urls.clone(),
            incarnation: known.incarnation.map(|incarnation| incarnation.0),
        }
    }
}

impl TryFrom<Entry> for Known {
    type Error = AnnouncementError;

    fn try_from(entry: Entry) -> Result<Self, AnnouncementError> {
        Ok(Self {
            id: MemberId(parse_id(&entry.id)?),
            name: entry.name,
            peer_urls: entry.peer_urls,
            incarnation: entry.incarnation.map(Incarnation),
        })
    }
}

/// The bound incarnations as the answer shows them.
#[must_use]
pub fn show_bound(bound: &BTreeMap<MemberId, Incarnation>) -> BTreeMap<String, u64> {
    bound.iter().map(|(id, incarnation)| (id.to_string(), incarnation.0)).collect()
}

/// The bound incarnations from an answer.
///
/// # Errors
/// When an ID is malformed.
pub fn parse_bound(
    shown: BTreeMap<String, u64>,
) -> Result<BTreeMap<MemberId, Incarnation>, AnnouncementError> {
    shown.into_iter().map(|(id, n)| Ok((MemberId(parse_id(&id)?), Incarnation(n)))).collect()
}

fn parse_id(hex: &str) -> Result<u64, AnnouncementError> {
    u64::from_str_radix(hex, 16).map_err(|_| AnnouncementError::Malformed("ID"))
}

fn parse_hash(hex: &str) -> Result<FormationHash, AnnouncementError> {
    let malformed = AnnouncementError::Malformed("formation hash");
    let mut hash = [0; 20];
    if hex.len() != 2 * hash.len() || !hex.is_ascii() {
        return Err(malformed);
    }
    for (byte, at) in hash.iter_mut().zip((0..hex.len()).step_by(2)) {
        match u8::from_str_radix(&hex[at..at + 2], 16) {
            Ok(value) => *byte = value,
            Err(_) => return Err(malformed),
        }
    }
    Ok(FormationHash(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(stage: Stage) -> Result<Answer, AnnouncementError> {
        let announcement =
            Announcement { protocol: PROTOCOL, member: "1".to_owned(), incarnation: 5, stage };
        Announcement::parse(&serde_json::to_vec(&announcement).unwrap())
    }

    #[test]
    fn a_forming_member_is_understood() {
        let bound = BTreeMap::from([(MemberId(0xab), Incarnation(u64::MAX))]);
        let formation = FormationHash([0x1f; 20]);
        let stage =
            Stage::Forming { formation: formation.to_string(), bound: Some(show_bound(&bound)) };
        let answer = Answer::Forming { formation, incarnation: Incarnation(5), bound: Some(bound) };
        assert_eq!(round_trip(stage).unwrap(), answer);
    }

    #[test]
    fn a_member_of_a_cluster_is_understood() {
        let known = Known {
            id: MemberId(3),
            name: String::new(),
            peer_urls: vec!["u".to_owned()],
            incarnation: None,
        };
        let members = vec![Entry::from(&known)];
        let removed = vec!["7".to_owned()];
        let stage = Stage::Formed { cluster: "cafe".to_owned(), members, removed, applied: 12 };
        let answer = Answer::Formed {
            cluster: ClusterId(0xcafe),
            members: vec![known],
            removed: vec![MemberId(7)],
            applied: 12,
        };
        assert_eq!(round_trip(stage).unwrap(), answer);
    }

    #[test]
    fn nonsense_is_refused() {
        for formation in ["", "zz", "é".repeat(20).as_str(), "0".repeat(39).as_str()] {
            let stage = Stage::Forming { formation: formation.to_owned(), bound: None };
            assert!(round_trip(stage).is_err(), "{formation:?}");
        }
        assert!(Announcement::parse(b"<html>").is_err());
        let newer = br#"{"protocol":2,"member":"1","incarnation":1,"stage":"forming","formation":"","bound":null}"#;
        assert!(Announcement::parse(newer).unwrap_err().to_string().contains("version 2"));
    }
}
