//! Golden dialogues: requests as bytes on a connection, and what comes back.
//!
//! Each file in `testdata/api` is one dialogue with a fresh member. `QUORATE_RECORD=1` writes what this server answers into the files;
//! `QUORATE_RECORD=etcd` writes what `/usr/bin/etcd` answers into those whose name begins with `etcd_`, which are the reference.
//! `cargo test -- --ignored` compares the reference files with a running etcd.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod api_fake;

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use api_fake::{CLIENT_URL, Fake, OWN_ID, PEER_URL, Serves, api, exchange, serve};
use quorate_server::client_api::Access;

/// Separates a request from the answer.
const ARROW: &str = "-->";
/// Separates exchanges.
const RULE: &str = "----";

#[tokio::test]
async fn dialogues_go_as_recorded() {
    let record = std::env::var("QUORATE_RECORD").is_ok_and(|value| value == "1");
    for path in scripts("") {
        let fake = Fake::new();
        let address = serve(api(&fake, access_of(&path)).0, Serves::Clients).await;
        let own = Names {
            id: OWN_ID.to_string(),
            client: CLIENT_URL.to_owned(),
            peer: PEER_URL.to_owned(),
        };
        play(&path, address, &own, record).await;
    }
}

#[tokio::test]
#[ignore = "needs /usr/bin/etcd 3.4 and takes a while"]
async fn etcd_answers_the_same() {
    let record = std::env::var("QUORATE_RECORD").is_ok_and(|value| value == "etcd");
    for path in scripts("etcd_") {
        let etcd = Etcd::start(&path);
        play(&path, etcd.address, &etcd.names(), record).await;
    }
}

fn scripts(prefix: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/api");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(prefix);
    let mut scripts: Vec<PathBuf> = entries.filter(named).collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "no dialogues found");
    scripts
}

/// One dialogue is about callers from elsewhere.
fn access_of(path: &Path) -> Access {
    if path.file_stem().unwrap() != "etcd_access" {
        return Access::default();
    }
    Access {
        origins: Some(vec!["http://a:1".to_owned(), "http://b:1".to_owned()]),
        hosts: Some(vec!["foo".to_owned(), "member".to_owned()]),
    }
}

/// What differs between servers and is left out of the recordings.
struct Names {
    id: String,
    client: String,
    peer: String,
}

async fn play(path: &Path, address: SocketAddr, names: &Names, record: bool) {
    let script = std::fs::read_to_string(path).unwrap();
    let mut played = String::new();
    for block in script.split(&format!("{RULE}\n")) {
        let request = block.split_once(&format!("{ARROW}\n")).map_or(block, |(request, _)| request);
        let bytes = request_bytes(request, names);
        let answer = tokio::time::timeout(Duration::from_secs(30), exchange(address, &bytes)).await;
        let answer =
            answer.unwrap_or_else(|_| panic!("{}: no answer to\n{request}", path.display()));
        if !played.is_empty() {
            writeln!(played, "{RULE}").unwrap();
        }
        writeln!(played, "{}{ARROW}\n{}", request, normal(&answer, names)).unwrap();
    }
    if record {
        std::fs::write(path, played).unwrap();
        return;
    }
    if played != script {
        let differs = played.lines().zip(script.lines()).position(|(new, old)| new != old);
        let at = differs.unwrap_or(0);
        let context = |text: &str| {
            text.lines().skip(at.saturating_sub(12)).take(24).collect::<Vec<_>>().join("\n")
        };
        panic!(
            "{}, line {}:\n=== now\n{}\n=== recorded\n{}\n(QUORATE_RECORD=1 records anew)",
            path.display(),
            at + 1,
            context(&played),
            context(&script)
        );
    }
}

/// A request: `METHOD target`, then header lines, then `| ` lines of body. `form` and `json` before the bar give its type.
fn request_bytes(request: &str, names: &Names) -> Vec<u8> {
    let request = request.replace("<id>", &names.id).replace("<peer>", &names.peer);
    let mut lines = request.lines().filter(|line| !line.starts_with('#'));
    let mut head = format!("{} HTTP/1.1\r\nConnection: close\r\n", lines.next().unwrap());
    let mut body = Vec::new();
    for line in lines {
        if let Some((kind, text)) = line.split_once("| ") {
            body = text.replace("\\xff", "\u{1}").into_bytes();
            // The script is text; this is its one byte that is not.
            body.iter_mut().filter(|byte| **byte == 1).for_each(|byte| *byte = 0xff);
            match kind {
                "form" => head.push_str("Content-Type: application/x-www-form-urlencoded\r\n"),
                "json" => head.push_str("Content-Type: application/json\r\n"),
                _ => {}
            }
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        } else {
            write!(head, "{line}\r\n").unwrap();
        }
    }
    if !head.contains("Host:") {
        head.push_str("Host: member\r\n");
    }
    head.push_str("\r\n");
    [head.into_bytes(), body].concat()
}

