//! The thread that makes segments ahead of time and disposes of purged ones.
//!
//! Invariant: at most one segment is being made, and at most [`POOL_MAX`] purged ones are kept for
//! reuse. A full disk is reported and retried for ever; any other failure stops the log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::error::FatalError;
use super::options::Space;
use super::segment::{Plan, Segment};
use super::shared::Shared;
use crate::storage::disk::{is_full, sync_dir};

/// Purged segments kept for reuse: one for each end of a busy spell; more would only hold disk space.
const POOL_MAX: usize = 2;
/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// What the writer asks for.
pub(super) enum Request {
    /// Make this segment.
    Make(Plan),
    /// These are purged: reuse or remove them.
    Dispose(Vec<Arc<Segment>>),
}

pub(super) struct Allocator {
    pub(super) dir: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) requests: Receiver<Request>,
    pub(super) ready: Sender<Segment>,
    pub(super) pool: Vec<Segment>,
}

impl Allocator {
    /// Serves requests until the writer is gone.
    pub(super) fn run(mut self) {
        let mut wanted = None;
        loop {
            let request = if wanted.is_some() {
                self.requests.recv_timeout(RETRY)
            } else {
                self.requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match request {
                Ok(Request::Make(plan)) => wanted = Some(plan),
                Ok(Request::Dispose(segments)) => self.dispose(segments),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some(plan) = wanted {
                match self.make(plan) {
                    Ok(true) => wanted = None,
                    Ok(false) => {}
                    Err(fatal) => return self.shared.fail(fatal),
                }
            }
        }
    }

    /// Makes a segment and hands it over. False if the disk is full.
    fn make(&mut self, plan: Plan) -> Result<bool, FatalError> {
        let began = Instant::now();
        let old = self.pool.iter().position(|old| old.size == plan.size);
        let old = old.map(|at| self.pool.swap_remove(at));
        let recycled = old.is_some();
        match Segment::create(&self.dir, plan, old, &*self.shared.options.disk) {
            Ok(segment) => {
                self.shared.observer().segment_prepared(recycled, began.elapsed());
                if self.shared.set_space(|_| Space::Ample) {
                    tracing::info!(dir = %self.dir.display(), "there is room for the raft log again");
                }
                // The writer asks for one at a time, so there is room in the channel, or it is gone.
                let _ = self.ready.send(segment);
                Ok(true)
            }
            Err(error) if is_full(&error) => {
                // What was kept for reuse but has another size is the first thing to give up.
                self.pool.drain(..).for_each(|old| remove(&old));
                if self.shared.set_space(|space| space.max(Space::Full)) {
                    tracing::error!(
                        dir = %self.dir.display(), %error,
                        "no room for the raft log: writes are refused until there is; free some \
                         space or enlarge the disk, nothing needs to be restarted"
                    );
                }
                Ok(false)
            }
            Err(error) => Err(FatalError {
                doing: "make a segment of",
                path: self.dir.clone(),
                source: Arc::new(error),
            }),
        }
    }

    /// Takes purged segments out of the log's sight, oldest first: their numbers must never have a
    /// gap, so the first that cannot be removed keeps the ones behind it in place as well.
    fn dispose(&mut self, segments: Vec<Arc<Segment>>) {
        for segment in segments {
            let path = segment.path.clone();
            let gone = match Arc::try_unwrap(segment) {
                Ok(segment) if self.pool.len() < POOL_MAX => {
                    retire(segment).map(|retired| self.pool.push(retired))
                }
                // One too many, or someone still reads it: then the file lives on until they are done.
                Ok(_) | Err(_) => std::fs::remove_file(&path),
            };
            if let Err(error) = gone.and_then(|()| sync_dir(&self.dir)) {
                return warn_left_behind(&path, &error);
            }
        }
    }
}

impl Drop for Allocator {
    fn drop(&mut self) {
        self.pool.drain(..).for_each(|old| remove(&old));
    }
}

fn retire(mut segment: Segment) -> std::io::Result<Segment> {
    let path = segment.path.with_extension("recycled.tmp");
    std::fs::rename(&segment.path, &path)?;
    segment.path = path;
    Ok(segment)
}

fn remove(segment: &Segment) {
    if let Err(error) = std::fs::remove_file(&segment.path) {
        warn_left_behind(&segment.path, &error);
    }
}

fn warn_left_behind(path: &std::path::Path, error: &std::io::Error) {
    tracing::warn!(file = %path.display(), %error, "cannot remove a purged segment of the raft log");
}
