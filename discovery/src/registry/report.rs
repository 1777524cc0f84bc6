//! What a member last said of itself: its clock, whom it reaches, what is wrong with its certificates, where clients find it, and who
//! else is in its cluster. For people, and for those who look the cluster up; no decision about who may register depends on it.
//!
//! Invariant: a stored report is small, whatever was sent.

use serde::{Deserialize, Serialize};

use super::claim::MemberKey;
use super::membership::{Membership, check_urls};
use super::moment::Moment;
use super::refusal::Refusal;
use super::size::SIZE_MAX;

/// The longest text in a report.
const TEXT_BYTES_MAX: usize = 300;
/// The most problems of a kind.
const PROBLEMS_MAX: usize = 8;

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
#[serde(default, deny_unknown_fields)]
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

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}
