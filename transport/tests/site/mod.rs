//! A server whose answers misbehave on demand, and raw clients to talk to it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use quorate_transport::acceptor::{Acceptor, Plain};
use quorate_transport::body::{BodyError, read_body};
use quorate_transport::connections::Connection;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_server::{Handler, HttpServer};
use quorate_transport::limits::ServerLimits;
use quorate_transport::listener::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, broadcast};
use tokio::time::timeout;

/// Far beyond anything that should happen here, far below a patient person's limit.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) enum Answer {
    Text(Option<Bytes>),
    Events(Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>, Arc<AtomicUsize>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Events(events, _) => events.as_mut().poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Events(..) => SizeHint::default(),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Self::Events(_, watchers) = self {
            watchers.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

pub(crate) struct Site {
    pub(crate) events: broadcast::Sender<Bytes>,
    pub(crate) watchers: Arc<AtomicUsize>,
    pub(crate) held: AtomicUsize,
    pub(crate) release: Notify,
}

impl Handler for Site {
    type Body = Answer;

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Connection,
    ) -> Response<Answer> {
        let text = |text: String| Response::new(Answer::Text(Some(Bytes::from(text))));
        match request.uri().path() {
            "/watch" => {
                self.watchers.fetch_add(1, Ordering::SeqCst);
                let events = self.events.subscribe();
                let stream = futures_util::stream::unfold(events, |mut events| async move {
                    let event = events.recv().await.ok().filter(|event| event != "end")?;
                    Some((Ok(Frame::data(event)), events))
                });
                let body = Box::pin(http_body_util::StreamBody::new(stream));
                let mut response = Response::new(Answer::Events(body, Arc::clone(&self.watchers)));
                response.headers_mut().insert("x-etcd-index", 7.into());
                response
            }
            "/hold" | "/hold-for-client" => {
                if request.uri().path() == "/hold-for-client" {
                    connection.abandon_when_gone();
                }
                self.held.fetch_add(1, Ordering::SeqCst);
                let _held = Held(&self.held);
                self.release.notified().await;
                text("held".to_owned())
            }
            "/upgrade" => {
                tokio::spawn(async move {
                    let upgraded = hyper::upgrade::on(request).await.unwrap();
                    let mut stream = hyper_util::rt::TokioIo::new(upgraded);
                    let (mut read, mut write) = tokio::io::split(&mut stream);
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
                let mut response = text(String::new());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
                response.headers_mut().insert("upgrade", HeaderValue::from_static("echo"));
                response
            }
            "/large" => text("x".repeat(8 << 20)),
            "/echo" => match read_body(request.into_body(), 10).await {
                Ok(body) => Response::new(Answer::Text(Some(body))),
                Err(BodyError::TooLarge { .. }) => {
                    let mut response = text("too large".to_owned());
                    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
                    response
                }
                Err(BodyError::Broken(error)) => text(error.to_string()),
            },
            path => text(path.to_owned()),
        }
    }
}

struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct Running {
    pub(crate) server: HttpServer,
    pub(crate) site: Arc<Site>,
}

impl Running {
    pub(crate) async fn start(limits: ServerLimits) -> Self {
        Self::start_behind(Plain, limits).await
    }

    pub(crate) async fn start_behind(acceptor: impl Acceptor, limits: ServerLimits) -> Self {
        let listener = Listener::bind(&Endpoint::tcp("127.0.0.1", 0)).await.unwrap();
        let site = Arc::new(Site {
            events: broadcast::channel(16).0,
            watchers: Arc::default(),
            held: AtomicUsize::new(0),
            release: Notify::new(),
        });
        Self { server: HttpServer::spawn(listener, acceptor, Arc::clone(&site), limits), site }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let endpoint = self.server.local_endpoint().authority();
        TcpStream::connect(endpoint).await.unwrap()
    }

    pub(crate) async fn say(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Everything until the server closes, with the date taken out.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("the server closes") {
        Ok(_) => {}
        // Closed with bytes of ours unread; what was said before still counts.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    undated(&String::from_utf8(bytes).unwrap())
}

/// As much as `end` closes.
pub(crate) async fn up_to(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = timeout(SOON, stream.read_u8()).await;
        bytes.push(
            byte.unwrap_or_else(|_| panic!("only {:?}", String::from_utf8_lossy(&bytes))).unwrap(),
        );
    }
    undated(&String::from_utf8(bytes).unwrap())
}

fn undated(text: &str) -> String {
    text.split_inclusive("\r\n")
        .filter(|line| !line.to_ascii_lowercase().starts_with("date:"))
        .collect()
}

pub(crate) const QUICK: Duration = Duration::from_millis(200);

pub(crate) fn quick() -> ServerLimits {
    ServerLimits {
        connections_max: 100,
        header_read_timeout: QUICK,
        body_read_timeout: QUICK,
        ..ServerLimits::default()
    }
}
