//! The native API: JSON below `/v1/`, with events, described in `docs/discovery-openapi.json`.
//!
//! A token is named by its ID, or by `-` when the secret given is the one to join, which leads to it. Errors are problem documents
//! (RFC 9457) whose `code` is stable.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer;
use super::body::ServiceBody;
use super::{Answer, Asked, Edge, feed};
use crate::changes::Waiting;
use crate::limits::OpenPoll;
use crate::registry::report::{self, Sent};
use crate::registry::{
    Capability, Claim, ClusterSize, MemberKey, Refusal, Secret, Status, Token, TokenId,
};
use crate::service::Service;
use crate::store::Store;

/// The shortest life of a token: a machine must be able to boot in it.
pub const TTL_MIN: Duration = Duration::from_secs(60);
/// The longest: a month. What is to last longer is made when it is needed.
pub const TTL_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// Between two signs of life on a stream of events, so that proxies keep it open.
const EVENT_PULSE: Duration = Duration::from_secs(15);
/// How long one stream of events lasts; browsers and clients then connect again.
const EVENTS_LAST: Duration = Duration::from_secs(3600);

/// The body of a request for a token.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    size: Option<u64>,
    ttl_seconds: Option<u64>,
}

/// The body of a registration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registering {
    id: String,
    name: String,
    peer_urls: Vec<String>,
}

/// The body of a request to reopen.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Reopening {
    force: bool,
    ttl_seconds: Option<u64>,
}

/// Answers a request below `/v1/`.
pub(super) async fn answer<S: Store>(
    edge: &Edge<S>,
    asked: &Asked,
    path: &[&str],
) -> Result<Answer, Refusal> {
    match (asked.method.as_str(), path) {
        ("POST", ["tokens"]) => create(edge, asked).await,
        ("GET", ["tokens", token]) => status(edge, asked, token).await,
        ("DELETE", ["tokens", token]) => {
            administer(edge, asked, token, |token, now| Ok(token.revoke(now))).await
        }
        ("POST", ["tokens", token, "reopen"]) => {
            let body: Reopening = json_body(asked)?;
            let ttl = lifetime(body.ttl_seconds, edge.settings().token_ttl)?;
            administer(edge, asked, token, move |token, now| {
                token.reopen(now, ttl, body.force).map(Some)
            })
            .await
        }
        ("GET", ["tokens", token, "events"]) => {
            let (id, secret) = named(asked, token)?;
            events(edge, asked, id, secret, false).await
        }
        ("GET", ["tokens", token, "http_sd"]) => {
            let (id, secret) = named(asked, token)?;
            feed::answer(edge, id.as_ref(), &secret).await
        }
        ("POST", ["tokens", token, "members"]) => register(edge, asked, token).await,
        ("DELETE", ["tokens", token, "members", member]) => {
            let member = MemberKey::parse(member)?;
            administer(edge, asked, token, move |token, now| token.remove(&member, now).map(Some))
                .await
        }
        ("PUT", ["tokens", token, "members", member, "report"]) => {
            let (id, secret) = named(asked, token)?;
            let member = MemberKey::parse(member)?;
            let sent: Sent = json_body(asked)?;
            report::check_fields(&json_body(asked)?)?;
            // Asked once the secret has been checked: IDs are known to others, who must not use up what its members may write.
            let admit = |id: &TokenId| edge.may_write(id);
            edge.service().report(id.as_ref(), &secret, &member, sent, admit).await?;
            Ok(answer::with(StatusCode::NO_CONTENT, "application/json", ServiceBody::full("")))
        }
        _ => Err(Refusal::NoRoute("no such operation; GET /v1/openapi.json lists them")),
    }
}

/// An error as a problem document.
pub(super) fn refuse(refusal: &Refusal) -> Answer {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let body = json!({
        "type": format!("urn:quorate:discovery:{}", refusal.code()),
        "title": refusal.code().replace('_', " "),
        "status": status.as_u16(),
        "code": refusal.code(),
        "detail": refusal.to_string(),
        "transient": refusal.is_transient(),
    });
    let mut answer =
        answer::with(status, "application/problem+json", ServiceBody::full(format!("{body}\n")));
    if let Refusal::Busy { after_s, .. } = refusal {
        answer::add(&mut answer, header::RETRY_AFTER.as_str(), &after_s.to_string());
    }
    answer
}

