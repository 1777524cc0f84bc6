//! Keys that expire.

use std::time::Duration;

use quorate_harness::{Request, wait_until};
use quorate_interop_tests::{Pair, compare, script};

const EXPIRED_WITHIN: Duration = Duration::from_secs(20);

/// Waits on each side by itself, since the two clocks of expiry do not tick together.
fn wait_gone(pair: &Pair, key: &str) {
    for side in [&pair.reference, &pair.subject] {
        wait_until(&format!("{key} has expired at the {}", side.label()), EXPIRED_WITHIN, || {
            side.cluster().keys().get(key).is_ok_and(|answer| answer.status == 404)
        });
    }
}

#[test]
fn ttl_and_expiration_are_shown() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT  ~/t?ttl=100 value=1
            200     GET  ~/t
            200     PUT  ~/t value=2
            200     GET  ~/t
            200     PUT  ~/t value=3&ttl=200
            200     PUT  ~/t?prevExist=true value=4&ttl=300
            200     PUT  ~/t?prevExist=true value=5
            200     PUT  ~/t?prevValue=5 value=6&ttl=400
            200     PUT  ~/t?prevValue=6 value=7
            200     PUT  ~/t?ttl=500 value=8&ttl=600
            200     PUT  ~/t?ttl=500 value=8&ttl=
            200     GET  ~/t
            201     PUT  ~/d?ttl=700 dir=true
            201     PUT  ~/d/x value=1
            200     GET  ~/d?recursive=true
            200     GET  ~/?sorted=true
            200     PUT  ~/d?prevExist=true ttl=800
            200     PUT  ~/d?prevExist=true dir=true
            200     GET  ~/d
            201     POST ~/q value=1&ttl=900
            201     PUT  ~/long?ttl=7000000000 value=1
            200     GET  ~/long
            200     DELETE ~/long
            200     DELETE ~/d?recursive=true
            400/202 PUT  ~/t?ttl=-1 value=1
            400/202 PUT  ~/t?ttl=1.5 value=1
            400/202 PUT  ~/t?ttl=x value=1
            ",
        );
    });
}

#[test]
fn a_key_expires_with_an_event_and_one_index_step() {
    compare(|pair| {
        let mut watch = pair.watch("/v2/keys/e?wait=true&stream=true");
        let mut above = pair.watch("/v2/keys/?wait=true&recursive=true&stream=true");
        script::run(pair, "201 PUT ~/e?ttl=1 value=gone");
        for _ in ["set", "expire"] {
            pair.next(&mut watch);
            pair.next(&mut above);
        }
        script::run(pair, "404/100 GET ~/e\n 201 PUT ~/e value=new");
        assert!(pair.next(&mut above).contains(r#""action":"set""#));
        pair.ask("expireCount", |side| {
            let stats = side.cluster().http().send(&Request::get("/v2/stats/store"));
            stats.map(|it| it.json()["expireCount"].to_string()).unwrap_or_default()
        });
    });
}

#[test]
fn a_directory_expires_as_one() {
    compare(|pair| {
        script::run(
            pair,
            "201 PUT ~/d?ttl=1 dir=true\n 201 PUT ~/d/a/b value=1\n 201 PUT ~/d/c value=1",
        );
        let mut on_directory = pair.watch("/v2/keys/d?wait=true");
        let mut below = pair.watch("/v2/keys/d/a/b?wait=true");
        let mut above = pair.watch("/v2/keys/?wait=true&recursive=true&stream=true");
        for watch in [&mut on_directory, &mut below, &mut above] {
            assert!(pair.next(watch).contains(r#""action":"expire""#));
        }
        pair.end(&mut on_directory);
        script::run(pair, "404/100 GET ~/d/a/b\n 404/100 GET ~/d\n 201 PUT ~/after value=1");
        assert!(pair.next(&mut above).contains("/after"));
    });
}

#[test]
fn no_ttl_at_all_and_a_ttl_taken_back() {
    compare(|pair| {
        // What expires at once is written last: an expiry between two writes would move the index of the second.
        script::run(
            pair,
            "
            201 PUT ~/kept?ttl=1 value=1
            200 PUT ~/kept?prevExist=true value=1
            201 PUT ~/gone?ttl=1 value=1
            201 PUT ~/zero?ttl=0 value=1
            ",
        );
        wait_gone(pair, "/zero");
        wait_gone(pair, "/gone");
        script::run(pair, "200 GET ~/kept\n 404/100 GET ~/zero\n 200 GET ~/?recursive=true");
    });
}

#[test]
fn expiry_order_is_that_of_the_times() {
    compare(|pair| {
        let mut watch = pair.watch("/v2/keys/?wait=true&recursive=true&stream=true");
        script::run(
            pair,
            "201 PUT ~/b?ttl=3 value=1\n 201 PUT ~/a?ttl=2 value=1\n 201 PUT ~/c?ttl=1 value=1",
        );
        for _ in 0..6 {
            pair.next(&mut watch);
        }
    });
}
