//! The comparison itself: etcd against etcd has no differences, and every small lie is one.

use std::sync::Arc;

use quorate_harness::{Cluster, Http, Program, skip_without_etcd};
use quorate_interop_tests::liar::{self, Lie};
use quorate_interop_tests::{Pair, Side, script};

const SCRIPT: &str = "
    201     PUT   ~/a value=1
    200     GET   ~/a
    404/100 GET   ~/nope
    405     PATCH ~/a
    201     PUT   ~/t?ttl=100 value=1
    201     PUT   ~/b value=2
    200     GET   ~/?sorted=true
    200     HEAD  ~/a
    200     GET   /v2/members
";

/// The same lie runs in a directory of its own, so that one pair of servers serves all.
fn differences_with(
    servers: &(Arc<Cluster>, Arc<Cluster>),
    folder: usize,
    lie: Lie,
) -> Vec<String> {
    let reference = Side::new("reference", Arc::clone(&servers.0));
    let subject = Side::new("subject", Arc::clone(&servers.1));
    let liar = liar::start(subject.cluster().address(), lie);
    let mut pair = Pair::of(reference, subject.through(Http::new(liar)));
    script::run(&mut pair, &SCRIPT.replace('~', &format!("~/lie{folder}")));
    pair.differences().to_vec()
}

#[test]
fn etcd_does_not_differ_from_itself_and_every_lie_is_found() {
    if skip_without_etcd() {
        return;
    }
    let lies: [(&str, Lie); 14] = [
        ("status", |it| it.replace("201 Created", "200 OK")),
        ("reason", |it| it.replace("404 Not Found", "404 Nope")),
        ("header spelling", |it| it.replace("X-Etcd-Index", "x-etcd-index")),
        ("index header", |it| it.replace("X-Etcd-Index: ", "X-Etcd-Index: 1")),
        ("raft header", |it| it.replace("X-Raft-Term: ", "X-Raft-Term: -")),
        ("missing header", |it| it.replace("X-Content-Type-Options: nosniff\r\n", "")),
        ("extra header", |it| it.replace("\r\nDate", "\r\nServer: x\r\nDate")),
        ("field order", |it| {
            it.replace("createdIndex", "?")
                .replace("modified", "created")
                .replace('?', "modifiedIndex")
        }),
        ("number", |it| it.replace(r#""createdIndex":"#, r#""createdIndex":1"#)),
        ("cause", |it| it.replace(r#","cause":"#, r#","because":"#)),
        ("final newline", |it| it.strip_suffix("}\n").map(|it| format!("{it}}}")).unwrap_or(it)),
        ("ttl", |it| it.replace(r#""ttl":100"#, r#""ttl":99"#)),
        ("expiration spelling", |it| it.replace("Z\",\"ttl", "+00:00\",\"ttl")),
        ("order of sorted children", |it| it.replace("/b\"", "/0\"")),
    ];
    let start = || Arc::new(Cluster::builder(Program::Etcd).start());
    let servers = (start(), start());
    assert_eq!(differences_with(&servers, lies.len(), |answer| answer), Vec::<String>::new());
    for (number, (name, lie)) in lies.into_iter().enumerate() {
        let found = differences_with(&servers, number, lie);
        assert!(!found.is_empty(), "the comparison did not see a wrong {name}");
    }
}
