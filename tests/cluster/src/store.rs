//! The whole store as one member holds it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_harness::{HttpError, Member, Request, eventually};
use serde_json::Value;

/// All visible keys of a member at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Store {
    /// `X-Etcd-Index`.
    pub index: u64,
    /// Key to value, modified index and created index.
    pub nodes: BTreeMap<String, (String, u64, u64)>,
}

/// Reads the whole store from one member.
///
/// # Errors
/// When the member does not answer.
pub fn store_of(member: &Member) -> Result<Store, HttpError> {
    let answer = member.http().send(&Request::get("/v2/keys/?recursive=true"))?;
    let mut nodes = BTreeMap::new();
    collect(&answer.json()["node"], &mut nodes);
    Ok(Store { index: answer.etcd_index().unwrap_or(0), nodes })
}

/// Waits until all `members` hold the same store, and returns it. Panics with the first difference at the deadline.
#[track_caller]
pub fn agreed_store(members: &[Arc<Member>], within: Duration) -> Store {
    let mut stores: Vec<Result<Store, HttpError>> = Vec::new();
    let agreed = eventually(within, || {
        stores = members.iter().map(|member| store_of(member)).collect();
        let first = stores.first().and_then(|store| store.as_ref().ok());
        first.is_some_and(|first| {
            stores.iter().all(|store| store.as_ref().is_ok_and(|it| it == first))
        })
    });
    assert!(
        agreed,
        "the members do not hold the same store after {within:?}:\n{}",
        differences(members, &stores)
    );
    match stores.into_iter().next() {
        Some(Ok(store)) => store,
        _ => panic!("there is no member"),
    }
}

fn collect(node: &Value, nodes: &mut BTreeMap<String, (String, u64, u64)>) {
    let number = |name: &str| node[name].as_u64().unwrap_or(0);
    if let Some(key) = node["key"].as_str() {
        let value = node["value"].as_str().unwrap_or("(directory)").to_owned();
        nodes.insert(key.to_owned(), (value, number("modifiedIndex"), number("createdIndex")));
    }
    for child in node["nodes"].as_array().into_iter().flatten() {
        collect(child, nodes);
    }
}

fn differences(members: &[Arc<Member>], stores: &[Result<Store, HttpError>]) -> String {
    let mut text = String::new();
    for (member, store) in members.iter().zip(stores) {
        match store {
            Ok(store) => {
                text.push_str(&format!(
                    "{}: index {}, {} nodes\n",
                    member.name(),
                    store.index,
                    store.nodes.len()
                ));
            }
            Err(error) => text.push_str(&format!("{}: {error}\n", member.name())),
        }
    }
    let mut known = stores
        .iter()
        .zip(members)
        .filter_map(|(store, member)| Some((store.as_ref().ok()?, member.name())));
    if let Some((first, name)) = known.next() {
        for (other, other_name) in known {
            for (key, node) in
                first.nodes.iter().filter(|(key, node)| other.nodes.get(*key) != Some(node)).take(5)
            {
                text.push_str(&format!(
                    "{key}: {node:?} on {name}, {:?} on {other_name}\n",
                    other.nodes.get(key)
                ));
            }
        }
    }
    text
}
