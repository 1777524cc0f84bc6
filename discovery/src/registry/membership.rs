//! Who is in a cluster after it was formed: what its members say of its members, and what follows from several that say so.
//!
//! Invariants: a stored list is small, and each URL in it is one that others can connect to. Of two lists the one that became
//! effective later counts. A member is never made up: without any list those who registered are the members.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::claim::{MemberKey, URLS_MAX, check_name, check_url};
use super::moment::Moment;
use super::refusal::Refusal;
use super::report::{Progress, Report, Sent};
use super::token::{Entry, Token};

/// The most members of a list. A cluster has at most nine that vote; the others follow it.
pub const MEMBERS_MAX: usize = 32;
/// Bytes of all names and URLs of a list: four times what the largest cluster with long host names needs.
const LIST_BYTES_MAX: usize = 16 * 1024;
/// A list that nobody has confirmed for so long while others were reported does not count, however large its index: a cluster that
/// was restored from a backup counts from a lower one again.
const STALE_AFTER: Duration = Duration::from_secs(24 * 3600);
/// A member that has another ID in its token than in its cluster is known by its URLs while its reports are no older than the newest by
/// more than this: members report every four minutes, and after trouble within five. Who came in the place of one that died is another.
const SAME_WITHIN: Duration = Duration::from_secs(15 * 60);

/// The members of a cluster from some index of its log on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Membership {
    /// The index of the cluster's log at which this became effective.
    pub index: u64,
    /// All members then.
    pub members: Vec<Listed>,
}

/// One member of a list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Listed {
    /// Its ID in the cluster.
    pub id: MemberKey,
    /// Its name; empty when it has been added and has not started.
    #[serde(default)]
    pub name: String,
    /// Where the other members reach it.
    #[serde(default)]
    pub peer_urls: Vec<String>,
    /// Where clients reach it; none when it has not started.
    #[serde(default)]
    pub client_urls: Vec<String>,
}

impl Membership {
    /// Refuses what no cluster's members can be.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`], with what is wrong.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.members.is_empty() || self.members.len() > MEMBERS_MAX {
            let text = format!("a membership has 1 to {MEMBERS_MAX} members");
            return Err(Refusal::BadRequest(text));
        }
        let mut bytes = 0;
        for (position, member) in self.members.iter().enumerate() {
            MemberKey::parse(member.id.as_str())?;
            if self.members.iter().take(position).any(|other| other.id == member.id) {
                let text = format!("member {} stands twice in the membership", member.id);
                return Err(Refusal::BadRequest(text));
            }
            if !member.name.is_empty() {
                check_name(&member.name)?;
            }
            check_urls("peer_urls", &member.peer_urls)?;
            check_urls("client_urls", &member.client_urls)?;
            let urls = member.peer_urls.iter().chain(&member.client_urls);
            bytes += member.name.len() + urls.map(String::len).sum::<usize>();
        }
        if bytes > LIST_BYTES_MAX {
            let text = format!("the names and URLs of a membership have {LIST_BYTES_MAX} bytes");
            return Err(Refusal::BadRequest(text));
        }
        Ok(())
    }
}

impl Listed {
    fn has_address(&self) -> bool {
        !self.peer_urls.is_empty() || !self.client_urls.is_empty()
    }
}

/// Refuses a list of URLs that others cannot use as it stands. `field` is what it is called where it was sent.
pub(super) fn check_urls(field: &str, urls: &[String]) -> Result<(), Refusal> {
    if urls.len() > URLS_MAX {
        return Err(Refusal::BadRequest(format!("{field}: at most {URLS_MAX} URLs")));
    }
    for url in urls {
        check_url(url).map_err(|reason| {
            let shown: String = url.chars().take(80).collect();
            Refusal::BadRequest(format!(
                "{field}: {shown:?} is none that others can connect to: {reason}. Leave it out, or give http://HOST:PORT"
            ))
        })?;
    }
    Ok(())
}

