//! How long elections took, as their winners saw them.

use std::time::Duration;

use prometheus::{HistogramVec, Registry};

use super::catalogue::cluster;

/// Why an election became necessary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// Nothing was heard of the old leader for an election timeout.
    Timeout,
    /// The old leader's port refused connections.
    LeaderProcessEnded,
    /// The old leader handed over.
    Transfer,
    /// The first election of a new cluster.
    Formation,
    /// This member has seen no leader since it started.
    Unknown,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Timeout, Self::LeaderProcessEnded, Self::Transfer, Self::Formation, Self::Unknown];

    /// The name in metrics and log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::LeaderProcessEnded => "leader_process_ended",
            Self::Transfer => "transfer",
            Self::Formation => "formation",
            Self::Unknown => "unknown",
        }
    }
}

/// One election that this member won.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Election {
    /// Its term.
    pub term: u64,
    /// Why it was held.
    pub cause: Cause,
    /// From the last sign of the old leader until this member stood for election; none if it knew no old leader.
    pub detection: Option<Duration>,
    /// From standing to being elected.
    pub vote: Duration,
    /// From being elected until an entry of the term was applied.
    pub first_commit: Duration,
}

impl Election {
    /// All phases together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.detection.unwrap_or_default() + self.vote + self.first_commit
    }
}

/// See the module.
pub(super) struct ElectionMetrics {
    durations: HistogramVec,
    phases: HistogramVec,
}

impl ElectionMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            durations: cluster::ELECTION_DURATION.histograms_in(registry)?,
            phases: cluster::ELECTION_PHASE.histograms_in(registry)?,
        })
    }

    pub(super) fn won(&self, election: &Election) {
        let cause = election.cause.name();
        self.durations.with_label_values(&[cause]).observe(election.total().as_secs_f64());
        let phases = [
            ("detection", election.detection),
            ("vote", Some(election.vote)),
            ("first_commit", Some(election.first_commit)),
        ];
        for (phase, took) in phases {
            if let Some(took) = took {
                self.phases.with_label_values(&[cause, phase]).observe(took.as_secs_f64());
            }
        }
    }
}
