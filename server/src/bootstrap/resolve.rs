//! The addresses of host names in peer URLs, for a member that joins a cluster which spells them in another way.
//!
//! Invariant: only names that are spelt differently are looked up; what was found is kept for the start, and what was not is looked for
//! again after a pause. Where to look is what `--dns-server` says, as for connections.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use quorate_core::MemberId;
use quorate_core::bootstrap::places::host_and_port;
use quorate_core::bootstrap::{Answer, Listed, Places};
use quorate_transport::dns::Dns;

/// The most names of one start: more than any cluster has members, several URLs each.
const HOSTS_MAX: usize = 128;
/// How long a name may take, whatever the resolver's own patience; it is asked again.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks for names without address.
const PAUSE: Duration = Duration::from_secs(1);
/// As many addresses of a name are compared.
const ADDRESSES_MAX: usize = 32;

/// See the module.
pub(super) struct Resolve {
    dns: Dns,
    places: Places,
    looked: Option<Instant>,
}

impl Resolve {
    pub(super) fn new(dns: Dns) -> Self {
        Self { dns, places: Places::default(), looked: None }
    }

    /// Where the names in `listed` and in the answers of a running cluster lead.
    pub(super) async fn places(
        &mut self,
        listed: &[Listed],
        answers: &BTreeMap<MemberId, Answer>,
    ) -> &Places {
        let mut wanted = hosts(listed, answers);
        wanted.retain(|host| host.parse::<IpAddr>().is_err() && !self.places.knows(host));
        let is_due = self.looked.is_none_or(|at| at.elapsed() >= PAUSE);
        if !wanted.is_empty() && is_due {
            let dns = &self.dns;
            let looked = wanted.iter().take(HOSTS_MAX).map(|host| async move {
                // As connections find them; the port does not matter.
                let found = tokio::time::timeout(LOOKUP_TIMEOUT, dns.sockets(host, 0)).await;
                let found = found.ok().and_then(Result::ok).unwrap_or_default();
                (host, found.iter().take(ADDRESSES_MAX).map(SocketAddr::ip).collect())
            });
            for (host, found) in futures_util::future::join_all(looked).await {
                self.places.note(host, found);
            }
            self.looked = Some(Instant::now());
        }
        &self.places
    }
}

/// The hosts of URLs that only one side has.
fn hosts<'a>(listed: &'a [Listed], answers: &'a BTreeMap<MemberId, Answer>) -> BTreeSet<&'a str> {
    let members = answers.values().filter_map(|answer| match answer {
        Answer::Formed { members, .. } => Some(members),
        Answer::Silent | Answer::Forming { .. } => None,
    });
    let theirs: BTreeSet<&str> =
        members.flatten().flat_map(|known| &known.peer_urls).map(String::as_str).collect();
    if theirs.is_empty() {
        return BTreeSet::new();
    }
    let ours: BTreeSet<&str> =
        listed.iter().flat_map(|it| &it.peer_urls).map(String::as_str).collect();
    let different = ours.symmetric_difference(&theirs);
    different.filter_map(|url| host_and_port(url)).map(|(host, _)| host).collect()
}