/// The answer without what differs from run to run and from server to server.
fn normal(answer: &[u8], names: &Names) -> String {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let mut out = format!("{}\n", lines.next().unwrap());
    let mut headers: Vec<String> = lines.map(str::to_owned).collect();
    headers.sort();
    let chunked = headers.iter().any(|header| header == "Transfer-Encoding: chunked");
    let any_origin = headers.iter().any(|header| header == "Access-Control-Allow-Origin: *");
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        match name {
            "Date" | "Connection" => {}
            name if any_origin && name.starts_with("Access-Control-") => {}
            "X-Etcd-Cluster-Id" | "X-Raft-Index" | "X-Raft-Term" => {
                writeln!(out, "{name}: *").unwrap();
            }
            // Names and times differ in length.
            "Content-Length" if value != "0" => {}
            _ => writeln!(out, "{name}: {value}").unwrap(),
        }
    }
    out.push('\n');
    let body = if chunked { unchunked(body) } else { body.to_vec() };
    let body = String::from_utf8(body).unwrap();
    let body = body
        .replace(&names.id, "<id>")
        .replace(&names.client, "<client>")
        .replace(&names.peer, "<peer>");
    out.push_str(&blank(
        &blank(&blank(&body, "\"expiration\":\""), "\"startTime\":\""),
        "\"uptime\":\"",
    ));
    if !body.ends_with('\n') {
        out.push_str("<no newline>");
    }
    out.trim_end_matches('\n').to_owned()
}

/// Replaces what follows each `marker` up to the next quote.
fn blank(text: &str, marker: &str) -> String {
    let mut parts = text.split(marker);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once('"').map_or("", |(_, rest)| rest);
        write!(out, "{marker}*\"{rest}").unwrap();
    }
    out
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    panic!("the last chunk is missing");
}

/// A fresh etcd of one member.
struct Etcd {
    process: Child,
    address: SocketAddr,
    peer: SocketAddr,
    _data: tempfile::TempDir,
}

impl Etcd {
    fn start(script: &Path) -> Self {
        let (address, peer) = (free_port(), free_port());
        let data = tempfile::tempdir().unwrap();
        let (client_url, peer_url) = (format!("http://{address}"), format!("http://{peer}"));
        let mut command = Command::new("/usr/bin/etcd");
        command.args(["--name", "ref", "--enable-v2", "--data-dir"]).arg(data.path());
        command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
        command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
        command.args([
            "--initial-cluster",
            &format!("ref={peer_url}"),
            "--strict-reconfig-check=false",
        ]);
        if script.file_stem().unwrap() == "etcd_access" {
            command.args(["--cors", "http://a:1,http://b:1", "--host-whitelist", "foo,member"]);
        }
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let etcd = Self { process, address, peer, _data: data };
        etcd.wait_until_index_3();
        etcd
    }

    fn wait_until_index_3(&self) {
        use std::io::{Read as _, Write as _};
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Ok(mut stream) = std::net::TcpStream::connect(self.address) {
                let request = "GET /v2/keys HTTP/1.1\r\nHost: member\r\nConnection: close\r\n\r\n";
                let mut answer = String::new();
                let asked = stream.write_all(request.as_bytes());
                if asked.is_ok()
                    && stream.read_to_string(&mut answer).is_ok()
                    && answer.contains("X-Etcd-Index: 3")
                {
                    return;
                }
            }
            std::thread::yield_now();
        }
        panic!("etcd did not come up");
    }

    fn names(&self) -> Names {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(self.address).unwrap();
        stream
            .write_all(b"GET /v2/members HTTP/1.1\r\nHost: member\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let id = answer
            .split("\"id\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap()
            .to_owned();
        Names {
            id,
            client: format!("http://{}", self.address),
            peer: format!("http://{}", self.peer),
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
