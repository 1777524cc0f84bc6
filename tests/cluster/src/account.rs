//! What a cluster has promised: every write that was sent, with its outcome, to be compared with what the members hold.
//!
//! Each write has a key of its own (`PUT`) or a value of its own in one queue (`POST`), so a loss, a wrong index and a write
//! carried out twice all show. A write without an answer may be there or not, but never twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::store::Store;

/// The directory of the in-order keys.
pub(crate) const QUEUE: &str = "/load-queue";
/// The directory of the plain keys.
pub(crate) const PLAIN: &str = "/load";

/// An acknowledged write.
#[derive(Clone, Debug)]
pub struct Ack {
    /// The key that the answer named.
    pub key: String,
    /// The value written.
    pub value: String,
    /// The modified index in the answer.
    pub index: u64,
    /// When the answer came.
    pub at: Instant,
    /// How long it took, from the first attempt.
    pub took: Duration,
}

/// All writes of one load.
#[derive(Debug, Default)]
pub struct Account {
    /// Acknowledged writes.
    pub acks: Vec<Ack>,
    /// Values whose fate is open.
    pub open: BTreeSet<String>,
    /// Values that were refused before anything was done.
    pub refused: BTreeSet<String>,
    /// Answers that were no success, and broken connections, in words.
    pub failures: Vec<String>,
}

impl Account {
    /// Adds another client's writes.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.acks.extend(other.acks);
        self.open.extend(other.open);
        self.refused.extend(other.refused);
        self.failures.extend(other.failures);
    }

    /// The promises that `store` breaks, in words; empty if all are kept.
    pub fn broken_promises(&self, store: &Store) -> Vec<String> {
        let mut broken = Vec::new();
        let mut owners = BTreeMap::new();
        for ack in &self.acks {
            if let Some(other) = owners.insert(ack.index, &ack.key) {
                broken.push(format!(
                    "index {} was acknowledged for {} and for {other}",
                    ack.index, ack.key
                ));
            }
            match store.nodes.get(&ack.key) {
                Some((value, index, _)) if *value == ack.value && *index == ack.index => {}
                found => broken.push(format!("{ack:?} was acknowledged, found {found:?}")),
            }
        }
        let mut seen = BTreeSet::new();
        let ours = |key: &&String| {
            key.starts_with(&format!("{QUEUE}/")) || key.starts_with(&format!("{PLAIN}/"))
        };
        for (key, (value, ..)) in store.nodes.iter().filter(|(key, _)| ours(key)) {
            if value != "(directory)" && !seen.insert(value) {
                broken.push(format!("`{value}` was written twice, the second time as {key}"));
            }
            if self.refused.contains(value) {
                broken.push(format!("`{value}` was never taken by a server and is at {key}"));
            }
        }
        broken
    }

    /// Panics with the broken promises, if there are any.
    #[track_caller]
    pub fn assert_kept(&self, store: &Store) {
        let broken = self.broken_promises(store);
        let shown: Vec<&String> = broken.iter().take(10).collect();
        assert!(
            broken.is_empty(),
            "{} of {} promises are broken: {shown:#?}",
            broken.len(),
            self.acks.len()
        );
    }

    /// The longest time without an acknowledgement between the first and the last one.
    pub fn longest_outage(&self) -> Duration {
        let mut times: Vec<Instant> = self.acks.iter().map(|ack| ack.at).collect();
        times.sort_unstable();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        format!(
            "{} acknowledged, {} open, {} refused, longest outage {:?}",
            self.acks.len(),
            self.open.len(),
            self.refused.len(),
            self.longest_outage()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(key: &str, value: &str, index: u64) -> Ack {
        Ack {
            key: key.into(),
            value: value.into(),
            index,
            at: Instant::now(),
            took: Duration::ZERO,
        }
    }

    fn store(nodes: &[(&str, &str, u64)]) -> Store {
        let nodes = nodes
            .iter()
            .map(|(key, value, index)| ((*key).into(), ((*value).into(), *index, *index)));
        Store { index: 9, nodes: nodes.collect() }
    }

    #[test]
    fn losses_doubles_and_wrong_indexes_are_seen() {
        let account = Account { acks: vec![ack("/load/a", "a", 5)], ..Account::default() };
        let broken = |nodes: &[(&str, &str, u64)]| account.broken_promises(&store(nodes)).len();
        assert_eq!(broken(&[("/load/a", "a", 5)]), 0);
        assert_eq!(broken(&[]), 1);
        assert_eq!(broken(&[("/load/a", "a", 6)]), 1);
        assert_eq!(broken(&[("/load/a", "b", 5)]), 1);
        assert_eq!(broken(&[("/load/a", "a", 5), ("/load-queue/1", "a", 6)]), 1);
    }

    #[test]
    fn a_refused_write_must_not_be_there() {
        let account = Account { refused: BTreeSet::from(["x".to_owned()]), ..Account::default() };
        assert_eq!(account.broken_promises(&store(&[("/load/a", "x", 5)])).len(), 1);
        assert_eq!(account.broken_promises(&store(&[])).len(), 0);
    }

    #[test]
    fn one_index_belongs_to_one_write() {
        let acks = vec![ack("/load/a", "a", 5), ack("/load/b", "b", 5)];
        let account = Account { acks, ..Account::default() };
        assert!(
            !account
                .broken_promises(&store(&[("/load/a", "a", 5), ("/load/b", "b", 5)]))
                .is_empty()
        );
    }
}
