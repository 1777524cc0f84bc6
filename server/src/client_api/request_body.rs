//! Reading request bodies: bounded in size, in time, and in how many large ones are held at once.
//!
//! A body that came in one piece, as small forms do, is neither copied nor timed.

use std::pin::{Pin, pin};
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
    TooLarge,
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
        matches!(self, Self::TooSlow | Self::Broken)
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
    pub(super) async fn read<B: Body<Data = Bytes>>(
        &self,
        body: B,
        max: usize,
    ) -> Result<Bytes, BodyError> {
        match timeout(DEADLINE, self.read_untimed(body, max)).await {
            Ok(read) => read,
            Err(_) => Err(BodyError::TooSlow),
        }
    }

    async fn read_untimed<B: Body<Data = Bytes>>(
        &self,
        body: B,
        max: usize,
    ) -> Result<Bytes, BodyError> {
        let mut body = pin!(body);
        let Some(first) = piece(body.as_mut()).await? else { return Ok(Bytes::new()) };
        if first.len() > max {
            return too_large(body).await;
        }
        if body.is_end_stream() {
            return Ok(first);
        }
        let mut all = Vec::with_capacity(first.len().max(expected(&*body, max)));
        all.extend_from_slice(&first);
        let mut permit = None;
        while let Some(more) = piece(body.as_mut()).await? {
            if all.len() + more.len() > max {
                drop((all, permit));
                return too_large(body).await;
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

async fn too_large<B: Body<Data = Bytes>>(mut body: Pin<&mut B>) -> Result<Bytes, BodyError> {
    let mut dropped = 0;
    while let Some(more) = piece(body.as_mut()).await? {
        dropped += more.len();
        if dropped > DRAIN_MAX {
            break;
        }
    }
    Err(BodyError::TooLarge)
}

async fn piece<B: Body<Data = Bytes>>(mut body: Pin<&mut B>) -> Result<Option<Bytes>, BodyError> {
    loop {
        match std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
            None => return Ok(None),
            Some(Err(_)) => return Err(BodyError::Broken),
            Some(Ok(frame)) => {
                // Trailers mean nothing here.
                if let Ok(data) = Frame::into_data(frame) {
                    return Ok(Some(data));
                }
            }
        }
    }
}
