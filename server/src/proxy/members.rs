//! Where the members serve clients: asked of their peer ports, and kept in order of who answered.
//!
//! Invariant: an address that failed is tried last for a while, and is never left out: when all have failed, all are tried.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use parking_lot::Mutex;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{Connector, send};
use serde::Deserialize;

/// How often the members are asked who they are, as in etcd.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// The same while nobody has answered: the cluster may be forming.
const REFRESH_EAGERLY: Duration = Duration::from_secs(1);
/// A member answers at once; one that does not must not hold up the others.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer read: some hundred members.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long an address that failed is tried last, as in etcd.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// See the module.
pub struct MemberAddresses {
    known: Mutex<Known>,
    turn: AtomicUsize,
}

#[derive(Default)]
struct Known {
    peer_urls: Vec<String>,
    clients: Vec<Client>,
}

struct Client {
    endpoint: Endpoint,
    failed: Option<Instant>,
}

/// A member in the answer of a peer port, etcd's or ours.
#[derive(Deserialize)]
struct Entry {
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    client_urls: Vec<String>,
}

impl MemberAddresses {
    /// Members whose peer ports are at `peer_urls`.
    #[must_use]
    pub fn new(peer_urls: Vec<String>) -> Self {
        let known = Known { peer_urls, clients: Vec::new() };
        Self { known: Mutex::new(known), turn: AtomicUsize::new(0) }
    }

    /// The clients' addresses in the order to try them: in turn, those that failed lately last.
    pub(super) fn in_turn(&self) -> Vec<Endpoint> {
        let known = self.known.lock();
        let count = known.clients.len();
        let first =
            self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(count).unwrap_or_default();
        let turned = known.clients.iter().cycle().skip(first).take(count);
        let is_failed =
            |client: &&Client| client.failed.is_some_and(|since| since.elapsed() < FAILED_FOR);
        let (failed, fine): (Vec<&Client>, Vec<&Client>) = turned.partition(is_failed);
        fine.into_iter().chain(failed).map(|client| client.endpoint.clone()).collect()
    }

    pub(super) fn failed(&self, endpoint: &Endpoint) {
        self.note(endpoint, Some(Instant::now()));
    }

    pub(super) fn answered(&self, endpoint: &Endpoint) {
        self.note(endpoint, None);
    }

    /// Asks who the members are, again and again; `keep` is told their peer URLs whenever they have changed. For a task of its
    /// own.
    pub async fn refresh(&self, connector: &dyn Connector, keep: impl Fn(&[String])) {
        loop {
            let asked = self.known.lock().peer_urls.clone();
            let mut pause = REFRESH_EAGERLY;
            for url in &asked {
                match ask(url, connector).await {
                    Ok(entries) if entries.iter().any(|entry| !entry.client_urls.is_empty()) => {
                        if let Some(peer_urls) = self.learn(&entries) {
                            keep(&peer_urls);
                        }
                        pause = REFRESH_INTERVAL;
                        break;
                    }
                    Ok(_) => {}
                    Err(error) => tracing::debug!(url, %error, "a member does not say who it is"),
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes over what a member said; the peer URLs if they are others than before.
    fn learn(&self, entries: &[Entry]) -> Option<Vec<String>> {
        let mut known = self.known.lock();
        let endpoints = entries.iter().flat_map(|entry| &entry.client_urls);
        let endpoints = endpoints.filter_map(|url| url.parse::<Endpoint>().ok());
        let clients = endpoints.map(|endpoint| {
            let before = known.clients.iter().find(|client| client.endpoint == endpoint);
            Client { failed: before.and_then(|client| client.failed), endpoint }
        });
        known.clients = clients.collect();
        let mut peer_urls: Vec<String> =
            entries.iter().flat_map(|entry| entry.peer_urls.clone()).collect();
        peer_urls.sort();
        if known.peer_urls == peer_urls {
            return None;
        }
        known.peer_urls.clone_from(&peer_urls);
        tracing::info!(members = peer_urls.join(", "), "the cluster's members");
        Some(peer_urls)
    }

    fn note(&self, endpoint: &Endpoint, failed: Option<Instant>) {
        let mut known = self.known.lock();
        if let Some(client) = known.clients.iter_mut().find(|client| client.endpoint == *endpoint) {
            client.failed = failed;
        }
    }
}

async fn ask(
    url: &str,
    connector: &dyn Connector,
) -> Result<Vec<Entry>, Box<dyn std::error::Error + Send + Sync>> {
    let endpoint: Endpoint = url.parse()?;
    let request = Request::get("/members").body(Bytes::new())?;
    let response = send(connector, &endpoint, request, ANSWER_BYTES_MAX, ASK_TIMEOUT).await?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()).into());
    }
    Ok(serde_json::from_slice(response.body())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u16) -> Entry {
        Entry {
            peer_urls: vec![format!("http://192.0.2.1:{}", n + 100)],
            client_urls: vec![format!("http://192.0.2.1:{n}")],
        }
    }

    #[test]
    fn all_are_tried_and_those_that_failed_last() {
        let members = MemberAddresses::new(vec!["http://192.0.2.1:101".to_owned()]);
        assert!(members.in_turn().is_empty());
        assert!(members.learn(&[entry(1), entry(2), entry(3)]).is_some());
        assert!(members.learn(&[entry(1), entry(2), entry(3)]).is_none());
        let bad: Endpoint = "http://192.0.2.1:2".parse().unwrap();
        members.failed(&bad);
        let mut firsts = std::collections::BTreeSet::new();
        for _ in 0..6 {
            let order = members.in_turn();
            assert_eq!((order.len(), order.last()), (3, Some(&bad)));
            firsts.insert(order[0].clone());
        }
        assert_eq!(firsts.len(), 2, "the others take turns");
        members.answered(&bad);
        assert!((0..3).any(|_| members.in_turn()[0] == bad));
    }
}
