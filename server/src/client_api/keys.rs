//! `/v2/keys`: reads, writes and watches.
//!
//! A request is parsed (`params`), carried out by the member, and answered with the headers that v2 clients navigate by. Failures are
//! counted and logged here, once; values are never logged.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use hyper::body::Body;
use quorate_core::{Action, Auth, Command, ErrorCode, Key, StoreError, StoreIndex, WatchSpec};

use super::body::ApiBody;
use super::caller::{self, Unproved, Who};
use super::content_type;
use super::counters::Kind;
use super::key_headers::Numbers;
use super::params::{self, KeysMethod, Operation};
use super::reply::{self, Reply, X_ETCD_CLUSTER_ID, X_ETCD_INDEX};
use super::request_body::FORM_MAX;
use super::{Origin, Shared};
use crate::member::{Committed, Member, ProposeError};
use crate::watch::{Reader, WatchError, WatchMode};

/// What the path takes, in etcd's order.
const METHODS: &str = "HEAD,GET,PUT,POST,DELETE";

/// The room an error's body is given at first.
const NODE_BYTES: usize = 256;

/// Answers a request for `path`, the decoded path after `/v2/keys`.
pub(super) async fn answer<M: Member, B: Body<Data = Bytes> + Unpin>(
    shared: &Shared<M>,
    parts: &Parts,
    path: &[u8],
    body: B,
    origin: &Origin<'_>,
) -> Reply {
    let Some(method) = KeysMethod::of(&parts.method) else {
        return reply::method_not_allowed(Some(METHODS));
    };
    let form = match read_form(shared, parts, method, body).await {
        Ok(form) => form,
        Err(reply) => return reply,
    };
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let request = match params::parse(method, path, query, &form) {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!(method = %parts.method, code = error.code.number(), "refused a malformed request");
            return failure(shared, &error);
        }
    };
    drop(form);
    let no_value = request.no_value_on_success;
    let work = {
        // Gone before anything else is awaited: its space would be every connection's.
        let who = match caller::enabled(shared) {
            None => None,
            Some(auth) => {
                match Box::pin(judge(shared, parts, path, &request.operation, auth, origin)).await {
                    Ok(who) => Some(who),
                    Err(refusal) => return *refusal,
                }
            }
        };
        match request.operation {
            Operation::Watch(spec, mode) => {
                return watch(shared, spec, mode, caller::reader(who, origin, path));
            }
            Operation::Read { key, recursive, quorum } => Work::Read { key, recursive, quorum },
            Operation::Write(command) => Work::Write(command, no_value),
        }
    };
    carry_out(shared, method, work).await
}

/// What takes time and has one answer.
enum Work {
    Read {
        key: Key,
        recursive: bool,
        quorum: bool,
    },
    /// Without values in the answer, if so.
    Write(Command, bool),
}

