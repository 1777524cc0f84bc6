//! The peer port's HTTP: what etcd answers there (`/members`, `/version`, `/raft/probing`), what starting members ask
//! (`/quorate/formation`), and the door to the peer links (`/quorate/peer`).
//!
//! It answers from the first moment on, while this member is still finding out how to start.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use quorate_core::bootstrap::Known;
use quorate_core::{ClusterId, Member, MemberId};
use quorate_transport::connections::Connection;
use quorate_transport::http_server::Handler;
use serde::Serialize;

use super::formation::{self, Announcement, Entry, PROTOCOL, Stage};
use super::link::{self, Refusal, RefusalCode};
use crate::bootstrap::Forming;

/// Type of the answers for programs.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Type of the answers for people.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A member of a cluster, as far as the peer port shows it.
pub trait Peer: Send + Sync + 'static {
    /// This member.
    fn member(&self) -> MemberId;
    /// Its cluster.
    fn cluster(&self) -> ClusterId;
    /// The incarnation of its data directory.
    fn incarnation(&self) -> u64;
    /// All members, with the incarnations that it knows them to live in.
    fn known(&self) -> Vec<Known>;
    /// All members as the store shows them.
    fn members(&self) -> Vec<Member>;
    /// The index up to which it has applied the log.
    fn applied(&self) -> u64;
    /// The IDs of former members.
    fn removed(&self) -> Vec<MemberId>;
    /// The body of `/version`.
    fn version(&self) -> Bytes;
    /// Who is let in, and who serves them.
    fn links(&self) -> Arc<link::PeerEndpoint>;
}

/// Answers on the peer port.
pub struct PeerHttp<P> {
    forming: Arc<Forming>,
    /// Set once this member belongs to a cluster.
    peer: OnceLock<Arc<P>>,
}

/// A member in the body of `/members`; unlike on the client port the ID is a number.
#[derive(Serialize)]
struct PeerMember {
    id: u64,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    name: String,
    #[serde(rename = "clientURLs", skip_serializing_if = "Vec::is_empty")]
    client_urls: Vec<String>,
    #[serde(rename = "isLearner", skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
}

impl<P: Peer> PeerHttp<P> {
    /// Answers for a member that is still starting.
    #[must_use]
    pub fn new(forming: Arc<Forming>) -> Self {
        Self { forming, peer: OnceLock::new() }
    }

    /// The member belongs to a cluster from now on.
    pub fn joined(&self, peer: Arc<P>) {
        // Called once, when the node is made.
        let _ = self.peer.set(peer);
    }

    /// Nothing while this member does not know who the others are.
    fn announcement(&self) -> Option<Announcement> {
        let Some(peer) = self.peer.get() else { return self.forming.announcement() };
        // Read first: what follows may be newer than this says, never older.
        let applied = peer.applied();
        Some(Announcement {
            protocol: PROTOCOL,
            member: peer.member().to_string(),
            incarnation: peer.incarnation(),
            stage: Stage::Formed {
                cluster: peer.cluster().to_string(),
                members: peer.known().iter().map(Entry::from).collect(),
                removed: peer.removed().iter().map(ToString::to_string).collect(),
                applied,
            },
        })
    }

    fn members(&self) -> Response<Full<Bytes>> {
        let Some(peer) = self.peer.get() else { return starting() };
        let members = peer.members().into_iter().map(|member| PeerMember {
            id: member.id.0,
            peer_urls: member.peer_urls,
            name: member.name,
            client_urls: member.client_urls,
            is_learner: member.is_learner,
        });
        let mut response = json(StatusCode::OK, &members.collect::<Vec<_>>());
        if let Ok(cluster) = HeaderValue::from_str(&peer.cluster().to_string()) {
            response.headers_mut().insert("x-etcd-cluster-id", cluster);
        }
        response
    }

    fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let is_get = request.method() == Method::GET;
        match request.uri().path() {
            formation::PATH if is_get => match self.announcement() {
                Some(announcement) => json(StatusCode::OK, &announcement),
                None => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{LEARNING}\n")),
            },
            link::PEER_PATH if is_get => match self.peer.get() {
                Some(peer) => peer.links().answer(request).map(Full::new),
                None => Refusal::new(RefusalCode::NotReady, STARTING).response().map(Full::new),
            },
            "/members" if is_get => self.members(),
            "/version" if is_get => match self.peer.get() {
                Some(peer) => body(StatusCode::OK, JSON, peer.version()),
                None => starting(),
            },
            "/raft/probing" if is_get => body(StatusCode::OK, TEXT, Bytes::new()),
            formation::PATH | link::PEER_PATH | "/members" | "/version" | "/raft/probing" => {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
                response
            }
            _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }
}

impl<P: Peer> Handler for PeerHttp<P> {
    type Body = Full<Bytes>;

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        _connection: Connection,
    ) -> Response<Full<Bytes>> {
        self.answer(request)
    }
}

const LEARNING: &str = "this member is starting and does not know yet who the others are";
const STARTING: &str = "this member is starting and belongs to no cluster yet";

fn starting() -> Response<Full<Bytes>> {
    text(StatusCode::SERVICE_UNAVAILABLE, &format!("{STARTING}\n"))
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(bytes) => body(status, JSON, bytes.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    body(status, TEXT, Bytes::copy_from_slice(text.as_bytes()))
}

fn body(status: StatusCode, kind: HeaderValue, bytes: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
