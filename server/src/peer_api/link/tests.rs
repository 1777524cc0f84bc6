//! The link over real sockets: order, recovery, refusals, nonsense on the wire, and what a stuck peer costs.

mod heard;
mod peer;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use quorate_core::MemberId;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{PlainConnector, UpgradeError, upgrade};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use self::peer::{
    ECHO, FAIL, HELD, LOCAL, Peer, SILENT, STUCK, Seen, connect, connect_with, until,
};
use super::frame::{Decoder, FrameType, header};
use super::hello::{Hello, switching};
use super::{Class, LinkError, LinkLimits, PeerLink, Refusal, RefusalCode};

/// Far beyond anything that should happen here.
const SOON: Duration = Duration::from_secs(20);

async fn echo(link: &PeerLink, text: &'static str) -> Result<Bytes, LinkError> {
    link.call(ECHO, Bytes::from_static(text.as_bytes()), SOON).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_pipelined_calls_keep_their_order() {
    let peer = Peer::start().await;
    let link = connect(&peer, Class::Log);
    let replies: Vec<_> = (0..10_000u32)
        .map(|number| link.submit(ECHO, Bytes::copy_from_slice(&number.to_be_bytes())).unwrap())
        .collect();
    for (number, reply) in timeout(SOON, join_all(replies)).await.unwrap().into_iter().enumerate() {
        assert_eq!(reply.unwrap(), (number as u32).to_be_bytes().as_slice());
    }
    let seen = peer.service.seen.lock();
    assert_eq!(seen.len(), 10_000);
    assert!(
        seen.iter().enumerate().all(|(at, body)| *body == (at as u32).to_be_bytes().as_slice())
    );
}

#[tokio::test]
async fn dropped_calls_disturb_no_other() {
    let peer = Peer::start().await;
    let link = connect(&peer, Class::Log);
    let mut kept = Vec::new();
    for number in 0..2_000u32 {
        let reply = link.submit(ECHO, Bytes::copy_from_slice(&number.to_be_bytes())).unwrap();
        if number % 3 == 0 {
            kept.push((number, reply));
        }
        if number % 500 == 0 {
            // Some are dropped before they are written, some after.
            tokio::task::yield_now().await;
        }
    }
    for (number, reply) in kept {
        assert_eq!(timeout(SOON, reply).await.unwrap().unwrap(), number.to_be_bytes().as_slice());
    }
    let late = link.call(SILENT, Bytes::new(), Duration::from_millis(20)).await;
    assert_eq!(late, Err(LinkError::TimedOut));
    assert_eq!(echo(&link, "after").await.unwrap(), "after");
}

#[tokio::test]
async fn a_failed_call_says_what_the_peer_says() {
    let peer = Peer::start().await;
    let link = connect(&peer, Class::Heartbeat);
    match link.call(FAIL, Bytes::from_static(b"why"), SOON).await {
        Err(LinkError::Failed(error)) => assert_eq!((error.code, error.text.as_str()), (7, "why")),
        other => panic!("{other:?}"),
    }
    let body = Bytes::from(vec![0; LinkLimits::of(Class::Heartbeat).body_max + 1]);
    assert!(matches!(link.call(ECHO, body, SOON).await, Err(LinkError::TooLarge { .. })));
    assert_eq!(echo(&link, "still there").await.unwrap(), "still there");
}

#[tokio::test]
async fn a_restarted_peer_is_met_again_at_once() {
    let peer = Peer::start().await;
    let link = connect(&peer, Class::Heartbeat);
    assert_eq!(echo(&link, "one").await.unwrap(), "one");
    let endpoint = peer.stop().await;
    let died = Instant::now();
    loop {
        match echo(&link, "down").await {
            Err(LinkError::Unreachable) => break,
            Err(LinkError::Closed) => {}
            other => panic!("{other:?}"),
        }
        assert!(died.elapsed() < SOON);
    }
    // While it is down, calls cost nothing.
    let asked = Instant::now();
    assert_eq!(echo(&link, "down").await, Err(LinkError::Unreachable));
    assert!(asked.elapsed() < Duration::from_millis(50));
    let _again = Peer::start_at(&endpoint).await;
    let back = Instant::now();
    while echo(&link, "two").await.is_err() {
        assert!(back.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("met again after {:?}", back.elapsed());
    assert!(back.elapsed() < Duration::from_millis(500), "took {:?}", back.elapsed());
}

#[tokio::test]
async fn each_refusal_reaches_the_caller_and_ends_when_its_cause_does() {
    let peer = Peer::start().await;
    let seen = Arc::new(Seen::default());
    let link = connect_with(&peer, Class::Log, LinkLimits::of(Class::Log), Arc::clone(&seen));
    for code in [
        RefusalCode::OtherCluster,
        RefusalCode::WrongTarget,
        RefusalCode::UnknownMember,
        RefusalCode::RemovedMember,
        RefusalCode::WrongIncarnation,
        RefusalCode::NotReady,
    ] {
        let refusal = Refusal::new(code, format!("because of {code}"));
        *peer.gate.refusal.lock() = Some(refusal.clone());
        peer.drop_links();
        let began = Instant::now();
        while echo(&link, "x").await != Err(LinkError::Refused(refusal.clone())) {
            assert!(began.elapsed() < SOON, "never refused with {code}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(seen.refusals.lock().last(), Some(&refusal));
    }
    assert!(peer.gate.hellos.lock().iter().all(|hello| *hello
        == Hello {
            cluster: LOCAL.cluster,
            from: LOCAL.member,
            incarnation: LOCAL.incarnation,
            to: MemberId(2),
            class: Class::Log
        }));
    *peer.gate.refusal.lock() = None;
    let began = Instant::now();
    while echo(&link, "let in").await.is_err() {
        assert!(began.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn another_protocol_version_is_refused_before_the_gate() {
    let peer = Peer::start().await;
    let mut request = peer::hello(Class::Log).request();
    request.headers_mut().insert("quorate-peer-protocol", 2.into());
    let refused = upgrade(&PlainConnector, peer.server.local_endpoint(), request, SOON).await;
    let Err(UpgradeError::Refused(response)) = refused else { panic!("{refused:?}") };
    assert_eq!(response.status(), 426);
    assert_eq!(Refusal::read(&response).code, RefusalCode::OtherProtocol);
    assert!(peer.gate.hellos.lock().is_empty());
}

#[tokio::test]
async fn nonsense_from_a_caller_costs_only_its_own_connection() {
    let seed = RandomState::new().hash_one(0u8);
    println!("seed {seed:#x}");
    let mut state = seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let peer = Peer::start().await;
    let link = connect(&peer, Class::Log);
    for round in 0..50 {
        let request = peer::hello(Class::Log).request();
        let upgraded =
            upgrade(&PlainConnector, peer.server.local_endpoint(), request, SOON).await.unwrap();
        let mut bytes = header(FrameType::Request, ECHO, 1, b"").to_vec();
        match round % 3 {
            0 => bytes = (0..64).map(|_| random() as u8 | 0x80).collect(),
            1 => bytes[0] = 0xff,
            _ => bytes[random() as usize % 4 + 4] ^= 1 << (random() % 8),
        }
        let (mut read, mut write) = upgraded.stream.into_split();
        // It may be closed before all is written.
        let _ = write.write_all(&bytes).await;
        let mut rest = Vec::new();
        let _ = timeout(SOON, read.read_to_end(&mut rest)).await.expect("it is closed");
        assert_eq!(rest, b"", "nothing is answered");
    }
    assert_eq!(echo(&link, "fine").await.unwrap(), "fine");
    until("only the link is left", || peer.server.connections() == 1).await;
}

#[tokio::test]
async fn nonsense_from_a_peer_ends_the_connection_and_not_the_link() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers: [Vec<u8>; 5] = [
        vec![0xff; 40],
        header(FrameType::Reply, 0, 9, b"").to_vec(),
        header(FrameType::Reply, 0, 0, b"").to_vec(),
        header(FrameType::Request, 0, 1, b"").to_vec(),
        [&header(FrameType::Reply, 0, 1, b"good")[..], b"good"].concat(),
    ];
    tokio::spawn(async move {
        for answer in answers {
            let mut stream = peer::take_upgrade(&listener).await;
            let mut decoder = Decoder::new(&[], 100);
            while decoder.next_frame().unwrap().is_none() {
                stream.read_buf(decoder.space()).await.unwrap();
            }
            stream.write_all(&answer).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    });
    let link =
        peer::link_to(&[Endpoint::tcp("127.0.0.1", port)], Class::Log, LinkLimits::of(Class::Log));
    for _ in 0..4 {
        assert_eq!(timeout(SOON, echo(&link, "x")).await.unwrap(), Err(LinkError::Closed));
    }
    assert_eq!(echo(&link, "x").await.unwrap(), "good");
}

#[tokio::test]
async fn a_stuck_receiver_bounds_what_waits_and_no_other_class_notices() {
    let peer = Peer::start().await;
    let limits =
        LinkLimits { queue_bytes: 8 << 20, queue_frames: 64, ..LinkLimits::of(Class::Snapshot) };
    let snapshots = connect_with(&peer, Class::Snapshot, limits, Arc::default());
    let heartbeats = connect(&peer, Class::Heartbeat);
    let stuck = snapshots.submit(STUCK, Bytes::new()).unwrap();
    until("the receiver is stuck", || peer.service.stuck.load(Ordering::SeqCst) == 1).await;
    let chunk = Bytes::from(vec![0; 1 << 20]);
    let mut waiting = Vec::new();
    let began = Instant::now();
    let mut refused_in_a_row = 0;
    // Overloaded for good, and not only because the writing task was not yet scheduled.
    while refused_in_a_row < 50 {
        match snapshots.submit(ECHO, chunk.clone()) {
            Ok(reply) => {
                waiting.push(reply);
                refused_in_a_row = 0;
            }
            Err(error) => {
                assert_eq!(error, LinkError::Overloaded);
                refused_in_a_row += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        assert!(began.elapsed() < SOON && waiting.len() < 64, "{} MiB accepted", waiting.len());
    }
    assert!(waiting.len() >= 8, "the bound is not zero");
    for _ in 0..100 {
        let asked = Instant::now();
        assert_eq!(echo(&heartbeats, "quick").await.unwrap(), "quick");
        assert!(asked.elapsed() < Duration::from_millis(200), "{:?}", asked.elapsed());
    }
    peer.service.unstick.notify_one();
    assert_eq!(timeout(SOON, stuck).await.unwrap().unwrap(), "");
    for reply in waiting {
        assert_eq!(timeout(SOON, reply).await.unwrap().unwrap(), chunk);
    }
}

#[tokio::test]
async fn calls_beyond_the_window_wait_and_forgotten_ones_make_room() {
    let peer = Peer::start().await;
    let limits = LinkLimits { in_flight: 4, queue_frames: 4, ..LinkLimits::of(Class::Log) };
    let link = connect_with(&peer, Class::Log, limits, Arc::default());
    let held: Vec<_> = (0..4).map(|_| link.submit(SILENT, Bytes::new()).unwrap()).collect();
    until("all four are read", || peer.service.silent.load(Ordering::SeqCst) == 4).await;
    let waiting = link.submit(ECHO, Bytes::new()).unwrap();
    tokio::pin!(waiting);
    assert!(
        timeout(Duration::from_millis(50), &mut waiting).await.is_err(),
        "sent beyond the window"
    );
    drop(held);
    // Room is looked for when something happens on the link; its next look at silence is such a thing.
    assert!(timeout(SOON, waiting).await.unwrap().is_ok());
}

#[tokio::test]
async fn replies_may_come_in_any_order() {
    let peer = Peer::start().await;
    let link = connect(&peer, Class::Log);
    let held = link.submit(HELD, Bytes::from_static(b"held")).unwrap();
    assert_eq!(echo(&link, "first").await.unwrap(), "first");
    peer.service.release.notify_one();
    assert_eq!(timeout(SOON, held).await.unwrap().unwrap(), "held");
}

#[tokio::test]
async fn a_silent_peer_is_given_up_and_the_next_url_is_tried() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute_port = mute.local_addr().unwrap().port();
    let limits =
        LinkLimits { silence_max: Duration::from_millis(200), ..LinkLimits::of(Class::Log) };
    let link = peer::link_to(&[Endpoint::tcp("127.0.0.1", mute_port)], Class::Log, limits);
    let call = link.submit(ECHO, Bytes::new()).unwrap();
    let _stream = peer::take_upgrade(&mute).await;
    assert_eq!(timeout(SOON, call).await.unwrap(), Err(LinkError::Closed));

    let peer = Peer::start().await;
    drop(mute);
    let urls = [Endpoint::tcp("127.0.0.1", mute_port), peer.server.local_endpoint().clone()];
    let link = peer::link_to(&urls, Class::Log, limits);
    assert_eq!(echo(&link, "second").await.unwrap(), "second");
    // Pings keep an idle link, although nothing is said on it for longer than the silence allowed.
    tokio::time::sleep(limits.silence_max * 3).await;
    assert_eq!(peer.gate.hellos.lock().len(), 1);
    assert_eq!(echo(&link, "same").await.unwrap(), "same");
    assert_eq!(peer.gate.hellos.lock().len(), 1, "it never reconnected");
}

#[tokio::test]
async fn new_urls_are_tried_at_once_and_a_dropped_link_hangs_up() {
    let peer = Peer::start().await;
    let (urls, watched) =
        watch::channel(vec!["http://127.0.0.1:1".to_owned(), "nonsense".to_owned()]);
    let limits = LinkLimits { backoff_min: SOON, backoff_max: SOON, ..LinkLimits::of(Class::Log) };
    let link = peer::link(watched, Class::Log, limits, Arc::default());
    assert_eq!(echo(&link, "x").await, Err(LinkError::Unreachable));
    assert!(link.is_down());
    urls.send_replace(vec![peer.server.local_endpoint().to_string()]);
    until("it is up", || !link.is_down()).await;
    assert_eq!(echo(&link, "x").await.unwrap(), "x");
    drop(link);
    until("the peer saw it go", || peer.server.connections() == 0).await;
}

#[tokio::test]
async fn bytes_right_behind_the_upgrade_are_not_lost() {
    let peer = Peer::start().await;
    let mut stream =
        tokio::net::TcpStream::connect(peer.server.local_endpoint().authority()).await.unwrap();
    let mut said = String::from("GET /quorate/peer HTTP/1.1\r\nHost: x\r\n");
    for (name, value) in peer::hello(Class::Log).request().headers() {
        said += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut bytes = (said + "\r\n").into_bytes();
    bytes.extend_from_slice(&header(FrameType::Request, ECHO, 1, b"early"));
    bytes.extend_from_slice(b"early");
    stream.write_all(&bytes).await.unwrap();
    let expected = [&header(FrameType::Reply, 0, 1, b"early")[..], b"early"].concat();
    let mut answer = Vec::new();
    while !answer.ends_with(&expected) {
        assert!(
            timeout(SOON, stream.read_buf(&mut answer)).await.unwrap().unwrap() > 0,
            "{answer:?}"
        );
    }
    let status = switching().status();
    assert!(answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()));
}

/// `cargo test --release -p quorate-server --lib link::tests::throughput -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn throughput() {
    let peer = Peer::start().await;
    peer.service.forget.store(true, Ordering::SeqCst);
    for (class, length, calls, window) in [
        (Class::Heartbeat, 16, 20_000, 1),
        (Class::Log, 16, 1_000_000, 2_000),
        (Class::Log, 256, 1_000_000, 2_000),
        (Class::Log, 16 * 1024, 200_000, 64),
        (Class::Snapshot, 1 << 20, 4_000, 4),
    ] {
        let link = connect(&peer, class);
        let body = Bytes::from(vec![1; length]);
        let began = Instant::now();
        let mut waiting: std::collections::VecDeque<BoxFuture<'static, Result<Bytes, LinkError>>> =
            Default::default();
        for _ in 0..calls {
            if waiting.len() == window {
                waiting.pop_front().expect("a full window").await.unwrap();
            }
            let reply = link.submit(peer::COUNT, body.clone()).unwrap();
            waiting.push_back(reply.boxed());
        }
        join_all(waiting).await;
        let took = began.elapsed().as_secs_f64();
        println!(
            "{class}: {length} bytes, {window} in flight: {:.0} calls/s, {:.0} MB/s",
            f64::from(calls) / took,
            f64::from(calls) * length as f64 / took / 1e6
        );
    }
}
