//! Moves a snapshot from the leader's disk to a follower's, over the peer link of its own class: the file's bytes in pieces,
//! a few of them under way at once. The receiver writes them beside its own snapshots, verifies the whole, and only then
//! gives it a name and installs it.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use openraft::StorageError;
use openraft::errors::{ErrorSource as _, StreamingError};
use openraft::raft::SnapshotResponse;
use prost::Message as _;
use quorate_core::MemberId;
use tokio::sync::watch;

use super::network::{bad_reply, rpc_error};
use super::snapshots::{Snapshots, StoredSnapshot, blocking, loaded};
use super::types::{SnapshotOf, TypeConfig, VoteOf};
use super::{Raft, wire};
use crate::pauses::Pauses;
use crate::peer_api::link::{FrameReader, FrameWriter, Inbound, ReplyError, Request};
use crate::peer_api::links::Links;
use crate::peer_api::messages::{Kind, SnapshotBegin, SnapshotEnd};
use crate::storage::snapshot::{SnapshotReader, SnapshotReceiver};

/// Bytes of the file in one piece: small enough that a piece delays nothing for long.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces sent and not yet on the follower's disk.
const PIECES_IN_FLIGHT: usize = 4;
/// How long a follower may take for one piece, and for installing the whole.
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);
/// See [`PIECE_TIMEOUT`].
const INSTALL_TIMEOUT: Duration = Duration::from_secs(300);

/// Pause after the first failed attempt.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// Longest pause. Each attempt reads the whole file, and may carry all of it to a member that then has no room. Shorter than a
/// link goes on looking for its peer uncalled.
const RETRY_MAX: Duration = Duration::from_secs(8);

type Streaming<T> = Result<T, StreamingError<TypeConfig>>;

/// Paces the attempts to send one member a snapshot. A member that is not there costs little; one that comes back is served at
/// once.
pub(super) struct Retries {
    pauses: Pauses,
}

impl Retries {
    pub(super) const fn new() -> Self {
        Self { pauses: Pauses::between(RETRY_MIN, RETRY_MAX) }
    }

