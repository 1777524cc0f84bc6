//! An HTTP proxy for tests: plain requests with a whole URL, and tunnels. Whatever the host is called, it is this machine.
//!
//! Invariant: it listens on a loopback port chosen by the system; its threads end with the test's process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// See the module.
pub struct HttpProxy {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    tunnels: AtomicUsize,
    /// All that was asked of the proxy itself.
    heads: Mutex<String>,
}

impl HttpProxy {
    /// Starts one.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let noting = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let noting = Arc::clone(&noting);
                thread::spawn(move || noting.serve(stream));
            }
        });
        Self { address, seen }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many plain requests were passed on.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// How many tunnels were made.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.seen.tunnels.load(Ordering::Relaxed)
    }

    /// All that it was told.
    #[must_use]
    pub fn heads(&self) -> String {
        self.seen.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Seen {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            if line.trim().is_empty() {
                break;
            }
            lines.push(line);
        }
        let first = lines.first()?.clone();
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).push_str(&lines.concat());
        let mut words = first.split_whitespace();
        let (method, target) = (words.next()?, words.next()?);
        let mut client = stream;
        let server = if method == "CONNECT" {
            self.tunnels.fetch_add(1, Ordering::Relaxed);
            let server = connect(target)?;
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
            server
        } else {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let (authority, path) = target.strip_prefix("http://")?.split_once('/')?;
            let mut server = connect(authority)?;
            lines[0] = format!("{method} /{path} HTTP/1.1\r\n");
            server.write_all(format!("{}\r\n", lines.concat()).as_bytes()).ok()?;
            server
        };
        let mut back = (server.try_clone().ok()?, client.try_clone().ok()?);
        thread::spawn(move || {
            let _ = std::io::copy(&mut back.0, &mut back.1);
            let _ = back.1.shutdown(Shutdown::Write);
        });
        let mut to = server;
        let _ = std::io::copy(&mut reader, &mut to);
        to.shutdown(Shutdown::Write).ok()
    }
}

fn connect(authority: &str) -> Option<TcpStream> {
    let port = authority.rsplit_once(':')?.1.parse().ok()?;
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()
}