async fn create<S: Store>(edge: &Edge<S>, asked: &Asked) -> Result<Answer, Refusal> {
    let wanted: Wanted = json_body(asked)?;
    let size = wanted.size.map_or(Ok(ClusterSize::DEFAULT), ClusterSize::new)?;
    let ttl = lifetime(wanted.ttl_seconds, edge.settings().token_ttl)?;
    edge.may_create(asked)?;
    let created = edge.service().create(size, ttl).await?;
    let base = edge.base_url(asked);
    let token = &created.token;
    let body = json!({
        "id": token.id,
        "size": token.size.count(),
        "expires": token.expires.to_string(),
        "discovery_url": format!("{base}/{}", created.join.reveal()),
        "status_url": format!("{base}/t/{}/{}", token.id, created.read.reveal()),
        "join_secret": created.join.reveal(),
        "read_secret": created.read.reveal(),
        "admin_secret": created.admin.reveal(),
    });
    Ok(show(StatusCode::CREATED, &body))
}

/// The status, at once or as soon as its index passes `after`.
async fn status<S: Store>(edge: &Edge<S>, asked: &Asked, token: &str) -> Result<Answer, Refusal> {
    let (id, secret) = named(asked, token)?;
    let after = asked.query.number("after")?;
    let service = edge.service();
    let first = service.open(id.as_ref(), &secret, Capability::Read).await?;
    if after.is_none_or(|after| first.index > after) {
        return Ok(show(StatusCode::OK, &json!(service.status(&first).await?)));
    }
    let pending = watch(edge, asked, &first.id, secret)?;
    let until = Instant::now() + super::v2::jittered(edge.settings().poll_timeout);
    let body = stream::once(async move { pending.past(after.unwrap_or_default(), until).await });
    Ok(answer::with(StatusCode::OK, "application/json", ServiceBody::stream(body)))
}

/// Server-sent events: the status now and after each change. With `is_signal` only that there was one.
pub(super) async fn events<S: Store>(
    edge: &Edge<S>,
    asked: &Asked,
    id: Option<TokenId>,
    secret: Secret,
    is_signal: bool,
) -> Result<Answer, Refusal> {
    let token = edge.service().open(id.as_ref(), &secret, Capability::Read).await?;
    let pending = watch(edge, asked, &token.id, secret)?;
    let body = ServiceBody::stream(pending.events(is_signal));
    Ok(answer::with(StatusCode::OK, "text/event-stream", body))
}

fn watch<S: Store>(
    edge: &Edge<S>,
    asked: &Asked,
    id: &TokenId,
    secret: Secret,
) -> Result<Pending<S>, Refusal> {
    let place = edge.place(asked, id)?;
    let waiting = edge.service().changes().subscribe(id);
    let service = edge.service().clone();
    Ok(Pending { service, id: id.clone(), secret, waiting, _place: place })
}

async fn register<S: Store>(edge: &Edge<S>, asked: &Asked, token: &str) -> Result<Answer, Refusal> {
    let (id, secret) = named(asked, token)?;
    let body: Registering = json_body(asked)?;
    let claim = Claim::new(MemberKey::parse(&body.id)?, &body.name, body.peer_urls)?;
    let done = edge.service().register(id.as_ref(), &secret, &claim).await?;
    let status = if done.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let token = edge.service().status(&done.token).await?;
    Ok(show(status, &json!({"index": done.entry.index, "token": token})))
}

async fn administer<S: Store>(
    edge: &Edge<S>,
    asked: &Asked,
    token: &str,
    decide: impl Fn(&Token, crate::registry::Moment) -> Result<Option<Token>, Refusal>,
) -> Result<Answer, Refusal> {
    let (id, secret) = named(asked, token)?;
    let token = edge.service().administer(id.as_ref(), &secret, decide).await?;
    Ok(show(StatusCode::OK, &json!(edge.service().status(&token).await?)))
}

