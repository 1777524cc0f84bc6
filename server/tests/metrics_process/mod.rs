//! Members as processes of their own, asked over HTTP. Ports are chosen by the system.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A machine that has other things to do is given this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// A running member; killed when dropped.
pub(crate) struct Process {
    child: RefCell<Child>,
    port: u16,
    _dir: TempDir,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Starts a cluster of `count` members and waits until each serves.
pub(crate) fn start(count: usize) -> Vec<Process> {
    // Held until all are chosen, so that no two are the same.
    let listeners: Vec<TcpListener> =
        (0..2 * count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let ports: Vec<u16> = listeners
        .iter()
        .map(|listener| listener.local_addr().expect("its address").port())
        .collect();
    drop(listeners);
    let (clients, peers) = ports.split_at(count);
    let cluster: Vec<String> = peers
        .iter()
        .enumerate()
        .map(|(at, port)| format!("m{at}=http://127.0.0.1:{port}"))
        .collect();
    let members: Vec<Process> = clients
        .iter()
        .zip(peers)
        .enumerate()
        .map(|(at, (client, peer))| spawn(at, *client, *peer, &cluster.join(",")))
        .collect();
    for member in &members {
        eventually("the member is healthy", || {
            (member.try_request("GET", "/health", "")?.status == 200).then_some(())
        });
    }
    members
}

fn spawn(at: usize, client: u16, peer: u16, cluster: &str) -> Process {
    let dir = TempDir::new().expect("a directory");
    let log = File::create(dir.path().join("log")).expect("a file");
    let client_url = format!("http://127.0.0.1:{client}");
    let peer_url = format!("http://127.0.0.1:{peer}");
    let child = Command::new(env!("CARGO_BIN_EXE_quorate-server"))
        .args(["--name", &format!("m{at}"), "--initial-cluster", cluster])
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
        .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .spawn()
        .expect("the program starts");
    Process { child: RefCell::new(child), port: client, _dir: dir }
}

/// What `look` finds, once it finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(PAUSE);
    }
}

impl Process {
    /// Asks, and expects an answer.
    pub(crate) fn request(&self, method: &str, path: &str, form: &str) -> Answer {
        self.try_request(method, path, form).expect("an answer")
    }

    fn try_request(&self, method: &str, path: &str, form: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let length = form.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, body: body.to_owned() })
    }

    /// Writes a key.
    pub(crate) fn put(&self, key: &str, value: &str) {
        let answer = self.request("PUT", &format!("/v2/keys/{key}"), &format!("value={value}"));
        assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.body);
    }

    /// The page of metrics.
    pub(crate) fn page(&self) -> String {
        self.request("GET", "/metrics", "").body
    }

    /// The value of a series, by its name and labels as they are on the page; none if it, or the member, is not there.
    pub(crate) fn sample(&self, series: &str) -> Option<f64> {
        let page = self.try_request("GET", "/metrics", "")?.body;
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value?.parse().ok()
    }

    /// Ends the process without a warning.
    pub(crate) fn kill(&self) {
        let mut child = self.child.borrow_mut();
        // An error means that it has ended.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
