//! Which paths and methods exist, how paths are cleaned, and what every answer carries.

use quorate_harness::Request;
use quorate_interop_tests::{compare, compare_with, script};

#[test]
fn a_fresh_member_shows_the_same_index_and_headers() {
    compare(|pair| {
        let both = pair.send(&Request::get("/v2/keys"));
        assert_eq!(both.reference.etcd_index(), Some(3));
        script::run(
            pair,
            "200 GET ~/\n 200 HEAD ~/\n 200 GET ~?recursive=true&sorted=true&quorum=true",
        );
    });
}

#[test]
fn methods_of_keys() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT     ~/a value=1
            200     HEAD    ~/a
            404/100 GET     ~/nope
            404     HEAD    ~/nope
            405     PATCH   ~/a
            405     TRACE   ~/a
            405     PURGE   ~/a
            405     PATCH   ~
            200     OPTIONS ~/a
            200     OPTIONS /v2/members
            200     OPTIONS /nowhere
            200     OPTIONS /
            ",
        );
    });
}

#[test]
fn paths_that_do_not_exist() {
    compare(|pair| {
        script::run(
            pair,
            "
            404 GET  /
            404 GET  /v2
            404 GET  /v2/
            404 GET  /v2/keysfoo
            404 GET  /v2/key
            404 GET  /v1/keys/a
            404 PUT  /v2/nothing value=1
            404 HEAD /nothing
            404 GET  /v2/stats
            404 GET  /config
            ",
        );
    });
}

#[test]
fn paths_are_cleaned_by_redirect() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT    ~/a/b value=1
            301     GET    ~//a
            301     GET    ~/a//b
            301     GET    ~/a/./b
            301     GET    ~/a/../a/b
            301     GET    //v2/keys/a
            301     GET    ~/a/b/..
            301     GET    ~/a/../../../x
            301     GET    ~//a?recursive=true&x=1
            301     PUT    ~//c value=1
            301     DELETE ~//a
            301     POST   ~//a value=1
            301     HEAD   ~//a
            200     GET    ~/a/b/
            200     GET    ~/a/
            201     PUT    ~/slash/ value=1
            200     GET    ~/slash
            ",
        );
    });
}

#[test]
fn keys_in_paths_are_decoded() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT    ~/x%2Fy value=1
            200     GET    ~/x/y
            200     GET    ~/x?recursive=true
            201     PUT    ~/%C3%BCber value=1
            200     GET    ~/%C3%BCber
            201     PUT    ~/with%20space value=1
            200     GET    ~/with%20space
            201     PUT    ~/plus+plus value=1
            200     GET    ~/plus%2Bplus
            201     PUT    ~/q%3Fmark%26amp value=1
            200     GET    ~/q%3Fmark%26amp
            201     PUT    ~/percent%25 value=1
            200     GET    ~/percent%25
            201     PUT    ~/bad%ffutf value=1
            200     GET    ~/bad%ffutf
            201     PUT    ~/lt%3Cgt%3E value=1
            200     GET    ~/?sorted=true
            ",
        );
        pair.send(&Request::get("/v2/keys/tilde~and!sub$delims'()*,;=:@"));
    });
}

/// Such a request is turned away before any of the API is reached, so only the gist of the answer is compared.
#[test]
fn requests_that_cannot_be_read() {
    compare(|pair| {
        for raw in [
            "GET /v2/keys/broken%zz HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /v2/keys/a HTTP/1.1\r\n\r\n",
        ] {
            pair.ask(raw, |side| match side.http().send_raw(raw.as_bytes()) {
                Ok(answer) => {
                    format!(
                        "{} {:?} {}",
                        answer.status,
                        answer.header("Content-Type"),
                        answer.text()
                    )
                }
                Err(error) => error.to_string(),
            });
        }
    });
}

#[test]
fn transport_of_requests() {
    compare(|pair| {
        for raw in [
            "GET /v2/keys/a HTTP/1.0\r\nHost: x\r\n\r\n",
            "GET /v2/keys/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "GET http://elsewhere/v2/keys/ HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            pair.send_raw(raw.as_bytes());
        }
        let expect = Request::put("/v2/keys/e", "value=1").header("Expect", "100-continue");
        assert_eq!(pair.send(&expect).reference.status, 201);
    });
}

#[test]
fn an_explicit_cors_list_echoes_only_a_match() {
    compare_with(
        |builder| builder.flag("--cors=http://one.example:80,http://two.example:80"),
        |pair| {
            let get = || Request::get("/v2/keys/");
            pair.send(&get());
            pair.send(&get().header("Origin", "http://one.example:80"));
            pair.send(&get().header("Origin", "http://two.example:80"));
            pair.send(&get().header("Origin", "http://three.example:80"));
            pair.send(
                &Request::new("OPTIONS", "/v2/keys/").header("Origin", "http://one.example:80"),
            );
        },
    );
}

#[test]
fn a_host_whitelist_turns_other_hosts_away() {
    compare_with(
        |builder| builder.flag("--host-whitelist=good.example,127.0.0.1"),
        |pair| {
            for path in ["/v2/keys/", "/health", "/v2/members", "/nowhere"] {
                for host in [
                    "good.example",
                    "good.example:2379",
                    "127.0.0.1:1",
                    "bad.example",
                    "bad.example:80",
                ] {
                    // The advice in the body names the program, so only its gist is compared.
                    pair.ask(&format!("{path} as {host}"), |side| {
                        let answer = side
                            .http()
                            .send(&Request::get(path).header("Host", host))
                            .expect("an answer");
                        let advice = answer.status == 421
                            && answer.text().contains("--host-whitelist \"bad.example\"");
                        format!(
                            "{} {:?} {advice}",
                            answer.status_line,
                            answer.header("Content-Type")
                        )
                    });
                }
            }
        },
    );
}
