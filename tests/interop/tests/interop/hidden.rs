//! Keys with a segment that begins with `_`.

use quorate_interop_tests::{compare, script};

#[test]
fn hidden_keys_are_left_out_of_listings() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT    ~/_h value=1
            200     GET    ~/_h
            201     PUT    ~/_dir/a value=1
            201     PUT    ~/_dir/_b value=1
            201     PUT    ~/shown/_c value=1
            201     PUT    ~/shown/d value=1
            201     PUT    ~/only/_e value=1
            201     PUT    ~/mid/_f/g value=1
            201     PUT    ~/under_score value=1
            200     GET    ~/
            200     GET    ~/?recursive=true&sorted=true
            200     GET    ~/_dir
            200     GET    ~/_dir?recursive=true
            200     GET    ~/_dir/_b
            200     GET    ~/only
            200     GET    ~/only?recursive=true
            200     GET    ~/mid?recursive=true
            200     GET    ~/mid/_f?recursive=true
            403/108 DELETE ~/only?dir=true
            200     DELETE ~/only?recursive=true
            404/100 GET    ~/only/_e
            200     DELETE ~/_h
            404/100 GET    ~/_h
            ",
        );
    });
}

#[test]
fn live_watches_from_above_do_not_see_hidden_keys() {
    compare(|pair| {
        let mut above = pair.watch("/v2/keys/?wait=true&recursive=true&stream=true");
        let mut on_key = pair.watch("/v2/keys/d/_h?wait=true");
        let mut on_hidden = pair.watch("/v2/keys/_dir?wait=true&recursive=true&stream=true");
        script::run(
            pair,
            "
            201 PUT    ~/d/_h value=1
            201 PUT    ~/_dir/a value=1
            201 PUT    ~/_dir/_b value=1
            200 DELETE ~/d/_h
            201 PUT    ~/shown value=1
            ",
        );
        assert!(pair.next(&mut above).contains("/shown"));
        assert!(pair.next(&mut on_key).contains("/d/_h"));
        pair.end(&mut on_key);
        assert!(pair.next(&mut on_hidden).contains("/_dir/a"));
        script::run(pair, "201 PUT ~/_dir/c value=1");
        assert!(pair.next(&mut on_hidden).contains("/_dir/c"));
    });
}

#[test]
fn hidden_keys_can_be_watched_in_history_by_name() {
    compare(|pair| {
        script::run(pair, "201 PUT ~/_h value=1\n 200 PUT ~/_h value=2\n 201 PUT ~/_d/a value=1");
        for target in [
            "_h?wait=true&waitIndex=4",
            "_h?wait=true&waitIndex=5",
            "_d?wait=true&recursive=true&waitIndex=1",
        ] {
            let mut watch = pair.watch(&format!("/v2/keys/{target}"));
            pair.next(&mut watch);
            pair.end(&mut watch);
        }
    });
}
