//! TLS between our own two ends, with self-made certificates: requests over both versions of HTTP, limits, and the ends of
//! connections. Certificates good and bad are tried with real programs in `tests/tls`.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up should say where")]

#[expect(dead_code, reason = "each test program uses its own share of this module")]
mod site;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{self, Connector};
use quorate_transport::limits::ServerLimits;
use quorate_transport::tls::{
    Credentials, FailureKind, Failures, KeyPairFiles, Protocol, TlsAcceptor, TlsConnector,
    TlsSettings, Trust,
};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use self::site::{Running, SOON, rest, until};

/// A server behind TLS, and what connects to it.
struct Protected {
    running: Running,
    endpoint: Endpoint,
    failures: Arc<Failures>,
    _folder: tempfile::TempDir,
}

impl Protected {
    async fn start(limits: ServerLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = TlsSettings {
            self_made_for: Some(vec!["127.0.0.1".to_owned()]),
            ..TlsSettings::listening("client", files(&folder), Trust::System)
        };
        let failures = Arc::new(Failures::new("client"));
        let acceptor =
            TlsAcceptor::new(Credentials::load(settings).unwrap(), Arc::clone(&failures));
        let running = Running::start_behind(acceptor, limits).await;
        let endpoint = Endpoint { is_tls: true, ..running.server.local_endpoint().clone() };
        Self { running, endpoint, failures, _folder: folder }
    }

    fn connector(&self, protocols: &'static [Protocol]) -> TlsConnector {
        let settings =
            TlsSettings { protocols, ..TlsSettings::dialling("client", None, Trust::Anybody) };
        let failures = Arc::new(Failures::new("client"));
        TlsConnector::new(Credentials::load(settings).unwrap(), failures)
    }

    async fn get(&self, path: &str) -> http::Response<Bytes> {
        let request = Request::get(path).body(Bytes::new()).unwrap();
        let connector = self.connector(&[Protocol::Http11]);
        http_client::send(&connector, &self.endpoint, request, 16 << 20, SOON).await.unwrap()
    }

    /// A connection in HTTP/2 whose streams take so many bytes before they are read.
    async fn http2(&self, window: u32) -> Http2 {
        let connector = self.connector(&[Protocol::Http2]);
        let stream = connector.connect(&self.endpoint).await.unwrap();
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.initial_stream_window_size(window);
        let (sender, connection) = http.handshake(TokioIo::new(stream)).await.unwrap();
        Http2 { sender, connection: tokio::spawn(connection) }
    }
}

struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    connection: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    async fn get(&mut self, path: &str) -> http::Response<hyper::body::Incoming> {
        let uri = format!("https://127.0.0.1{path}");
        let request = Request::get(uri).body(Full::default()).unwrap();
        timeout(SOON, self.sender.send_request(request)).await.unwrap().unwrap()
    }
}

fn files(folder: &tempfile::TempDir) -> KeyPairFiles {
    KeyPairFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") }
}

#[tokio::test]
async fn large_answers_and_upgrades_go_through() {
    let protected = Protected::start(ServerLimits::default()).await;
    assert_eq!(protected.get("/large").await.body().len(), 8 << 20);
    let mut http2 = protected.http2(1 << 20).await;
    let large = http2.get("/large").await.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(large.len(), 8 << 20);
    let request = Request::get("/upgrade")
        .header("connection", "upgrade")
        .header("upgrade", "echo")
        .body(Bytes::new())
        .unwrap();
    let connector = protected.connector(&[Protocol::Http11]);
    let upgraded =
        http_client::upgrade(&connector, &protected.endpoint, request, SOON).await.unwrap();
    let (mut read, mut write) = upgraded.stream.into_split();
    let sent = Bytes::from(vec![7; 1 << 20]);
    let expected = sent.clone();
    let reading = tokio::spawn(async move {
        let mut back = vec![0; expected.len()];
        tokio::io::AsyncReadExt::read_exact(&mut read, &mut back).await.unwrap();
        assert_eq!(back, expected);
    });
    write.write_all(&sent).await.unwrap();
    write.flush().await.unwrap();
    timeout(SOON, reading).await.unwrap().unwrap();
}

