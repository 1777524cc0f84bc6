//! Drives one connection: the parser while requests come, far less memory while nothing happens.
//!
//! The parser keeps a read buffer of 8 KiB and a large state. Neither is of use to a connection whose answer is a
//! stream without a known length (a watcher), or to one that has been idle for a while. So those are taken out of the
//! parser: the first are written by [`EndlessAnswer`], the others only wait for a byte, and both go back to a new
//! parser with the next request.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

use crate::connections::{Connection, Phase, Signal, Tracked};
use crate::endless_answer::{EndlessAnswer, Outcome};
use crate::http_server::Handler;
use crate::served_body::ServedBody;
use crate::stream::FarEnd;
use crate::tracked_io::TrackedIo;

/// Serves the requests of one connection until it ends.
pub(crate) fn serve<H: Handler>(
    io: TrackedIo,
    tracked: Arc<Tracked>,
    handler: Arc<H>,
    http: Arc<Builder>,
) -> impl Future<Output = ()> + Send {
    let handoff = Arc::new(Handoff::default());
    let service = service_fn({
        let (tracked, handoff) = (Arc::clone(&tracked), Arc::clone(&handoff));
        move |request| {
            answer(Arc::clone(&handler), request, Arc::clone(&tracked), Arc::clone(&handoff))
        }
    });
    // A connection that never says anything never gets a parser.
    tracked.is_parked.store(true, Ordering::Relaxed);
    let state = State::Parked(TokioIo::new(io), service);
    Driven { state, tracked, handoff, http, is_draining: false }
}

/// Where a request leaves an endless answer for the connection's driver.
struct Handoff<B>(Mutex<Option<Box<EndlessAnswer<B>>>>);

impl<B> Default for Handoff<B> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

async fn answer<H: Handler>(
    handler: Arc<H>,
    request: Request<Incoming>,
    tracked: Arc<Tracked>,
    handoff: Arc<Handoff<H::Body>>,
) -> Result<Response<ServedBody<H::Body>>, Infallible> {
    tracked.enter(Phase::Serving);
    let framing = Framing::of(request.headers());
    if let Some(refusal) = refuse_malformed(&request, &framing) {
        return Ok(refusal.map(|text| ServedBody::text(text, tracked)));
    }
    // Both a length and a transfer coding is how requests are smuggled past a proxy. The parser has already dropped
    // the length, so no coded request gets to share its connection with another.
    let closes = framing.is_coded;
    let may_take_over = request.version() == Version::HTTP_11 && request.method() == Method::GET;
    let ends_after = closes || framing.leaves_no_next_request;
    let mut response = handler.handle(request, Connection(Arc::clone(&tracked))).await;
    if closes {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if may_take_over && response.body().size_hint().exact().is_none() {
        *handoff.0.lock() = Some(Box::new(EndlessAnswer::new(response, ends_after)));
        // Both are needless for as long as the answer takes, which this future now waits to be dropped for.
        drop((tracked, handoff));
        return std::future::pending().await;
    }
    Ok(response.map(|body| ServedBody::handlers(body, tracked)))
}

/// What a request's headers say of the requests around it. Read in one pass, since most have two or three headers.
#[derive(Default)]
struct Framing {
    hosts: usize,
    is_coded: bool,
    /// The connection can't be used again: the client says so, or a body that nobody reads stands before the next request.
    leaves_no_next_request: bool,
}

impl Framing {
    fn of(headers: &HeaderMap) -> Self {
        let mut framing = Self::default();
        for (name, value) in headers {
            if name == header::HOST {
                framing.hosts += 1;
            } else if name == header::TRANSFER_ENCODING {
                framing.is_coded = true;
            } else if name == header::CONNECTION {
                framing.leaves_no_next_request |= value
                    .as_bytes()
                    .split(|byte| *byte == b',')
                    .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"));
            } else if name == header::CONTENT_LENGTH {
                framing.leaves_no_next_request |= value != "0";
            }
        }
        framing
    }
}

fn refuse_malformed(
    request: &Request<Incoming>,
    framing: &Framing,
) -> Option<Response<&'static str>> {
    let text = match (request.version(), framing.hosts) {
        (Version::HTTP_11, 0) => "400 Bad Request: missing required Host header",
        (_, 2..) => "400 Bad Request: too many Host headers",
        _ if request.method() == Method::CONNECT => "400 Bad Request: this is not a proxy",
        _ => return None,
    };
    let mut response = Response::new(text);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(response)
}

/// What a handler's body must be.
trait AnswerBody:
    Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + 'static
{
}

impl<B> AnswerBody for B where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + 'static
{
}

/// The future of one connection.
struct Driven<S, B: AnswerBody>
where
    S: Service<Request<Incoming>, Response = Response<ServedBody<B>>, Error = Infallible>,
{
    state: State<S, B>,
    tracked: Arc<Tracked>,
    handoff: Arc<Handoff<B>>,
    http: Arc<Builder>,
    is_draining: bool,
}

type Io = TokioIo<TrackedIo>;

