//! What clients see when things go wrong: no quorum, no leader, bodies too large or too slow, hosts that are not admitted.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod api_fake;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use api_fake::{Fake, Serves, Trouble, api, exchange, serve};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame};
use quorate_server::client_api::{Access, ClientApi, Origin, Reply, Via};
use quorate_server::member::{Check, MembershipError, ProposeError};

const FORM_MAX: usize = 10 << 20;

fn request<B>(method: Method, target: &str, body: B) -> Request<B> {
    let form = "application/x-www-form-urlencoded";
    let builder = Request::builder().method(method).uri(target).header("host", "member");
    builder.header("content-type", form).body(body).unwrap()
}

async fn text(reply: Reply) -> String {
    String::from_utf8(reply.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn get(api: &ClientApi<Fake>, target: &str) -> (StatusCode, String) {
    let reply = api.answer(request(Method::GET, target, Empty::new()), &Origin::PLAIN).await;
    (reply.status(), text(reply).await)
}

/// A body that comes in pieces and then stops coming, or ends.
struct Pieces {
    size: usize,
    count: usize,
    ends: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(left) = self.count.checked_sub(1) else {
            return if self.ends { Poll::Ready(None) } else { Poll::Pending };
        };
        self.count = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'='; self.size])))))
    }
}

