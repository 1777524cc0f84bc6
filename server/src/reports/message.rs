//! A report as it travels: JSON, with the names of `docs/discovery-openapi.json`.
//!
//! Invariant: it is small, whatever others told this member: lists and texts are cut, and neither it nor what it is made of
//! holds a secret. What older services do not know can be left out.

use std::net::IpAddr;

use quorate_core::MemberId;
use quorate_transport::endpoint::{Address, Endpoint};
use serde::{Serialize, Serializer};

/// The most members whose reach is told: as many as form a cluster by a token.
pub(super) const REACH_MAX: usize = 9;
/// The most members of a cluster that is told of.
const MEMBERS_MAX: usize = 32;
/// The most sentences about certificates.
const PROBLEMS_MAX: usize = 8;
/// The longest text; the service cuts somewhat later.
const TEXT_CHARS_MAX: usize = 250;
/// The most URLs of a kind.
const URLS_MAX: usize = 8;
/// The longest URL.
const URL_BYTES_MAX: usize = 512;
/// The longest name, and what may be in one besides letters and digits.
const NAME_BYTES_MAX: usize = 253;
const NAME_SIGNS: &str = "-._:@+/";

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
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
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
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
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
        self.reach.truncate(REACH_MAX);
        self.reach.iter_mut().for_each(|reach| cut(&mut reach.detail));
        self.certificate_problems.truncate(PROBLEMS_MAX);
        self.certificate_problems.iter_mut().for_each(cut);
        keep_usable(&mut self.client_urls);
        keep_usable(&mut self.metrics_urls);
        // Whoever follows a membership must not take a part of it for the whole.
        self.membership = self.membership.filter(|it| it.members.len() <= MEMBERS_MAX);
        let members = self.membership.iter_mut().flat_map(|membership| &mut membership.members);
        members.for_each(MemberLine::make_usable);
        self
    }

    /// Whether it says what `other` says, but for what is another each time: the clock, and how long answers took.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let timeless = |message: &Self| {
            let mut message = Self { clock_ms: 0, ..message.clone() };
            message.reach.iter_mut().for_each(|reach| reach.rtt_ms = None);
            message
        };
        timeless(self) == timeless(other)
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

impl MemberLine {
    /// Leaves out what the service would refuse the whole report for.
    fn make_usable(&mut self) {
        let is_usable = |c: char| c.is_alphanumeric() || NAME_SIGNS.contains(c);
        if self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(is_usable) {
            self.name.clear();
        }
        keep_usable(&mut self.peer_urls);
        keep_usable(&mut self.client_urls);
    }
}

/// Keeps the URLs that others can connect to: no sockets in a folder, no address that means all of a machine's.
fn keep_usable(urls: &mut Vec<String>) {
    urls.retain(|url| {
        let Ok(Endpoint { address: Address::Tcp { host, port }, .. }) = url.parse() else {
            return false;
        };
        let is_one =
            host.parse().map_or(true, |ip: IpAddr| !ip.is_unspecified() && !ip.is_multicast());
        !url.ends_with('/') && url.len() <= URL_BYTES_MAX && port != 0 && is_one
    });
    urls.truncate(URLS_MAX);
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
    }
}

fn as_text<S: Serializer>(id: &MemberId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_service_takes_is_left_out_and_the_rest_is_small() {
        let urls = |text: &[&str]| text.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let line = MemberLine {
            id: MemberId(1),
            name: "a\nb".to_owned(),
            peer_urls: urls(&["http://10.0.0.1:2380", "unix://x:1", "http://[::]:1"]),
            client_urls: vec!["http://10.0.0.1:2379".to_owned(); 50],
        };
        let reach =
            Reach { member: MemberId(2), ok: false, detail: "ü".repeat(9999), rtt_ms: None };
        let message = Message {
            progress: Progress::Started,
            clock_ms: 1,
            program: "p".to_owned(),
            reach: vec![reach; 100],
            certificate_problems: vec!["x".repeat(9999); 100],
            client_urls: urls(&["http://0.0.0.0:1", "https://h:2", "nonsense"]),
            metrics_urls: Vec::new(),
            membership: Some(Membership { index: 7, members: vec![line; MEMBERS_MAX] }),
        }
        .bounded();
        assert_eq!(message.client_urls, ["https://h:2"]);
        let told = message.membership.clone().unwrap();
        assert_eq!((told.members[0].name.as_str(), told.members[0].client_urls.len()), ("", 8));
        assert_eq!(told.members[0].peer_urls, ["http://10.0.0.1:2380"]);
        assert_eq!((message.reach.len(), message.certificate_problems.len()), (9, 8));
        assert!(serde_json::to_vec(&message).unwrap().len() < 32 * 1024);
        let older = serde_json::to_value(message.for_older_services().unwrap()).unwrap();
        for newer in ["client_urls", "metrics_urls", "membership"] {
            assert!(older.get(newer).is_none(), "{newer} is not left out");
        }
        assert_eq!(older["reach"][0]["member"], "2");
    }
}
