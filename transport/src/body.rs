//! Reads a whole message body, within a bound.
//!
//! The time a request body may take is the server's
//! [`body_read_timeout`](crate::limits::ServerLimits::body_read_timeout): it closes the connection, and with it ends
//! this read. The client's requests have an overall timeout. So there is no timer here.

use std::error::Error;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than allowed; the answer is 413.
    #[error("the body is larger than {max} bytes; send less")]
    TooLarge {
        /// The bound, in bytes.
        max: usize,
    },
    /// The connection broke or the framing was wrong before its end.
    #[error("the body ended early: {0}")]
    Broken(Box<dyn Error + Send + Sync>),
}

/// Reads all of `body`, at most `max` bytes. A body that arrives in one piece is not copied.
///
/// # Errors
/// See [`BodyError`].
pub async fn read_body<B>(mut body: B, max: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if body.size_hint().lower() > max as u64 {
        return Err(BodyError::TooLarge { max });
    }
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing to anybody here.
        let Ok(piece) = frame.map_err(|error| BodyError::Broken(error.into()))?.into_data() else {
            continue;
        };
        if piece.len() > max.saturating_sub(first.len() + joined.len()) {
            return Err(BodyError::TooLarge { max });
        }
        if first.is_empty() && joined.is_empty() {
            first = piece;
        } else {
            if joined.is_empty() {
                joined.extend_from_slice(&std::mem::take(&mut first));
            }
            joined.extend_from_slice(&piece);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    fn pieces(list: &[&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames: Vec<_> = list
            .iter()
            .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))
            .collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn the_bound_is_exact() {
        assert_eq!(read_body(pieces(&["ab", "", "cd", "e"]), 5).await.unwrap(), "abcde");
        assert_eq!(read_body(pieces(&[]), 0).await.unwrap(), "");
        assert!(matches!(
            read_body(pieces(&["ab", "cde"]), 4).await,
            Err(BodyError::TooLarge { max: 4 })
        ));
        assert!(matches!(
            read_body(Full::new(Bytes::from_static(b"abc")), 2).await,
            Err(BodyError::TooLarge { max: 2 })
        ));
    }
}
