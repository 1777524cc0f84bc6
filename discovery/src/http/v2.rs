//! The routes that etcd's nodes know, from 2.x to 3.6, and exactly the answers they understand.
//!
//! Invariant: every answer is etcd's JSON, errors included, with `X-Etcd-Index`; indexes are the token's own and only grow; a poll
//! ends with an empty 200, which makes a node ask again; nothing that passes is told with a status from 400 to 499.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::answer;
use super::body::ServiceBody;
use super::route::RegistryPath;
use super::{Answer, Asked, Edge};
use crate::changes::Waiting;
use crate::limits::OpenPoll;
use crate::registry::token::SIZE_INDEX;
use crate::registry::{
    Capability, Claim, ClusterSize, Entry, MemberKey, Refusal, Scope, Secret, Token, Waits,
};
use crate::service::{Service, now};
use crate::store::Store;

/// Polls end within this fraction of the allowed time after it, so that those that began together do not end together.
const JITTER_PARTS: u32 = 8;

/// Says that reports of members are taken, by the native API beside this route.
const TAKES_REPORTS: &str = "quorate-takes-reports";

/// Makes a token: `/new?size=N`. The body is the discovery URL alone, without a line end, as scripts expect it.
pub(super) async fn new_token<S: Store>(edge: &Edge<S>, asked: &Asked) -> Result<Answer, Refusal> {
    let size = asked.query.value("size").map_or(Ok(ClusterSize::DEFAULT), ClusterSize::parse)?;
    edge.may_create(asked)?;
    let created = edge.service().create(size, edge.settings().token_ttl).await?;
    let base = edge.base_url(asked);
    let url = format!("{base}/{}", created.join.reveal());
    let mut made = answer::text(StatusCode::OK, &url);
    answer::add(&mut made, "quorate-token-id", created.token.id.as_str());
    answer::add(&mut made, "quorate-admin-secret", &created.admin.reveal());
    answer::add(&mut made, "quorate-expires", &created.token.expires.to_string());
    let page = format!("{base}/t/{}/{}", created.token.id, created.read.reveal());
    answer::add(&mut made, "quorate-status-url", &page);
    if size.is_even() {
        let warning = "an even number of members outlives no more failures than one member less";
        answer::add(&mut made, "quorate-warning", warning);
    }
    Ok(made)
}

/// Answers a request about a token.
pub(super) async fn answer<S: Store>(
    edge: &Edge<S>,
    asked: &Asked,
    path: &RegistryPath<'_>,
) -> Result<Answer, Refusal> {
    let secret = Secret::parse(path.secret).ok_or(Refusal::Unknown)?;
    let is_read = asked.method == Method::GET || asked.method == Method::HEAD;
    match path.rest.as_slice() {
        ["_config", "size"] if is_read => {
            let token = alive(edge, &secret).await?;
            Ok(show(StatusCode::OK, &token, &size_node(path.secret, &token)))
        }
        ["_config", ..] => Err(Refusal::NoRoute(
            "a token's size is chosen when it is made, with /new?size=N, and cannot be changed",
        )),
        [] if is_read && asked.query.flag("wait")? => {
            poll(edge, asked, path, secret, Scope::All).await
        }
        [] if is_read => {
            let token = alive(edge, &secret).await?;
            Ok(show(StatusCode::OK, &token, &directory(path.secret, &token)))
        }
        [member] if is_read && asked.query.flag("wait")? => {
            let scope = Scope::Member(MemberKey::parse(member)?);
            poll(edge, asked, path, secret, scope).await
        }
        [member] if is_read => {
            let member = MemberKey::parse(member)?;
            let token = alive(edge, &secret).await?;
            let entry = token.entry(&member).ok_or(Refusal::NoSuchMember(member))?;
            Ok(show(
                StatusCode::OK,
                &token,
                &json!({"action": "get", "node": node(path.secret, entry)}),
            ))
        }
        [member] if asked.method == Method::PUT => {
            let member = MemberKey::parse(member)?;
            register(edge, asked, path.secret, &secret, member).await
        }
        [_] if asked.method == Method::DELETE => Err(Refusal::Forbidden(Capability::Admin)),
        _ => Err(Refusal::NoRoute(
            "a discovery URL knows GET of the token, of _config/size and of a member, and PUT of a member",
        )),
    }
}

/// An error as etcd tells it.
pub(super) fn refuse(refusal: &Refusal) -> Answer {
    let (status, code, message) = refusal.v2();
    let body =
        json!({"errorCode": code, "message": message, "cause": refusal.to_string(), "index": 0});
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut answer =
        answer::with(status, "application/json", ServiceBody::full(format!("{body}\n")));
    answer::add(&mut answer, "x-etcd-index", "0");
    answer::add(&mut answer, "quorate-reason", refusal.code());
    if let Refusal::Busy { after_s, .. } = refusal {
        answer::add(&mut answer, header::RETRY_AFTER.as_str(), &after_s.to_string());
    }
    answer
}

