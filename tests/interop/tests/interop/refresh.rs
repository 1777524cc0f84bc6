//! `refresh=true`: a new TTL that wakes nobody.

use quorate_interop_tests::{compare, script};

#[test]
fn forms_of_refresh() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT ~/r?ttl=100 value=kept
            200     PUT ~/r?refresh=true&ttl=200
            200     GET ~/r
            200     PUT ~/r?refresh=true&ttl=300&prevExist=true
            200     GET ~/r
            200     PUT ~/r?refresh=true&ttl=400&prevValue=kept
            200     PUT ~/r?refresh=true&ttl=500&prevIndex={modified}
            412/101 PUT ~/r?refresh=true&ttl=500&prevValue=other
            412/101 PUT ~/r?refresh=true&ttl=500&prevIndex=1
            200     PUT ~/r?refresh=true ttl=600&value=
            400/211 PUT ~/r?refresh=true ttl=600&value=1
            400/211 PUT ~/r?refresh=true value=1
            400/212 PUT ~/r?refresh=true
            400/212 PUT ~/r?refresh=true&ttl=
            400/202 PUT ~/r?refresh=true&ttl=x
            404/100 PUT ~/nope?refresh=true&ttl=5
            404/100 PUT ~/nope?refresh=true&ttl=5&prevExist=true
            404/100 PUT ~/nope?refresh=true&ttl=5&prevValue=1
            201     PUT ~/new?refresh=true&ttl=500&prevExist=false
            412/105 PUT ~/new?refresh=true&ttl=500&prevExist=false
            200     GET ~/new
            200     PUT ~/r?refresh=false value=2
            200     PUT ~/r?refresh=true&ttl=700&noValueOnSuccess=true
            200     GET ~/r
            ",
        );
    });
}

#[test]
fn refreshing_directories() {
    compare(|pair| {
        script::run(
            pair,
            "
            201 PUT ~/d?ttl=100 dir=true
            200 PUT ~/d?refresh=true&ttl=200&prevExist=true
            200 GET ~/d
            200 PUT ~/d?refresh=true&ttl=300&prevExist=true&dir=true
            200 GET ~/d
            403 PUT ~/d?refresh=true&ttl=400
            403 PUT ~/d?refresh=true&ttl=400&dir=true
            403 PUT ~/d?refresh=true&ttl=400&prevIndex=1
            200 GET ~/d
            400 PUT ~/?refresh=true&ttl=500
            ",
        );
    });
}

#[test]
fn a_refresh_wakes_no_watcher_and_is_skipped_in_history() {
    compare(|pair| {
        script::run(pair, "201 PUT ~/r?ttl=100 value=1");
        let mut live = pair.watch("/v2/keys/r?wait=true");
        script::run(
            pair,
            "200 PUT ~/r?refresh=true&ttl=200\n 200 PUT ~/r?refresh=true&ttl=300&prevExist=true",
        );
        script::run(pair, "200 PUT ~/r?ttl=400 value=2");
        assert!(pair.next(&mut live).contains(r#""value":"2""#));
        let mut history = pair.watch("/v2/keys/r?wait=true&waitIndex=5");
        assert!(pair.next(&mut history).contains(r#""value":"2""#));
        script::run(pair, "200 GET ~/r");
    });
}
