//! The service's DNS and its feed for Prometheus, asked by dig and by Prometheus: what they tell follows a cluster's membership.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use quorate_discovery_tests::{
    Service, Token, ZONE, bearer, dig, dig_short, dig_status, skip_without_dig,
};
use quorate_harness::{Cluster, Program, Request, wait_until};
use serde_json::{Value, json};

/// Records that were just read are told for a few seconds more.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(40);
const SOON: Duration = Duration::from_secs(60);

/// A sealed token of two members, which do not report.
fn sealed(service: &Service) -> Token {
    let token = service.token(2);
    for (id, value) in [("a1", "one=http://10.0.0.1:2380"), ("b2", "two=http://10.0.0.2:2380")] {
        assert_eq!(service.register(&token, id, value).status, 201);
    }
    token
}

/// A membership of members `n` at `10.0.0.n`.
fn membership(index: u64, numbers: impl IntoIterator<Item = u8>) -> Value {
    let member = |n: u8| {
        json!({
            "id": format!("{n:x}"),
            "name": format!("n{n}"),
            "peer_urls": [format!("http://10.0.0.{n}:2380")],
            "client_urls": [format!("http://10.0.0.{n}:2379")],
        })
    };
    let members: Vec<Value> = numbers.into_iter().map(member).collect();
    json!({"progress": "started", "membership": {"index": index, "members": members}})
}

fn name(service: &str, token: &Token) -> String {
    format!("_{service}._tcp.{}.{ZONE}", token.id)
}

#[test]
fn the_records_follow_the_membership() {
    if skip_without_dig() {
        return;
    }
    let service = Service::with_dns(&[]);
    let at = service.dns();
    let waiting = service.token(2);
    service.register(&waiting, "a1", "one=http://10.0.0.1:2380");
    let token = sealed(&service);
    let servers = name("etcd-server", &token);
    let host = |id: &str| format!("{id}.{}.{ZONE}", token.id);
    assert_eq!(
        dig_short(at, &servers, "SRV"),
        [format!("0 0 2380 {}.", host("a1")), format!("0 0 2380 {}.", host("b2"))]
    );
    assert_eq!(dig_short(at, &host("a1"), "A"), ["10.0.0.1"]);
    assert_eq!(dig_status(at, &[&host("a1"), "AAAA"]), "NOERROR");
    // Nothing is known of where clients reach them.
    assert_eq!(dig_status(at, &[&name("etcd-client", &token), "SRV"]), "NXDOMAIN");
    // One joins, which has no place in the token.
    assert_eq!(service.report(&token, "a1", &membership(9, [1, 2, 3])).status, 204);
    wait_until("three are told", FOLLOWED_WITHIN, || dig_short(at, &servers, "SRV").len() == 3);
    assert_eq!(dig_short(at, &name("etcd-client", &token), "SRV").len(), 3);
    // One leaves, by the word of another; who has not heard of it yet does not bring it back.
    assert_eq!(service.report(&token, "b2", &membership(12, [2, 3])).status, 204);
    assert_eq!(service.report(&token, "a1", &membership(9, [1, 2, 3])).status, 204);
    wait_until("two are told", FOLLOWED_WITHIN, || dig_short(at, &servers, "SRV").len() == 2);
    assert_eq!(dig_status(at, &[&host("1"), "A"]), "NXDOMAIN");
    // A token that waits, one that is not there, and one that is revoked.
    assert_eq!(dig_status(at, &[&name("etcd-server", &waiting), "SRV"]), "NXDOMAIN");
    let unknown = format!("_etcd-server._tcp.{}.{ZONE}", "0".repeat(24));
    assert_eq!(dig_status(at, &[&unknown, "SRV"]), "NXDOMAIN");
    assert_eq!(service.administer(&token, "DELETE", "", "").status, 200);
    wait_until("it is gone", FOLLOWED_WITHIN, || dig_status(at, &[&servers, "SRV"]) == "NXDOMAIN");
    let metrics = service.send(&Request::get("/metrics")).text();
    for line in [
        "quorate_discovery_dns_queries_total{kind=\"srv\",result=\"answered\"}",
        "quorate_discovery_dns_queries_total{kind=\"a\",result=\"answered\"} 1",
        "quorate_discovery_dns_queries_total{kind=\"aaaa\",result=\"no_data\"} 1",
        "quorate_discovery_dns_stale_answers_total 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn it_is_a_name_server_of_its_zone_and_of_nothing_else() {
    if skip_without_dig() {
        return;
    }
    let service = Service::with_dns(&["--dns-address=192.0.2.53"]);
    let (at, token) = (service.dns(), sealed(&service));
    assert_eq!(dig_short(at, ZONE, "NS"), [format!("ns.{ZONE}.")]);
    assert_eq!(dig_short(at, &format!("ns.{ZONE}"), "A"), ["192.0.2.53"]);
    assert!(dig(at, &[ZONE, "SOA", "+short"]).contains("hostmaster"));
    let flags = dig(at, &[&name("etcd-server", &token), "SRV"]);
    assert!(flags.contains("flags: qr aa rd;") && flags.contains("udp: 1232"), "{flags}");
    assert!(flags.contains("recursion requested but not available"), "{flags}");
    for words in [
        vec!["example.com", "A"],
        vec![ZONE, "A", "-c", "CH"],
        vec!["version.bind", "TXT", "-c", "CH"],
    ] {
        assert_eq!(dig_status(at, &words), "REFUSED", "{words:?}");
    }
    for transfer in ["AXFR", "IXFR=1"] {
        assert!(dig(at, &[ZONE, transfer]).contains("Transfer failed"), "{transfer}");
    }
    assert_eq!(dig_status(at, &[ZONE, "A", "+opcode=UPDATE"]), "NOTIMP");
    assert_eq!(dig_status(at, &[ZONE, "SOA", "+edns=1", "+noednsneg"]), "BADVERS");
    assert!(dig(at, &[ZONE, "ANY", "+notcp"]).contains("RFC8482"));
    // More than a datagram holds: told so, and then asked for on a connection.
    assert_eq!(service.report(&token, "a1", &membership(9, 1..=32)).status, 204);
    let clients = name("etcd-client", &token);
    wait_until("they are told", FOLLOWED_WITHIN, || {
        let cut = dig(at, &[&clients, "SRV", "+ignore", "+notcp"]);
        cut.contains("flags: qr aa tc") && cut.contains("ANSWER: 0")
    });
    assert_eq!(dig_short(at, &clients, "SRV").len(), 32);
    assert!(dig(at, &[&clients, "SRV", "+tcp"]).contains("ANSWER: 32"));
}

#[test]
fn nonsense_and_silence_do_no_harm() {
    if skip_without_dig() {
        return;
    }
    let service = Service::with_dns(&["--dns-max-queries-per-second=0"]);
    let (at, token) = (service.dns(), sealed(&service));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut bytes =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01".to_vec();
    for length in (0..1500).step_by(7) {
        bytes.resize(length, 0xc0);
        socket.send_to(&bytes, at).expect("it is sent");
    }
    // More connections than one address may hold: those that say nothing make room by themselves.
    let mut silent: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(at).expect("a connection")).collect();
    silent[0].write_all(&[0xff, 0xff, 1]).expect("it is sent");
    silent[0].set_read_timeout(Some(SOON)).expect("a timeout");
    assert!(matches!(silent[0].read(&mut [0; 9]), Ok(0) | Err(_)), "too long a question is cut");
    assert_eq!(dig_short(at, &name("etcd-server", &token), "SRV").len(), 2);
    drop(silent);
    wait_until("there is room", SOON, || {
        dig(at, &[&name("etcd-server", &token), "SRV", "+tcp"]).contains("ANSWER: 2")
    });
}

