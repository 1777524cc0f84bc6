//! Learning who the members are, before any of them is asked: looks again and again at a discovery registry or at DNS
//! records until all members are there.
//!
//! Invariant: trouble that may pass is waited out, with pauses that grow to a bound, until the deadline; only what no waiting
//! can cure ends the start at once. What is waited for is logged every few seconds. What a look means is judged by
//! `quorate_core::discovery`.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quorate_core::bootstrap::Listed;
use quorate_core::discovery::Learned;

use super::records::Records;
use super::registry::Registry;
use super::token_api::TokenApi;
use crate::pauses::{Pauses, scattered};

/// The first pause after a failed look: most trouble at boot is over in a moment.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest: a service that comes back is not met by all members at once, and none of them waits long for it.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// How often the operator is told what is waited for.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// How often a member that waits for the others looks whether the list is still the same.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Where the list is looked for.
pub enum Source<'a> {
    /// A discovery registry.
    Registry(Registry<'a>),
    /// A token of our own discovery service.
    Token(TokenApi<'a>),
    /// DNS SRV records.
    Records(Records),
}

/// What one look found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Look {
    /// All members.
    Complete(Learned),
    /// Not yet all; says who or what is missing.
    Incomplete(String),
    /// All places are taken by others.
    Full(Vec<Listed>),
}

/// Why a look found nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    /// It may pass.
    Passing(String),
    /// It will not.
    Final(String),
}

/// Why the members did not become known.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// No waiting would help.
    #[error("{0}")]
    Refused(String),
    /// All places are taken.
    #[error(
        "discovery: cluster is full: all {} places of the token are taken, by {}. Nothing was registered for this member. To \
         add it to the running cluster: POST /v2/members on a member, then start this one with --initial-cluster and \
         --initial-cluster-state=existing in place of --discovery; --discovery-fallback=proxy makes a proxy of it",
        .0.len(), show(.0)
    )]
    Full(Vec<Listed>),
    /// The time was up.
    #[error(
        "gave up after {}s (--discovery-timeout) without knowing all members: {reason}. What was registered stays, so this \
         member may simply be started again",
        after.as_secs()
    )]
    GaveUp {
        /// How long it tried.
        after: Duration,
        /// What was missing last.
        reason: String,
    },
}

impl Source<'_> {
    async fn look(&mut self, registers: bool) -> Result<Look, Trouble> {
        match self {
            Self::Registry(registry) => registry.look(registers).await,
            Self::Token(token) => token.look(registers).await,
            Self::Records(records) => records.look().await,
        }
    }

    /// Returns when another look may find something new.
    async fn rest(&self) {
        match self {
            Self::Registry(registry) => registry.rest().await,
            Self::Token(token) => token.rest().await,
            Self::Records(_) => Records::rest().await,
        }
    }
}

/// Looks until all members are there, for `timeout` at most.
///
/// # Errors
/// See [`LearnError`].
pub async fn learn(
    source: &mut Source<'_>,
    timeout: Option<Duration>,
) -> Result<Learned, LearnError> {
    let begun = Instant::now();
    let missing = Mutex::new("nothing was found out yet".to_owned());
    tokio::select! {
        learned = until_complete(source, &missing) => learned,
        () = report(begun, timeout, &missing) => {
            let reason = missing.lock().clone();
            Err(LearnError::GaveUp { after: begun.elapsed(), reason })
        }
    }
}

/// Returns once the source names other members than `current`, in two looks in a row. Trouble means no change: the list that
/// is known stays good when the service is gone.
pub async fn changed(source: &mut Source<'_>, current: &Learned) -> Learned {
    let mut seen = None;
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let found = match source.look(false).await {
            Ok(Look::Complete(found)) if found != *current => Some(found),
            _ => None,
        };
        match found {
            Some(found) if seen.as_ref() == Some(&found) => return found,
            found => seen = found,
        }
    }
}

async fn until_complete(
    source: &mut Source<'_>,
    missing: &Mutex<String>,
) -> Result<Learned, LearnError> {
    let mut pauses = Pauses::between(PAUSE_MIN, PAUSE_MAX);
    loop {
        match source.look(true).await {
            Ok(Look::Complete(learned)) => return Ok(learned),
            Ok(Look::Full(members)) => return Err(LearnError::Full(members)),
            Ok(Look::Incomplete(reason)) => {
                pauses.reset();
                *missing.lock() = reason;
                source.rest().await;
            }
            Err(Trouble::Final(reason)) => return Err(LearnError::Refused(reason)),
            Err(Trouble::Passing(reason)) => {
                tracing::debug!("a look for the members failed: {reason}");
                *missing.lock() = reason;
                tokio::time::sleep(scattered(pauses.next())).await;
            }
        }
    }
}

/// Tells every few seconds what is missing, and returns when the time is up.
async fn report(begun: Instant, timeout: Option<Duration>, missing: &Mutex<String>) {
    loop {
        let left =
            timeout.map_or(REPORT_INTERVAL, |timeout| timeout.saturating_sub(begun.elapsed()));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(REPORT_INTERVAL)).await;
        if timeout.is_none_or(|timeout| begun.elapsed() < timeout) {
            let waited_s = begun.elapsed().as_secs();
            tracing::warn!(waited_s, "still looking for the members: {}", *missing.lock());
        }
    }
}

fn show(members: &[Listed]) -> String {
    let shown =
        members.iter().map(|member| format!("{} ({})", member.name, member.peer_urls.join(", ")));
    shown.collect::<Vec<_>>().join("; ")
}
