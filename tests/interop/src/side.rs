//! One of the two servers that are compared, and what is particular to it: ids, ports, its latest modified index.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use quorate_harness::{Cluster, Http, Member, Program, Request, wait_until};
use serde_json::Value;

/// A loaded machine decides the cluster's version within the first polls of the leader, every 4 s.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// The program that is compared with etcd: Quorate, unless `QUORATE_INTEROP_SUBJECT` is `etcd`.
pub fn subject_program() -> Program {
    match env::var("QUORATE_INTEROP_SUBJECT").as_deref() {
        Err(_) | Ok("quorate") => Program::Quorate,
        Ok("etcd") => Program::Etcd,
        Ok(other) => panic!("QUORATE_INTEROP_SUBJECT is `{other}`: it must be `quorate` or `etcd`"),
    }
}

/// A server under comparison.
pub struct Side {
    label: &'static str,
    cluster: Arc<Cluster>,
    http: Http,
    names: Vec<(String, String)>,
    modified: u64,
}

impl Side {
    /// A settled cluster, asked through its first member.
    pub fn new(label: &'static str, cluster: Arc<Cluster>) -> Self {
        for member in cluster.members() {
            wait_settled(&member);
        }
        let http = cluster.http().keep_alive();
        let mut side = Self { label, cluster, http, names: Vec::new(), modified: 0 };
        side.learn_names();
        side
    }

    /// The same cluster, asked through another address (a proxy in front of it).
    pub fn through(mut self, http: Http) -> Self {
        self.http = http;
        self
    }

    /// `reference` or `subject`.
    pub fn label(&self) -> &'static str {
        self.label
    }

    /// The cluster behind it.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// The client that asks this side.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The modified index in the latest successful answer; `{modified}` in a script.
    pub fn modified(&self) -> u64 {
        self.modified
    }

    /// Notes the modified index of an answer.
    pub fn note(&mut self, json: &Value) {
        if let Some(modified) = json["node"]["modifiedIndex"].as_u64() {
            self.modified = modified;
        }
    }

    /// Texts that are particular to this cluster, with the names they get in a comparison.
    pub fn names(&self) -> &[(String, String)] {
        &self.names
    }

    /// The text that a name such as `<member m1>` or `<client m1>` stands for.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.names.iter().find(|(_, it)| it == name).map(|(text, _)| text.as_str())
    }

    /// Puts the names in place of what they stand for.
    pub fn anonymous(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (own, name)| text.replace(own, name))
    }

    /// Learns ids and URLs anew, after a change of membership.
    pub fn learn_names(&mut self) {
        let answer = self.cluster.http().send(&Request::get("/v2/members"));
        let answer = answer.unwrap_or_else(|error| panic!("{}: /v2/members: {error}", self.label));
        let known: Vec<(String, String)> = self.names.drain(..).collect();
        if let Some(cluster) = answer.header("X-Etcd-Cluster-Id") {
            self.names.push((cluster.to_owned(), "<cluster>".to_owned()));
        }
        for member in self.cluster.members() {
            let name = member.name();
            self.names.push((member.client_url(), format!("<client {name}>")));
            self.names.push((member.peer_url(), format!("<peer {name}>")));
            self.names
                .push((member.client_address().to_string(), format!("<client address {name}>")));
            self.names.push((member.data_dir().display().to_string(), format!("<data {name}>")));
            let peer_url = Value::String(member.peer_url());
            let listed = answer.json()["members"].as_array().cloned().unwrap_or_default();
            let of_member = listed
                .iter()
                .find(|it| it["peerURLs"].as_array().is_some_and(|it| it.contains(&peer_url)));
            if let Some(id) = of_member.and_then(|it| it["id"].as_str()) {
                self.names.push((id.to_owned(), format!("<member {name}>")));
            }
        }
        let fresh: Vec<_> = known.into_iter().filter(|it| !self.names.contains(it)).collect();
        self.names.extend(fresh);
    }
}

/// Until the cluster version is decided the store index still moves by itself.
fn wait_settled(member: &Member) {
    wait_until(
        &format!("{} has decided on a cluster version", member.name()),
        SETTLED_WITHIN,
        || {
            let answer = member.http().send(&Request::get("/version"));
            answer.is_ok_and(|it| {
                !matches!(it.json()["etcdcluster"].as_str(), None | Some("not_decided" | "3.0.0"))
            })
        },
    );
}