#[test]
fn who_asks_too_much_is_told_to_come_by_tcp_or_nothing() {
    let service = Service::with_dns(&["--dns-max-queries-per-second=1"]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    // q.example.test, SOA.
    let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01q\x07example\x04test\x00\x00\x06\x00\x01";
    let mut answer = [0; 2048];
    wait_until("the share is used up", SOON, || {
        socket.send_to(question, service.dns()).expect("it is sent");
        // The answer says that there is more, and is no longer than the question.
        socket
            .recv(&mut answer)
            .is_ok_and(|length| answer[2] & 0x02 != 0 && length <= question.len())
    });
    let metrics = service.send(&Request::get("/metrics")).text();
    assert!(metrics.contains("result=\"limited\"}"), "{metrics}");
    // Whoever really asks from there comes by TCP, and gets an answer however many datagrams are sent in its name.
    for _ in 0..50 {
        socket.send_to(question, service.dns()).expect("it is sent");
    }
    let mut stream = TcpStream::connect(service.dns()).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let length = u8::try_from(question.len()).expect("it is short");
    stream.write_all(&[&[0, length], question.as_slice()].concat()).expect("it is sent");
    let mut head = [0; 14];
    stream.read_exact(&mut head).expect("an answer");
    assert_eq!((&head[2..4], head[4] & 0x02, head[9]), (&question[..2], 0, 1), "{head:?}");
}

#[test]
fn the_last_that_was_read_is_told_while_the_store_is_away() {
    if skip_without_dig() {
        return;
    }
    let store = Cluster::builder(Program::Quorate).start();
    let service = Service::with_dns(&[&format!("--store={}", store.member(0).client_url())]);
    let (at, token, other) = (service.dns(), sealed(&service), sealed(&service));
    let servers = name("etcd-server", &token);
    assert_eq!(dig_short(at, &servers, "SRV").len(), 2);
    store.member(0).kill9();
    let stale = || {
        let metrics = service.send(&Request::get("/metrics")).text();
        !metrics.contains("quorate_discovery_dns_stale_answers_total 0")
    };
    wait_until("it is told what was read before", FOLLOWED_WITHIN, || {
        assert_eq!(dig_short(at, &servers, "SRV").len(), 2, "nothing else meanwhile");
        stale()
    });
    // Of a cluster that nobody has asked for nothing is said, least of all that it is not there.
    assert_eq!(dig_status(at, &[&name("etcd-server", &other), "SRV"]), "SERVFAIL");
    // And a feed that cannot be read is an error: Prometheus keeps its list then.
    let feed = Request::get(format!("/v1/tokens/{}/http_sd", token.id));
    assert_eq!(service.send(&bearer(feed, &token.read)).status, 503);
}
