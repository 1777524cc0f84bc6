//! Watches as a client sees them on its connection: headers at once, chunks as events come, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod api_fake;

use std::net::SocketAddr;
use std::time::Duration;

use api_fake::{Fake, Serves, api, serve};
use quorate_core::{Command, Key, Ttl, Value};
use quorate_server::client_api::Access;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Long enough for anything that will happen at all.
const PATIENCE: Duration = Duration::from_secs(20);

fn set(path: &str) -> Command {
    Command::Set {
        key: Key::parse(path.as_bytes()).unwrap(),
        value: Value::from("v"),
        dir: false,
        ttl: Ttl::Permanent,
        refresh: false,
    }
}

async fn member() -> (Fake, SocketAddr) {
    let fake = Fake::new();
    let address = serve(api(&fake, Access::default()).0, Serves::Clients).await;
    (fake, address)
}

/// A connection on which a watch has been asked for.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    async fn watch(address: SocketAddr, target: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: member\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Reads until `text` has come, and returns all that has come with it.
    async fn until(&mut self, text: &str) -> String {
        while !String::from_utf8_lossy(&self.read).contains(text) {
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            let so_far = String::from_utf8_lossy(&self.read);
            assert_ne!(read.expect("nothing came").unwrap(), 0, "closed after {so_far:?}");
        }
        let all = String::from_utf8(std::mem::take(&mut self.read)).unwrap();
        let (until, after) = all.split_at(all.find(text).unwrap() + text.len());
        self.read = after.as_bytes().to_vec();
        until.to_owned()
    }

    /// What comes until the server closes the connection.
    async fn rest(mut self) -> String {
        timeout(PATIENCE, self.stream.read_to_end(&mut self.read)).await.unwrap().unwrap();
        String::from_utf8(self.read).unwrap()
    }
}

async fn until_watchers(fake: &Fake, count: usize) {
    let waited = timeout(PATIENCE, async {
        while fake.hub().watchers() != count {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{} watchers, not {count}", fake.hub().watchers()));
}

#[tokio::test]
async fn a_long_poll_gets_its_headers_at_once_and_one_event() {
    let (fake, address) = member().await;
    let mut client = Client::watch(address, "/v2/keys/a?wait=true").await;
    let head = client.until("\r\n\r\n").await;
    for line in
        ["HTTP/1.1 200 OK", "X-Etcd-Index: 3", "X-Raft-Term: 2", "Transfer-Encoding: chunked"]
    {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert_eq!(fake.hub().watchers(), 1);
    fake.apply(&set("/b")).unwrap();
    fake.apply(&set("/a")).unwrap();
    let body = client.until("\r\n0\r\n\r\n").await;
    let event =
        r#"{"action":"set","node":{"key":"/a","value":"v","modifiedIndex":5,"createdIndex":5}}"#;
    assert_eq!(body, format!("{:X}\r\n{event}\n\r\n0\r\n\r\n", event.len() + 1));
    assert_eq!(fake.hub().watchers(), 0);
}

#[tokio::test]
async fn a_stream_gets_what_it_missed_and_then_what_happens() {
    let (fake, address) = member().await;
    fake.apply(&set("/a")).unwrap();
    fake.apply(&set("/a")).unwrap();
    let target = "/v2/keys/a?wait=true&stream=true&waitIndex=4";
    let mut client = Client::watch(address, target).await;
    for index in 4..20 {
        client.until(&format!("\"modifiedIndex\":{index},")).await;
        if index >= 5 {
            fake.apply(&set("/a")).unwrap();
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_forgotten() {
    let (fake, address) = member().await;
    let mut clients = Vec::new();
    for target in ["/v2/keys/a?wait=true", "/v2/keys/?wait=true&recursive=true&stream=true"] {
        let mut client = Client::watch(address, target).await;
        client.until("\r\n\r\n").await;
        clients.push(client);
    }
    until_watchers(&fake, 2).await;
    clients.pop();
    until_watchers(&fake, 1).await;
    clients.pop();
    until_watchers(&fake, 0).await;
}

#[tokio::test]
async fn a_stopping_member_cuts_watches_short() {
    let (fake, address) = member().await;
    let mut once = Client::watch(address, "/v2/keys/a?wait=true").await;
    once.until("\r\n\r\n").await;
    let mut stream = Client::watch(address, "/v2/keys/?wait=true&recursive=true&stream=true").await;
    stream.until("\r\n\r\n").await;
    fake.apply(&set("/b")).unwrap();
    stream.until("}}\n\r\n").await;
    fake.hub().close();
    // No last chunk: what came is not the whole.
    assert_eq!(once.rest().await, "");
    assert_eq!(stream.rest().await, "");
    let refused = Client::watch(address, "/v2/keys/a?wait=true").await.until("}\n").await;
    assert!(refused.contains("etcdserver: server stopped"), "{refused}");
}

#[tokio::test]
async fn a_stream_that_falls_behind_is_ended_whole() {
    let (fake, address) = member().await;
    let mut client = Client::watch(address, "/v2/keys/?wait=true&recursive=true&stream=true").await;
    client.until("\r\n\r\n").await;
    // The server's task gets no turn in between, so the backlog overflows.
    for _ in 0..300 {
        fake.apply(&set("/a")).unwrap();
    }
    let body = client.until("\r\n0\r\n\r\n").await;
    assert_eq!(body.matches("\"action\":\"set\"").count(), 100);
    assert!(body.contains("\"modifiedIndex\":4,") && body.contains("\"modifiedIndex\":103,"));
}

#[tokio::test]
async fn lost_history_is_refused_and_counted() {
    let fake = Fake::new();
    let (api, registry) = api(&fake, Access::default());
    let address = serve(api, Serves::Clients).await;
    for _ in 0..1100 {
        fake.apply(&set("/a")).unwrap();
    }
    let mut client = Client::watch(address, "/v2/keys/a?wait=true&waitIndex=5").await;
    let answer = client.until("}\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let cause = "the requested history has been cleared [104/5]";
    assert!(answer.contains(&format!("\"cause\":\"{cause}\",\"index\":1103}}")), "{answer}");
    let families = registry.gather();
    let count = |name: &str| {
        let family = families.iter().find(|family| family.name() == name)?;
        Some(family.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum::<f64>())
    };
    assert_eq!(count("etcd_http_failed_total"), Some(1.0));
    assert_eq!(count("etcd_http_received_total"), Some(0.0));
}