#[tokio::test]
async fn a_member_without_a_quorum_says_so_and_still_reads() {
    let fake = Fake::new();
    let (api, _) = api(&fake, Access::default());
    let causes = [
        (ProposeError::TimedOut, "etcdserver: request timed out"),
        (
            ProposeError::TimedOutLeaderLost,
            "etcdserver: request timed out, possibly due to previous leader failure",
        ),
        (ProposeError::Stopped, "etcdserver: server stopped"),
    ];
    for (error, cause) in causes {
        fake.trouble(Trouble { propose: Some(error), ..Trouble::default() });
        let body = format!(
            "{{\"errorCode\":300,\"message\":\"Raft Internal Error\",\"cause\":\"{cause}\",\"index\":0}}\n"
        );
        let put = request(Method::PUT, "/v2/keys/a", Full::from("value=1"));
        let reply = api.answer(put, &Origin::PLAIN).await;
        assert_eq!(reply.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(reply.headers()["x-etcd-index"], "0");
        assert!(!reply.headers().contains_key("x-raft-index"));
        assert_eq!(text(reply).await, body);
        let quorum_read = get(&api, "/v2/keys?quorum=true").await;
        assert_eq!(quorum_read, (StatusCode::INTERNAL_SERVER_ERROR, body));
        assert_eq!(get(&api, "/v2/keys").await.0, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn health_fails_without_a_leader_or_a_quorum_and_before_joining() {
    let fake = Fake::new();
    let (api, _) = api(&fake, Access::default());
    assert_eq!(get(&api, "/health").await, (StatusCode::OK, "{\"health\":\"true\"}".to_owned()));
    let unwell = (StatusCode::SERVICE_UNAVAILABLE, "{\"health\":\"false\"}\n".to_owned());
    fake.trouble(Trouble { no_leader: true, ..Trouble::default() });
    assert_eq!(get(&api, "/health").await, unwell);
    let electing =
        (StatusCode::SERVICE_UNAVAILABLE, "{\"message\":\"During election\"}".to_owned());
    assert_eq!(get(&api, "/v2/members/leader").await, electing);
    let not_leading = (StatusCode::FORBIDDEN, "{\"message\":\"not current leader\"}".to_owned());
    assert_eq!(get(&api, "/v2/stats/leader").await, not_leading);
    fake.trouble(Trouble { not_joined: true, ..Trouble::default() });
    assert_eq!(get(&api, "/health").await, unwell);
    fake.trouble(Trouble { never_answers: true, ..Trouble::default() });
    let started = tokio::time::Instant::now();
    assert_eq!(get(&api, "/health").await, unwell);
    assert_eq!(started.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn a_failed_check_is_named() {
    let fake = Fake::new();
    let (api, _) = api(&fake, Access::default());
    let check = Check { name: "disk", result: Err("no room left; free some".to_owned()) };
    fake.trouble(Trouble { checks: vec![check], ..Trouble::default() });
    let list = "[+]leader ok\n[-]disk failed: no room left; free some\n".to_owned();
    assert_eq!(get(&api, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, list));
    assert_eq!(get(&api, "/readyz?exclude=disk").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(get(&api, "/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_refused_membership_change_says_why() {
    let fake = Fake::new();
    let (api, _) = api(&fake, Access::default());
    let refused = MembershipError::Refused("b has not started; start it or remove it".to_owned());
    fake.trouble(Trouble { membership: Some(refused), ..Trouble::default() });
    let mut add =
        request(Method::POST, "/v2/members", Full::from("{\"peerURLs\":[\"http://a:1\"]}"));
    add.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let reply = api.answer(add, &Origin::PLAIN).await;
    assert_eq!(reply.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text(reply).await, "{\"message\":\"b has not started; start it or remove it\"}");
}

#[tokio::test]
async fn a_form_may_have_ten_mebibytes_and_no_more() {
    let (api, _) = api(&Fake::new(), Access::default());
    for (excess, status) in [(0, StatusCode::CREATED), (1, StatusCode::BAD_REQUEST)] {
        let body = vec![b'x'; FORM_MAX - "value=".len() + excess];
        let body = [b"value=".to_vec(), body].concat();
        let target = format!("/v2/keys/big{excess}?noValueOnSuccess=true");
        let put = request(Method::PUT, &target, Full::from(body));
        let reply = api.answer(put, &Origin::PLAIN).await;
        assert_eq!(reply.status(), status);
        if excess > 0 {
            let body = "{\"errorCode\":210,\"message\":\"Invalid POST form\",\"cause\":\"http: POST too large\",\"index\":0}\n";
            assert_eq!(text(reply).await, body);
        }
    }
    let pieces = Pieces { size: 64 << 10, count: 161, ends: true };
    let reply = api.answer(request(Method::PUT, "/v2/keys/a", pieces), &Origin::PLAIN).await;
    assert!(!reply.headers().contains_key("connection"));
    assert!(text(reply).await.contains("http: POST too large"));
    // An endless body is not read to its end.
    let pieces = Pieces { size: 64 << 10, count: usize::MAX, ends: false };
    let reply = api.answer(request(Method::PUT, "/v2/keys/a", pieces), &Origin::PLAIN).await;
    assert_eq!(reply.headers()["connection"], "close");
    assert!(text(reply).await.contains("http: POST too large"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_ends_the_connection() {
    let (api, _) = api(&Fake::new(), Access::default());
    let started = tokio::time::Instant::now();
    let pieces = Pieces { size: 1, count: 3, ends: false };
    let reply = api.answer(request(Method::PUT, "/v2/keys/a", pieces), &Origin::PLAIN).await;
    assert_eq!(started.elapsed(), Duration::from_secs(30));
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    assert_eq!(reply.headers()["connection"], "close");
    assert_eq!(get(&api, "/v2/keys/a").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn bodies_of_reads_and_removals_are_not_waited_for() {
    let (api, _) = api(&Fake::new(), Access::default());
    for method in [Method::GET, Method::DELETE, Method::HEAD] {
        let pieces = Pieces { size: 1, count: 0, ends: false };
        let reply = api.answer(request(method, "/v2/keys/a", pieces), &Origin::PLAIN).await;
        assert_eq!(reply.status(), StatusCode::NOT_FOUND);
    }
}

#[test]
fn an_answer_in_the_making_is_small() {
    let (api, _) = api(&Fake::new(), Access::default());
    // Each connection keeps the space of one for its whole life.
    let answer = api.answer(request(Method::GET, "/v2/keys/a", Empty::new()), &Origin::PLAIN);
    assert!(size_of_val(&answer) <= 1280, "{} bytes", size_of_val(&answer));
}

#[tokio::test]
async fn a_host_that_is_not_admitted_is_misdirected_except_over_tls() {
    let access = Access { origins: None, hosts: Some(vec!["good".to_owned()]) };
    let (api, _) = api(&Fake::new(), access);
    let ask = |method, via| api.answer(request(method, "/health", Empty::new()), via);
    let refused = ask(Method::GET, &Origin::PLAIN).await;
    assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
    assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
    assert!(text(refused).await.contains("--host-whitelist \"member\""));
    assert_eq!(
        ask(Method::OPTIONS, &Origin::PLAIN).await.status(),
        StatusCode::MISDIRECTED_REQUEST
    );
    assert_eq!(
        ask(Method::GET, &Origin { via: Via::Tls, ..Origin::PLAIN }).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_metrics_listener_serves_metrics_and_health_only() {
    let access = Access { origins: None, hosts: Some(vec!["good".to_owned()]) };
    let address = serve(api(&Fake::new(), access).0, Serves::MetricsOnly).await;
    let cases = [
        ("GET /metrics", "HTTP/1.1 200 ", "up 1\n"),
        ("GET /health", "HTTP/1.1 200 ", "{\"health\":\"true\"}"),
        ("GET //health", "HTTP/1.1 301 ", "<a href=\"/health\">Moved Permanently</a>.\n\n"),
        ("GET /version", "HTTP/1.1 404 ", "404 page not found\n"),
        ("OPTIONS /version", "HTTP/1.1 404 ", "404 page not found\n"),
        ("GET /v2/keys", "HTTP/1.1 404 ", "404 page not found\n"),
    ];
    for (line, status, body) in cases {
        let request = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = String::from_utf8(exchange(address, request.as_bytes()).await).unwrap();
        assert!(answer.starts_with(status), "{line}: {answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{line}: {answer}");
        assert!(!answer.contains("Access-Control"), "{line}: {answer}");
    }
}