#[tokio::test]
async fn plain_http_is_told_so_and_a_silent_knock_is_no_failure() {
    let protected = Protected::start(ServerLimits::default()).await;
    drop(protected.running.connect().await);
    let mut plain = protected.running.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = rest(&mut plain).await;
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{answer}");
    let mut nonsense = protected.running.connect().await;
    nonsense.write_all(&[0x16, 3, 1, 0, 5, 9, 9, 9, 9, 9]).await.unwrap();
    rest(&mut nonsense).await;
    until("nonsense is a failure", || protected.failures.count(FailureKind::Other) == 1).await;
    assert_eq!(protected.failures.count(FailureKind::PlainHttp), 1);
    assert_eq!(protected.failures.count(FailureKind::Closed), 0);
    assert_eq!(protected.get("/a").await.status(), StatusCode::OK);
    until("nothing is left open", || protected.running.server.connections() == 0).await;
}

#[tokio::test]
async fn who_never_finishes_a_handshake_is_cut() {
    let limits =
        ServerLimits { handshake_timeout: Duration::from_millis(200), ..ServerLimits::default() };
    let protected = Protected::start(limits).await;
    let mut silent = protected.running.connect().await;
    let mut slow = protected.running.connect().await;
    slow.write_all(&[0x16]).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut slow).await, "");
    until("both are closed", || protected.running.server.connections() == 0).await;
}

#[tokio::test]
async fn a_client_of_http2_that_takes_nothing_is_cut() {
    let limits =
        ServerLimits { write_stall_timeout: Duration::from_millis(300), ..ServerLimits::default() };
    let protected = Protected::start(limits).await;
    let mut http2 = protected.http2(1000).await;
    let stalled = http2.get("/large").await;
    // A watcher may wait for as long as it likes.
    let patient = protected.http2(1000).await.get("/watch").await;
    timeout(SOON, http2.connection).await.unwrap().unwrap().unwrap_err();
    drop(stalled);
    protected.running.site.events.send(Bytes::from_static(b"event")).unwrap();
    let mut body = patient.into_body();
    let frame = timeout(SOON, body.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "event");
}

#[tokio::test]
async fn watchers_over_http2_end_with_their_client_and_with_the_server() {
    let protected = Protected::start(ServerLimits::default()).await;
    let watchers = || protected.running.site.watchers.load(Ordering::SeqCst);
    let mut http2 = protected.http2(1 << 16).await;
    let first = http2.get("/watch").await;
    let second = http2.get("/watch").await;
    until("both watch", || watchers() == 2).await;
    drop(first);
    until("one is left", || watchers() == 1).await;
    drop((second, http2));
    until("none is left", || watchers() == 0).await;

    let mut http2 = protected.http2(1 << 16).await;
    let watching = http2.get("/watch").await;
    let Protected { running, .. } = protected;
    assert_eq!(running.server.shutdown(SOON).await, 0);
    assert_eq!(watching.into_body().collect().await.unwrap().to_bytes(), "");
}

#[tokio::test]
async fn a_self_made_certificate_is_kept_until_it_names_too_few_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let load = |hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let settings = TlsSettings {
            self_made_for: Some(hosts),
            ..TlsSettings::listening("client", files(&folder), Trust::System)
        };
        Credentials::load(settings).unwrap();
        std::fs::read(files(&folder).certificate).unwrap()
    };
    let first = load(&["localhost", "127.0.0.1"]);
    assert_eq!(load(&["localhost"]), first);
    let second = load(&["localhost", "db.example"]);
    assert_ne!(second, first);
    std::fs::remove_file(files(&folder).key).unwrap();
    assert_ne!(load(&["localhost"]), second);
}
