//! What a member last said of itself: its clock, whom it reaches, what is wrong with its certificates, where clients find it, and who
//! else is in its cluster. For people, and for those who look the cluster up; no decision about who may register depends on it.
//!
//! Invariant: a stored report is small, whatever was sent. One with fields that this release does not know is refused when it comes, and
//! read without them when a newer release has stored it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::claim::MemberKey;
use super::membership::{Membership, check_urls};
use super::moment::Moment;
use super::refusal::Refusal;
use super::size::SIZE_MAX;

/// The longest text in a report.
const TEXT_BYTES_MAX: usize = 300;
/// The most problems of a kind.
const PROBLEMS_MAX: usize = 8;

/// What a report may have.
const FIELDS: [&str; 8] = [
    "progress",
    "clock_ms",
    "program",
    "reach",
    "certificate_problems",
    "client_urls",
    "metrics_urls",
    "membership",
];

/// Where a member is in its start.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// It waits for the others.
    #[default]
    Waiting,
    /// It knows all the others and starts.
    Starting,
    /// It runs, and its data is on its disk.
    Started,
}

/// Whether one member reaches another.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reach {
    /// The other.
    pub member: MemberKey,
    /// Whether it answered.
    pub ok: bool,
    /// What happened, in the words of the one that tried.
    #[serde(default)]
    pub detail: String,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<u64>,
}

/// What a member sends.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Sent {
    /// Where it is.
    pub progress: Progress,
    /// Its clock when it sent this, in milliseconds since 1970.
    pub clock_ms: Option<u64>,
    /// Its program and version.
    pub program: String,
    /// Whom it reaches.
    pub reach: Vec<Reach>,
    /// What is wrong with certificates, its own or others', one sentence each.
    pub certificate_problems: Vec<String>,
    /// Where clients reach it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client_urls: Vec<String>,
    /// Where its `/metrics` is; the client URLs if none is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics_urls: Vec<String>,
    /// Who is in its cluster, once it is formed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<Membership>,
}

/// What is stored of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// When it came.
    pub at: Moment,
    /// How far the member's clock is ahead of the service's, in milliseconds; the way here is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// The rest.
    #[serde(flatten)]
    pub sent: Sent,
}

impl Report {
    /// Checks and cuts what was sent.
    ///
    /// # Errors
    /// It has more of something than any member has to tell, or a URL that nobody else can connect to.
    pub fn new(mut sent: Sent, now: Moment) -> Result<Self, Refusal> {
        if sent.reach.len() > usize::from(SIZE_MAX)
            || sent.certificate_problems.len() > PROBLEMS_MAX
        {
            return Err(Refusal::BadRequest(format!(
                "a report has at most {SIZE_MAX} lines of reach and {PROBLEMS_MAX} problems"
            )));
        }
        cut(&mut sent.program);
        sent.certificate_problems.iter_mut().for_each(cut);
        for reach in &mut sent.reach {
            MemberKey::parse(reach.member.as_str())?;
            cut(&mut reach.detail);
        }
        check_urls("client_urls", &sent.client_urls)?;
        check_urls("metrics_urls", &sent.metrics_urls)?;
        if let Some(membership) = &sent.membership {
            membership.check()?;
        }
        let clock_offset_ms = sent.clock_ms.map(|clock| clock.wrapping_sub(now.0).cast_signed());
        Ok(Self { at: now, clock_offset_ms, sent })
    }
}

/// Refuses fields that nobody here would understand: whoever sends them learns that they are of no use.
///
/// # Errors
/// [`Refusal::BadRequest`], with the first of them.
pub fn check_fields(sent: &Value) -> Result<(), Refusal> {
    known_only("a report", sent, &FIELDS)?;
    let Some(membership) = sent.get("membership") else { return Ok(()) };
    known_only("a membership", membership, &["index", "members"])?;
    let members = membership.get("members").and_then(Value::as_array);
    members.into_iter().flatten().try_for_each(|member| {
        known_only("a member", member, &["id", "name", "peer_urls", "client_urls"])
    })
}

fn known_only(what: &str, value: &Value, known: &[&str]) -> Result<(), Refusal> {
    let mut names = value.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let Some(unknown) = names.find(|name| !known.contains(name)) else { return Ok(()) };
    let shown: String = unknown.chars().take(80).collect();
    Err(Refusal::BadRequest(format!("{what} has no field {shown:?}; it has {}", known.join(", "))))
}

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_refused_when_they_come_and_left_out_when_they_are_stored() {
        let member = json!({"id": "1", "peer_urls": ["http://10.0.0.1:1"], "weight": 1});
        let full = json!({"progress": "started", "clock_ms": 1, "program": "p", "reach": [],
            "certificate_problems": [], "client_urls": [], "metrics_urls": [],
            "membership": {"index": 7, "members": [member], "quorum": 2}, "mood": "good"});
        let mut sent = full.clone();
        let mut refused = |pointer: &str, field: &str| {
            let error = check_fields(&sent).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
            sent.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(field);
        };
        refused("", "mood");
        refused("/membership", "quorum");
        refused("/membership/members/0", "weight");
        assert_eq!(check_fields(&sent), Ok(()));
        let of = |sent: &Value| {
            let mut stored = sent.clone();
            stored["at"] = json!(1_800_000_000_000_u64);
            serde_json::from_value::<Report>(stored).unwrap()
        };
        assert_eq!(of(&full), of(&sent), "what a newer release stored is read");
        // Every field that can be sent has a place in the list of those that may be.
        let report = serde_json::to_value(&of(&sent).sent).unwrap();
        assert_eq!(check_fields(&report), Ok(()));
    }
}
