//! A small blocking HTTP/1.1 client that shows what is on the wire.
//!
//! Header names keep their spelling and order, the framing of the body is reported, and a body that is cut short is
//! told from one that ended. It follows no redirects, sends no header of its own but `Host`, and never retries, except
//! that a kept-alive connection which the server closed meanwhile is opened anew.

mod answer;
mod body;
mod request;
mod stream;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

pub use answer::{Answer, Ending, Framing};
use body::Body;
pub use request::Request;
pub use stream::{Line, Stream};
use wire::Wire;

/// Longer than the 7 s after which a server without a quorum answers, so that its answer is seen.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum HttpError {
    /// No connection could be made.
    #[error("no connection to {address}: {source}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing, or not enough, came within the time limit.
    #[error("no complete answer from the server within {0:?}")]
    TimedOut(Duration),
    /// The connection ended before the head of an answer was complete.
    #[error("the server closed the connection before it answered")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The bytes received are not HTTP/1.1.
    #[error("the answer is not HTTP/1.1: {0}")]
    NotHttp(String),
}

/// A client of one address.
#[derive(Debug)]
pub struct Http {
    address: SocketAddr,
    timeout: Duration,
    idle: Option<Mutex<Option<Wire>>>,
}

impl Http {
    /// A client that opens a connection for every request.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, timeout: DEFAULT_TIMEOUT, idle: None }
    }

    /// Makes this client use one connection for as many requests as the server allows.
    pub fn keep_alive(mut self) -> Self {
        self.idle = Some(Mutex::new(None));
        self
    }

    /// Sets the time limit for connecting and receiving a whole answer, or the head of a stream.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request and reads the whole answer.
    pub fn send(&self, request: &Request) -> Result<Answer, HttpError> {
        let Some(idle) = &self.idle else {
            return self.send_on(self.connect()?, request).map(|(answer, _)| answer);
        };
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.take().filter(Wire::is_still_open);
        let wire = kept.map_or_else(|| self.connect(), Ok)?;
        let (answer, wire) = self.send_on(wire, request)?;
        *idle = wire;
        Ok(answer)
    }

    /// Sends a request and returns as soon as the head of the answer is there; the body is read from the [`Stream`].
    pub fn stream(&self, request: &Request) -> Result<Stream, HttpError> {
        let started = Instant::now();
        let mut wire = self.connect()?;
        let answer = self.exchange_head(&mut wire, request, started)?;
        Ok(Stream::new(answer, wire, request.method()))
    }

    /// Sends bytes as they are, for requests no client would make, and reads one answer as if to a GET.
    pub fn send_raw(&self, bytes: &[u8]) -> Result<Answer, HttpError> {
        let started = Instant::now();
        let mut wire = self.connect()?;
        wire.write(bytes)?;
        let mut answer = self.read_head(&mut wire, started)?;
        self.read_body(&mut wire, &mut answer, "GET", started)?;
        Ok(answer)
    }

    fn connect(&self) -> Result<Wire, HttpError> {
        Wire::connect(self.address, self.timeout)
            .map_err(|source| HttpError::Connect { address: self.address, source })
    }

    /// The connection comes back only when it can carry another request.
    fn send_on(
        &self,
        mut wire: Wire,
        request: &Request,
    ) -> Result<(Answer, Option<Wire>), HttpError> {
        let started = Instant::now();
        let mut answer = self.exchange_head(&mut wire, request, started)?;
        self.read_body(&mut wire, &mut answer, request.method(), started)?;
        let asked_to_close =
            answer.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
        let reusable = answer.ending == Ending::Complete
            && answer.framing != Framing::UntilClose
            && !asked_to_close;
        Ok((answer, reusable.then_some(wire)))
    }

    fn exchange_head(
        &self,
        wire: &mut Wire,
        request: &Request,
        started: Instant,
    ) -> Result<Answer, HttpError> {
        wire.write(&request.to_bytes(self.address))?;
        self.read_head(wire, started)
    }

    fn read_head(&self, wire: &mut Wire, started: Instant) -> Result<Answer, HttpError> {
        let until = started + self.timeout;
        loop {
            let answer =
                answer::read_head(wire, until)?.ok_or(HttpError::TimedOut(self.timeout))?;
            if !(100..200).contains(&answer.status) {
                return Ok(answer);
            }
        }
    }

    fn read_body(
        &self,
        wire: &mut Wire,
        answer: &mut Answer,
        method: &str,
        started: Instant,
    ) -> Result<(), HttpError> {
        let mut body = Body::of(answer, method);
        let until = started + self.timeout;
        loop {
            if let Some(ending) = body.ending() {
                answer.body = body.take();
                answer.ending = ending;
                return Ok(());
            }
            if !body.advance(wire, until)? {
                return Err(HttpError::TimedOut(self.timeout));
            }
        }
    }
}
