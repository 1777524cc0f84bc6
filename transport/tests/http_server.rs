//! The HTTP server against raw sockets: what goes over the wire, byte by byte, and what is cut when.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up should say where")]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use quorate_transport::acceptor::Plain;
use quorate_transport::body::{BodyError, read_body};
use quorate_transport::connections::Connection;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{self, ClientError, PlainConnector};
use quorate_transport::http_server::{Handler, HttpServer};
use quorate_transport::limits::ServerLimits;
use quorate_transport::listener::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, broadcast};
use tokio::time::timeout;

/// Far beyond anything that should happen here, far below a patient person's limit.
const SOON: Duration = Duration::from_secs(10);

enum Answer {
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

struct Site {
    events: broadcast::Sender<Bytes>,
    watchers: Arc<AtomicUsize>,
    held: AtomicUsize,
    release: Notify,
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

struct Running {
    server: HttpServer,
    site: Arc<Site>,
}

impl Running {
    async fn start(limits: ServerLimits) -> Self {
        let listener = Listener::bind(&Endpoint::tcp("127.0.0.1", 0)).await.unwrap();
        let site = Arc::new(Site {
            events: broadcast::channel(16).0,
            watchers: Arc::default(),
            held: AtomicUsize::new(0),
            release: Notify::new(),
        });
        Self { server: HttpServer::spawn(listener, Plain, Arc::clone(&site), limits), site }
    }

    async fn connect(&self) -> TcpStream {
        let endpoint = self.server.local_endpoint().authority();
        TcpStream::connect(endpoint).await.unwrap()
    }

