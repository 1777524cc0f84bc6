//! A machine too many that was told to be a proxy: it serves clients, watches too, outlives members and can be started again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use quorate_bootstrap_tests::Scripted;
use quorate_harness::{Cluster, Exit, Member, Request, wait_until};

use crate::{SOON, assert_one_cluster, finding, set_flag};

/// Three members of a full registry, and one process more.
fn three_and_one() -> (Scripted, Cluster, Cluster, Arc<Member>) {
    let service = Scripted::start("3", |_, _| None);
    let flags = [format!("--discovery={}", service.url())];
    let cluster = finding(3, &flags);
    cluster.start();
    assert_one_cluster(&cluster);
    let more = finding(1, &flags);
    let proxy = more.member(0);
    set_flag(&proxy, "name", "more");
    set_flag(&proxy, "discovery-fallback", "proxy");
    proxy.start();
    proxy.wait_ready(SOON);
    (service, cluster, more, proxy)
}

#[test]
fn it_serves_what_the_members_hold() {
    let (service, cluster, _more, proxy) = three_and_one();
    assert_eq!(service.entries().len(), 3, "it registered: {:?}", service.entries());
    assert_eq!(proxy.keys().put("/a", "1").expect("an answer").status, 201);
    let read = |member: &Member| {
        member.keys().get("/a").ok().and_then(|answer| answer.value().map(str::to_owned))
    };
    wait_until("a member has what was written", SOON, || {
        read(&cluster.member(2)).as_deref() == Some("1")
    });
    assert_eq!(read(&proxy).as_deref(), Some("1"));
    let missing = proxy.http().send(&Request::get("/v2/keys/nothing")).expect("an answer");
    assert_eq!((missing.status, missing.json()["errorCode"].as_i64()), (404, Some(100)));
    let list = proxy.http().send(&Request::get("/v2/members")).expect("an answer").json();
    assert_eq!(list["members"].as_array().map(Vec::len), Some(3));
    let own = proxy.http().send(&Request::get("/v2/config/local/proxy")).expect("an answer");
    assert_eq!(own.json()["endpoints"].as_array().map(Vec::len), Some(3));

    // A watch that began before the change, and one from the history.
    let waiting = Arc::clone(&proxy);
    let watcher = thread::spawn(move || {
        waiting.http().timeout(SOON).send(&Request::get("/v2/keys/w?wait=true")).expect("an event")
    });
    wait_until("the watch has its event", SOON, || {
        cluster.keys().put("/w", "x").expect("an answer");
        watcher.is_finished()
    });
    let event = watcher.join().expect("a watcher");
    assert_eq!(event.json()["node"]["key"], "/w");
}

#[test]
fn it_outlives_a_member_and_its_own_start_and_the_service() {
    let (service, cluster, _more, proxy) = three_and_one();
    service.stop();
    cluster.member(0).kill9();
    cluster.wait_leader(SOON);
    for _ in 0..6 {
        wait_until("it writes by those that are left", SOON, || {
            proxy.keys().put("/a", "1").is_ok_and(|answer| answer.is_ok())
        });
    }
    assert_eq!(proxy.terminate(SOON), Exit::Code(0));
    proxy.start();
    proxy.wait_ready(SOON);
    wait_until("it reads after its own start", SOON, || {
        proxy.keys().get("/a").is_ok_and(|answer| answer.value() == Some("1"))
    });
    proxy.kill9();
    proxy.start();
    proxy.wait_ready(SOON);
}

#[test]
fn without_members_it_says_so() {
    let (_service, cluster, _more, proxy) = three_and_one();
    for member in cluster.members() {
        member.kill9();
    }
    let answer = proxy.http().timeout(SOON).send(&Request::get("/v2/keys/a")).expect("an answer");
    assert_eq!(answer.status, 503);
    let text = answer.json()["message"].to_string();
    assert!(text.contains("no member of the cluster answers this proxy"), "{text}");
}

/// A member as far as a proxy looks: it names itself as its own client URL, and answers each request with the head that it came with.
fn telling_head() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut head = String::new();
                let mut lines = BufReader::new(&stream);
                while lines.read_line(&mut head).is_ok_and(|read| read > 2) {}
                let body = if head.starts_with("GET /members ") {
                    format!(
                        "[{{\"peerURLs\":[\"http://{address}\"],\"clientURLs\":[\"http://{address}\"]}}]"
                    )
                } else {
                    head
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = (&stream).write_all(answer.as_bytes());
            });
        }
    });
    address
}

#[test]
fn members_are_told_whom_a_request_is_from() {
    let service = Scripted::start("1", |_, _| None);
    service.register("1f", &format!("there=http://{}", telling_head()));
    let flags = [format!("--discovery={}", service.url()), "--discovery-fallback=proxy".to_owned()];
    let more = finding(1, &flags);
    let proxy = more.member(0);
    proxy.start();
    let head = |request: &Request| {
        let mut head = String::new();
        wait_until("the member is asked", SOON, || {
            let answer = proxy.http().send(request);
            head = answer.map(|it| it.text().to_ascii_lowercase()).unwrap_or_default();
            head.starts_with("get /v2/keys/a")
        });
        head.lines()
            .filter(|line| line.starts_with("x-forwarded-for"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let plain = Request::get("/v2/keys/a");
    assert_eq!(head(&plain), ["x-forwarded-for: 127.0.0.1"]);
    // Whoever was before this proxy stays in front.
    let forwarded = plain.header("X-Forwarded-For", "192.0.2.7");
    assert_eq!(head(&forwarded), ["x-forwarded-for: 192.0.2.7, 127.0.0.1"]);
}
