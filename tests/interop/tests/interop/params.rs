//! Where parameters come from, how each is read, and which mistake is reported first.

use quorate_harness::Request;
use quorate_interop_tests::{Pair, compare, script};

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn body_and_query() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT    ~/q?value=query
            200     PUT    ~/q?value=query value=body
            200     PUT    ~/q value=first&value=second
            200     PUT    ~/q?value=first&value=second
            200     PUT    ~/q
            200     PUT    ~/q value=a%26b%3Dc+d%20e
            200     PUT    ~/q value
            200     PUT    ~/q =x&&value=1&
            200     PUT    ~/q unknown=1&value=2
            200     PUT    ~/q Value=capital
            200     PUT    ~/q?ttl=100 value=1
            201     POST   ~/post?value=query value=body
            201     PUT    ~/d dir=true
            403/102 DELETE ~/d dir=true
            403/102 DELETE ~/d recursive=true
            200     DELETE ~/d?recursive=true
            ",
        );
        pair.send(&Request::get("/v2/keys/").body(FORM, "recursive=true"));
    });
}

#[test]
fn other_bodies_are_ignored() {
    compare(|pair| {
        let put = |key: &str| Request::new("PUT", format!("/v2/keys/{key}"));
        pair.send(&put("json").body("application/json", r#"{"value":"1"}"#));
        pair.send(&put("none").body("", "value=1"));
        pair.send(&put("text").body("text/plain", "value=1"));
        pair.send(
            &put("charset").body("application/x-www-form-urlencoded; charset=utf-8", "value=1"),
        );
        pair.send(&put("case").body("Application/X-WWW-Form-Urlencoded", "value=1"));
        let multipart =
            "--b\r\nContent-Disposition: form-data; name=\"value\"\r\n\r\n1\r\n--b--\r\n";
        pair.send(&put("multipart").body("multipart/form-data; boundary=b", multipart));
        pair.send(&put("malformed").body("application/x-www-form-urlencoded; =", "value=1"));
        pair.send(&put("empty").body(FORM, ""));
        pair.send(&Request::new("PUT", "/v2/keys/nobody").header("Content-Type", FORM));
        pair.send(&put("badescape").body(FORM, "value=%zz"));
        pair.send(&put("semicolon").body(FORM, "value=1;ttl=5"));
        pair.send(&Request::get("/v2/keys/?sorted=true"));
    });
}

#[test]
fn malformed_queries() {
    compare(|pair| {
        script::run(
            pair,
            "
            400/210 GET    ~/a?a;b
            400/210 GET    ~/a?x=1;recursive=true
            400/210 PUT    ~/a?x=;y value=1
            400/210 DELETE ~/a?;
            400/210 GET    ~/a?x=%zz
            400/210 GET    ~/a?%
            400/210 GET    ~/a?x=%4
            404/100 GET    ~/a?&&=&=1
            404/100 GET    ~/a?
            400     HEAD   ~/a?x=%zz
            ",
        );
    });
}

#[test]
fn booleans_are_those_of_go() {
    compare(|pair| {
        script::run(pair, "201 PUT ~/d/a value=1");
        let values = [
            "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False", "",
            "yes", "tRUE", "2", "%20true", "true%20", "null",
        ];
        for name in [
            "recursive",
            "sorted",
            "quorum",
            "dir",
            "stream",
            "noValueOnSuccess",
            "prevExist",
            "refresh",
        ] {
            for value in values {
                pair.send(&Request::get(format!("/v2/keys/d?{name}={value}")));
            }
            pair.send(&Request::get(format!("/v2/keys/d?{name}")));
        }
        for value in ["0", "f", "false", "", "x"] {
            pair.send(&Request::get(format!("/v2/keys/d?wait={value}")));
        }
    });
}

#[test]
fn numbers() {
    compare(|pair| {
        script::run(pair, "201 PUT ~/n value=1");
        let values = [
            "0",
            "1",
            "007",
            "-1",
            "+1",
            "",
            "1.0",
            "1e3",
            "abc",
            "0x1",
            "1_0",
            "%201",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999",
        ];
        for value in values {
            pair.send(&Request::put("/v2/keys/n", &format!("value=2&prevIndex={value}")));
            pair.send(&Request::delete(format!("/v2/keys/nope?prevIndex={value}")));
            pair.send(&Request::get(format!("/v2/keys/n?waitIndex={value}")));
        }
        for value in ["", "-1", "+1", "1.5", "abc", "0x1", "%205", "-0", "18446744073709551616"] {
            pair.send(&Request::put("/v2/keys/ttl", &format!("value=1&ttl={value}")));
        }
    });
}

/// Each line has two mistakes that follow one another in the order of validation; the first is the one reported.
#[test]
fn the_first_mistake_is_reported() {
    const MISTAKES: [&str; 15] = [
        "x=%zz",
        "prevIndex=x",
        "waitIndex=x",
        "recursive=x",
        "sorted=x",
        "wait=x",
        "dir=x",
        "quorum=x",
        "stream=x",
        "wait=true",
        "prevValue=",
        "noValueOnSuccess=x",
        "ttl=x",
        "prevExist=x",
        "refresh=x",
    ];
    compare(|pair| {
        let check = |pair: &mut Pair, query: &str| {
            pair.send(&Request::put(format!("/v2/keys/m?{query}"), "value=1"));
            pair.send(&Request::delete(format!("/v2/keys/m?{query}")));
            pair.send(&Request::post(format!("/v2/keys/m?{query}"), ""));
        };
        for (position, first) in MISTAKES.iter().enumerate() {
            check(pair, first);
            if let Some(second) = MISTAKES.get(position + 1) {
                check(pair, &format!("{second}&{first}"));
            }
            check(pair, &format!("{first}&refresh=true&value=1"));
        }
        check(pair, "refresh=true&value=1");
        check(pair, "refresh=true");
        check(pair, "refresh=true&ttl=");
    });
}

#[test]
fn waiting_is_for_get_only() {
    compare(|pair| {
        script::run(
            pair,
            "
            400/209 PUT    ~/a?wait=true value=1
            400/209 POST   ~/a?wait=true value=1
            400/209 DELETE ~/a?wait=true
            400     HEAD   ~/a?wait=true
            404/100 GET    ~/a
            201     PUT    ~/a?wait=false value=1
            201     PUT    ~/b?stream=true&waitIndex=7 value=1
            200     GET    ~/a?wait=true&quorum=true
            200     GET    ~/a?stream=true
            200     GET    ~/a?dir=true&prevExist=true&ttl=5&prevValue=x
            400/201 GET    ~/a?prevValue=
            ",
        );
    });
}

#[test]
fn success_without_values() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT    ~/s?noValueOnSuccess=true value=1
            200     PUT    ~/s value=2&noValueOnSuccess=true
            200     PUT    ~/s?noValueOnSuccess=true&prevExist=true value=3
            200     PUT    ~/s?noValueOnSuccess=true&prevValue=3 value=4
            412/101 PUT    ~/s?noValueOnSuccess=true&prevValue=3 value=5
            201     PUT    ~/t?noValueOnSuccess=true&prevExist=false value=1
            201     POST   ~/p?noValueOnSuccess=true value=1
            200     GET    ~/s?noValueOnSuccess=true
            200     DELETE ~/s?noValueOnSuccess=true&prevValue=4
            200     DELETE ~/t?noValueOnSuccess=true
            ",
        );
    });
}

/// Go reads on for 256 KiB after a refused form; only a client that sends more has to open a new connection.
#[test]
fn forms_too_large() {
    const MAX: usize = 10 << 20;
    compare(|pair| {
        for excess in [1, 100 << 10, 400 << 10] {
            let form = format!("value={}", "x".repeat(MAX + excess - "value=".len()));
            let both = pair.send(&Request::new("PUT", "/v2/keys/large").body(FORM, form));
            assert_eq!(both.reference.status, 400, "{}", both.reference);
        }
    });
}
