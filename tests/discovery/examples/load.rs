//! Loads one service: 10,000 tokens, 1,000 open polls, then 100 clusters that form at once beside them. Prints a table and ends.
//!
//! `QUORATE_DISCOVERY_BIN` names the build to measure; arguments are flags for it, such as `--store URL`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use quorate_discovery_tests::{Service, Token, register};
use quorate_harness::{Http, Request};

const TOKENS: usize = 10_000;
const POLLS: usize = 1_000;
/// Each token may have 64 open polls.
const POLLS_PER_TOKEN: usize = 10;
const CLUSTERS: usize = 100;
const MEMBERS: usize = 3;
/// Clients that make tokens at the same time.
const MAKERS: usize = 8;
/// A node gives up after this.
const NODE_PATIENCE: Duration = Duration::from_secs(5);

fn main() {
    let own: Vec<String> = std::env::args().skip(1).collect();
    let mut flags = vec!["--max-polls-per-address=0", "--max-tokens=20000", "--log-level=warn"];
    flags.extend(own.iter().map(String::as_str));
    let service = Service::start(&flags);
    let address = service.process().client_address();
    report(&service, "at the start", &mut Vec::new(), Duration::ZERO);

    let began = Instant::now();
    let (mut times, tokens) = make_tokens(address);
    report(&service, "10,000 tokens made", &mut times, began.elapsed());

    let began = Instant::now();
    let polls = open_polls(address, &tokens);
    report(&service, "1,000 polls opened", &mut Vec::new(), began.elapsed());

    let clusters: Vec<Token> = (0..CLUSTERS).map(|_| service.token(MEMBERS)).collect();
    let began = Instant::now();
    let (mut times, mut formed) = form(address, &clusters);
    report(&service, "100 clusters formed", &mut times, began.elapsed());
    report(&service, "  first to last answer of one", &mut formed, began.elapsed());
    drop(polls);
}

fn make_tokens(address: SocketAddr) -> (Vec<Duration>, Vec<String>) {
    let results: Vec<_> = thread::scope(|scope| {
        let makers: Vec<_> = (0..MAKERS)
            .map(|_| {
                scope.spawn(move || {
                    let http = Http::new(address).keep_alive();
                    let made = (0..TOKENS / MAKERS).map(|_| {
                        let began = Instant::now();
                        let answer = must(http.send(&Request::get("/new?size=3")));
                        assert_eq!(answer.status, 200, "{answer}");
                        (began.elapsed(), answer.text())
                    });
                    made.collect::<Vec<_>>()
                })
            })
            .collect();
        makers.into_iter().flat_map(|maker| must(maker.join().map_err(|_| "a thread"))).collect()
    });
    results.into_iter().unzip()
}

/// Polls as nodes open them, each on a connection of its own.
fn open_polls(address: SocketAddr, tokens: &[String]) -> Vec<TcpStream> {
    let open = |number: usize| {
        let url = &tokens[number / POLLS_PER_TOKEN];
        let path = url.rsplit('/').next().unwrap_or_default();
        let mut stream = must(TcpStream::connect(address));
        let request = format!(
            "GET /{path}?recursive=true&wait=true&waitIndex=2 HTTP/1.1\r\nHost: {address}\r\n\r\n"
        );
        must(stream.write_all(request.as_bytes()));
        let mut head = [0; 12];
        must(stream.read_exact(&mut head));
        assert_eq!(&head, b"HTTP/1.1 200");
        stream
    };
    (0..POLLS).map(open).collect()
}

/// All nodes of all clusters at once. Returns how long each request took that a node does not wait in, and each node.
fn form(address: SocketAddr, clusters: &[Token]) -> (Vec<Duration>, Vec<Duration>) {
    let start = Arc::new(Barrier::new(clusters.len() * MEMBERS));
    let requests = Mutex::new(Vec::new());
    let nodes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for (number, token) in clusters.iter().enumerate() {
            for member in 0..MEMBERS {
                let (start, requests, nodes) = (Arc::clone(&start), &requests, &nodes);
                scope.spawn(move || {
                    let http = Http::new(address).timeout(Duration::from_secs(60)).keep_alive();
                    let mut node = Node { http, token, times: Vec::new() };
                    start.wait();
                    let began = Instant::now();
                    node.join(
                        &format!("{number:x}{member:x}"),
                        &format!("m{member}"),
                        2000 + number * 10 + member,
                    );
                    nodes.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed());
                    requests.lock().unwrap_or_else(PoisonError::into_inner).extend(node.times);
                });
            }
        }
    });
    (requests.into_inner().unwrap_or_default(), nodes.into_inner().unwrap_or_default())
}

/// What an etcd node does, step by step.
struct Node<'a> {
    http: Http,
    token: &'a Token,
    times: Vec<Duration>,
}

impl Node<'_> {
    fn join(&mut self, id: &str, name: &str, port: usize) {
        let path = &self.token.path;
        self.ask(&Request::get(format!(
            "{path}/_config/size?quorum=false&recursive=false&sorted=false"
        )));
        self.ask(&Request::get(format!("{path}?quorum=false&recursive=false&sorted=false")));
        let made = self.ask(&register(self.token, id, &format!("{name}=http://10.0.0.1:{port}")));
        let index = &made["node"]["createdIndex"];
        self.ask(&Request::get(format!("{path}/{id}?recursive=false&wait=true&waitIndex={index}")));
        self.ask(&Request::get(format!(
            "{path}/_config/size?quorum=false&recursive=false&sorted=false"
        )));
        let list =
            self.ask(&Request::get(format!("{path}?quorum=false&recursive=false&sorted=false")));
        let known = list["node"]["nodes"].as_array().cloned().unwrap_or_default();
        let newest = known.iter().filter_map(|node| node["modifiedIndex"].as_u64()).max();
        let (mut count, mut next) = (known.len(), newest.unwrap_or_default() + 1);
        while count < MEMBERS {
            let poll = Request::get(format!("{path}?recursive=true&wait=true&waitIndex={next}"));
            let answer = must(self.http.send(&poll));
            assert_eq!(answer.status, 200, "{answer}");
            if let Some(index) = answer.json()["node"]["modifiedIndex"].as_u64() {
                (count, next) = (count + 1, index + 1);
            }
        }
    }

    fn ask(&mut self, request: &Request) -> serde_json::Value {
        let began = Instant::now();
        let answer = must(self.http.send(request));
        assert!(answer.status < 300, "{request}: {answer}");
        let took = began.elapsed();
        assert!(took < NODE_PATIENCE, "{request} took {took:?}: a node would have ended");
        self.times.push(took);
        answer.json()
    }
}

fn report(service: &Service, what: &str, times: &mut [Duration], took: Duration) {
    times.sort_unstable();
    let quantile = |share: usize| {
        times.get(times.len() * share / 1000).map_or(String::new(), |it| format!("{it:.1?}"))
    };
    let pid = service.process().pid().unwrap_or_default();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let line = format!(
        "{what:<30} {took:>8.1?}  {:>6} answers  p50 {:>8}  p99 {:>8}  max {:>8}  memory {}\n",
        times.len(),
        quantile(500),
        quantile(990),
        times.last().map_or(String::new(), |it| format!("{it:.1?}")),
        memory.trim()
    );
    let _ = std::io::stdout().write_all(line.as_bytes());
}

fn must<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}
