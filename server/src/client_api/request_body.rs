//! Reading request bodies: bounded in size, in time, and in how many large ones are held at once.
//!
//! A body that came in one piece, as small forms do, is neither copied nor timed.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The largest form; Go's limit, and so etcd's.
pub(super) const FORM_MAX: usize = 10 << 20;

/// The largest JSON body. Peer URLs and log levels are short.
pub(super) const JSON_MAX: usize = 1 << 20;

/// How long a body may take. A client that is slower holds a connection and memory for nothing.
const DEADLINE: Duration = Duration::from_secs(30);

/// Bodies above this size count as large.
const LARGE: usize = 64 << 10;

/// How many large bodies may be read at once: together they hold at most 320 MiB.
const LARGE_AT_ONCE: usize = 32;

/// How much of a body that is too large is read and dropped, so that its sender gets to read the answer.
const DRAIN_MAX: usize = 256 << 10;

/// Why a body could not be read. `Display` is the text for the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// It is larger than its kind may be.
    #[error("http: POST too large")]
    TooLarge {
        /// Whether all of it was read, so that another request may follow on the connection.
        is_drained: bool,
    },
    /// It took longer than [`DEADLINE`].
    #[error("the request body did not arrive within 30 s; send it faster")]
    TooSlow,
    /// The connection broke, or the chunks were malformed.
    #[error("unexpected EOF")]
    Broken,
}

impl BodyError {
    /// Whether the connection is of no more use: what follows on it is not a request.
    pub(super) fn ends_connection(&self) -> bool {
        !matches!(self, Self::TooLarge { is_drained: true })
    }
}

/// Reads bodies for one listener or more.
#[derive(Debug)]
pub(super) struct BodyReader {
    large: Semaphore,
}

impl Default for BodyReader {
    fn default() -> Self {
        Self { large: Semaphore::new(LARGE_AT_ONCE) }
    }
}

impl BodyReader {
    /// Reads all of `body`, at most `max` bytes.
    pub(super) async fn read<B: Body<Data = Bytes> + Unpin>(
        &self,
        mut body: B,
        max: usize,
    ) -> Result<Bytes, BodyError> {
        // Most bodies came with their heads, in one piece.
        let first = match poll_fn(|context| Poll::Ready(poll_piece(&mut body, context))).await {
            Poll::Ready(piece) => piece?,
            Poll::Pending => Some(Bytes::new()),
        };
        let Some(first) = first else { return Ok(Bytes::new()) };
        if first.len() <= max && body.is_end_stream() {
            return Ok(first);
        }
        // The rest needs space that a connection should not hold when it has no such body.
        match Box::pin(timeout(DEADLINE, self.read_rest(first, body, max))).await {
            Ok(read) => read,
            Err(_) => Err(BodyError::TooSlow),
        }
    }

    async fn read_rest<B: Body<Data = Bytes> + Unpin>(
        &self,
        first: Bytes,
        mut body: B,
        max: usize,
    ) -> Result<Bytes, BodyError> {
        if first.len() > max {
            return too_large(first.len() - max, body).await;
        }
        let mut all = Vec::with_capacity(first.len().max(expected(&body, max)));
        all.extend_from_slice(&first);
        let mut permit = None;
        while let Some(more) = piece(&mut body).await? {
            if all.len() + more.len() > max {
                let beyond = all.len() + more.len() - max;
                drop((all, permit));
                return too_large(beyond, body).await;
            }
            if permit.is_none() && all.len() + more.len() > LARGE {
                // The semaphore is never closed.
                permit = self.large.acquire().await.ok();
            }
            all.extend_from_slice(&more);
        }
        Ok(all.into())
    }
}

/// How much room to make at once: what the client announces, but not yet memory for a large body that may never come.
fn expected(body: &impl Body, max: usize) -> usize {
    let announced = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
    announced.unwrap_or(0).min(LARGE).min(max)
}

/// Reads and drops some of what follows, `beyond` bytes too many having been read already.
async fn too_large<B: Body<Data = Bytes> + Unpin>(
    mut beyond: usize,
    mut body: B,
) -> Result<Bytes, BodyError> {
    while beyond <= DRAIN_MAX {
        match piece(&mut body).await? {
            Some(more) => beyond += more.len(),
            None => return Err(BodyError::TooLarge { is_drained: true }),
        }
    }
    Err(BodyError::TooLarge { is_drained: false })
}

async fn piece<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Result<Option<Bytes>, BodyError> {
    poll_fn(|context| poll_piece(body, context)).await
}

fn poll_piece<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
    context: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, BodyError>> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(context)) {
            None => return Poll::Ready(Ok(None)),
            Some(Err(_)) => return Poll::Ready(Err(BodyError::Broken)),
            Some(Ok(frame)) => {
                // Trailers mean nothing here.
                if let Ok(data) = Frame::into_data(frame) {
                    return Poll::Ready(Ok(Some(data)));
                }
            }
        }
    }
}
