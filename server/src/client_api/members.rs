//! `/v2/members`: who belongs to the cluster, and changes of that.
//!
//! Errors are `{"message":..}`. Which changes are wise is not decided here.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use hyper::body::Body;
use quorate_core::{MemberId, json};
use serde_json::Value as Json;

use super::peer_url;
use super::reply::{self, Reply, X_ETCD_CLUSTER_ID};
use super::request_body::JSON_MAX;
use super::{Origin, Shared, caller};
use crate::member::{Member, MembershipError};

/// What the path takes, in etcd's order.
const METHODS: &str = "GET,POST,DELETE,PUT";

/// Answers a request for `rest`, the decoded path after `/v2/members`.
pub(super) async fn answer<M: Member, B: Body<Data = Bytes> + Unpin>(
    shared: &Shared<M>,
    parts: &Parts,
    rest: &[u8],
    body: B,
    origin: &Origin<'_>,
) -> Reply {
    let takes = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
    if !takes.contains(&parts.method) {
        return reply::method_not_allowed(Some(METHODS));
    }
    let proved = caller::demand_root_to_change(shared, &parts.method, &parts.headers, origin);
    if let Err(refusal) = proved.await {
        return *refusal;
    }
    let name = String::from_utf8_lossy(rest.strip_prefix(b"/").unwrap_or(rest));
    let mut reply = match parts.method {
        Method::GET => show(shared, &name),
        Method::POST => add(shared, parts, body).await,
        Method::PUT => update(shared, parts, &name, body).await,
        _ => remove(shared, &name).await,
    };
    reply.headers_mut().insert(X_ETCD_CLUSTER_ID, shared.cluster_id.clone());
    reply
}

fn show<M: Member>(shared: &Shared<M>, name: &str) -> Reply {
    let mut body = Vec::new();
    match name {
        "" => {
            body.extend_from_slice(b"{\"members\":[");
            shared.member.view(|machine, _| {
                for (at, member) in machine.members().iter().enumerate() {
                    if at > 0 {
                        body.push(b',');
                    }
                    write_member(&mut body, member);
                }
            });
            body.extend_from_slice(b"]}\n");
        }
        "leader" => {
            let leader = shared.member.status().leader;
            let known = shared.member.view(|machine, _| {
                let member = leader.and_then(|leader| machine.members().member(leader));
                member.map(|member| write_member(&mut body, member)).is_some()
            });
            if !known {
                return reply::message(StatusCode::SERVICE_UNAVAILABLE, "During election");
            }
            body.push(b'\n');
        }
        _ => return reply::message(StatusCode::NOT_FOUND, "Not found"),
    }
    reply::json(StatusCode::OK, body)
}

async fn add<M: Member, B: Body<Data = Bytes> + Unpin>(
    shared: &Shared<M>,
    parts: &Parts,
    body: B,
) -> Reply {
    let peer_urls = match peer_urls(shared, parts, body).await {
        Ok(urls) => urls,
        Err(reply) => return reply,
    };
    match shared.member.add_member(peer_urls).await {
        Ok(member) => {
            let mut body = Vec::new();
            write_member(&mut body, &member);
            body.push(b'\n');
            reply::json(StatusCode::CREATED, body)
        }
        Err(error) => failure(&error),
    }
}

