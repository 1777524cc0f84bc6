//! A report as it travels: JSON, with the names of `docs/discovery-openapi.json`.
//!
//! Invariant: it is small, whatever others told this member: lists and texts are cut, and neither it nor what it is made of
//! holds a secret. What older services do not know can be left out.

use quorate_core::MemberId;
use serde::{Serialize, Serializer};

/// The most members that a report speaks of: the service takes no more.
pub(super) const MEMBERS_MAX: usize = 9;
/// The most sentences about certificates.
const PROBLEMS_MAX: usize = 8;
/// The longest text; the service cuts somewhat later.
const TEXT_CHARS_MAX: usize = 250;
/// The most URLs of a kind.
const URLS_MAX: usize = 8;

/// Where a member is in its start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Progress {
    /// It waits for the others.
    #[default]
    Waiting,
    /// It knows all the others and starts.
    Starting,
    /// It runs, and its data is on its disk.
    Started,
}

/// Whether this member reaches another.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Reach {
    #[serde(serialize_with = "as_text")]
    pub(super) member: MemberId,
    pub(super) ok: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rtt_ms: Option<u64>,
}

/// The members of a cluster.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Membership {
    /// Index in the log of the entry that made it so.
    pub index: u64,
    /// All of them.
    pub members: Vec<MemberLine>,
}

/// A member of a cluster.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct MemberLine {
    /// Its ID.
    #[serde(serialize_with = "as_text")]
    pub id: MemberId,
    /// Its name; empty before its first start.
    pub name: String,
    /// Where the others reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
}

/// A report.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Message {
    pub(super) progress: Progress,
    pub(super) clock_ms: u64,
    pub(super) program: String,
    pub(super) reach: Vec<Reach>,
    pub(super) certificate_problems: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) client_urls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) metrics_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) membership: Option<Membership>,
}

impl Message {
    /// Cut to what a service takes.
    pub(super) fn bounded(mut self) -> Self {
        self.reach.truncate(MEMBERS_MAX);
        self.reach.iter_mut().for_each(|reach| cut(&mut reach.detail));
        self.certificate_problems.truncate(PROBLEMS_MAX);
        self.certificate_problems.iter_mut().for_each(cut);
        self.client_urls.truncate(URLS_MAX);
        self.metrics_urls.truncate(URLS_MAX);
        // Whoever follows a membership must not take a part of it for the whole.
        self.membership = self.membership.filter(|it| it.members.len() <= MEMBERS_MAX);
        self
    }

    /// Without what services do not know that are older than it; nothing if there is nothing of that.
    pub(super) fn for_older_services(&self) -> Option<Self> {
        let has_newer = !self.client_urls.is_empty()
            || !self.metrics_urls.is_empty()
            || self.membership.is_some();
        has_newer.then(|| Self {
            client_urls: Vec::new(),
            metrics_urls: Vec::new(),
            membership: None,
            ..self.clone()
        })
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
    }
}

fn as_text<S: Serializer>(id: &MemberId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
