//! A cluster's members as Prometheus asks for them (HTTP service discovery): where to scrape each, and who it is.
//!
//! Invariant: the list is empty only when it is known that there is no cluster: the token has not been sealed, or was reopened. Trouble
//! of any kind, and a token that is over, is an error, upon which Prometheus keeps the list it has and counts a failure.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;

use super::answer;
use super::body::ServiceBody;
use super::{Answer, Edge};
use crate::registry::claim::is_loopback;
use crate::registry::report::Progress;
use crate::registry::{Capability, MemberKey, Present, Refusal, Report, Secret, Token, TokenId};
use crate::service::now;
use crate::store::Store;

/// Targets with the same labels, as Prometheus reads them.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub struct TargetGroup {
    /// `host:port`.
    pub targets: Vec<String>,
    /// Labels of the targets; those that begin with `__` are gone after relabelling.
    pub labels: BTreeMap<&'static str, String>,
}

/// Answers with the targets of a token's cluster.
pub(super) async fn answer<S: Store>(
    edge: &Edge<S>,
    id: Option<&TokenId>,
    secret: &Secret,
) -> Result<Answer, Refusal> {
    let token = edge.service().open(id, secret, Capability::Read).await?;
    token.alive(now())?;
    let reports = edge.service().reports(&token).await?;
    let groups = targets(&token, &reports);
    if token.sealed.is_some() && groups.is_empty() {
        return Err(Refusal::Unavailable("no member's address is known".to_owned()));
    }
    let groups =
        serde_json::to_string(&groups).map_err(|error| Refusal::Unavailable(error.to_string()))?;
    Ok(answer::with(StatusCode::OK, "application/json", ServiceBody::full(groups)))
}

/// One group for each member of the cluster of a sealed token.
#[must_use]
pub fn targets(token: &Token, reports: &BTreeMap<MemberKey, Report>) -> Vec<TargetGroup> {
    let members = crate::registry::membership::present(token, reports);
    members.iter().filter_map(|member| group(token, member, reports)).collect()
}

fn group(
    token: &Token,
    member: &Present,
    reports: &BTreeMap<MemberKey, Report>,
) -> Option<TargetGroup> {
    // etcd's own nodes tell where their peers reach them and nothing else: a rule can make the right port of that.
    // Metrics that are served to the member's own machine alone are served at its client URLs as well.
    let own = member.metrics_urls.iter().chain(&member.client_urls);
    let (kind, url) = match (best(own), best(member.peer_urls.iter())) {
        (Some(url), _) => ("metrics", url),
        (None, Some(url)) => ("peer", url),
        (None, None) => return None,
    };
    let (scheme, target) = url.split_once("://")?;
    let name = if member.name.is_empty() { member.id.as_str() } else { &member.name };
    let labels = BTreeMap::from([
        ("__scheme__", scheme.to_owned()),
        ("__meta_quorate_address", kind.to_owned()),
        ("__meta_quorate_member_id", member.id.to_string()),
        ("__meta_quorate_state", state(token, member, reports).to_owned()),
        ("quorate_cluster", token.id.to_string()),
        ("quorate_member", name.to_owned()),
    ]);
    Some(TargetGroup { targets: vec![target.to_owned()], labels })
}

/// What is known of a member: that it has started, by itself or by the others' word; that it registered; that it was added.
fn state(token: &Token, member: &Present, reports: &BTreeMap<MemberKey, Report>) -> &'static str {
    let entry = token.entry(&member.id);
    let has_reported =
        reports.get(&member.id).is_some_and(|it| it.sent.progress == Progress::Started);
    if has_reported || entry.is_some_and(|entry| entry.started.is_some()) {
        "started"
    } else if entry.is_some() {
        "registered"
    } else if member.name.is_empty() {
        "added"
    } else {
        "started"
    }
}