/// A member as far as it is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Present {
    /// Its ID.
    pub id: MemberKey,
    /// Its name; empty when it is not known.
    pub name: String,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; none when nobody said.
    pub client_urls: Vec<String>,
    /// Where its `/metrics` is; none when nobody said where clients reach it.
    pub metrics_urls: Vec<String>,
}

/// What is told of a cluster to those who look it up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Published {
    /// Who is in it.
    pub members: Vec<Present>,
    /// Who registered: members that found each other by names of the zone call themselves so, and only their registrations have their
    /// addresses.
    pub registered: Vec<Present>,
}

impl Published {
    /// What is told of a sealed token's cluster; nothing of any other.
    #[must_use]
    pub fn of(token: &Token, reports: &BTreeMap<MemberKey, Report>) -> Self {
        let registered = all_known(&registered(token), token, &BTreeMap::new());
        Self { members: present(token, reports), registered }
    }
}

/// The newest list among the reports of a token's members; one that tells nobody's address is none.
#[must_use]
pub fn newest(token: &Token, reports: &BTreeMap<MemberKey, Report>) -> Option<Membership> {
    let told = counted(token, reports)
        .filter_map(|report| report.sent.membership.as_ref().map(|list| (report.at, list)))
        .filter(|(_, list)| list.members.iter().any(Listed::has_address));
    let told: Vec<(Moment, &Membership)> = told.collect();
    let latest = told.iter().map(|(at, _)| *at).max()?;
    let fresh = told.into_iter().filter(|(at, _)| latest.since(*at) < STALE_AFTER);
    fresh.max_by_key(|(at, list)| (list.index, *at)).map(|(_, list)| list.clone())
}

/// When a running member of a token's cluster last reported; nothing if none ever did.
#[must_use]
pub fn last_word(token: &Token, reports: &BTreeMap<MemberKey, Report>) -> Option<Moment> {
    let runs = |report: &&Report| report.sent.progress == Progress::Started;
    counted(token, reports).filter(runs).map(|report| report.at).max()
}

/// The reports that count. One of somebody whose entry is gone, of a time before the token was reopened, tells of another cluster.
fn counted<'a>(
    token: &'a Token,
    reports: &'a BTreeMap<MemberKey, Report>,
) -> impl Iterator<Item = &'a Report> {
    let is_of_this = move |(key, report): &(&'a MemberKey, &'a Report)| {
        token.counts_since(key).is_some_and(|since| report.at >= since)
    };
    reports.iter().filter(is_of_this).map(|(_, report)| report)
}

/// Who is in the cluster of a sealed token, in the order of their IDs; nobody while the token is not sealed.
#[must_use]
pub fn present(token: &Token, reports: &BTreeMap<MemberKey, Report>) -> Vec<Present> {
    if token.sealed.is_none() {
        return Vec::new();
    }
    let listed = newest(token, reports).map_or_else(|| registered(token), |list| list.members);
    let mut members = all_known(&listed, token, reports);
    members.sort_by(|a, b| a.id.cmp(&b.id));
    members
}

fn registered(token: &Token) -> Vec<Listed> {
    let entries = token.entries.iter().map(|entry| Listed {
        id: entry.member.clone(),
        name: entry.name.clone(),
        peer_urls: entry.peer_urls.clone(),
        client_urls: Vec::new(),
    });
    entries.collect()
}

/// What the list says of its members, and what they said of themselves where the list is silent.
fn all_known(
    listed: &[Listed],
    token: &Token,
    reports: &BTreeMap<MemberKey, Report>,
) -> Vec<Present> {
    listed.iter().map(|member| known(member, own(member, listed, token, reports))).collect()
}

/// What a member of the list said of itself.
fn own<'a>(
    member: &Listed,
    listed: &[Listed],
    token: &Token,
    reports: &'a BTreeMap<MemberKey, Report>,
) -> Option<&'a Sent> {
    let report_of = |entry: &Entry| {
        reports
            .get(&entry.member)
            .filter(|report| report.at >= entry.at)
            .map(|it| (it.at, &it.sent))
    };
    if let Some(since) = token.counts_since(&member.id) {
        return reports.get(&member.id).filter(|it| it.at >= since).map(|it| &it.sent);
    }
    // IDs in a token are those of the cluster for our members and for etcd's. Of others a member is found by its URLs, if it is not
    // listed by its ID, and lives.
    let latest = reports.values().map(|report| report.at).max()?;
    let is_same = |entry: &&Entry| {
        entry.peer_urls.iter().any(|url| member.peer_urls.contains(url))
            && listed.iter().all(|other| other.id != entry.member)
    };
    let (at, sent) = token.entries.iter().find(is_same).and_then(report_of)?;
    (latest.since(at) < SAME_WITHIN).then_some(sent)
}

