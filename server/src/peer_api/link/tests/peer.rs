//! A peer for the link's tests: a real server, a gate that can be closed, and a service that misbehaves on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use parking_lot::Mutex;
use quorate_core::{ClusterId, MemberId};
use quorate_transport::acceptor::Plain;
use quorate_transport::connections::Connection;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::PlainConnector;
use quorate_transport::http_server::{Handler, HttpServer};
use quorate_transport::limits::ServerLimits;
use quorate_transport::listener::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use super::super::{
    Class, Gate, Hello, Inbound, LinkLimits, LinkObserver, Local, PeerEndpoint, PeerLink,
    PeerService, Refusal, ReplyError, Target,
};

/// The reply is the body.
pub(super) const ECHO: u8 = 1;
/// The reply is an error.
pub(super) const FAIL: u8 = 2;
/// There is no reply.
pub(super) const SILENT: u8 = 3;
/// Nothing more is read until `unstick`.
pub(super) const STUCK: u8 = 4;
/// The reply comes after `release`; later requests go on.
pub(super) const HELD: u8 = 5;
/// The reply is empty.
pub(super) const COUNT: u8 = 6;

pub(super) const LOCAL: Local =
    Local { cluster: ClusterId(9), member: MemberId(1), incarnation: 77 };

pub(super) fn hello(class: Class) -> Hello {
    let Local { cluster, member, incarnation } = LOCAL;
    Hello { cluster, from: member, incarnation, to: MemberId(2), class }
}

pub(super) struct Peer {
    pub(super) server: HttpServer,
    pub(super) gate: Arc<TestGate>,
    pub(super) service: Arc<TestService>,
    site: Arc<Site>,
}

impl Peer {
    pub(super) async fn start() -> Self {
        Self::start_at(&Endpoint::tcp("127.0.0.1", 0)).await
    }

    pub(super) async fn start_at(endpoint: &Endpoint) -> Self {
        let listener = Listener::bind(endpoint).await.unwrap();
        let (gate, service) = (Arc::<TestGate>::default(), Arc::<TestService>::default());
        let site = Arc::new(Site {
            gate: Arc::clone(&gate),
            service: Arc::clone(&service),
            endpoint: Mutex::new(endpoint_for(&gate, &service)),
        });
        let limits = ServerLimits { connections_max: 100, ..ServerLimits::default() };
        let server = HttpServer::spawn(listener, Plain, Arc::clone(&site), limits);
        Self { server, gate, service, site }
    }

    pub(super) fn drop_links(&self) {
        let fresh = endpoint_for(&self.site.gate, &self.site.service);
        std::mem::replace(&mut *self.site.endpoint.lock(), fresh).stop();
    }

    pub(super) async fn stop(self) -> Endpoint {
        let endpoint = self.server.local_endpoint().clone();
        self.site.endpoint.lock().stop();
        self.server.shutdown(Duration::from_secs(5)).await;
        endpoint
    }
}

fn endpoint_for(gate: &Arc<TestGate>, service: &Arc<TestService>) -> PeerEndpoint {
    let gate: Arc<dyn Gate> = Arc::clone(gate) as _;
    PeerEndpoint::new(gate, Arc::clone(service) as _, Arc::new(Seen::default()))
}

struct Site {
    gate: Arc<TestGate>,
    service: Arc<TestService>,
    endpoint: Mutex<PeerEndpoint>,
}

impl Handler for Site {
    type Body = Full<Bytes>;

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        _: Connection,
    ) -> Response<Full<Bytes>> {
        self.endpoint.lock().answer(request).map(Full::new)
    }
}

#[derive(Default)]
pub(super) struct TestGate {
    pub(super) refusal: Mutex<Option<Refusal>>,
    pub(super) hellos: Mutex<Vec<Hello>>,
}

impl Gate for TestGate {
    fn admit(&self, hello: &Hello) -> Result<(), Refusal> {
        self.hellos.lock().push(*hello);
        self.refusal.lock().clone().map_or(Ok(()), Err)
    }
}

#[derive(Default)]
pub(super) struct TestService {
    /// Bodies of the echoed requests, in the order they were read.
    pub(super) seen: Mutex<Vec<Bytes>>,
    pub(super) forget: AtomicBool,
    pub(super) stuck: AtomicUsize,
    pub(super) silent: AtomicUsize,
    pub(super) unstick: Notify,
    pub(super) release: Arc<Notify>,
}

impl PeerService for TestService {
    fn serve(self: Arc<Self>, mut inbound: Inbound) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            while let Some(request) = inbound.frames.next().await {
                match request.kind {
                    ECHO => {
                        self.seen.lock().push(request.body.clone());
                        inbound.replies.reply(request.id, Ok(request.body));
                    }
                    FAIL => {
                        let text = String::from_utf8(request.body.to_vec()).unwrap();
                        inbound.replies.reply(request.id, Err(ReplyError { code: 7, text }));
                    }
                    STUCK => {
                        self.stuck.fetch_add(1, Ordering::SeqCst);
                        self.unstick.notified().await;
                        inbound.replies.reply(request.id, Ok(Bytes::new()));
                    }
                    HELD => {
                        let (release, replies) =
                            (Arc::clone(&self.release), inbound.replies.clone());
                        tokio::spawn(async move {
                            release.notified().await;
                            replies.reply(request.id, Ok(request.body));
                        });
                    }
                    COUNT => inbound.replies.reply(request.id, Ok(Bytes::new())),
                    _ => {
                        self.silent.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        })
    }
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) refusals: Mutex<Vec<Refusal>>,
}

impl LinkObserver for Seen {
    fn refused(&self, peer: MemberId, refusal: &Refusal) {
        assert_eq!(peer, MemberId(2));
        self.refusals.lock().push(refusal.clone());
    }
}

pub(super) fn connect(peer: &Peer, class: Class) -> PeerLink {
    connect_with(peer, class, LinkLimits::of(class), Arc::default())
}

pub(super) fn connect_with(
    peer: &Peer,
    class: Class,
    limits: LinkLimits,
    seen: Arc<Seen>,
) -> PeerLink {
    let urls = vec![peer.server.local_endpoint().to_string()];
    link(watch::channel(urls).1, class, limits, seen)
}

pub(super) fn link_to(urls: &[Endpoint], class: Class, limits: LinkLimits) -> PeerLink {
    let urls = urls.iter().map(Endpoint::to_string).collect();
    link(watch::channel(urls).1, class, limits, Arc::default())
}

pub(super) fn link(
    urls: watch::Receiver<Vec<String>>,
    class: Class,
    limits: LinkLimits,
    seen: Arc<Seen>,
) -> PeerLink {
    let target = Target { member: MemberId(2), urls };
    PeerLink::new(target, LOCAL, class, limits, Arc::new(PlainConnector), seen)
}

/// Accepts a connection and answers its upgrade, by hand.
pub(super) async fn take_upgrade(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: quorate-peer/1\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream
}

pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
