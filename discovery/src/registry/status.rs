//! A token as it is shown: who registered, who is missing, since when, what each last reported. Holds no secret and no hash.

use std::collections::BTreeMap;

use serde::Serialize;

use super::claim::MemberKey;
use super::membership::{self, Membership};
use super::moment::Moment;
use super::report::Report;
use super::token::Token;

/// What is shown of a token. Serialised as the native API's answer.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Its ID.
    pub id: String,
    /// Where it is in its life: see [`super::Stage::name`].
    pub state: &'static str,
    /// How many members the cluster has.
    pub size: usize,
    /// How many have not registered.
    pub missing: usize,
    /// The index of the last registration or removal; grows with each.
    pub index: u64,
    /// When it was made.
    pub created: String,
    /// When it ends.
    pub expires: String,
    /// When all were there.
    pub sealed: Option<String>,
    /// When it was last reopened.
    pub reopened: Option<String>,
    /// The time of the answer.
    pub now: String,
    /// The same, to reckon with.
    #[serde(skip)]
    pub at: Moment,
    /// Who registered, in order.
    pub members: Vec<MemberStatus>,
    /// All members as `--initial-cluster` has them, once the token is sealed.
    pub initial_cluster: Option<String>,
    /// Who is in the cluster by the newest word of its members, once they have given it.
    pub membership: Option<Membership>,
}

/// One member.
#[derive(Clone, Debug, Serialize)]
pub struct MemberStatus {
    /// Its ID.
    pub id: MemberKey,
    /// Its name.
    pub name: String,
    /// Where the others reach it.
    pub peer_urls: Vec<String>,
    /// Its place in the order.
    pub index: u64,
    /// When it registered.
    pub registered: String,
    /// When it said that it has started.
    pub started: Option<String>,
    /// What it last reported; etcd's own nodes never do.
    pub report: Option<Report>,
}

impl Status {
    /// Shows `token` with what its members reported.
    #[must_use]
    pub fn of(token: &Token, reports: &BTreeMap<MemberKey, Report>, now: Moment) -> Self {
        let members = token.entries.iter().map(|entry| MemberStatus {
            id: entry.member.clone(),
            name: entry.name.clone(),
            peer_urls: entry.peer_urls.clone(),
            index: entry.index,
            registered: entry.at.to_string(),
            started: entry.started.map(|at| at.to_string()),
            report: reports.get(&entry.member).cloned(),
        });
        let values = token.entries.iter().map(super::Entry::value);
        let shown = |moment: Option<Moment>| moment.map(|at| at.to_string());
        Self {
            id: token.id.to_string(),
            state: token.stage(now).name(),
            size: token.size.count(),
            missing: token.size.count().saturating_sub(token.entries.len()),
            index: token.index,
            created: token.created.to_string(),
            expires: token.expires.to_string(),
            sealed: shown(token.sealed),
            reopened: shown(token.reopened),
            now: now.to_string(),
            at: now,
            initial_cluster: token.sealed.map(|_| values.collect::<Vec<_>>().join(",")),
            members: members.collect(),
            membership: token.sealed.and_then(|_| membership::newest(token, reports)),
        }
    }
}
