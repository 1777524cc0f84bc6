//! What an answer's body is made of: bytes that are all there, or the events of a watch.
//!
//! Kept small, since one exists for every waiting client. Left out: what the bytes say.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::watch::{Next, Subscription, WatchEnd};

/// An answer's body.
#[derive(Debug)]
pub enum ApiBody {
    /// All of it, sent with its length. Empty once it has been sent.
    Full(Bytes),
    /// One JSON line for each event, in chunks.
    Watch(Box<Subscription>),
}

/// The body ends in its midst because the member stops; the connection is closed without the last chunk, so that no client
/// takes what it has got for the whole.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the member is stopping; watch again at another member")]
pub struct BodyCut;

impl ApiBody {
    /// A body of these bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(bytes.into())
    }

    /// A body of bytes known when the program was built.
    #[must_use]
    pub const fn full_static(bytes: &'static [u8]) -> Self {
        Self::Full(Bytes::from_static(bytes))
    }

    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Full(Bytes::new())
    }
}

impl Body for ApiBody {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        let frame = match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => None,
            Self::Full(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Self::Watch(subscription) => match ready!(subscription.poll_next(context)) {
                Next::Event(event) => Some(Ok(Frame::data(event.json()))),
                Next::End(WatchEnd::Done | WatchEnd::Overflow | WatchEnd::Forbidden) => None,
                Next::End(WatchEnd::Stopped) => Some(Err(BodyCut)),
            },
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Watch(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // A length always fits 64 bits.
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Watch(_) => SizeHint::default(),
        }
    }
}
