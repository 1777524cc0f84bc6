//! The unmodified `etcdctl` 3.4 with `ETCDCTL_API=2`: same commands, same output, same exit code.

use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use quorate_harness::{Request, wait_until};
use quorate_interop_tests::{Pair, Side, client, compare, compare_with};

const SOON: Duration = Duration::from_secs(20);
/// `exec-watch` tells its command the action, the key, the modified index and the value.
const WATCH_VARIABLES: usize = 4;

/// One command per line, each beginning with the exit code it must have at the reference.
fn run(pair: &mut Pair, commands: &str) {
    for line in commands.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (code, arguments) = line.split_once(' ').expect("an exit code and a command");
        let reference =
            pair.ask(&format!("etcdctl {arguments}"), |side| client::run(side, arguments));
        assert!(
            reference.starts_with(&format!("exit Some({code})\n")),
            "etcdctl {arguments}: {reference}"
        );
    }
}

#[test]
fn keys() {
    compare(|pair| {
        run(
            pair,
            "
            0 set /k one
            0 get /k
            0 -o extended get /k
            0 -o json get /k
            0 -o json set /k two
            4 set /k three --swap-with-value wrong
            0 set /k three --swap-with-value two
            4 set /k four --swap-with-index 1
            0 set /ttl x --ttl 1000
            4 get /nope
            0 mk /made x
            4 mk /made x
            0 mk --in-order /queue first
            0 mk --in-order /queue second
            0 mkdir /dir
            4 mkdir /dir
            0 mkdir /dir/sub --ttl 1000
            0 setdir /other
            0 updatedir /other --ttl 1000
            0 update /k five
            4 update /nope x
            0 ls --sort
            0 ls / --recursive --sort
            0 ls / --recursive --sort -p
            0 ls /queue --sort --quorum
            4 ls /nope
            0 get /k --quorum
            1 get /queue
            4 rm /dir
            4 rmdir /queue
            0 rmdir /dir/sub
            0 rmdir /dir
            4 rm /k --with-value wrong
            0 rm /k --with-value five
            4 rm /k
            0 rm /queue --recursive
            0 -o extended set /k x
            0 --no-sync get /k
            0 --no-sync set /k y
            0 --no-sync ls --recursive --sort
            ",
        );
    });
}

#[test]
fn watches() {
    compare(|pair| {
        run(
            pair,
            "
            0 set /w one
            0 set /w two
            0 rm /w
            0 set /d/x one
            0 watch /w --after-index 3
            0 watch /w --after-index 4
            0 watch /w --after-index 5
            0 watch /d --recursive --after-index 6
            0 -o extended watch /d --recursive --after-index 6
            ",
        );
        for arguments in ["watch /live", "watch --forever /live", "exec-watch sh -c env /live"] {
            pair.ask(arguments, |side| first_output(side, arguments));
        }
    });
}

/// Starts a watch, writes once the server counts the watcher, and returns what the client then prints.
fn first_output(side: &Side, arguments: &str) -> String {
    let watchers = || {
        let stats = side.http().send(&Request::get("/v2/stats/store")).expect("an answer").json();
        stats["watchers"].as_u64().expect("a count")
    };
    let (before, wanted) =
        (watchers(), if arguments.starts_with("exec") { "ETCD_WATCH" } else { "" });
    let (sender, printed) = mpsc::channel();
    let mut child = client::command(side, arguments).spawn().expect("etcdctl starts");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    thread::scope(|scope| {
        scope.spawn(move || {
            for line in output.lines().map_while(Result::ok).filter(|line| line.starts_with(wanted))
            {
                // The receiver goes away once it has seen enough.
                let _ = sender.send(line);
            }
        });
        wait_until("the watcher is registered", SOON, || watchers() > before);
        side.cluster().keys().put("/live", "now").expect("an answer");
        let lines = if wanted.is_empty() { 1 } else { WATCH_VARIABLES };
        let mut seen: Vec<String> =
            (0..lines).map_while(|_| printed.recv_timeout(SOON).ok()).collect();
        seen.sort();
        // The watches that go on for ever are ended here; for the others this comes too late to matter.
        let _ = child.kill();
        child.wait().expect("etcdctl ends");
        seen.join("\n")
    })
}

#[test]
fn one_member_and_its_health() {
    compare(|pair| {
        run(
            pair,
            "0 member list\n 0 cluster-health\n 0 --no-sync member list\n 1 member remove 1\n 1 member update 1 http://127.0.0.1:1",
        );
    });
}

#[test]
fn members_are_added_updated_and_removed() {
    compare_with(
        |builder| builder.members(3).flag("--heartbeat-interval=50").flag("--election-timeout=500"),
        |pair| {
            let leaders = pair.ask("member list", |side| {
                side.cluster().wait_leader(Duration::from_secs(20));
                unordered(
                    &client::run(side, "member list").replace("isLeader=true", "isLeader=false"),
                    side,
                )
            });
            assert_eq!(leaders.matches("isLeader=false").count(), 3, "{leaders}");
            pair.ask("cluster-health", |side| {
                unordered(&client::run(side, "cluster-health"), side)
            });
            for side in [&pair.reference, &pair.subject] {
                side.cluster().prepare_joiner(&[]);
            }
            pair.learn_names();
            pair.ask("member add", |side| {
                let mut said = String::new();
                wait_until("the cluster takes in a member", Duration::from_secs(30), || {
                    said = client::run(side, "member add m4 <peer m4>");
                    said.starts_with("exit Some(0)")
                });
                shape_of_add(&said)
            });
            pair.learn_names();
            for command in [
                "member list",
                "cluster-health",
                "member update <member m4> http://127.0.0.1:9",
                "member remove <member m4>",
                "member remove <member m4>",
                "member list",
            ] {
                pair.ask(command, |side| {
                    unordered(
                        &client::run(side, command).replace("isLeader=true", "isLeader=false"),
                        side,
                    )
                });
            }
        },
    );
}

/// Members are listed by id, which differs between the sides.
fn unordered(text: &str, side: &Side) -> String {
    let mut lines: Vec<String> = side.anonymous(text).lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

/// The line with the new id, and the order of the founders in the printed environment, differ between the sides.
fn shape_of_add(text: &str) -> String {
    let kept = |line: &&str| {
        !line.starts_with("ETCD_INITIAL_CLUSTER=") && !line.starts_with("Added member")
    };
    text.lines().filter(kept).collect::<Vec<_>>().join("\n")
}
