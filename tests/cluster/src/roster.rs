//! The membership API as a test wants to use it.

use std::time::Duration;

use quorate_harness::{Answer, Member, Request, wait_until};
use serde_json::Value;

/// A member as `/v2/members` lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// The ID, in hex.
    pub id: String,
    /// The name; empty before the first start.
    pub name: String,
    /// The peer URLs.
    pub peer_urls: Vec<String>,
}

/// All members, as `through` lists them; empty when it does not answer.
pub fn list(through: &Member) -> Vec<Listed> {
    let Ok(answer) = through.http().send(&Request::get("/v2/members")) else { return Vec::new() };
    answer.json()["members"].as_array().into_iter().flatten().map(listed).collect()
}

/// The ID of the member with this name. Panics when there is none.
#[track_caller]
pub fn id_of(through: &Member, name: &str) -> String {
    let members = list(through);
    let found = members.iter().find(|member| member.name == name);
    found
        .map(|member| member.id.clone())
        .unwrap_or_else(|| panic!("no member is named {name}: {members:?}"))
}

/// Asks for a new member with one peer URL.
#[track_caller]
pub fn add(through: &Member, peer_url: &str) -> Answer {
    send(through, &with_urls("POST", "/v2/members", peer_url))
}

/// Asks to remove a member.
#[track_caller]
pub fn remove(through: &Member, id: &str) -> Answer {
    send(through, &Request::delete(format!("/v2/members/{id}")))
}

/// Asks to change a member's peer URL.
#[track_caller]
pub fn update(through: &Member, id: &str, peer_url: &str) -> Answer {
    send(through, &with_urls("PUT", &format!("/v2/members/{id}"), peer_url))
}

/// Whether the member with this ID has a vote, by the peer port of `through`, which shows learners as such.
pub fn votes(through: &Member, id: &str) -> bool {
    let peers = quorate_harness::Http::new(through.peer_address());
    let Ok(answer) = peers.send(&Request::get("/members")) else { return false };
    let members = answer.json();
    let found = members
        .as_array()
        .into_iter()
        .flatten()
        .find(|it| it["id"].as_u64().is_some_and(|number| format!("{number:x}") == id));
    found.is_some_and(|member| member["isLearner"] != Value::Bool(true))
}

/// Waits until the member with this ID has a vote.
#[track_caller]
pub fn wait_vote(through: &Member, id: &str, within: Duration) {
    wait_until(&format!("member {id} has a vote"), within, || votes(through, id));
}

fn with_urls(method: &str, target: &str, peer_url: &str) -> Request {
    let body = serde_json::json!({ "peerURLs": [peer_url] }).to_string();
    Request::new(method, target).body("application/json", body)
}

#[track_caller]
fn send(through: &Member, request: &Request) -> Answer {
    through
        .http()
        .send(request)
        .unwrap_or_else(|error| panic!("{request} to {}: {error}", through.name()))
}

fn listed(member: &Value) -> Listed {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let peer_urls = member["peerURLs"].as_array().into_iter().flatten().map(text).collect();
    Listed { id: text(&member["id"]), name: text(&member["name"]), peer_urls }
}
