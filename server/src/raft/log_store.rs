//! The member's log as the raft library wants to use it.
//!
//! Invariant: order of calls is order on disk; an append is reported only when it is on the device.
//! Left out: everything about files, which [`crate::storage::log`] owns.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};

use futures_util::stream::{self, Stream};
use openraft::errors::LeaderChanged;
use openraft::storage::{IOFlushed, LeaderBoundedStreamError, LogState, RaftLogStorage};
use openraft::type_config::alias::LeaderIdOf;
use openraft::{OptionalSend, RaftLogReader};

use super::convert::{
    entry_from_record, entry_id, entry_to_record, log_id, vote_from_record, vote_to_record,
};
use super::types::{EntryOf, LogId, TypeConfig, VoteOf};
use crate::storage::log::Log;

/// Payload bytes one replication message or one step of applying takes: enough to fill a link, little
/// enough that many slow peers together stay small.
const READ_BYTES_MAX: usize = 1 << 20;

/// A [`Log`] with the raft library's traits. Clones share the log.
#[derive(Clone)]
pub struct LogStore {
    log: Log,
}

impl LogStore {
    /// A store on an open log.
    #[must_use]
    pub const fn new(log: Log) -> Self {
        Self { log }
    }

    /// The log itself.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// At least one entry from the start of `range`, unless there is none.
    async fn read_some(&self, range: Range<u64>) -> io::Result<Vec<EntryOf>> {
        let entries = match self.log.read_cached(range.clone(), READ_BYTES_MAX) {
            Some(entries) => entries,
            None => {
                let log = self.log.clone();
                tokio::task::spawn_blocking(move || log.read(range, READ_BYTES_MAX))
                    .await
                    .map_err(io::Error::other)??
            }
        };
        entries.into_iter().map(entry_from_record).collect()
    }

    /// The entries of `range` in chunks, read as they are asked for, while `still` allows it.
    fn chunks<'a, E: From<io::Error> + Send + 'a>(
        &'a self,
        range: Range<u64>,
        still: impl Fn() -> Result<(), E> + Send + Sync + 'a,
    ) -> impl Stream<Item = Result<EntryOf, E>> + Send + 'a {
        use futures_util::{StreamExt, TryStreamExt};
        stream::try_unfold((range, still), move |(range, still)| async move {
            if range.is_empty() {
                return Ok::<_, E>(None);
            }
            still()?;
            let entries = self.read_some(range.clone()).await?;
            still()?;
            let Some(last) = entries.last() else { return Ok(None) };
            let rest = last.log_id.index + 1..range.end;
            Ok(Some((stream::iter(entries).map(Ok::<_, E>), (rest, still))))
        })
        .try_flatten()
    }

    fn check_leader(
        &self,
        leader: &LeaderIdOf<TypeConfig>,
    ) -> Result<(), LeaderBoundedStreamError<TypeConfig>> {
        let vote = self.log.state().vote.map(vote_from_record);
        let leads = vote.is_some_and(|vote| vote.is_committed() && vote.leader_id() == leader);
        if leads { Ok(()) } else { Err(LeaderChanged::new(*leader, vote).into()) }
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn leader_bounded_stream<RB>(
        &mut self,
        leader: LeaderIdOf<TypeConfig>,
        range: RB,
    ) -> impl Stream<Item = Result<EntryOf, LeaderBoundedStreamError<TypeConfig>>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let this = &*self;
        // A `try_unfold` ends itself at its first error.
        Box::pin(this.chunks(half_open(&range), move || this.check_leader(&leader)))
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<EntryOf>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        Box::pin(self.chunks(half_open(&range), || Ok::<_, io::Error>(())))
    }

    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<EntryOf>> {
        let mut range = half_open(&range);
        let mut all = Vec::new();
        while !range.is_empty() {
            let some = self.read_some(range.clone()).await?;
            let Some(last) = some.last() else { break };
            range.start = last.log_id.index + 1;
            all.extend(some);
        }
        Ok(all)
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf>> {
        Ok(self.log.state().vote.map(vote_from_record))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<EntryOf>> {
        self.read_some(start..end).await
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.log.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(log_id),
            last_log_id: state.last.map(log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf) -> io::Result<()> {
        self.log.save_vote(vote_to_record(vote)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.log.save_committed(committed.as_ref().map(entry_id));
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.log.state().committed.map(log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = EntryOf> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().map(entry_to_record).collect();
        self.log.append(entries, Box::new(move |result| callback.io_completed(result))).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.log.truncate_after(last.as_ref().map(entry_id))
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.log.purge(entry_id(&upto))
    }
}

fn half_open(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&end) => end.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}