    async fn say(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Everything until the server closes, with the date taken out.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("the server closes") {
        Ok(_) => {}
        // Closed with bytes of ours unread; what was said before still counts.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    undated(&String::from_utf8(bytes).unwrap())
}

/// As much as `end` closes.
async fn up_to(stream: &mut TcpStream, end: &str) -> String {
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

const QUICK: Duration = Duration::from_millis(200);

fn quick() -> ServerLimits {
    ServerLimits {
        connections_max: 100,
        header_read_timeout: QUICK,
        body_read_timeout: QUICK,
        ..ServerLimits::default()
    }
}

#[tokio::test]
async fn golden_answers() {
    let running = Running::start(ServerLimits::default()).await;
    for (request, answer) in [
        (
            "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n/a",
        ),
        ("GET /a HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n/a"),
        (
            "GET /a HTTP/1.1\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
             Content-Length: 45\r\n\r\n400 Bad Request: missing required Host header",
        ),
        (
            "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
             Content-Length: 38\r\n\r\n400 Bad Request: too many Host headers",
        ),
        (
            "nonsense\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello-hello",
            "HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large",
        ),
        // A length beside a transfer coding: the coding counts, and nothing may follow on this connection.
        (
            "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        ),
    ] {
        let mut stream = running.say(request).await;
        assert_eq!(rest(&mut stream).await.to_lowercase(), answer.to_lowercase(), "{request}");
    }
}

#[tokio::test]
async fn header_limits_are_answered_431() {
    let running = Running::start(ServerLimits::default()).await;
    let huge = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n", "y".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: y\r\n".repeat(101));
    for request in [huge, many] {
        let mut stream = running.connect().await;
        // The server may answer and close before it has taken everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = rest(&mut stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn slow_headers_and_slow_bodies_are_closed() {
    let running = Running::start(quick()).await;
    for beginning in [
        "GET / HTTP/1.1\r\nHost: x\r\nX-Drip: ",
        "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
    ] {
        let mut stream = running.say(beginning).await;
        let began = tokio::time::Instant::now();
        let (mut reading, mut writing) = stream.split();
        // A byte now and then must not help.
        let drip = async {
            while writing.write_all(b"y").await.is_ok() {
                tokio::time::sleep(QUICK / 3).await;
            }
        };
        let mut buffer = [0u8; 16];
        tokio::select! {
            () = drip => {}
            read = reading.read(&mut buffer) => assert!(matches!(read, Ok(0) | Err(_)), "{buffer:?}"),
            () = tokio::time::sleep(SOON) => panic!("still open: {beginning:?}"),
        }
        assert!(began.elapsed() >= QUICK, "cut too early");
    }
}

#[tokio::test]
async fn idle_connections_are_parked_served_again_and_closed_in_the_end() {
    let limits = ServerLimits { keep_alive_idle: QUICK * 4, header_read_timeout: QUICK, ..quick() };
    let running = Running::start(limits).await;
    let mut stream = running.connect().await;
    for _ in 0..2 {
        // Longer than two of this server's ticks, so that the connection is parked in between.
        tokio::time::sleep(QUICK / 2).await;
        stream.write_all(b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(up_to(&mut stream, "/again").await.starts_with("HTTP/1.1 200 OK"));
    }
    assert_eq!(rest(&mut stream).await, "");
    until("the books are empty", || running.server.connections() == 0).await;
}

#[tokio::test]
async fn a_watcher_gets_its_head_at_once_its_events_and_the_next_request() {
    let running = Running::start(ServerLimits::default()).await;
    let mut stream = running.say("GET /watch HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(
        up_to(&mut stream, "\r\n\r\n").await,
        "HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for event in ["one", "a longer second event"] {
        running.site.events.send(Bytes::from(event)).unwrap();
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        assert_eq!(up_to(&mut stream, &chunk).await, chunk);
    }
    running.site.events.send(Bytes::from("end")).unwrap();
    assert_eq!(up_to(&mut stream, "0\r\n\r\n").await, "0\r\n\r\n");
    stream.write_all(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(up_to(&mut stream, "/next").await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_around_a_watch() {
    let running = Running::start(ServerLimits::default()).await;
    let mut stream = running
        .say(
            "GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET /watch HTTP/1.1\r\nHost: x\r\n\r\n\
             GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await;
    // The large answer fills the socket, so the watch begins while its predecessor is still in the parser.
    let head = up_to(&mut stream, "\r\n\r\n").await;
    assert!(head.contains("Content-Length: 8388608"), "{head}");
    let mut large = vec![0; 8 << 20];
    timeout(SOON, stream.read_exact(&mut large)).await.unwrap().unwrap();
    assert!(large.iter().all(|byte| *byte == b'x'));
    assert!(up_to(&mut stream, "\r\n\r\n").await.contains("X-Etcd-Index: 7"));
    running.site.events.send(Bytes::from("one")).unwrap();
    assert_eq!(up_to(&mut stream, "one\r\n").await, "3\r\none\r\n");
    running.site.events.send(Bytes::from("end")).unwrap();
    let last = rest(&mut stream).await;
    assert!(last.starts_with("0\r\n\r\nHTTP/1.1 200 OK") && last.ends_with("/last"), "{last:?}");
}

#[tokio::test]
async fn a_half_closed_client_is_answered_but_its_watch_ends() {
    let running = Running::start(ServerLimits::default()).await;
    let mut asking = running.say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").await;
    asking.shutdown().await.unwrap();
    until("the request runs", || running.site.held.load(Ordering::SeqCst) == 1).await;
    running.site.release.notify_waiters();
    assert!(rest(&mut asking).await.ends_with("held"));

    for request in [
        "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n",
        // Unread bytes must not hide the hang-up.
        "GET /watch HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n",
        // What a parser keeps to itself.
        "GET /watch HTTP/1.0\r\nHost: x\r\n\r\n",
        "GET /hold-for-client HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let site = &running.site;
        let waiting = || site.watchers.load(Ordering::SeqCst) + site.held.load(Ordering::SeqCst);
        let mut stream = running.say(request).await;
        until("it waits", || waiting() == 1).await;
        stream.shutdown().await.unwrap();
        until("its going is noticed", || waiting() == 0).await;
    }
}

#[tokio::test]
async fn at_the_bound_the_next_connection_waits_for_one_to_close() {
    let running =
        Running::start(ServerLimits { connections_max: 2, ..ServerLimits::default() }).await;
    let first = running.connect().await;
    let _second = running.connect().await;
    until("both are open", || running.server.connections() == 2).await;
    let mut third =
        running.say("GET /third HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let early = timeout(Duration::from_millis(100), third.read_u8()).await;
    assert!(early.is_err(), "served beyond the bound");
    drop(first);
    assert!(rest(&mut third).await.ends_with("/third"));
}

#[tokio::test]
async fn when_full_idle_connections_make_room() {
    let running = Running::start(ServerLimits { connections_max: 1, ..quick() }).await;
    let mut idle = running.connect().await;
    let mut next = running.say("GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(rest(&mut next).await.ends_with("/next"));
    assert_eq!(rest(&mut idle).await, "");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let running = Running::start(ServerLimits { write_stall_timeout: QUICK, ..quick() }).await;
    let _stalled = running.say("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until("it is open", || running.server.connections() == 1).await;
    until("it is cut", || running.server.connections() == 0).await;
}

#[tokio::test]
async fn shutdown_ends_watches_closes_idle_connections_and_awaits_requests() {
    let running = Running::start(ServerLimits::default()).await;
    let mut idle = running.connect().await;
    let mut watch = running.say("GET /watch HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut old_watch = running.say("GET /watch HTTP/1.0\r\n\r\n").await;
    let mut held = running.say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let site = Arc::clone(&running.site);
    until("both watches wait", || site.watchers.load(Ordering::SeqCst) == 2).await;
    until("the request runs", || site.held.load(Ordering::SeqCst) == 1).await;
    until("all are open", || running.server.connections() == 4).await;
    let stopping = tokio::spawn(running.server.shutdown(SOON));
    assert!(rest(&mut watch).await.ends_with("\r\n\r\n0\r\n\r\n"));
    rest(&mut old_watch).await;
    assert_eq!(rest(&mut idle).await, "");
    assert!(!stopping.is_finished(), "the request still runs");
    site.release.notify_waiters();
    let answer = rest(&mut held).await;
    assert!(answer.contains("Connection: close") && answer.ends_with("held"), "{answer}");
    assert_eq!(stopping.await.unwrap(), 0);
}

#[tokio::test]
async fn shutdown_cuts_what_outlasts_its_patience() {
    let running = Running::start(ServerLimits::default()).await;
    let mut held = running.say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until("the request runs", || running.site.held.load(Ordering::SeqCst) == 1).await;
    let endpoint = running.server.local_endpoint().authority();
    assert_eq!(running.server.shutdown(QUICK).await, 1);
    assert_eq!(rest(&mut held).await, "");
    assert!(TcpStream::connect(endpoint).await.is_err(), "the port is closed");
    assert_eq!(running.site.held.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_client_asks_over_tcp_and_unix_within_its_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(ServerLimits::default()).await;
    let listener = Listener::bind(&Endpoint::unix(dir.path().join("s"))).await.unwrap();
    let on_unix =
        HttpServer::spawn(listener, Plain, Arc::clone(&running.site), ServerLimits::default());
    let ask = |endpoint: Endpoint, path: &'static str, max: usize, limit: Duration| async move {
        let request = Request::get(path).body(Bytes::new()).unwrap();
        http_client::send(&PlainConnector, &endpoint, request, max, limit).await
    };
    for server in [&running.server, &on_unix] {
        let endpoint = server.local_endpoint().clone();
        let answer = ask(endpoint.clone(), "/abc", 4, SOON).await.unwrap();
        assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::OK, b"/abc".as_slice()));
        let error = ask(endpoint.clone(), "/large", 4, SOON).await.unwrap_err();
        assert!(matches!(error, ClientError::Body { .. }), "{error}");
        let error = ask(endpoint, "/hold", 4, QUICK).await.unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    }
    let gone = running.server.local_endpoint().clone();
    running.server.shutdown(Duration::ZERO).await;
    let error = ask(gone, "/", 4, SOON).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
}