/// The form of a request that may have one; no bytes if its body is of another type.
async fn read_form<M: Member, B: Body<Data = Bytes> + Unpin>(
    shared: &Shared<M>,
    parts: &Parts,
    method: KeysMethod,
    body: B,
) -> Result<Bytes, Reply> {
    if !method.takes_form() {
        return Ok(Bytes::new());
    }
    let header = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let malformed = |error: &dyn std::fmt::Display| {
        tracing::debug!(method = %parts.method, %error, "refused a body");
        failure(shared, &params::invalid_form(error))
    };
    match content_type::announces_form(header) {
        Ok(false) => return Ok(Bytes::new()),
        Ok(true) => {}
        Err(error) => return Err(malformed(&error)),
    }
    shared.bodies.read(body, FORM_MAX).await.map_err(|error| {
        let mut reply = malformed(&error);
        if error.ends_connection() {
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    })
}

async fn carry_out<M: Member>(shared: &Shared<M>, method: KeysMethod, work: Work) -> Reply {
    let kind = kind(method, &work);
    let started = Instant::now();
    shared.metrics.received(kind);
    let done = match work {
        Work::Read { key, recursive, quorum } => read(shared, &key, recursive, quorum).await,
        Work::Write(command, no_value) => match shared.member.propose(command).await {
            Ok(committed) => Ok(written(shared, &committed, no_value)),
            Err(error) => Err(error.into()),
        },
    };
    match done {
        Ok(reply) => {
            shared.metrics.succeeded(kind, started.elapsed());
            reply
        }
        Err(error) => failed(shared, kind, &error),
    }
}

/// Begins a watch. It counts as a request only if it fails, as in etcd.
fn watch<M: Member>(shared: &Shared<M>, spec: WatchSpec, mode: WatchMode, reader: Reader) -> Reply {
    match shared.member.watch(spec, mode, reader) {
        Ok(subscription) => {
            let index = subscription.index();
            success(shared, StatusCode::OK, ApiBody::Watch(Box::new(subscription)), index)
        }
        // Users or roles have changed since the request was judged.
        Err(WatchError::Forbidden) => *forbidden(shared, Unproved::Wrong),
        Err(error) => failed(shared, Kind::Get, &error.into()),
    }
}

/// A failure, logged and counted.
fn failed<M: Member>(shared: &Shared<M>, kind: Kind, error: &StoreError) -> Reply {
    let code = error.code.number();
    tracing::debug!(?kind, code, index = error.index.0, "request failed");
    shared.metrics.failed(kind, error.code.http_status());
    failure(shared, error)
}

fn kind(method: KeysMethod, work: &Work) -> Kind {
    match (method, work) {
        (KeysMethod::Get, Work::Read { quorum: true, .. }) => Kind::QuorumGet,
        (KeysMethod::Get, _) => Kind::Get,
        (KeysMethod::Head, _) => Kind::Head,
        (KeysMethod::Put, _) => Kind::Put,
        (KeysMethod::Post, _) => Kind::Post,
        (KeysMethod::Delete, _) => Kind::Delete,
    }
}

async fn read<M: Member>(
    shared: &Shared<M>,
    key: &Key,
    recursive: bool,
    quorum: bool,
) -> Result<Reply, StoreError> {
    if quorum {
        shared.member.read_barrier().await?;
    }
    let (body, index) = shared.reads.render(&shared.member, key, recursive).await?;
    Ok(success(shared, StatusCode::OK, ApiBody::full(body), index))
}

/// Who asks, if that one may carry out the operation; the answer if not. Boxed by its caller, so that the space is taken only where
/// users count.
async fn judge<M: Member>(
    shared: &Shared<M>,
    parts: &Parts,
    path: &[u8],
    operation: &Operation,
    auth: Arc<Auth>,
    origin: &Origin<'_>,
) -> Result<Who, Box<Reply>> {
    let refused = match caller::identify(shared, &auth, &parts.headers, origin).await {
        Ok(who) if caller::allows(&auth, &who, operation, path) => return Ok(who),
        Ok(_) => Unproved::Wrong,
        Err(unproved) => unproved,
    };
    Err(forbidden(shared, refused))
}

fn forbidden<M: Member>(shared: &Shared<M>, refused: Unproved) -> Box<Reply> {
    let error = StoreError::new(ErrorCode::Unauthorized, refused.text(), StoreIndex(0));
    let mut reply = failure(shared, &error);
    *reply.status_mut() = refused.status();
    refused.add_to(reply.headers_mut());
    Box::new(reply)
}

fn written<M: Member>(shared: &Shared<M>, committed: &Committed, no_value: bool) -> Reply {
    let event = &committed.event;
    let status = if event.is_created() { StatusCode::CREATED } else { StatusCode::OK };
    let removal = matches!(event.action, Action::Delete | Action::CompareAndDelete);
    let body = if no_value && !removal { event.json_no_value() } else { event.json() };
    let Committed { raft_index, term, .. } = *committed;
    let headers = shared.key_headers.with(Numbers { index: event.index, raft_index, term });
    reply::with_headers(status, headers, ApiBody::full(body))
}

fn success<M: Member>(
    shared: &Shared<M>,
    status: StatusCode,
    body: ApiBody,
    index: StoreIndex,
) -> Reply {
    let now = shared.member.position();
    let numbers = Numbers { index, raft_index: now.index, term: now.term };
    reply::with_headers(status, shared.key_headers.with(numbers), body)
}

fn failure<M: Member>(shared: &Shared<M>, error: &StoreError) -> Reply {
    let mut body = Vec::with_capacity(NODE_BYTES);
    error.write_json(&mut body);
    // The table of codes holds valid statuses only.
    let status =
        StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = reply::json(status, body);
    let headers = reply.headers_mut();
    headers.insert(X_ETCD_CLUSTER_ID, shared.cluster_id.clone());
    headers.insert(X_ETCD_INDEX, error.index.0.into());
    reply
}

impl From<ProposeError> for StoreError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Store(error) => error,
            other => Self::new(ErrorCode::RaftInternal, other.to_string(), StoreIndex(0)),
        }
    }
}

impl From<WatchError> for StoreError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Store(error) => error,
            other => Self::new(ErrorCode::RaftInternal, other.to_string(), StoreIndex(0)),
        }
    }
}
