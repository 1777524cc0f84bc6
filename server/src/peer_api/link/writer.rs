//! Writes frames from a queue to a connection, as many as there are with one write.

use bytes::BytesMut;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::frame::{self, Direction, Frame};

/// Frames are gathered up to this many bytes before they are written.
const WRITE_BYTES: usize = 256 * 1024;
/// The buffer is given back when a large frame blew it up beyond this.
const BUFFER_BYTES_KEPT: usize = 512 * 1024;

/// Writes until the queue closes or the connection breaks. `written` is told the bytes of each write.
pub(super) async fn run<W: AsyncWrite + Unpin>(
    mut connection: W,
    queue: &mut mpsc::Receiver<(Direction, Frame)>,
    mut written: impl FnMut(usize),
) {
    let mut buffer = BytesMut::new();
    while let Some((direction, first)) = queue.recv().await {
        frame::encode(direction, &first, &mut buffer);
        drop(first);
        while buffer.len() < WRITE_BYTES {
            match queue.try_recv() {
                Ok((direction, next)) => frame::encode(direction, &next, &mut buffer),
                Err(_) => break,
            }
        }
        if connection.write_all(&buffer).await.is_err() {
            return;
        }
        written(buffer.len());
        buffer.clear();
        if buffer.capacity() > BUFFER_BYTES_KEPT {
            buffer = BytesMut::new();
        }
    }
}
