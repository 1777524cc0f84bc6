//! What a cluster has promised to keep: writes whose success it acknowledged.
//!
//! Writers on any number of threads note an attempt before they send it and its outcome afterwards. A write without an
//! answer may have happened, or may still happen; it is allowed to be seen and not required. Deletes are not covered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::http::HttpError;
use crate::keys::Keys;

/// The writes of one test.
#[derive(Debug, Default)]
pub struct Ledger {
    writes: Mutex<BTreeMap<String, Vec<Write>>>,
}

/// A write that was sent; it counts as possible until it is settled.
#[derive(Debug)]
#[must_use = "settle it with `acknowledged` or `refused`, or drop it to leave the outcome open"]
pub struct Attempt<'a> {
    ledger: &'a Ledger,
    key: String,
    position: usize,
}

/// A promise that was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loss {
    /// The key.
    pub key: String,
    /// What was acknowledged.
    pub expected: String,
    /// What was found in its place.
    pub found: String,
}

#[derive(Clone, Debug)]
struct Write {
    value: String,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Open,
    Acknowledged(u64),
    Refused,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `value` is about to be written to `key`. Values of one key must all differ.
    pub fn attempt(&self, key: &str, value: &str) -> Attempt<'_> {
        let mut writes = self.lock();
        let of_key = writes.entry(key.to_owned()).or_default();
        of_key.push(Write { value: value.to_owned(), outcome: Outcome::Open });
        Attempt { ledger: self, key: key.to_owned(), position: of_key.len() - 1 }
    }

    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> usize {
        let writes = self.lock();
        writes
            .values()
            .flatten()
            .filter(|write| matches!(write.outcome, Outcome::Acknowledged(_)))
            .count()
    }

    /// Reads every key through `keys` with `query` (`quorum=true` for the cluster's view, empty for the member's own)
    /// and returns the promises that were broken. An error means that a key could not be read.
    pub fn verify(&self, keys: &Keys, query: &str) -> Result<Vec<Loss>, HttpError> {
        let writes = self.lock().clone();
        let mut losses = reused_indexes(&writes);
        for (key, writes) in &writes {
            let answer = keys.get_with(key, query)?;
            let found = answer.modified_index().zip(answer.value());
            losses.extend(judge(key, writes, found));
        }
        Ok(losses)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Write>>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The write succeeded; `index` is the node's modified index in the answer.
    pub fn acknowledged(self, index: u64) {
        self.settle(Outcome::Acknowledged(index));
    }

    /// The write was refused for good and must never be seen.
    pub fn refused(self) {
        self.settle(Outcome::Refused);
    }

    fn settle(self, outcome: Outcome) {
        let mut writes = self.ledger.lock();
        if let Some(write) =
            writes.get_mut(&self.key).and_then(|of_key| of_key.get_mut(self.position))
        {
            write.outcome = outcome;
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} was acknowledged, {} was found", self.key, self.expected, self.found)
    }
}

fn judge(key: &str, writes: &[Write], found: Option<(u64, &str)>) -> Option<Loss> {
    let newest = writes
        .iter()
        .filter_map(|write| match write.outcome {
            Outcome::Acknowledged(index) => Some((index, write.value.as_str())),
            Outcome::Open | Outcome::Refused => None,
        })
        .max();
    let may_be_seen =
        |value: &str| writes.iter().any(|it| it.value == value && it.outcome != Outcome::Refused);
    let holds = match (newest, found) {
        (None, None) => true,
        (None, Some((_, value))) => may_be_seen(value),
        (Some(_), None) => false,
        (Some((acknowledged, expected)), Some((index, value))) => {
            (index == acknowledged && value == expected)
                || (index > acknowledged && may_be_seen(value))
        }
    };
    let shown = |state: Option<(u64, &str)>| match state {
        Some((index, value)) => format!("`{value}` at index {index}"),
        None => "nothing".to_owned(),
    };
    (!holds).then(|| Loss { key: key.to_owned(), expected: shown(newest), found: shown(found) })
}

/// Two acknowledged writes with one index: two leaders, or one that forgot.
fn reused_indexes(writes: &BTreeMap<String, Vec<Write>>) -> Vec<Loss> {
    let mut owners: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
    let mut losses = Vec::new();
    for (key, write) in
        writes.iter().flat_map(|(key, of_key)| of_key.iter().map(move |write| (key, write)))
    {
        let Outcome::Acknowledged(index) = write.outcome else { continue };
        if let Some((other_key, other_value)) = owners.insert(index, (key, &write.value)) {
            losses.push(Loss {
                key: key.clone(),
                expected: format!("`{}` at index {index}", write.value),
                found: format!("the same index for `{other_value}` of {other_key}"),
            });
        }
    }
    losses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(ledger: &Ledger, key: &str) -> Vec<Write> {
        ledger.lock()[key].clone()
    }

    #[test]
    fn an_acknowledged_write_must_be_there_or_be_overwritten() {
        let ledger = Ledger::new();
        ledger.attempt("k", "a").acknowledged(5);
        drop(ledger.attempt("k", "b"));
        ledger.attempt("k", "c").refused();
        let writes = writes(&ledger, "k");
        assert_eq!(judge("k", &writes, Some((5, "a"))), None);
        assert_eq!(judge("k", &writes, Some((6, "b"))), None);
        for broken in [None, Some((4, "a")), Some((5, "b")), Some((6, "c")), Some((6, "invented"))]
        {
            assert!(judge("k", &writes, broken).is_some(), "{broken:?}");
        }
        assert_eq!(ledger.acknowledged(), 1);
    }

    #[test]
    fn a_write_without_an_answer_may_be_missing() {
        let ledger = Ledger::new();
        drop(ledger.attempt("k", "a"));
        let writes = writes(&ledger, "k");
        assert_eq!(judge("k", &writes, None), None);
        assert_eq!(judge("k", &writes, Some((9, "a"))), None);
        assert!(judge("k", &writes, Some((9, "z"))).is_some());
    }

    #[test]
    fn an_index_belongs_to_one_write() {
        let ledger = Ledger::new();
        ledger.attempt("k", "a").acknowledged(5);
        ledger.attempt("l", "b").acknowledged(5);
        assert_eq!(reused_indexes(&ledger.lock()).len(), 1);
    }
}
