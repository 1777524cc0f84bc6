//! The small paths: machines, version, metrics, variables, log level.

use bytes::Bytes;
use http::{Method, StatusCode};
use hyper::body::Body;
use quorate_core::json;
use rustix::process::{Resource, getrlimit};
use serde_json::{Value as Json, json};

use super::body::ApiBody;
use super::reply::{self, Reply};
use super::request_body::JSON_MAX;
use super::{ETCD_VERSION, Shared};
use crate::logging::LogLevel;
use crate::member::Member;

/// `/v2/machines`: where clients reach the members.
pub(super) fn machines<M: Member>(shared: &Shared<M>, method: &Method) -> Reply {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return reply::method_not_allowed(Some("GET,HEAD"));
    }
    let mut urls: Vec<String> = shared.member.view(|machine, _| {
        machine.members().iter().flat_map(|member| member.client_urls.iter().cloned()).collect()
    });
    urls.sort_unstable();
    reply::typed(StatusCode::OK, reply::TEXT_PLAIN, ApiBody::full(urls.join(", ")))
}

/// `/version`: of this server and of the cluster.
pub(super) fn version<M: Member>(shared: &Shared<M>, method: &Method) -> Reply {
    if *method != Method::GET {
        return reply::method_not_allowed(Some("GET"));
    }
    let body = shared.member.view(|machine, _| version_body(machine.members().cluster_version()));
    reply::json(StatusCode::OK, body)
}

/// The body of `/version`, on the client port and on the peer port.
#[must_use]
pub fn version_body(cluster_version: Option<&str>) -> Bytes {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(b"{\"etcdserver\":");
    json::write_string(&mut out, ETCD_VERSION.as_bytes());
    out.extend_from_slice(b",\"etcdcluster\":");
    json::write_string(&mut out, cluster_version.unwrap_or("not_decided").as_bytes());
    out.push(b'}');
    out.into()
}

/// `/metrics`.
pub(super) fn metrics<M: Member>(shared: &Shared<M>) -> Reply {
    let body = ApiBody::Full(shared.member.exposition());
    reply::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body)
}

/// `/debug/vars`: one variable a line, as Go's `expvar` prints them.
pub(super) fn vars<M: Member>(shared: &Shared<M>) -> Reply {
    let status = shared.member.status();
    let id = |id: Option<quorate_core::MemberId>| id.unwrap_or_default().to_string();
    let mut progress = serde_json::Map::new();
    for follower in shared.member.followers().unwrap_or_default() {
        let matched = follower.matched_index;
        let state =
            json!({"match": matched, "next": matched.saturating_add(1), "state": "StateReplicate"});
        progress.insert(follower.id.to_string(), state);
    }
    let raft = json!({
        "id": status.member.to_string(),
        "term": status.term,
        "vote": id(status.vote),
        "commit": status.commit_index,
        "lead": id(status.leader),
        "raftState": status.role.as_str(),
        "applied": status.applied_index,
        "progress": progress,
        "leadtransferee": "0",
    });
    let arguments: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let files = getrlimit(Resource::Nofile).current;
    let text = format!(
        "{{\n\"cmdline\": {},\n\"file_descriptor_limit\": {},\n\"memstats\": {},\n\"raft.status\": {raft}\n}}\n",
        json!(arguments),
        files.unwrap_or(u64::MAX),
        json!({"Sys": resident_bytes()}),
    );
    reply::typed(StatusCode::OK, "application/json; charset=utf-8", ApiBody::full(text))
}

/// `/config/local/log`: how much is logged, from now on.
pub(super) async fn log_level<M: Member, B: Body<Data = Bytes> + Unpin>(
    shared: &Shared<M>,
    method: &Method,
    body: B,
) -> Reply {
    if *method != Method::PUT {
        return reply::method_not_allowed(Some("PUT"));
    }
    let bad = |text: &str| reply::message(StatusCode::BAD_REQUEST, text);
    let object = match shared.bodies.read(body, JSON_MAX).await {
        Ok(body) => serde_json::from_slice::<serde_json::Map<String, Json>>(&body).ok(),
        Err(_) => None,
    };
    let Some(object) = object else { return bad("Invalid json body") };
    // Go's decoder does not mind the case of a name.
    let level = object.iter().find(|(name, _)| name.eq_ignore_ascii_case("level"));
    let name = match level {
        None | Some((_, Json::Null)) => "",
        Some((_, Json::String(name))) => name,
        Some(_) => return bad("Invalid json body"),
    };
    match LogLevel::named(name) {
        Some(level) => {
            tracing::info!(level = level.as_str(), "log level changed by a client");
            shared.member.set_log_level(level);
            reply::empty(StatusCode::NO_CONTENT)
        }
        None => bad(&format!("Invalid log level {name}")),
    }
}

/// The memory the process holds, in bytes; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    // A page size is positive and fits 64 bits.
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}
