//! `dns_message`: questions to the DNS of the discovery service.
//!
//! The input is a datagram. Promises: an answer has the question's ID, is marked as one, is no longer than its way allows, and is itself
//! never answered; what is told to come by TCP is no longer than its question and the option that it asked with.

use quorate_discovery::dns::answer::{self, UDP_BYTES_MAX};
use quorate_discovery::dns::{Known, Transport, Zone, records};
use quorate_discovery::registry::{MemberKey, Present, Published};

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let address = "192.0.2.53".parse().expect("an address");
    let zone = Zone::new("q.example", &[address]).expect("a zone");
    let records = records::of_cluster(&zone, "prod", &cluster());
    let asked = match answer::read(input) {
        Ok(asked) => asked,
        Err(Some(reply)) => return check(input, &reply.bytes, usize::from(UDP_BYTES_MAX)),
        Err(None) => return,
    };
    let label = asked.label(&zone);
    let known = match label.as_deref() {
        Some("prod") => Known::Cluster(&records),
        Some("down") => Known::Unavailable,
        _ => Known::Nothing,
    };
    for (transport, bytes_max) in
        [(Transport::Udp, usize::from(UDP_BYTES_MAX)), (Transport::Tcp, usize::from(u16::MAX))]
    {
        check(input, &asked.reply(&zone, known, transport).bytes, bytes_max);
    }
    check(input, &asked.come_by_tcp().bytes, input.len().max(512));
}

fn check(question: &[u8], answer: &[u8], bytes_max: usize) {
    assert!((12..=bytes_max).contains(&answer.len()), "{} bytes", answer.len());
    assert_eq!(answer.get(..2), question.get(..2), "the ID");
    assert!(matches!(answer::read(answer), Err(None)), "an answer is answered");
}

/// More members than a datagram holds, by names and by addresses.
fn cluster() -> Published {
    let member = |n: u8| Present {
        id: MemberKey::parse(&format!("{n:x}")).expect("an ID"),
        name: String::new(),
        peer_urls: vec![format!("http://10.0.0.{n}:2380"), format!("https://[fd00::{n:x}]:2380")],
        client_urls: vec![format!("http://n{n}.example.net:2379")],
        metrics_urls: Vec::new(),
    };
    Published { members: (1..30).map(member).collect(), registered: Vec::new() }
}
