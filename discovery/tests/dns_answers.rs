//! Golden questions and answers of the zone (`testdata/dns/`), and that no bytes are answered with a panic or with too much.
//!
//! `> NAME TYPE [tcp] [edns N] [down]` is a question; `down` is a store that cannot be reached. After a wanted change run
//! `QUORATE_RECORD=1 cargo test -p quorate-discovery --test dns_answers` and read the difference in review.

#![expect(clippy::unwrap_used, reason = "a broken script or a value that cannot be fails the test")]

use std::path::Path;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, Record, RecordType};
use proptest::prelude::*;
use quorate_discovery::dns::answer::{self, UDP_BYTES_MAX};
use quorate_discovery::dns::{Known, Reply, Transport, Zone, records};
use quorate_discovery::registry::{MemberKey, Present, Published};

const ZONE: &str = "q.example.com";

#[test]
fn questions_are_answered_as_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/dns/answers.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut actual = String::new();
    for line in text.lines() {
        if let Some(question) = line.strip_prefix("> ") {
            actual.push_str(&format!("{line}\n{}", ask(question)));
        } else if line.is_empty() || line.starts_with('#') {
            actual.push_str(&format!("{line}\n"));
        }
    }
    if std::env::var_os("QUORATE_RECORD").is_some() {
        std::fs::write(&path, &actual).unwrap();
        return;
    }
    for (number, (written, got)) in text.lines().zip(actual.lines()).enumerate() {
        assert_eq!(written, got, "{}:{}", path.display(), number + 1);
    }
    assert_eq!(text.lines().count(), actual.lines().count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_answered_in_bounds_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes)?;
    }

    #[test]
    fn a_damaged_question_is_answered_in_bounds_or_not_at_all(
        at in prop::collection::vec((0..80_usize, any::<u8>()), 0..6),
        cut in 0..80_usize,
    ) {
        let mut bytes = question("_etcd-server._tcp.prod.q.example.com.", "SRV", Some(1232));
        for (place, value) in at {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        bytes.truncate(bytes.len().saturating_sub(cut % 20));
        check(&bytes)?;
    }
}

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    for transport in [Transport::Udp, Transport::Tcp] {
        for is_down in [false, true] {
            let Some(reply) = reply(bytes, transport, is_down) else { continue };
            prop_assert!(reply.bytes.len() >= 12, "{reply:?}");
            prop_assert_eq!(&reply.bytes[..2], &bytes[..2], "the ID is the question's");
            prop_assert!(reply.bytes[2] & 0x80 != 0, "it is an answer");
            if transport == Transport::Udp {
                prop_assert!(reply.bytes.len() <= usize::from(UDP_BYTES_MAX));
            }
            prop_assert!(Message::from_vec(&reply.bytes).is_ok(), "{reply:?}");
        }
    }
    Ok(())
}

fn ask(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let edns = words.iter().position(|word| *word == "edns");
    let edns = edns.map(|at| words[at + 1].parse().unwrap());
    let transport = if words.contains(&"tcp") { Transport::Tcp } else { Transport::Udp };
    let bytes = question(words[0], words[1], edns);
    let reply = reply(&bytes, transport, words.contains(&"down")).unwrap();
    let message = Message::from_vec(&reply.bytes).unwrap();
    assert_eq!(message.metadata.id, 7);
    let mut out = format!(
        "{} {} {} [{}] {} bytes\n",
        reply.kind,
        reply.result,
        message.metadata.response_code,
        message.metadata.flags(),
        reply.bytes.len()
    );
    let sections = [
        ("", &message.answers),
        ("authority ", &message.authorities),
        ("additional ", &message.additionals),
    ];
    for (name, section) in sections {
        // Of a long answer the beginning.
        section.iter().take(6).for_each(|record| out.push_str(&format!("  {name}{record}\n")));
        if section.len() > 6 {
            out.push_str(&format!("  {name}and {} more\n", section.len() - 6));
        }
    }
    out
}

fn question(name: &str, kind: &str, edns: Option<u16>) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let kind = if kind == "IXFR" { RecordType::IXFR } else { kind.parse().unwrap() };
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if let Some(size) = edns {
        let mut edns = Edns::new();
        edns.set_max_payload(size);
        message.set_edns(edns);
    }
    message.to_vec().unwrap()
}

fn reply(bytes: &[u8], transport: Transport, is_down: bool) -> Option<Reply> {
    let zone = Zone::new(ZONE, &["192.0.2.53".parse().unwrap()]).unwrap();
    let asked = match answer::read(bytes) {
        Ok(asked) => asked,
        Err(reply) => return reply,
    };
    let label = asked.label(&zone);
    let records = label.as_deref().and_then(|label| cluster(&zone, label));
    let known = match &records {
        _ if is_down => Known::Unavailable,
        Some(records) => Known::Cluster(records),
        None => Known::Nothing,
    };
    Some(asked.reply(&zone, known, transport))
}

fn cluster(zone: &Zone, label: &str) -> Option<Vec<Record>> {
    let member = |id: &str, peers: &[&str], clients: &[&str]| Present {
        id: MemberKey::parse(id).unwrap(),
        name: String::new(),
        peer_urls: peers.iter().map(|url| (*url).to_owned()).collect(),
        client_urls: clients.iter().map(|url| (*url).to_owned()).collect(),
        metrics_urls: Vec::new(),
    };
    let members = match label {
        "prod" => vec![
            member("a1", &["http://10.0.0.1:2380"], &["https://10.0.0.1:2379"]),
            member("b2", &["http://[fd00::2]:2380"], &["https://192.168.7.2:2379"]),
            member("c3", &["http://n3.example.net:2380"], &["https://n3.example.net:2379"]),
            // Added, and not started.
            member("d4", &["http://10.0.0.4:2380"], &[]),
        ],
        "medium" | "large" => (0..if label == "large" { 32 } else { 16 })
            .map(|n| {
                let (peer, client) =
                    (format!("http://10.0.1.{n}:2380"), format!("http://10.0.2.{n}:2379"));
                member(&format!("{n:016x}"), &[&peer], &[&client])
            })
            .collect(),
        "odd" => vec![member(
            "e5",
            &["http://10.0.0.5:2380", "http://10.0.0.5:2380", "https://10.0.0.6:2390"],
            &[&format!("http://{}:1", "x".repeat(64)), "http://é.example:2379"],
        )],
        // An address that leads everybody to their own machine is told if there is no other.
        "local" => vec![member(
            "f6",
            &["http://127.0.0.1:2380"],
            &["http://127.0.0.1:2379", "http://10.0.0.6:2379"],
        )],
        // Its members found each other by this zone: a URL has a name of it, and not the ID that the cluster has for it.
        "own" => vec![
            member("77", &["http://f6.own.q.example.com:2380"], &[]),
            member("88", &["http://gone.own.q.example.com:2380"], &[]),
        ],
        _ => return None,
    };
    let registered = vec![member("f6", &["http://10.0.0.6:2380"], &[])];
    Some(records::of_cluster(zone, label, &Published { members, registered }))
}