async fn update<M: Member, B: Body<Data = Bytes> + Unpin>(
    shared: &Shared<M>,
    parts: &Parts,
    name: &str,
    body: B,
) -> Reply {
    let id = match member_id(name) {
        Ok(id) => id,
        Err(reply) => return *reply,
    };
    let peer_urls = match peer_urls(shared, parts, body).await {
        Ok(urls) => urls,
        Err(reply) => return reply,
    };
    match shared.member.update_member(id, peer_urls).await {
        Ok(()) => reply::empty(StatusCode::NO_CONTENT),
        // Only a removal says that a member is gone; etcd's clients expect no 410 here.
        Err(error @ MembershipError::Removed(_)) => {
            reply::message(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
        Err(error) => failure(&error),
    }
}

async fn remove<M: Member>(shared: &Shared<M>, name: &str) -> Reply {
    let id = match member_id(name) {
        Ok(id) => id,
        Err(reply) => return *reply,
    };
    match shared.member.remove_member(id).await {
        Ok(()) => reply::empty(StatusCode::NO_CONTENT),
        Err(error) => failure(&error),
    }
}

fn failure(error: &MembershipError) -> Reply {
    tracing::debug!(%error, "membership change failed");
    match error {
        MembershipError::NotFound(id) => no_such_member(&id.to_string()),
        MembershipError::Removed(id) => {
            reply::message(StatusCode::GONE, &format!("Member permanently removed: {id}"))
        }
        MembershipError::PeerUrlExists => reply::message(StatusCode::CONFLICT, &error.to_string()),
        MembershipError::Refused(_)
        | MembershipError::InProgress
        | MembershipError::TimedOut
        | MembershipError::Stopped => {
            reply::message(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
    }
}

fn no_such_member(name: &str) -> Reply {
    reply::message(StatusCode::NOT_FOUND, &format!("No such member: {name}"))
}

/// The ID that a path names: hex digits only.
fn member_id(name: &str) -> Result<MemberId, Box<Reply>> {
    if name.is_empty() {
        return Err(Box::new(reply::method_not_allowed(None)));
    }
    // A sign would pass the parser.
    let id = if name.starts_with('+') { None } else { u64::from_str_radix(name, 16).ok() };
    id.map(MemberId).ok_or_else(|| Box::new(no_such_member(name)))
}

/// The peer URLs in the body of a change.
async fn peer_urls<M: Member, B: Body<Data = Bytes> + Unpin>(
    shared: &Shared<M>,
    parts: &Parts,
    body: B,
) -> Result<Vec<String>, Reply> {
    let header = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = header.split(|&byte| byte == b';').next().unwrap_or_default();
    if kind != reply::APPLICATION_JSON.as_bytes() {
        let kind = String::from_utf8_lossy(kind);
        let text = format!("Bad Content-Type {kind}, accept application/json");
        return Err(reply::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text));
    }
    let bad = |text: &str| reply::message(StatusCode::BAD_REQUEST, text);
    let body = shared.bodies.read(body, JSON_MAX).await.map_err(|error| bad(&error.to_string()))?;
    let given = given_urls(&body).map_err(|text| bad(&text))?;
    peer_url::checked(&given).map_err(|text| bad(&text))
}

/// What `peerURLs` holds, with the decoder's words if it cannot be read.
fn given_urls(body: &[u8]) -> Result<Vec<String>, String> {
    let object = match serde_json::from_slice(body) {
        Ok(Json::Object(object)) => object,
        Ok(Json::Null) => return Ok(Vec::new()),
        Ok(other) => return Err(mistyped(&other, "value", "struct")),
        Err(error) => return Err(unreadable(body, &error)),
    };
    // Go's decoder does not mind the case of a name.
    let urls = object.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("peerURLs"));
    let urls = match urls {
        None | Some((_, Json::Null)) => return Ok(Vec::new()),
        Some((_, Json::Array(urls))) => urls,
        Some((_, other)) => return Err(mistyped(&other, "struct field .peerURLs", "[]string")),
    };
    let texts = urls.into_iter().map(|url| match url {
        Json::String(text) => Ok(text),
        Json::Null => Ok(String::new()),
        other => Err(mistyped(&other, "struct field .peerURLs", "string")),
    });
    texts.collect()
}

fn mistyped(found: &Json, place: &str, wanted: &str) -> String {
    let found = match found {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    };
    format!("json: cannot unmarshal {found} into Go {place} of type {wanted}")
}

/// Nearly as Go puts it: without what the decoder was about to read.
fn unreadable(body: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let line = body.split(|&byte| byte == b'\n').nth(error.line().saturating_sub(1));
    let found = line.and_then(|line| line.get(error.column().saturating_sub(1)));
    match found {
        Some(byte) => {
            format!("invalid character '{}' looking for beginning of value", byte.escape_ascii())
        }
        None => "unexpected end of JSON input".to_owned(),
    }
}

fn write_member(out: &mut Vec<u8>, member: &quorate_core::Member) {
    out.extend_from_slice(b"{\"id\":");
    json::write_string(out, member.id.to_string().as_bytes());
    out.extend_from_slice(b",\"name\":");
    json::write_string(out, member.name.as_bytes());
    out.extend_from_slice(b",\"peerURLs\":");
    write_strings(out, &member.peer_urls);
    out.extend_from_slice(b",\"clientURLs\":");
    write_strings(out, &member.client_urls);
    out.push(b'}');
}

fn write_strings(out: &mut Vec<u8>, texts: &[String]) {
    out.push(b'[');
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::write_string(out, text.as_bytes());
    }
    out.push(b']');
}
