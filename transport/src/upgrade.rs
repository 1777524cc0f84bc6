//! The server's side of an upgraded connection: the stream, once the 101 has been sent.
//!
//! The stream keeps its place in the server's count of connections, but no longer obeys the server's time limits, and
//! the server's shutdown leaves it alone: it belongs to the protocol that it was upgraded to.

use std::io;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use crate::connections::{Phase, Registration};
use crate::stream::Stream;
use crate::tracked_io::TrackedIo;

/// A connection that no longer speaks HTTP.
#[derive(Debug)]
pub struct UpgradedConnection {
    /// The stream.
    pub stream: Stream,
    /// Bytes of the new protocol that came right behind the request.
    pub early: Bytes,
    /// The connection's place among the server's connections; to be dropped with the stream.
    pub place: Place,
}

/// A place among a server's connections, given back when dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held for its drop")] Registration);

/// The stream of `request`'s connection, as soon as the answer 101 that its handler returns has been sent. Await it
/// in a task of its own.
///
/// # Errors
/// When the request asked for no upgrade, was answered otherwise, or its client left.
pub async fn upgraded(request: Request<Incoming>) -> io::Result<UpgradedConnection> {
    let upgraded = hyper::upgrade::on(request).await.map_err(io::Error::other)?;
    let parts = upgraded
        .downcast::<TokioIo<TrackedIo>>()
        .map_err(|_| io::Error::other("the request came from another server"))?;
    let TrackedIo { stream, registration, put_back, .. } = parts.io.into_inner();
    registration.0.enter(Phase::Upgraded);
    // The parser reads what was put back before it reads a request, so only one of the two has bytes.
    let early = if put_back.is_empty() { parts.read_buf } else { put_back };
    Ok(UpgradedConnection { stream, early, place: Place(registration) })
}
