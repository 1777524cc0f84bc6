//! The status page in a browser: read without scripts, kept up to date with them, and safe from what members say of themselves.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::time::Duration;

use quorate_discovery_tests::{Browser, Service, Token, bearer, skip_without_browser};
use quorate_harness::{Request, wait_until};

/// A browser on a loaded machine.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn the_page_is_read_without_scripts() {
    if skip_without_browser() {
        return;
    }
    let service = Service::start(&[]);
    let token = service.token(3);
    populate(&service, &token);
    let mut browser = Browser::open(&page(&service, &token), false);
    // The heading may be there before the rest of the page is; the footer comes last.
    wait_until("the page is there", SHOWN_WITHIN, || {
        let html = browser.html();
        html.contains("2 of 3") && html.contains("<footer>")
    });
    let html = browser.html();
    for expected in [
        "missing since",
        " ms</span>",
        "connection refused",
        "10.0.0.7",
        "--discovery DISCOVERY_URL",
    ] {
        assert!(html.contains(expected), "{expected:?} is not in\n{html}");
    }
    assert!(!html.contains("<script>alert"), "what a member says is not escaped\n{html}");
    assert!(!html.contains(&token.join), "whoever may read must not learn how to join");
    picture(&mut browser, "without-scripts");
}

#[test]
fn the_page_keeps_itself_up_to_date() {
    if skip_without_browser() {
        return;
    }
    let service = Service::start(&[]);
    let token = service.token(3);
    // A browser may also open the URL that the machines are given.
    let mut browser = Browser::open(&token.url, true);
    let heading = "document.querySelector('h1') ? document.querySelector('h1').innerText : ''";
    wait_until("the page is there", SHOWN_WITHIN, || browser.evaluate(heading).contains("0 of 3"));
    // The heading may be there before the rest of the page is.
    wait_until("it has the command for the machines", SHOWN_WITHIN, || {
        browser.html().contains(&token.url)
    });
    populate(&service, &token);
    wait_until("two are shown", SHOWN_WITHIN, || browser.evaluate(heading).contains("2 of 3"));
    wait_until("it says so", SHOWN_WITHIN, || browser.html().contains("live</span>"));
    picture(&mut browser, "forming");
    service.register(&token, "c3", "three=http://10.0.0.3:2380");
    wait_until("it is sealed", SHOWN_WITHIN, || {
        browser.evaluate(heading).to_lowercase().contains("sealed")
    });
    // The script was not reloaded: the page is the one that was opened first.
    let origin = browser.evaluate("performance.getEntriesByType('navigation').length + ''");
    assert_eq!(origin, "1");
    picture(&mut browser, "sealed");
}

#[test]
fn a_page_that_is_not_there_says_so_in_words() {
    let service = Service::start(&[]);
    let token = service.token(1);
    for target in [format!("/t/{}/read-{}", token.id, "0".repeat(32)), "/t/x/y".to_owned()] {
        let answer = service.send(&Request::get(&target));
        assert_eq!(
            (answer.status, answer.header("Content-Type")),
            (404, Some("text/html; charset=utf-8"))
        );
        assert!(answer.text().contains("no such token"), "{answer}");
    }
    for answer in [
        service.send(&Request::get("/")),
        service.send(&Request::get(format!("/t/{}/{}", token.id, token.read))),
    ] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"));
        assert!(
            answer
                .header("Content-Security-Policy")
                .is_some_and(|it| it.contains("default-src 'none'"))
        );
    }
}

fn page(service: &Service, token: &Token) -> String {
    format!("{}/t/{}/{}", service.process().client_url(), token.id, token.read)
}

/// Two of three, with everything that a member can have to say.
fn populate(service: &Service, token: &Token) {
    assert_eq!(service.register(token, "a1", "one=http://10.0.0.1:2380").status, 201);
    assert_eq!(service.register(token, "b2", "two=http://10.0.0.2:2380").status, 201);
    let clock =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let reports = [
        ("a1", r#"{"program":"quorate-server 0.1.0","reach":[{"member":"b2","ok":false,"detail":"http://10.0.0.2:2380: connection refused"}]}"#.to_owned()),
        ("b2", format!(
            r#"{{"clock_ms":{},"program":"<script>alert(1)</script>","reach":[{{"member":"a1","ok":true,"rtt_ms":2}}],"certificate_problems":["the certificate lacks 10.0.0.7"]}}"#,
            clock + 4200
        )),
    ];
    for (member, report) in reports {
        let target = format!("/v1/tokens/-/members/{member}/report");
        let request = Request::new("PUT", target).body("application/json", report);
        let answer = service.send(&bearer(request, &token.join));
        assert_eq!(answer.status, 204, "{answer}");
    }
}

/// Left in `QUORATE_PICTURES`, if it is set, for people to look at.
fn picture(browser: &mut Browser, name: &str) {
    let data = browser.picture();
    assert!(data.len() > 1000, "an empty picture");
    if let Some(folder) = std::env::var_os("QUORATE_PICTURES") {
        let path = std::path::Path::new(&folder).join(format!("{name}.png.base64"));
        std::fs::write(path, data).unwrap();
    }
}