enum State<S, B: AnswerBody>
where
    S: Service<Request<Incoming>, Response = Response<ServedBody<B>>, Error = Infallible>,
{
    /// Requests are read and answered.
    Parsing(Box<UpgradeableConnection<Io, S>>),
    /// An endless answer is being sent.
    Streaming(Io, S, Box<EndlessAnswer<B>>),
    /// Nothing has happened for a while.
    Parked(Io, S),
    /// It is over.
    Ended,
}

impl<S, B> Future for Driven<S, B>
where
    S: Service<Request<Incoming>, Response = Response<ServedBody<B>>, Error = Infallible> + Unpin,
    B: AnswerBody,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.tracked.listen(cx.waker());
        let signal = this.tracked.signal();
        if signal == Signal::Cut {
            return Poll::Ready(());
        }
        loop {
            this.state = match std::mem::replace(&mut this.state, State::Ended) {
                State::Parsing(parser) => match this.parse(parser, signal, cx) {
                    Next::Wait(state) => {
                        this.state = state;
                        return Poll::Pending;
                    }
                    Next::Go(state) => state,
                },
                State::Streaming(io, service, answer) => {
                    match this.stream(io, service, answer, signal, cx) {
                        Next::Wait(state) => {
                            this.state = state;
                            return Poll::Pending;
                        }
                        Next::Go(state) => state,
                    }
                }
                State::Parked(mut io, service) => match io.inner_mut().stream.poll_far_end(cx) {
                    Poll::Pending if signal == Signal::None => {
                        this.state = State::Parked(io, service);
                        return Poll::Pending;
                    }
                    Poll::Ready(FarEnd::Unread { .. }) => {
                        this.tracked.is_parked.store(false, Ordering::Relaxed);
                        this.parser(io, service)
                    }
                    Poll::Pending | Poll::Ready(FarEnd::Gone) => State::Ended,
                },
                State::Ended => return Poll::Ready(()),
            };
        }
    }
}

/// Whether a state can do more at once.
enum Next<T> {
    Wait(T),
    Go(T),
}

impl<S, B> Driven<S, B>
where
    S: Service<Request<Incoming>, Response = Response<ServedBody<B>>, Error = Infallible> + Unpin,
    B: AnswerBody,
{
    fn parser(&self, io: Io, service: S) -> State<S, B> {
        State::Parsing(Box::new(self.http.serve_connection(io, service).with_upgrades()))
    }

    fn parse(
        &mut self,
        mut parser: Box<UpgradeableConnection<Io, S>>,
        signal: Signal,
        cx: &mut Context<'_>,
    ) -> Next<State<S, B>> {
        if signal == Signal::Drain && !self.is_draining {
            self.is_draining = true;
            Pin::new(&mut *parser).graceful_shutdown();
        }
        if let Poll::Ready(ended) = Pin::new(&mut *parser).poll(cx) {
            // A stream that outlives its parser was upgraded, and obeys no limit or shutdown of HTTP's any more.
            self.tracked.enter(Phase::Upgraded);
            // Clients that vanish, stall or send nonsense are no news to an operator.
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
            return Next::Go(State::Ended);
        }
        // An answer before this one may still sit in the parser's write buffer, which it doesn't give back.
        if !self.tracked.is_flushed.load(Ordering::Relaxed) {
            return Next::Wait(State::Parsing(parser));
        }
        if let Some(answer) = self.handoff.0.lock().take() {
            return Next::Go(match take_apart(*parser) {
                Some((io, service)) => State::Streaming(io, service, answer),
                None => State::Ended,
            });
        }
        if self.tracked.should_park() {
            self.tracked.is_parked.store(true, Ordering::Relaxed);
            return Next::Go(match take_apart(*parser) {
                Some((io, service)) => State::Parked(io, service),
                None => State::Ended,
            });
        }
        Next::Wait(State::Parsing(parser))
    }

    fn stream(
        &mut self,
        mut io: Io,
        service: S,
        mut answer: Box<EndlessAnswer<B>>,
        signal: Signal,
        cx: &mut Context<'_>,
    ) -> Next<State<S, B>> {
        match answer.poll_send(io.inner_mut(), signal != Signal::None, cx) {
            Poll::Pending => Next::Wait(State::Streaming(io, service, answer)),
            Poll::Ready(Outcome::Over) => Next::Go(State::Ended),
            Poll::Ready(Outcome::NextRequest) => {
                self.tracked.looks_again.store(false, Ordering::Relaxed);
                // All of it has been taken from here, and no parser will say so: idleness counts from now.
                self.tracked.is_flushed.store(true, Ordering::Relaxed);
                self.tracked.enter(Phase::Idle);
                if io.inner().put_back.is_empty() {
                    // The parser comes with the next request: others who wait for the same event are told first.
                    self.tracked.is_parked.store(true, Ordering::Relaxed);
                    return Next::Go(State::Parked(io, service));
                }
                Next::Go(self.parser(io, service))
            }
        }
    }
}

/// The stream and the service back out of a parser that has nothing to write; bytes it had read go before the stream.
fn take_apart<S, B>(parser: UpgradeableConnection<Io, S>) -> Option<(Io, S)>
where
    S: Service<Request<Incoming>, Response = Response<ServedBody<B>>, Error = Infallible>,
    B: AnswerBody,
{
    let mut parts = parser.into_parts()?;
    parts.io.inner_mut().put_back(&parts.read_buf);
    Some((parts.io, parts.service))
}
