//! The HTTP server against raw sockets: what goes over the wire, byte by byte, and what is cut when.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up should say where")]

mod site;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use quorate_transport::acceptor::Plain;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{self, ClientError, PlainConnector, UpgradeError};
use quorate_transport::http_server::HttpServer;
use quorate_transport::limits::ServerLimits;
use quorate_transport::listener::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::site::{QUICK, Running, SOON, quick, rest, until, up_to};

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
async fn a_connection_whose_watch_was_told_is_idle_and_makes_room() {
    let running = Running::start(ServerLimits { keep_alive_idle: QUICK, ..quick() }).await;
    let mut told = running.say("GET /watch HTTP/1.1\r\nHost: x\r\n\r\n").await;
    up_to(&mut told, "\r\n\r\n").await;
    running.site.events.send(Bytes::from("end")).unwrap();
    up_to(&mut told, "0\r\n\r\n").await;
    let end = timeout(SOON, rest(&mut told)).await;
    assert_eq!(end.expect("it is closed after its idle time"), "");
    until("the books are empty", || running.server.connections() == 0).await;
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
async fn an_upgraded_connection_outlives_the_limits_and_the_server() {
    let running = Running::start(ServerLimits { keep_alive_idle: QUICK, ..quick() }).await;
    let mut request = Request::get("/upgrade").body(Bytes::new()).unwrap();
    for (name, value) in [("connection", "upgrade"), ("upgrade", "echo")] {
        request.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    let endpoint = running.server.local_endpoint().clone();
    let upgraded = http_client::upgrade(&PlainConnector, &endpoint, request, SOON).await.unwrap();
    tokio::time::sleep(QUICK * 2).await;
    assert_eq!(running.server.connections(), 1, "it holds its place");
    assert_eq!(running.server.shutdown(SOON).await, 0, "nothing is waited for or cut");
    let (mut read, mut write) = upgraded.stream.into_split();
    write.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    timeout(SOON, read.read_exact(&mut echo)).await.unwrap().unwrap();
    assert_eq!(&echo, b"hello");

    let plain = Request::get("/plain").body(Bytes::new()).unwrap();
    let running = Running::start(quick()).await;
    let refused =
        http_client::upgrade(&PlainConnector, running.server.local_endpoint(), plain, SOON).await;
    assert!(matches!(refused, Err(UpgradeError::Refused(answer)) if answer.body() == "/plain"));
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
