//! `client_request`: whole requests to the client API, answered by a member of one with the real machine.
//!
//! The input is text much like HTTP/1.1: a line with method and target, header lines, an empty line, a body; `\n~~~\n`
//! stands between requests. Promises: each request is answered at once (a watch may wait for its events), never with
//! 500; JSON is JSON; the target of a redirect is no redirect; `HEAD` gets no body.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, TRANSFER_ENCODING};
use http::{Method, Request, StatusCode, Uri};
use hyper::body::{Body, Frame};
use quorate_server::client_api::{Access, ApiBody, ClientApi, Origin, Reply};
use tokio::runtime::Runtime;

use super::api_fake::{self, Fake};

/// Between two requests of an input.
const SEPARATOR: &[u8] = b"\n~~~\n";
/// Requests in one input; more find nothing that these do not.
const REQUESTS_MAX: usize = 8;
/// Bytes in each piece of a body that comes in pieces.
const PIECE_BYTES: usize = 7;

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    // Slow bodies are timed, and timers want a runtime; nothing runs on it.
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().expect("a runtime needs nothing")
    });
    let _context = RUNTIME.enter();
    let fake = Fake::new();
    let access = Access {
        origins: Some(vec!["http://a.example".to_owned()]),
        hosts: input.starts_with(b"PUT").then(|| vec!["localhost".to_owned()]),
    };
    let (api, _) = api_fake::api(&fake, access);
    let mut open = Vec::new();
    for text in split(input).take(REQUESTS_MAX) {
        let Some(request) = read(text) else { continue };
        let method = request.method().clone();
        let Some(mut reply) = answer(&api, request) else { continue };
        check(&api, &method, &reply);
        let body = drain(reply.body_mut());
        if method == Method::HEAD {
            assert!(body.is_empty(), "HEAD has a body");
        } else {
            check_body(&reply, &body);
        }
        // Watches stay open, so that later writes meet them.
        open.push(reply);
    }
    for reply in &mut open {
        let body = drain(reply.body_mut());
        check_body(reply, &body);
    }
}

fn split(mut input: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if input.is_empty() {
            return None;
        }
        let end = input.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        let (text, rest) = input.split_at(end.unwrap_or(input.len()));
        input = rest.get(SEPARATOR.len()..).unwrap_or_default();
        Some(text)
    })
}

/// The request that a text stands for, if HTTP's own parser would let it through.
fn read(text: &[u8]) -> Option<Request<Pieces>> {
    let end = text.windows(2).position(|window| window == b"\n\n");
    let (head, body) = text.split_at(end.unwrap_or(text.len()));
    let body = body.get(2..).unwrap_or_default();
    let mut lines = head.split(|&byte| byte == b'\n');
    let mut words = lines.next()?.splitn(2, |&byte| byte == b' ');
    let mut request = Request::new(Pieces::default());
    *request.method_mut() = Method::from_bytes(words.next()?).ok()?;
    *request.uri_mut() = Uri::try_from(words.next()?).ok()?;
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    let in_pieces = request.headers().contains_key(TRANSFER_ENCODING);
    let size = if in_pieces { PIECE_BYTES } else { body.len().max(1) };
    request.body_mut().0 = body.chunks(size).map(Bytes::copy_from_slice).collect();
    Some(request)
}

/// The answer; `None` for a request whose body does not come at once, which these here all do.
fn answer(api: &ClientApi<Fake>, request: Request<Pieces>) -> Option<Reply> {
    let reply = pin!(api.answer(request, &Origin::PLAIN)).now_or_never();
    assert!(reply.is_some(), "a request is not answered although all it needs is there");
    reply
}

fn check(api: &ClientApi<Fake>, method: &Method, reply: &Reply) {
    assert_ne!(reply.status(), StatusCode::INTERNAL_SERVER_ERROR);
    if reply.status() != StatusCode::MOVED_PERMANENTLY {
        return;
    }
    let location = reply.headers()[LOCATION].as_bytes();
    let mut again = Request::new(Pieces::default());
    *again.method_mut() = method.clone();
    *again.uri_mut() = Uri::try_from(location).expect("a redirect leads to a URL");
    if let Some(reply) = answer(api, again) {
        assert_ne!(reply.status(), StatusCode::MOVED_PERMANENTLY, "a redirect to a redirect");
    }
}

fn check_body(reply: &Reply, body: &[u8]) {
    let kind = reply.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.starts_with(b"application/json") {
        for value in serde_json::Deserializer::from_slice(body).into_iter::<serde_json::Value>() {
            value.expect("what claims to be JSON is JSON");
        }
    }
}

/// What of a body is there.
fn drain(body: &mut ApiBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut *body).poll_frame(&mut context) {
        bytes.extend_from_slice(&frame.into_data().expect("answers have no trailers"));
    }
    bytes
}

/// A request's body, in the pieces in which it arrives.
#[derive(Debug, Default)]
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}