    /// Waits after a failed attempt, which `error` ended: until it is time for the next one, or until `returned` changes.
    pub(super) async fn wait(
        &mut self,
        target: MemberId,
        error: &StreamingError<TypeConfig>,
        returned: Option<watch::Receiver<()>>,
    ) {
        if self.pauses.is_fresh() {
            tracing::warn!(to = %target, %error, "cannot send a snapshot to a member that fell behind; trying on");
        }
        let comes_back = async {
            let told = match returned {
                Some(mut returned) => returned.changed().await.is_ok(),
                None => false,
            };
            if !told {
                // No link, or no more: then only time tells.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(self.pauses.next()) => {}
            () = comes_back => self.pauses.reset(),
        }
    }
}

/// Sends a snapshot and waits until it is installed.
pub(super) async fn send(
    links: &Links,
    target: MemberId,
    vote: VoteOf,
    snapshot: SnapshotOf<StoredSnapshot>,
) -> Streaming<SnapshotResponse<TypeConfig>> {
    let StoredSnapshot(reader) = snapshot.snapshot;
    let (file, size) = (reader.path().display().to_string(), reader.size());
    let vote = Some(wire::vote_record(&vote));
    let begin = SnapshotBegin { vote, bytes: size }.encode_to_vec();
    links.call(target, Kind::SnapshotBegin, begin.into(), PIECE_TIMEOUT).await.map_err(failed)?;
    tracing::info!(to = %target, file, bytes = size, "sending a snapshot to a member that fell behind");
    send_pieces(links, target, reader).await?;
    let end = SnapshotEnd { vote, bytes: size }.encode_to_vec();
    let reply =
        links.call(target, Kind::SnapshotEnd, end.into(), INSTALL_TIMEOUT).await.map_err(failed)?;
    let reply =
        wire::decode_vote_reply(reply).map_err(|error| StreamingError::from(bad_reply(error)))?;
    tracing::info!(to = %target, file, "the member has installed the snapshot");
    Ok(SnapshotResponse::new(reply.vote))
}

async fn send_pieces(links: &Links, target: MemberId, mut reader: SnapshotReader) -> Streaming<()> {
    let mut in_flight = FuturesOrdered::new();
    let mut offset = 0;
    loop {
        let (returned, piece) = blocking(move || {
            let piece = read_piece(&reader, offset)?;
            Ok((reader, piece))
        })
        .await
        .map_err(|error| {
            StreamingError::StorageError(StorageError::read_snapshot(
                None,
                <TypeConfig as openraft::RaftTypeConfig>::ErrorSource::from_error(&error),
            ))
        })?;
        reader = returned;
        if piece.is_empty() {
            break;
        }
        offset += piece.len() as u64;
        in_flight.push_back(links.submit(target, Kind::SnapshotChunk, piece, PIECE_TIMEOUT));
        if in_flight.len() >= PIECES_IN_FLIGHT
            && let Some(answer) = in_flight.next().await
        {
            answer.map_err(failed)?;
        }
    }
    while let Some(answer) = in_flight.next().await {
        answer.map_err(failed)?;
    }
    Ok(())
}

fn read_piece(reader: &SnapshotReader, offset: u64) -> io::Result<Bytes> {
    let mut piece = BytesMut::zeroed(PIECE_BYTES);
    let read = reader.raw(offset, &mut piece).map_err(io::Error::other)?;
    piece.truncate(read);
    Ok(piece.freeze())
}

fn failed(error: crate::peer_api::links::SubmitError) -> StreamingError<TypeConfig> {
    rpc_error(error).into()
}

/// Serves one connection on which the leader sends snapshots, one after the other.
pub(super) async fn receive(raft: &Raft, snapshots: &Snapshots, inbound: Inbound) {
    let Inbound { hello, mut frames, replies } = inbound;
    while let Some(frame) = frames.next().await {
        if Kind::from_byte(frame.kind) != Some(Kind::SnapshotBegin) {
            let text = "a snapshot begins with its beginning".to_owned();
            replies.reply(frame.id, Err(ReplyError { code: 1, text }));
            continue;
        }
        let transfer = snapshots.metrics().receiving(hello.from);
        if let Err(error) = receive_one(raft, snapshots, &mut frames, &replies, frame).await {
            // The sender begins anew on a new connection.
            tracing::warn!(%error, "could not take in a snapshot");
            return;
        }
        transfer.done();
    }
}

async fn receive_one(
    raft: &Raft,
    snapshots: &Snapshots,
    frames: &mut FrameReader,
    replies: &FrameWriter,
    begin: Request,
) -> io::Result<()> {
    let message = SnapshotBegin::decode(begin.body).map_err(io::Error::other)?;
    let vote = wire::vote(message.vote).map_err(io::Error::other)?;
    tracing::info!(bytes = message.bytes, "receiving a snapshot from the leader");
    let mut receiver = snapshots.receive()?;
    replies.reply(begin.id, Ok(Bytes::new()));
    let mut received = 0;
    while let Some(Request { kind, id, body }) = frames.next().await {
        match Kind::from_byte(kind) {
            Some(Kind::SnapshotChunk) => {
                received += body.len() as u64;
                if received > message.bytes {
                    return Err(io::Error::other("the leader sent more bytes than it announced"));
                }
                receiver = store(receiver, body).await?;
                replies.reply(id, Ok(Bytes::new()));
            }
            Some(Kind::SnapshotEnd) => {
                let reader = blocking(move || receiver.finish().map_err(io::Error::other)).await?;
                let snapshot = loaded(reader)?;
                let response =
                    raft.install_full_snapshot(vote, snapshot).await.map_err(io::Error::other)?;
                let response = openraft::raft::VoteResponse::new(response.vote, None, false);
                replies.reply(id, Ok(wire::encode_vote_reply(&response).into()));
                return Ok(());
            }
            _ => {
                return Err(io::Error::other(
                    "the leader sent something else in the middle of a snapshot",
                ));
            }
        }
    }
    Err(io::Error::other("the connection ended in the middle of a snapshot"))
}

async fn store(mut receiver: SnapshotReceiver, piece: Bytes) -> io::Result<SnapshotReceiver> {
    blocking(move || {
        receiver.bytes(&piece).map_err(io::Error::other)?;
        Ok(receiver)
    })
    .await
}

#[cfg(test)]
mod tests {
    use openraft::errors::NetworkError;
    use tokio::time::Instant;

    use super::*;

    async fn waited(retries: &mut Retries, returned: Option<watch::Receiver<()>>) -> Duration {
        let begun = Instant::now();
        let error = NetworkError::from_string("the connection ended").into();
        retries.wait(MemberId(2), &error, returned).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_a_bound() {
        let (_link, returned) = watch::channel(());
        let mut retries = Retries::new();
        let mut expected = RETRY_MIN;
        for _ in 0..12 {
            let pause = waited(&mut retries, Some(returned.clone())).await;
            assert!(pause >= expected && pause < expected * 2, "{pause:?} instead of {expected:?}");
            expected = (expected * 2).min(RETRY_MAX);
        }
        assert_eq!(expected, RETRY_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_comes_back_ends_the_pause_and_begins_the_series_anew() {
        let (link, returned) = watch::channel(());
        let mut retries = Retries::new();
        while retries.pauses.next() < RETRY_MAX {}
        let comes_back = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            link.send_replace(());
        };
        let (pause, ()) = tokio::join!(waited(&mut retries, Some(returned.clone())), comes_back);
        assert!(pause < Duration::from_secs(1), "{pause:?}");
        // It was back before the attempt had failed.
        link.send_replace(());
        assert!(waited(&mut retries, Some(returned)).await < RETRY_MIN);
        let pause = waited(&mut retries, None).await;
        assert!(pause >= RETRY_MIN && pause < RETRY_MIN * 2, "{pause:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_link_only_time_ends_the_pause() {
        let (link, returned) = watch::channel(());
        drop(link);
        assert!(waited(&mut Retries::new(), Some(returned)).await >= RETRY_MIN);
    }
}
