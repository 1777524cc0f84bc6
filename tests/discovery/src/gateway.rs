//! A gateway between machines and the service, which does something at the N-th request of a machine: before it is passed on, or
//! after it was answered and before the machine hears of it.
//!
//! It is what the machines are given as the service, so that they know nothing of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use quorate_harness::{Answer, Http, Request};

/// Longer than the service holds a poll.
const POLL_TIMEOUT: Duration = Duration::from_secs(90);

/// When something is done about a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum When {
    /// The service has not seen it.
    Before,
    /// The service has carried it out, and the machine does not know.
    After,
}

type Action = Box<dyn FnOnce() + Send>;

/// See the module. Its threads end with the test's process.
pub struct Gateway {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    service: SocketAddr,
    seen: AtomicUsize,
    plan: Mutex<Option<(usize, When, Action)>>,
}

impl Gateway {
    /// A gateway to the service at `service`.
    #[track_caller]
    #[must_use]
    pub fn open(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
        let seen = AtomicUsize::new(0);
        let state = Arc::new(State { service, seen, plan: Mutex::default() });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.serve(&stream));
            }
        });
        Self { address, state }
    }

    /// A URL of the service as it is called here.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Does `action` once, at the N-th request from now on (counted from 1), which is then not answered.
    pub fn plan(&self, at: usize, when: When, action: impl FnOnce() + Send + 'static) {
        self.state.seen.store(0, Ordering::SeqCst);
        let plan: (usize, When, Action) = (at, when, Box::new(action));
        *self.state.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    }

    /// Whether the planned action has been done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state.plan.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl State {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader) {
            let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
            if self.act(number, When::Before) {
                return;
            }
            let answer = Http::new(self.service).timeout(POLL_TIMEOUT).send(&request);
            if self.act(number, When::After) {
                return;
            }
            // A service that is away is a connection that breaks.
            let Ok(answer) = answer else { return };
            if (&mut &*stream).write_all(&render(&answer)).is_err() {
                return;
            }
        }
    }

    /// Whether it was time to.
    fn act(&self, number: usize, when: When) -> bool {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due =
            plan.as_ref().is_some_and(|(at, planned, _)| *at == number && *planned == when);
        if is_due && let Some((.., action)) = plan.take() {
            action();
        }
        is_due
    }
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let mut request = Request::new(words.next()?, words.next()?);
    let (mut length, mut kind) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "content-type" => value.trim().clone_into(&mut kind),
            "authorization" => request = request.header(name, value.trim()),
            _ => {}
        }
    }
    if length > 0 {
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        request = request.body(&kind, body);
    }
    Some(request)
}

fn render(answer: &Answer) -> Vec<u8> {
    let mut text = format!("{}\r\nContent-Length: {}\r\n", answer.status_line, answer.body.len());
    for (name, value) in &answer.headers {
        if !["content-length", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str()) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    let mut bytes = format!("{text}\r\n").into_bytes();
    bytes.extend_from_slice(&answer.body);
    bytes
}
