//! The body of an answer on its way out: the connection is idle again when it ends, and an answer without a known
//! length ends when the server drains.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::connections::{Phase, Signal, Tracked};

/// A handler's body, or a text of the server's own.
pub(crate) struct ServedBody<B> {
    source: Source<B>,
    is_endless: bool,
    tracked: Arc<Tracked>,
}

enum Source<B> {
    Handler(B),
    Text(Option<Bytes>),
}

impl<B: Body<Data = Bytes> + Unpin> ServedBody<B> {
    pub(crate) fn handlers(body: B, tracked: Arc<Tracked>) -> Self {
        let is_endless = body.size_hint().exact().is_none();
        if is_endless {
            tracked.abandons_when_gone.store(true, Ordering::Relaxed);
        }
        Self { source: Source::Handler(body), is_endless, tracked }
    }

    pub(crate) fn text(text: &'static str, tracked: Arc<Tracked>) -> Self {
        let bytes = Bytes::from_static(text.as_bytes());
        Self { source: Source::Text(Some(bytes)), is_endless: false, tracked }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ServedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Handler(body) => Pin::new(body).poll_frame(cx),
            Source::Text(text) => Poll::Ready(text.take().map(|bytes| Ok(Frame::data(bytes)))),
        };
        // The drain wakes the connection's task, which polls the parser, which comes here.
        if polled.is_pending() && this.is_endless && this.tracked.signal() != Signal::None {
            return Poll::Ready(None);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Handler(body) => body.is_end_stream(),
            Source::Text(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Handler(body) => body.size_hint(),
            Source::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}

impl<B> Drop for ServedBody<B> {
    fn drop(&mut self) {
        self.tracked.abandons_when_gone.store(false, Ordering::Relaxed);
        self.tracked.looks_again.store(false, Ordering::Relaxed);
        if self.tracked.phase() != Phase::Upgraded {
            self.tracked.enter(Phase::Idle);
        }
    }
}
