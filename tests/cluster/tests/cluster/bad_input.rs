//! Garbage, strangers and slow connections, at both ports: the member answers or hangs up, and stays well.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use quorate_cluster_tests::{agreed_store, turn};
use quorate_harness::{Http, Request, Seeded};
use serde_json::Value;

use crate::{SOON, quorate};

/// Connections held open half-way: more than a careless server has threads or patience for.
const HALF_OPEN: usize = 800;

#[test]
fn garbage_at_both_ports_harms_nobody() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let mut rng = Seeded::from_environment("garbage");
    let member = cluster.member(0);
    for address in [member.peer_address(), member.client_address()] {
        for _ in 0..60 {
            let Ok(mut stream) = TcpStream::connect(address) else {
                panic!("{address} accepts nobody")
            };
            let length = rng.below(4000) as usize + 1;
            let mut bytes: Vec<u8> = (0..length).map(|_| rng.bits() as u8).collect();
            if rng.one_in(2) {
                bytes.splice(
                    0..0,
                    b"GET /quorate/peer HTTP/1.1\r\nHost: x\r\nUpgrade: ".iter().copied(),
                );
            }
            // Errors mean that the server hung up in between, which is an answer.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            stream.set_read_timeout(Some(SOON)).expect("a timeout");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
        }
    }
    assert_well(&cluster);
}

#[test]
fn a_stranger_is_told_why_it_is_not_let_in() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let member = cluster.member(0);
    let formation = Http::new(member.peer_address())
        .send(&Request::get("/quorate/formation"))
        .expect("answers")
        .json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (own, id) = (text(&formation["member"]), text(&formation["cluster"]));
    let peer = formation["members"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|it| text(&it["id"]) != own)
        .expect("a peer");
    let (sender, incarnation) = (text(&peer["id"]), hex(&peer["incarnation"]));
    let good = [
        ("quorate-peer-protocol", formation["protocol"].to_string()),
        ("quorate-cluster", id),
        ("quorate-member", sender),
        ("quorate-incarnation", incarnation),
        ("quorate-target", own),
        ("quorate-class", "heartbeat".to_owned()),
    ];
    let wrong = [
        ("quorate-peer-protocol", "99", 426, "version"),
        ("quorate-cluster", "1234", 412, "cluster"),
        ("quorate-member", "1234", 403, "no member"),
        ("quorate-incarnation", "1234", 409, "another data directory"),
        ("quorate-target", "1234", 421, "looks for member"),
        ("quorate-class", "nonsense", 400, "class"),
    ];
    for (name, value, status, reason) in wrong {
        let mut request = Request::get("/quorate/peer")
            .header("connection", "upgrade")
            .header("upgrade", "quorate-peer/1");
        for (header, right) in &good {
            request = request.header(header, if *header == name { value } else { right });
        }
        let answer = Http::new(member.peer_address()).send(&request).expect("an answer");
        assert_eq!(answer.status, status, "{name}: {answer}");
        let message = text(&answer.json()["message"]);
        assert!(message.contains(reason), "{name}: `{message}` does not say `{reason}`");
    }
    admitted_peer_sends_garbage(member.peer_address(), &good);
    assert_well(&cluster);
}

fn hex(number: &Value) -> String {
    number.as_u64().map_or_else(
        || number.as_str().unwrap_or_default().to_owned(),
        |number| format!("{number:x}"),
    )
}

/// Whoever passes the handshake and then sends what is no frame is hung up on.
fn admitted_peer_sends_garbage(address: SocketAddr, good: &[(&str, String)]) {
    for garbage in [&[0xff_u8; 64][..], &[0; 64], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).expect("a connection");
        let headers: String =
            good.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let hello = format!(
            "GET /quorate/peer HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: quorate-peer/1\r\n{headers}\r\n"
        );
        stream.write_all(hello.as_bytes()).expect("a hello");
        stream.write_all(garbage).expect("garbage");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        assert!(
            ended.is_ok()
                || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset),
            "the member listens on after {garbage:?}"
        );
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn requests_beyond_all_measure_are_refused() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let http = cluster.http();
    let deep = "/a".repeat(100_000);
    let answers = [
        http.send(&Request::get(format!("/v2/keys{deep}"))),
        http.send(&Request::put("/v2/keys/deep", &format!("value={}", "v".repeat(11 << 20)))),
        http.send(&Request::get("/v2/keys/k").header("X-Large", &"h".repeat(2 << 20))),
    ];
    for answer in answers {
        match answer {
            Ok(answer) => assert!((400..500).contains(&answer.status), "{}", answer.status_line),
            Err(error) => eprintln!("hung up on: {error}"),
        }
    }
    let medium = "/a".repeat(1500);
    let answer =
        http.send(&Request::put(format!("/v2/keys{medium}"), "value=v")).expect("an answer");
    assert!((400..500).contains(&answer.status), "{}", answer.status_line);
    assert_well(&cluster);
}

#[test]
fn many_half_open_connections_are_borne() {
    let _turn = turn::shared();
    let cluster = quorate(3).start();
    let member = cluster.member(0);
    let mut held = Vec::new();
    for at in 0..HALF_OPEN {
        let address = if at % 2 == 0 { member.client_address() } else { member.peer_address() };
        let mut stream = TcpStream::connect(address).expect("a connection");
        match at % 3 {
            0 => {}
            1 => stream.write_all(b"GET /v2/keys/k HTTP/1.1\r\nHost").expect("half a header"),
            _ => stream
                .write_all(b"PUT /v2/keys/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nva")
                .expect("half a body"),
        }
        held.push(stream);
    }
    assert_well(&cluster);
    // Slow headers are given up on; the first of them is among the oldest.
    let slow = &mut held[1];
    slow.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).expect("the member hangs up");
    drop(held);
    assert_well(&cluster);
}

#[track_caller]
fn assert_well(cluster: &quorate_harness::Cluster) {
    for member in cluster.members() {
        assert!(member.is_ready(), "{} is not well: {}", member.name(), member.log_tail());
        let written = Http::new(member.client_address())
            .timeout(SOON)
            .send(&Request::put("/v2/keys/well", "value=v"));
        assert!(written.is_ok_and(|answer| (200..300).contains(&answer.status)));
    }
    agreed_store(&cluster.members(), SOON);
}