/// The first that others can reach, or else the first.
fn best<'a>(mut urls: impl Iterator<Item = &'a String> + Clone) -> Option<&'a String> {
    let first = urls.clone().next();
    urls.find(|url| !is_loopback(url)).or(first)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::registry::capability::SECRET_BYTES;
    use crate::registry::membership::{Listed, Membership};
    use crate::registry::report::Sent;
    use crate::registry::{Claim, ClusterSize, Grants, Moment, Rules};

    const HOUR: Duration = Duration::from_secs(3600);
    const START: Moment = Moment(1_800_000_000_000);

    fn sealed() -> Token {
        let secret = |capability| Secret::new(capability, [1; SECRET_BYTES]);
        let join = secret(Capability::Join);
        let grants = Grants::of(&secret(Capability::Admin), &join, &secret(Capability::Read));
        let size = ClusterSize::new(1).unwrap();
        let token = Token::new(join.token_id().unwrap(), size, grants, START, HOUR);
        let claim = Claim::from_value(key("a1"), "one=https://10.0.0.1:2380").unwrap();
        let rules = Rules { token_ttl: HOUR, seal_grace: HOUR, sealed_ttl: HOUR, memory: HOUR };
        token.register(&claim, START, &rules).unwrap().change.unwrap()
    }

    fn key(text: &str) -> MemberKey {
        MemberKey::parse(text).unwrap()
    }

    /// Address, scheme, kind of address, name, state.
    fn shown(groups: &[TargetGroup]) -> Vec<String> {
        let label = |group: &TargetGroup, name: &str| group.labels[name].clone();
        let line = |group: &TargetGroup| {
            let labels =
                ["__scheme__", "__meta_quorate_address", "quorate_member", "__meta_quorate_state"];
            let labels: Vec<String> = labels.iter().map(|name| label(group, name)).collect();
            format!("{} {}", group.targets.join(","), labels.join(" "))
        };
        groups.iter().map(line).collect()
    }

    #[test]
    fn members_that_do_not_report_are_told_by_their_peer_urls() {
        let groups = targets(&sealed(), &BTreeMap::new());
        assert_eq!(shown(&groups), ["10.0.0.1:2380 https peer one registered"]);
        assert_eq!(groups[0].labels["quorate_cluster"], sealed().id.as_str());
    }

    #[test]
    fn an_address_that_others_reach_comes_before_one_that_only_the_member_does() {
        let address = |metrics: &str, client: &str| {
            let sent = Sent {
                metrics_urls: vec![metrics.to_owned()],
                client_urls: vec![client.to_owned()],
                ..Sent::default()
            };
            let report = Report { at: START, clock_offset_ms: None, sent };
            let groups = targets(&sealed(), &BTreeMap::from([(key("a1"), report)]));
            groups[0].targets[0].clone()
        };
        let (local, client) = ("http://127.0.0.1:9090", "http://10.0.0.1:2379");
        assert_eq!(address(local, client), "10.0.0.1:2379");
        assert_eq!(address("http://10.0.0.1:9090", client), "10.0.0.1:9090");
        assert_eq!(address(local, "http://localhost:2379"), "127.0.0.1:9090");
    }

    #[test]
    fn members_that_joined_later_are_told_and_those_that_left_are_not() {
        let joined = Listed {
            id: key("b2"),
            name: "two".to_owned(),
            peer_urls: vec!["https://10.0.0.2:2380".to_owned()],
            client_urls: vec![
                "http://127.0.0.1:2379".to_owned(),
                "http://[fd00::2]:2379".to_owned(),
            ],
        };
        let added =
            Listed { id: key("c3"), name: String::new(), client_urls: vec![], ..joined.clone() };
        let reported = |members: Vec<Listed>| {
            let membership = Some(Membership { index: 7, members });
            let metrics_urls = vec!["http://10.0.0.1:9100".to_owned()];
            let sent =
                Sent { membership, metrics_urls, progress: Progress::Started, ..Sent::default() };
            BTreeMap::from([(key("a1"), Report { at: START, clock_offset_ms: None, sent })])
        };
        let own = Listed {
            id: key("a1"),
            name: "one".to_owned(),
            peer_urls: vec!["https://10.0.0.1:2380".to_owned()],
            client_urls: vec!["https://10.0.0.1:2379".to_owned()],
        };
        let with_own = targets(&sealed(), &reported(vec![joined.clone(), own]));
        assert_eq!(
            shown(&with_own),
            ["10.0.0.1:9100 http metrics one started", "[fd00::2]:2379 http metrics two started"]
        );
        let without = targets(&sealed(), &reported(vec![joined, added]));
        assert_eq!(
            shown(&without),
            ["[fd00::2]:2379 http metrics two started", "10.0.0.2:2380 https peer c3 added"]
        );
    }
}