fn known(listed: &Listed, own: Option<&Sent>) -> Present {
    let client_urls = match own {
        Some(own) if listed.client_urls.is_empty() => &own.client_urls,
        _ => &listed.client_urls,
    };
    let metrics_urls = match own {
        Some(own) if !own.metrics_urls.is_empty() => &own.metrics_urls,
        _ => client_urls,
    };
    Present {
        id: listed.id.clone(),
        name: listed.name.clone(),
        peer_urls: listed.peer_urls.clone(),
        client_urls: client_urls.clone(),
        metrics_urls: metrics_urls.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::capability::SECRET_BYTES;
    use crate::registry::report::Sent;
    use crate::registry::{Capability, Claim, ClusterSize, Grants, Rules, Secret};

    const HOUR: Duration = Duration::from_secs(3600);
    const START: Moment = Moment(1_800_000_000_000);
    const RULES: Rules =
        Rules { token_ttl: HOUR, seal_grace: HOUR, sealed_ttl: HOUR, memory: HOUR };

    fn key(text: &str) -> MemberKey {
        MemberKey::parse(text).unwrap()
    }

    fn token() -> Token {
        let secret = |capability| Secret::new(capability, [1; SECRET_BYTES]);
        let join = secret(Capability::Join);
        let grants = Grants::of(&secret(Capability::Admin), &join, &secret(Capability::Read));
        let size = ClusterSize::new(2).unwrap();
        let mut token = Token::new(join.token_id().unwrap(), size, grants, START, HOUR);
        for (id, value) in [("a", "one=http://10.0.0.1:2380"), ("b", "two=http://10.0.0.2:2380")] {
            let claim = Claim::from_value(key(id), value).unwrap();
            token = token.register(&claim, START, &RULES).unwrap().change.unwrap();
        }
        token
    }

    fn list(index: u64, ids: &[&str]) -> Membership {
        let member = |id: &&str| Listed {
            id: key(id),
            name: String::new(),
            peer_urls: vec![format!("http://10.0.0.{id}:2380")],
            client_urls: vec![format!("http://10.0.0.{id}:2379")],
        };
        Membership { index, members: ids.iter().map(member).collect() }
    }

    #[test]
    fn who_came_in_the_place_of_a_dead_member_is_not_taken_for_it() {
        let token = token();
        let told = |port: u16, after: Duration| {
            let metrics_urls = vec![format!("http://10.0.0.1:{port}")];
            let sent = Sent { metrics_urls, ..Sent::default() };
            Report { at: START.after(after), clock_offset_ms: None, sent }
        };
        let metrics = |reports: &BTreeMap<MemberKey, Report>| {
            present(&token, reports).into_iter().map(|it| it.metrics_urls).collect::<Vec<_>>()
        };
        // Member a goes by 1 in its cluster and reports: it is found by its URLs.
        let mut reports = BTreeMap::from([(key("a"), told(9090, HOUR))]);
        reports.insert(key("b"), report(list(9, &["1", "b"]), HOUR));
        assert_eq!(metrics(&reports)[0], ["http://10.0.0.1:9090"]);
        // It has been silent while others reported: 1 is another in its place.
        reports.insert(key("b"), report(list(9, &["1", "b"]), HOUR * 2));
        assert_eq!(metrics(&reports)[0], ["http://10.0.0.1:2379"]);
        // Both are there: each is itself, whatever the URLs say.
        let mut both = list(9, &["1", "a"]);
        both.members[1].peer_urls = both.members[0].peer_urls.clone();
        reports.insert(key("a"), told(9090, HOUR * 2));
        reports.insert(key("b"), report(both, HOUR * 2));
        assert_eq!(metrics(&reports), [["http://10.0.0.1:2379"], ["http://10.0.0.1:9090"]]);
    }

    #[test]
    fn a_list_without_an_address_is_none() {
        let mut bare = list(9, &["1"]);
        bare.members[0].peer_urls.clear();
        bare.members[0].client_urls.clear();
        let reports = BTreeMap::from([(key("a"), report(bare, HOUR))]);
        assert_eq!(ids(&token(), &reports), ["a", "b"]);
    }

    fn report(membership: Membership, after: Duration) -> Report {
        let sent = Sent { membership: Some(membership), ..Sent::default() };
        Report { at: START.after(after), clock_offset_ms: None, sent }
    }

    fn ids(token: &Token, reports: &BTreeMap<MemberKey, Report>) -> Vec<String> {
        present(token, reports).iter().map(|member| member.id.to_string()).collect()
    }

    #[test]
    fn the_list_that_became_effective_last_counts() {
        let token = token();
        assert_eq!(ids(&token, &BTreeMap::new()), ["a", "b"]);
        let mut reports = BTreeMap::new();
        reports.insert(key("a"), report(list(9, &["1", "3"]), HOUR));
        reports.insert(key("b"), report(list(5, &["1", "2"]), HOUR * 2));
        assert_eq!(ids(&token, &reports), ["1", "3"]);
        // Nobody has confirmed it for a day: the cluster began anew.
        reports.insert(key("b"), report(list(5, &["1", "2"]), HOUR * 26));
        assert_eq!(ids(&token, &reports), ["1", "2"]);
        // Whoever is not registered is not asked.
        reports.insert(key("c"), report(list(99, &["6"]), HOUR * 26));
        assert_eq!(ids(&token, &reports), ["1", "2"]);
        let open = token.reopen(START, HOUR, true).unwrap();
        assert!(ids(&open, &reports).is_empty(), "nothing is told of a token that is not sealed");
    }

    #[test]
    fn what_a_member_says_of_itself_fills_the_list() {
        let token = token();
        let sent = Sent {
            client_urls: vec!["http://10.0.0.1:2379".to_owned()],
            metrics_urls: vec!["http://10.0.0.1:9090".to_owned()],
            ..Sent::default()
        };
        let own = Report { at: START, clock_offset_ms: None, sent };
        let members = present(&token, &BTreeMap::from([(key("a"), own)]));
        assert_eq!(members[0].client_urls, ["http://10.0.0.1:2379"]);
        assert_eq!(members[0].metrics_urls, ["http://10.0.0.1:9090"]);
        assert!(members[1].client_urls.is_empty() && members[1].metrics_urls.is_empty());
    }

    #[test]
    fn a_list_that_cannot_be_is_refused() {
        assert!(list(1, &["1"]).check().is_ok());
        let with = |change: &dyn Fn(&mut Membership)| {
            let mut changed = list(1, &["1", "2"]);
            change(&mut changed);
            changed.check().unwrap_err().to_string()
        };
        assert!(with(&|it| it.members.clear()).contains("1 to 32"));
        assert!(with(&|it| it.members[1].id = key("1")).contains("twice"));
        assert!(with(&|it| it.members[1].name = "a\nb".to_owned()).contains("name"));
        for url in ["http://u:p@h:1", "unix://x:1", "http://h", "http://0.0.0.0:1", "http://a\n:1"]
        {
            let error = with(&|it| it.members[1].client_urls = vec![url.to_owned()]);
            assert!(error.contains("client_urls"), "{url:?}: {error}");
        }
        let long = format!("http://{}:1", "h".repeat(490));
        let many = with(&|it| {
            for n in 3..12 {
                let urls = vec![long.clone(); URLS_MAX];
                let id = key(&n.to_string());
                let listed =
                    Listed { id, name: String::new(), peer_urls: urls, client_urls: Vec::new() };
                it.members.push(listed);
            }
        });
        assert!(many.contains("bytes"), "{many}");
    }
}