async fn alive<S: Store>(edge: &Edge<S>, secret: &Secret) -> Result<Token, Refusal> {
    let token = edge.service().open(None, secret, Capability::Read).await?;
    token.alive(now())?;
    Ok(token)
}

async fn register<S: Store>(
    edge: &Edge<S>,
    asked: &Asked,
    text: &str,
    secret: &Secret,
    member: MemberKey,
) -> Result<Answer, Refusal> {
    let claim = Claim::from_value(member, asked.query.value("value").unwrap_or_default())?;
    let done = edge.service().register(None, secret, &claim).await?;
    // Nodes take 200 as well as 201: the difference is for people who look.
    let status = if done.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(show(status, &done.token, &created(text, &done.entry)))
}

/// Waits for a registration. The head of the answer goes out at once when there is something to wait for.
async fn poll<S: Store>(
    edge: &Edge<S>,
    asked: &Asked,
    path: &RegistryPath<'_>,
    secret: Secret,
    scope: Scope,
) -> Result<Answer, Refusal> {
    let since = asked.query.number("waitIndex")?.unwrap_or_default();
    let id = secret.token_id().ok_or(Refusal::Unknown)?;
    // Before the token is read, so that nothing that it does not show is missed.
    let waiting = edge.service().changes().subscribe(&id);
    let token = alive(edge, &secret).await?;
    let since = if since == 0 { token.index + 1 } else { since };
    let waits = Waits { scope, since };
    if let Some(entry) = token.poll(&waits, now())? {
        return Ok(show(StatusCode::OK, &token, &created(path.secret, entry)));
    }
    let place = edge.place(asked, &id)?;
    let pending = Pending {
        service: edge.service().clone(),
        secret,
        text: path.secret.to_owned(),
        waits,
        waiting,
        _place: place,
    };
    let until = Instant::now() + jittered(edge.settings().poll_timeout);
    let body = stream::once(async move { pending.wait(until).await });
    let mut answer = answer::with(StatusCode::OK, "application/json", ServiceBody::stream(body));
    answer::add(&mut answer, "x-etcd-index", &token.index.to_string());
    Ok(answer)
}

/// A poll that waits.
struct Pending<S> {
    service: Service<S>,
    secret: Secret,
    text: String,
    waits: Waits,
    waiting: Waiting,
    _place: OpenPoll,
}

impl<S: Store> Pending<S> {
    /// The event, or nothing: then the node asks again, and is told whatever is wrong.
    async fn wait(mut self, until: Instant) -> Bytes {
        loop {
            let deadline = tokio::time::Instant::from_std(until);
            if tokio::time::timeout_at(deadline, self.waiting.changed()).await.is_err() {
                return Bytes::new();
            }
            let Ok(token) = self.service.open(None, &self.secret, Capability::Read).await else {
                return Bytes::new();
            };
            match token.poll(&self.waits, now()) {
                Ok(Some(entry)) => return line(&created(&self.text, entry)),
                Ok(None) => {}
                Err(_) => return Bytes::new(),
            }
        }
    }
}

pub(super) fn jittered(timeout: Duration) -> Duration {
    let nanos = u32::try_from(now().0 % 1000).unwrap_or_default();
    timeout + timeout / JITTER_PARTS * nanos / 1000
}

fn show(status: StatusCode, token: &Token, body: &Value) -> Answer {
    let mut answer = answer::with(status, "application/json", ServiceBody::full(line(body)));
    answer::add(&mut answer, "x-etcd-index", &token.index.to_string());
    // Members of ours report to whoever says this; etcd's nodes do not look, and other registries do not say it.
    answer::add(&mut answer, TAKES_REPORTS, "1");
    answer
}

fn line(body: &Value) -> Bytes {
    Bytes::from(format!("{body}\n"))
}

fn key(secret: &str, rest: &str) -> String {
    format!("/_etcd/registry/{secret}{rest}")
}

fn size_node(secret: &str, token: &Token) -> Value {
    json!({"action": "get", "node": {
        "key": key(secret, "/_config/size"),
        "value": token.size.count().to_string(),
        "modifiedIndex": SIZE_INDEX,
        "createdIndex": SIZE_INDEX,
    }})
}

fn directory(secret: &str, token: &Token) -> Value {
    let nodes: Vec<Value> = token.entries.iter().map(|entry| node(secret, entry)).collect();
    let mut directory = json!({
        "key": key(secret, ""),
        "dir": true,
        "modifiedIndex": SIZE_INDEX,
        "createdIndex": SIZE_INDEX,
    });
    if !nodes.is_empty() {
        directory["nodes"] = Value::Array(nodes);
    }
    json!({"action": "get", "node": directory})
}

fn created(secret: &str, entry: &Entry) -> Value {
    json!({"action": "create", "node": node(secret, entry)})
}

fn node(secret: &str, entry: &Entry) -> Value {
    json!({
        "key": key(secret, &format!("/{}", entry.member)),
        "value": entry.value(),
        "modifiedIndex": entry.index,
        "createdIndex": entry.index,
    })
}