/// The token and the secret of a request.
fn named(asked: &Asked, token: &str) -> Result<(Option<TokenId>, Secret), Refusal> {
    let secret = asked.bearer.as_deref().ok_or(Refusal::Forbidden(Capability::Read))?;
    let secret = Secret::parse(secret).ok_or(Refusal::Unknown)?;
    let id = match token {
        "-" => None,
        text => Some(TokenId::parse(text).ok_or(Refusal::Unknown)?),
    };
    Ok((id, secret))
}

/// Reads a body; none at all is an empty object.
fn json_body<T: DeserializeOwned>(asked: &Asked) -> Result<T, Refusal> {
    let bytes: &[u8] = if asked.body.is_empty() { b"{}" } else { &asked.body };
    serde_json::from_slice(bytes).map_err(|error| {
        Refusal::BadRequest(format!("the body is not the JSON that is expected: {error}"))
    })
}

fn lifetime(seconds: Option<u64>, default: Duration) -> Result<Duration, Refusal> {
    let ttl = seconds.map_or(default, Duration::from_secs);
    if (TTL_MIN..=TTL_MAX).contains(&ttl) {
        return Ok(ttl);
    }
    Err(Refusal::BadTtl { min_s: TTL_MIN.as_secs(), max_s: TTL_MAX.as_secs() })
}

fn show(status: StatusCode, body: &Value) -> Answer {
    answer::with(status, "application/json", ServiceBody::full(format!("{body}\n")))
}

/// Somebody who waits for changes of a token.
struct Pending<S> {
    service: Service<S>,
    id: TokenId,
    secret: Secret,
    waiting: Waiting,
    _place: OpenPoll,
}

impl<S: Store> Pending<S> {
    /// The status once its index has passed `after`, or when the time is over; nothing when the store cannot be reached.
    async fn past(mut self, after: u64, until: Instant) -> Bytes {
        let deadline = tokio::time::Instant::from_std(until);
        let mut is_over = false;
        loop {
            let Ok(token) = self.service.open(Some(&self.id), &self.secret, Capability::Read).await
            else {
                return Bytes::new();
            };
            if token.index > after || is_over {
                let status = self.service.status(&token).await.ok();
                return status
                    .map_or_else(Bytes::new, |status| Bytes::from(format!("{}\n", json!(status))));
            }
            is_over = tokio::time::timeout_at(deadline, self.waiting.changed()).await.is_err();
        }
    }

    fn events(self, is_signal: bool) -> impl Stream<Item = Bytes> + Send {
        let until = tokio::time::Instant::now() + EVENTS_LAST;
        stream::unfold((self, None), move |(mut pending, mut told)| async move {
            loop {
                if told.is_some() {
                    let pulse = tokio::time::timeout(EVENT_PULSE, pending.waiting.changed());
                    if pulse.await.is_err() {
                        let is_over = tokio::time::Instant::now() >= until;
                        let pulse = Bytes::from_static(b": still here\n\n");
                        return (!is_over).then_some((pulse, (pending, told)));
                    }
                }
                // A failure ends the stream; the client comes back, and is told what is wrong when it does.
                let mut status = json!(pending.status().await?);
                let now = status.as_object_mut().and_then(|fields| fields.remove("now"));
                // The same change is heard of more than once: from this replica and from the store.
                if told.as_ref() == Some(&status) {
                    continue;
                }
                told = Some(status.clone());
                status["now"] = now.unwrap_or_default();
                return Some((event(&status, is_signal), (pending, told)));
            }
        })
    }

    async fn status(&self) -> Option<Status> {
        let opened = self.service.open(Some(&self.id), &self.secret, Capability::Read).await;
        self.service.status(&opened.ok()?).await.ok()
    }
}

/// One event: the status, or only that there is another one.
fn event(status: &Value, is_signal: bool) -> Bytes {
    let index = &status["index"];
    Bytes::from(if is_signal {
        format!("id: {index}\nevent: changed\ndata: {}\n\n", status["state"])
    } else {
        format!("id: {index}\nevent: status\ndata: {status}\n\n")
    })
}
