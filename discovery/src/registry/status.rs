//! A token as it is shown: who registered, who is missing, since when, what each last reported. Holds no secret and no hash.

use std::collections::BTreeMap;

use serde::Serialize;

use super::claim::MemberKey;
use super::joined::Joined;
use super::membership::{self, Listed, Membership};
use super::moment::Moment;
use super::news::News;
use super::report::Report;
use super::token::{Entry, Token};

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
    /// Who joined the cluster after it was formed, and reports.
    pub joined: Vec<JoinedStatus>,
    /// Whether what is told of a sealed token's cluster is new.
    pub news: Option<News>,
    /// When a running member last reported.
    pub last_report: Option<String>,
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
    /// Whether it is in the cluster no longer, by the newest word of the members.
    pub left: bool,
    /// What it last reported; etcd's own nodes never do.
    pub report: Option<Report>,
}

/// A member that joined later.
#[derive(Clone, Debug, Serialize)]
pub struct JoinedStatus {
    /// Its ID.
    pub id: MemberKey,
    /// Its name, as the others call it.
    pub name: String,
    /// Where the others reach it.
    pub peer_urls: Vec<String>,
    /// When it was first heard of from itself.
    pub since: String,
    /// What it last reported.
    pub report: Option<Report>,
}

/// Whoever may report, registered or joined later, and is in the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Reporter<'a> {
    /// Its ID.
    pub id: &'a MemberKey,
    /// Its name.
    pub name: &'a str,
    /// What it last reported.
    pub report: Option<&'a Report>,
}

impl Status {
    /// Shows `token` with what its members reported.
    #[must_use]
    pub fn of(token: &Token, reports: &BTreeMap<MemberKey, Report>, now: Moment) -> Self {
        let membership = token.sealed.and_then(|_| membership::newest(token, reports));
        let members = token.entries.iter().map(|entry| MemberStatus {
            id: entry.member.clone(),
            name: entry.name.clone(),
            peer_urls: entry.peer_urls.clone(),
            index: entry.index,
            registered: entry.at.to_string(),
            started: entry.started.map(|at| at.to_string()),
            left: membership.as_ref().is_some_and(|it| !is_in(it, entry)),
            report: reports.get(&entry.member).cloned(),
        });
        let values = token.entries.iter().map(Entry::value);
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
            joined: joined(token, reports, membership.as_ref()),
            news: token.sealed.map(|_| News::of(token, reports, now)),
            last_report: shown(membership::last_word(token, reports)),
            membership,
        }
    }

    /// Whoever may report and is in the cluster.
    pub fn reporters(&self) -> impl Iterator<Item = Reporter<'_>> {
        let registered = self.members.iter().filter(|member| !member.left).map(|member| Reporter {
            id: &member.id,
            name: &member.name,
            report: member.report.as_ref(),
        });
        let joined = self.joined.iter().map(|member| Reporter {
            id: &member.id,
            name: &member.name,
            report: member.report.as_ref(),
        });
        registered.chain(joined)
    }

    /// How many of how many members have started; nothing while nobody says.
    #[must_use]
    pub fn started(&self) -> Option<(usize, usize)> {
        if let Some(membership) = &self.membership {
            // A member's name is known from its first start on.
            let started = membership.members.iter().filter(|member| !member.name.is_empty());
            return Some((started.count(), membership.members.len()));
        }
        let started = self.members.iter().filter(|member| member.started.is_some()).count();
        let says = self.members.iter().any(|member| member.report.is_some());
        (says && self.sealed.is_some()).then_some((started, self.size))
    }
}

/// An entry's ID may be another than the one in the cluster: then it goes by its URLs.
fn is_in(membership: &Membership, entry: &Entry) -> bool {
    let is_same = |listed: &Listed| {
        listed.id == entry.member
            || listed.peer_urls.iter().any(|url| entry.peer_urls.contains(url))
    };
    membership.members.iter().any(is_same)
}

/// Those that joined later and are in the cluster.
fn joined(
    token: &Token,
    reports: &BTreeMap<MemberKey, Report>,
    membership: Option<&Membership>,
) -> Vec<JoinedStatus> {
    let of = |it: &Joined| {
        let listed = membership?.members.iter().find(|listed| listed.id == it.member)?;
        Some(JoinedStatus {
            id: it.member.clone(),
            name: listed.name.clone(),
            peer_urls: listed.peer_urls.clone(),
            since: it.at.to_string(),
            report: reports.get(&it.member).cloned(),
        })
    };
    token.joined.iter().filter_map(of).collect()
}
