//! The least a server can do: answers every request at once on one thread, so that the generator itself is measured.
//!
//! It knows watches (held until the next PUT) and can be told to stall, which is how the tests prove that a stall is
//! seen. It keeps nothing. Not a v2 server: it looks at the method, `wait=true` and the body's length only.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::drive::Poller;

const LISTENER: usize = usize::MAX - 1;

/// How often it looks whether it should stop.
const STOP_LOOK_EVERY: Duration = Duration::from_millis(20);

/// A request bigger than this is refused by closing the connection.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

const WATCH_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 1234\r\nTransfer-Encoding: chunked\r\n\r\n";
const WATCH_EVENT: &[u8] = b"11\r\n{\"action\":\"set\"}\n\r\n0\r\n\r\n";

/// A pause the responder makes, once.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// After this many requests.
    pub after_requests: u64,
    /// For so long.
    pub span: Duration,
}

/// A running responder; ends when dropped.
#[derive(Debug)]
pub struct Responder {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Starts on a port of the system's choice; `prepare` runs first on its thread (to pin it to a core).
    ///
    /// # Errors
    /// When there is no port, thread or file descriptor left.
    pub fn start(
        stall: Option<Stall>,
        prepare: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let poller = Poller::new()?;
        poller.watch_reads(&listener, LISTENER)?;
        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicU64::new(0));
        let mut service = Service {
            listener,
            poller,
            clients: Vec::new(),
            waiting: Vec::new(),
            answer: answer(address),
            stall,
            served: Arc::clone(&served),
            buffer: vec![0; REQUEST_BYTES_MAX],
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("responder".to_owned()).spawn(move || {
            prepare();
            let mut ready = Vec::new();
            while !stopped.load(Ordering::Relaxed) && service.turn(&mut ready).is_ok() {}
        })?;
        Ok(Self { address, stop, served, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests it has seen.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

struct Service {
    listener: TcpListener,
    poller: Poller,
    clients: Vec<Option<Client>>,
    /// Tokens of the clients that wait for an event.
    waiting: Vec<usize>,
    answer: Vec<u8>,
    stall: Option<Stall>,
    served: Arc<AtomicU64>,
    buffer: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    /// The beginning of a request whose end has not come.
    partial: Vec<u8>,
}

impl Service {
    fn turn(&mut self, ready: &mut Vec<usize>) -> io::Result<()> {
        self.poller.wait(STOP_LOOK_EVERY, ready)?;
        for token in ready.iter() {
            if *token == LISTENER {
                self.accept()?;
            } else if !self.serve(*token)
                && let Some(client) = self.clients.get_mut(*token)
            {
                *client = None;
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            self.poller.watch_reads(&stream, self.clients.len())?;
            self.clients.push(Some(Client { stream, partial: Vec::new() }));
        }
    }

    /// Serves what `token` has sent; false when it is gone.
    fn serve(&mut self, token: usize) -> bool {
        let Some(Some(client)) = self.clients.get_mut(token) else { return true };
        let count = match client.stream.read(&mut self.buffer) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let request = self.buffer.get(..count).unwrap_or_default();
        let what = if client.partial.is_empty() {
            Request::read(request)
        } else {
            client.partial.extend_from_slice(request);
            Request::read(&client.partial)
        };
        if what == Request::Incomplete {
            if client.partial.is_empty() {
                client.partial.extend_from_slice(request);
            }
            return client.partial.len() < REQUEST_BYTES_MAX;
        }
        client.partial.clear();
        let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(stall) = self.stall.take_if(|stall| served >= stall.after_requests) {
            thread::sleep(stall.span);
        }
        // Answers are far smaller than a socket's send buffer, so a short write cannot happen to a client that reads.
        if what == Request::Watch {
            self.waiting.push(token);
            return client.stream.write_all(WATCH_HEAD).is_ok();
        }
        let alive = client.stream.write_all(&self.answer).is_ok();
        if what == Request::Put {
            self.publish();
        }
        alive
    }

    fn publish(&mut self) {
        for token in self.waiting.drain(..) {
            if let Some(Some(client)) = self.clients.get_mut(token) {
                let _gone = client.stream.write_all(WATCH_EVENT);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Request {
    Incomplete,
    Put,
    Watch,
    Other,
}

impl Request {
    fn read(bytes: &[u8]) -> Self {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Self::Incomplete;
        };
        let (head, body) = bytes.split_at(end + 4);
        if head.starts_with(b"PUT ") {
            return if body.len() < content_length(head) { Self::Incomplete } else { Self::Put };
        }
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        if line.windows(9).any(|window| window == b"wait=true") { Self::Watch } else { Self::Other }
    }
}

/// The one answer. It names the responder as its own leader, for whoever asked that.
fn answer(address: SocketAddr) -> Vec<u8> {
    let body = format!("{{\"action\":\"set\",\"clientURLs\":[\"http://{address}\"]}}\n");
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Etcd-Cluster-Id: cdf818194e3a8c32\r\n\
         X-Etcd-Index: 1234\r\nX-Raft-Index: 4321\r\nX-Raft-Term: 2\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\nContent-Length: ";
    let Some(at) = head.windows(NAME.len()).position(|window| window == NAME) else { return 0 };
    let digits = head.get(at + NAME.len()..).unwrap_or_default();
    digits.iter().take_while(|byte| byte.is_ascii_digit()).fold(0, |length: usize, byte| {
        length.saturating_mul(10).saturating_add(usize::from(byte - b'0'))
    })
}
