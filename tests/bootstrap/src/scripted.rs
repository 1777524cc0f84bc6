//! A discovery service of one token that does what a script says: the part of etcd's v2 API that its discovery protocol
//! uses, with faults at chosen steps.
//!
//! Invariant: what is registered is what was written, in order, with an index for each; a fault replaces an answer and, if it
//! says so, happens after the write. Each request is counted by its step, so that a test can say "the third listing".

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What a request is for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// `GET .../_config/size`
    Size,
    /// `GET ...`
    List,
    /// `PUT .../ID`
    Register,
    /// `DELETE .../ID`
    Leave,
    /// `GET ...?wait=true`
    Watch,
}

/// What is done instead of an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status and body.
    Answer(u16, &'static str),
    /// The write is done, and then this status and body.
    AfterDoing(u16, &'static str),
    /// Nothing at all until the client gives up.
    Stall,
    /// The connection ends.
    Drop,
    /// A redirect to this place.
    Redirect(String),
}

type Script = dyn Fn(Step, usize) -> Option<Fault> + Send + Sync;

/// See the module.
pub struct Scripted {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    script: Box<Script>,
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    size: String,
    /// Key to value and index, in order of their creation.
    entries: Vec<(String, String, u64)>,
    index: u64,
    counts: BTreeMap<Step, usize>,
}

/// How long a poll lasts without news: short, so that its end is tested too.
const POLL: Duration = Duration::from_secs(2);
/// A client that never gives up must not keep the thread for ever.
const STALL_MAX: Duration = Duration::from_secs(30);

impl Scripted {
    /// Starts a token of `size`, and asks `script` for a fault before each answer, with the step and how often it came.
    #[track_caller]
    pub fn start(
        size: &str,
        script: impl Fn(Step, usize) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State { size: size.to_owned(), index: 4, ..State::default() };
        let shared = Arc::new(Shared {
            script: Box::new(script),
            state: Mutex::new(state),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.serve(stream));
            }
        });
        Self { shared, address }
    }

    /// The token's URL.
    pub fn url(&self) -> String {
        format!("http://{}/v2/keys/_etcd/registry/token", self.address)
    }

    /// Writes a registration of somebody else's.
    pub fn register(&self, key: &str, value: &str) {
        let mut state = self.state();
        state.add(key, value);
        self.shared.changed.notify_all();
    }

    /// Removes a registration.
    pub fn remove(&self, key: &str) {
        self.state().entries.retain(|(found, ..)| found != key);
    }

    /// Key and value of all registrations.
    pub fn entries(&self) -> Vec<(String, String)> {
        self.state().entries.iter().map(|(key, value, _)| (key.clone(), value.clone())).collect()
    }

    /// How often a step was asked for.
    pub fn count(&self, step: Step) -> usize {
        self.state().counts.get(&step).copied().unwrap_or_default()
    }

    /// Ends it: nothing listens there from now on.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    fn add(&mut self, key: &str, value: &str) -> u64 {
        self.index += 1;
        self.entries.push((key.to_owned(), value.to_owned(), self.index));
        self.index
    }

    fn listing(&self) -> String {
        let nodes = self.entries.iter().map(|(key, value, index)| node(key, value, *index));
        let nodes = nodes.collect::<Vec<_>>().join(",");
        format!(
            r#"{{"action":"get","node":{{"key":"/_etcd/registry/token","dir":true,"nodes":[{nodes}],"modifiedIndex":4,"createdIndex":4}}}}"#
        )
    }
}

fn node(key: &str, value: &str, index: u64) -> String {
    let value = serde_json::Value::from(value);
    format!(
        r#"{{"key":"/_etcd/registry/token/{key}","value":{value},"modifiedIndex":{index},"createdIndex":{index}}}"#
    )
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request; then the connection is closed.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (step, key) = step_of(&method, &target);
        let nth = {
            let mut state = self.state();
            let count = state.counts.entry(step).or_default();
            *count += 1;
            *count
        };
        let reply = match (self.script)(step, nth) {
            Some(Fault::Drop) => return None,
            Some(Fault::Stall) => {
                stream.set_read_timeout(Some(STALL_MAX)).ok()?;
                let _ = stream.read(&mut [0]);
                return None;
            }
            Some(Fault::Answer(status, body)) => (status, body.to_owned(), String::new()),
            Some(Fault::AfterDoing(status, text)) => {
                self.answer(step, &key, &target, &body);
                (status, text.to_owned(), String::new())
            }
            Some(Fault::Redirect(to)) => (307, String::new(), format!("Location: {to}\r\n")),
            None => self.answer(step, &key, &target, &body),
        };
        let (status, body, headers) = reply;
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).ok()
    }

    fn answer(&self, step: Step, key: &str, target: &str, body: &[u8]) -> (u16, String, String) {
        let mut state = self.state();
        let header = |index: u64| format!("X-Etcd-Index: {index}\r\n");
        match step {
            Step::Size => {
                let size = serde_json::Value::from(state.size.clone());
                let text = format!(
                    r#"{{"action":"get","node":{{"key":"/_etcd/registry/token/_config/size","value":{size},"modifiedIndex":4,"createdIndex":4}}}}"#
                );
                (200, text, header(state.index))
            }
            Step::List => (200, state.listing(), header(state.index)),
            Step::Register => {
                if state.entries.iter().any(|(found, ..)| found == key) {
                    let text = format!(
                        r#"{{"errorCode":105,"message":"Key already exists","cause":"/_etcd/registry/token/{key}","index":{}}}"#,
                        state.index
                    );
                    return (412, text, header(state.index));
                }
                let value = unescaped(body.strip_prefix(b"value=").unwrap_or_default());
                let index = state.add(key, &value);
                self.changed.notify_all();
                let text = format!(r#"{{"action":"create","node":{}}}"#, node(key, &value, index));
                (201, text, header(index))
            }
            Step::Leave => {
                state.entries.retain(|(found, ..)| found != key);
                (
                    200,
                    r#"{"action":"compareAndDelete","node":{"key":"/x"}}"#.to_owned(),
                    header(state.index),
                )
            }
            Step::Watch => {
                let from = target.rsplit_once("waitIndex=").and_then(|(_, n)| n.parse().ok());
                let from: u64 = from.unwrap_or_default();
                let waited = self.changed.wait_timeout_while(state, POLL, |state| {
                    !state.entries.iter().any(|(.., index)| *index >= from)
                });
                let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                let found = state.entries.iter().find(|(.., index)| *index >= from);
                let text = found.map(|(key, value, index)| {
                    format!(r#"{{"action":"create","node":{}}}"#, node(key, value, *index))
                });
                (200, text.unwrap_or_default(), header(from))
            }
        }
    }
}

fn step_of(method: &str, target: &str) -> (Step, String) {
    let path = target.split('?').next().unwrap_or_default();
    let key = path.rsplit('/').next().unwrap_or_default().to_owned();
    let step = match method {
        "PUT" => Step::Register,
        "DELETE" => Step::Leave,
        _ if path.ends_with("/_config/size") => Step::Size,
        _ if target.contains("wait=true") => Step::Watch,
        _ => Step::List,
    };
    (step, key)
}

fn unescaped(text: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
            let digits = String::from_utf8_lossy(&digits).into_owned();
            bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
