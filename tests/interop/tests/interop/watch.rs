//! Long polls and streams, live and from history.

use std::time::Duration;

use quorate_harness::Request;
use quorate_interop_tests::{compare, compare_with, script};

#[test]
fn a_long_poll_gets_one_event() {
    compare(|pair| {
        let mut watch = pair.watch("/v2/keys/w?wait=true");
        script::run(pair, "201 PUT ~/other value=1\n 201 PUT ~/w value=1\n 200 PUT ~/w value=2");
        assert!(pair.next(&mut watch).contains(r#""value":"1""#));
        pair.end(&mut watch);
    });
}

#[test]
fn every_action_is_an_event() {
    compare(|pair| {
        let mut watch = pair.watch("/v2/keys/a?wait=true&recursive=true&stream=true");
        let actions = "
            201 PUT    ~/a/k value=1
            200 PUT    ~/a/k value=2
            200 PUT    ~/a/k?prevExist=true value=3
            200 PUT    ~/a/k?prevValue=3 value=4
            200 DELETE ~/a/k?prevValue=4
            201 PUT    ~/a/k?prevExist=false value=5
            200 DELETE ~/a/k
            201 POST   ~/a value=6
            201 PUT    ~/a/d dir=true
            200 PUT    ~/a/d?prevExist=true ttl=100
            200 DELETE ~/a/d?dir=true
            201 PUT    ~/a/deep/er/key value=7
            201 PUT    ~/a/n?noValueOnSuccess=true value=8
            200 PUT    ~/a/n dir=true
            200 DELETE ~/a/deep?recursive=true
        ";
        script::run(pair, actions);
        for _ in actions.trim().lines() {
            pair.next(&mut watch);
        }
        for index in 4..19 {
            let mut history =
                pair.watch(&format!("/v2/keys/a?wait=true&recursive=true&waitIndex={index}"));
            pair.next(&mut history);
            pair.end(&mut history);
        }
    });
}

#[test]
fn a_watch_on_a_directory_sees_the_directory_only() {
    compare(|pair| {
        script::run(pair, "201 PUT ~/d dir=true");
        let mut plain = pair.watch("/v2/keys/d?wait=true&stream=true");
        let mut slash = pair.watch("/v2/keys/d/?wait=true&stream=true");
        let mut root = pair.watch("/v2/keys/?wait=true&stream=true");
        script::run(
            pair,
            "201 PUT ~/d/x value=1\n 200 PUT ~/d?prevExist=true ttl=100\n 200 DELETE ~/d?recursive=true",
        );
        for watch in [&mut plain, &mut slash] {
            assert!(pair.next(watch).contains(r#""action":"update""#));
            assert!(pair.next(watch).contains(r#""action":"delete""#));
        }
        pair.subject.cluster().member(0).kill9();
        pair.reference.cluster().member(0).kill9();
        pair.end(&mut root);
    });
}

#[test]
fn deleting_a_directory_wakes_watchers_below() {
    compare(|pair| {
        script::run(pair, "201 PUT ~/d/a/b value=1\n 201 PUT ~/d/c value=1");
        let mut watches = [
            "d",
            "d/a",
            "d/a/b",
            "d/c",
            "d/a/b?recursive=true",
            "d?recursive=true",
            "?recursive=true",
        ]
        .map(|key| {
            pair.watch(&format!(
                "/v2/keys/{key}{}wait=true",
                if key.contains('?') { "&" } else { "?" }
            ))
        });
        script::run(pair, "200 DELETE ~/d?recursive=true");
        for watch in &mut watches {
            assert!(pair.next(watch).contains(r#""action":"delete""#));
            pair.end(watch);
        }
        for key in ["d", "d/a", "d/a/b", "d/c"] {
            let mut history = pair.watch(&format!("/v2/keys/{key}?wait=true&waitIndex=6"));
            pair.next(&mut history);
        }
    });
}

#[test]
fn wait_index_in_the_past_now_and_ahead() {
    compare(|pair| {
        script::run(
            pair,
            "201 PUT ~/a value=1\n 201 PUT ~/b value=1\n 200 PUT ~/a value=2\n 201 PUT ~/c/d value=1",
        );
        for target in [
            "a?wait=true&waitIndex=1",
            "a?wait=true&waitIndex=4",
            "a?wait=true&waitIndex=5",
            "a?wait=true&waitIndex=6",
            "b?wait=true&waitIndex=2",
            "?wait=true&recursive=true&waitIndex=5",
            "c?wait=true&recursive=true&waitIndex=4",
            "c/?wait=true&recursive=true&waitIndex=4",
            "c/d?wait=true&waitIndex=7&quorum=false&sorted=false",
        ] {
            let mut watch = pair.watch(&format!("/v2/keys/{target}"));
            pair.next(&mut watch);
            pair.end(&mut watch);
        }
        let mut now = pair.watch("/v2/keys/a?wait=true&waitIndex=0");
        let mut next = pair.watch("/v2/keys/a?wait=true&waitIndex=8");
        let mut ahead = pair.watch("/v2/keys/a?wait=true&waitIndex=10");
        script::run(
            pair,
            "200 PUT ~/a value=8\n 200 PUT ~/a value=9\n 200 PUT ~/a value=10\n 200 PUT ~/a value=11",
        );
        assert!(pair.next(&mut now).contains(r#""value":"8""#));
        assert!(pair.next(&mut next).contains(r#""value":"8""#));
        assert!(pair.next(&mut ahead).contains(r#""value":"10""#));
    });
}

#[test]
fn history_has_a_thousand_events_and_then_401() {
    compare(|pair| {
        for number in 0..1010 {
            pair.send(&Request::put(
                "/v2/keys/many",
                &format!("value={number}&noValueOnSuccess=true"),
            ));
        }
        // 1013 is the newest index; the oldest that is kept is 14.
        for index in [14, 15, 1012, 1013] {
            let mut watch = pair.watch(&format!("/v2/keys/many?wait=true&waitIndex={index}"));
            pair.next(&mut watch);
        }
        script::run(
            pair,
            "
            400/401 GET ~/many?wait=true&waitIndex=13
            400/401 GET ~/many?wait=true&waitIndex=1
            400/401 GET ~/never?wait=true&waitIndex=5
            400/401 GET ~/?wait=true&waitIndex=5&recursive=true&stream=true
            ",
        );
    });
}

#[test]
fn history_survives_a_restart() {
    compare(|pair| {
        script::run(pair, "201 PUT ~/a value=1\n 200 PUT ~/a value=2\n 200 DELETE ~/a");
        for side in [&pair.reference, &pair.subject] {
            side.cluster().member(0).restart();
            side.cluster().wait_ready();
        }
        for index in [4, 5, 6] {
            let mut watch = pair.watch(&format!("/v2/keys/a?wait=true&waitIndex={index}"));
            pair.next(&mut watch);
            pair.end(&mut watch);
        }
        // The attributes are published anew: one more index.
        script::run(pair, "404/100 GET ~/a\n 201 PUT ~/a value=3");
    });
}

#[test]
fn history_survives_a_restart_from_a_snapshot() {
    compare_with(
        |builder| builder.flag("--snapshot-count=10"),
        |pair| {
            for number in 0..25 {
                pair.send(&Request::put("/v2/keys/a", &format!("value={number}")));
            }
            for side in [&pair.reference, &pair.subject] {
                side.cluster().member(0).restart();
                side.cluster().wait_ready();
            }
            for index in [4, 5, 20, 28] {
                let mut watch = pair.watch(&format!("/v2/keys/a?wait=true&waitIndex={index}"));
                pair.next(&mut watch);
            }
            script::run(pair, "200 GET ~/a\n 200 PUT ~/a value=x");
        },
    );
}

#[test]
fn a_stream_carries_event_after_event() {
    compare(|pair| {
        let mut stream = pair.watch("/v2/keys/s?wait=true&stream=true");
        let mut ahead = pair.watch("/v2/keys/s?wait=true&stream=true&waitIndex=6");
        script::run(
            pair,
            "201 PUT ~/s value=1\n 200 PUT ~/s value=2\n 200 PUT ~/s value=3\n 200 DELETE ~/s",
        );
        for _ in 0..4 {
            pair.next(&mut stream);
        }
        assert!(pair.next(&mut ahead).contains(r#""value":"3""#));
    });
}

#[test]
fn a_killed_server_cuts_the_body_short() {
    compare(|pair| {
        let mut poll = pair.watch("/v2/keys/w?wait=true");
        let mut stream = pair.watch("/v2/keys/w?wait=true&stream=true");
        for side in [&pair.reference, &pair.subject] {
            side.cluster().member(0).kill9();
        }
        pair.end(&mut poll);
        pair.end(&mut stream);
    });
}

#[test]
fn a_server_that_is_told_to_end_cuts_the_body_short() {
    compare(|pair| {
        let mut poll = pair.watch("/v2/keys/w?wait=true");
        for side in [&pair.reference, &pair.subject] {
            side.cluster().member(0).terminate(Duration::from_secs(20));
        }
        pair.end(&mut poll);
    });
}
