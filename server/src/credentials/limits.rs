//! How many wrong passwords are looked at: for each name, whoever asks, and for each address, whatever name it gives.
//!
//! Each has a few attempts at once and gets one back every few seconds. Time is an input.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Wrong passwords for one name at once: a person's typing errors.
pub(super) const PER_NAME: u32 = 10;
/// Wrong passwords from one address at once: several programs that were given an old one.
const PER_ADDRESS: u32 = 30;
/// After this one more may be tried: at most 17,280 guesses a day for a name.
const PAUSE: Duration = Duration::from_secs(5);
/// Names and addresses remembered; beyond that the ones with the least against them are forgotten.
const REMEMBERED_MAX: usize = 8192;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Limits {
    names: Failures<String>,
    addresses: Failures<IpAddr>,
}

impl Limits {
    /// Whether one more may be looked at.
    pub(super) fn allow(&self, name: &str, address: Option<IpAddr>, now: Instant) -> bool {
        let by_name = self.names.of(name, now) < PER_NAME;
        by_name && address.is_none_or(|address| self.addresses.of(&address, now) < PER_ADDRESS)
    }

    /// One was wrong.
    pub(super) fn failed(&mut self, name: &str, address: Option<IpAddr>, now: Instant) {
        self.names.note(name.to_owned(), now);
        if let Some(address) = address {
            self.addresses.note(address, now);
        }
    }
}

/// Until when each is in debt: one pause for every failure.
#[derive(Debug)]
struct Failures<K>(HashMap<K, Instant>);

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Failures<K> {
    fn of<Q: Eq + Hash + ?Sized>(&self, who: &Q, now: Instant) -> u32
    where
        K: std::borrow::Borrow<Q>,
    {
        let debt = self.0.get(who).map(|until| until.saturating_duration_since(now));
        debt.map_or(0, |debt| {
            u32::try_from(debt.as_nanos().div_ceil(PAUSE.as_nanos())).unwrap_or(u32::MAX)
        })
    }

    fn note(&mut self, who: K, now: Instant) {
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(&who) {
            self.0.retain(|_, until| *until > now);
            if self.0.len() >= REMEMBERED_MAX
                && let Some(least) =
                    self.0.iter().min_by_key(|(_, until)| **until).map(|(who, _)| who.clone())
            {
                self.0.remove(&least);
            }
        }
        let until = self.0.entry(who).or_insert(now);
        *until = (*until).max(now) + PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_some_attempts_and_gets_them_back() {
        let (mut limits, start) = (Limits::default(), Instant::now());
        for _ in 0..PER_NAME {
            assert!(limits.allow("a", None, start));
            limits.failed("a", None, start);
        }
        assert!(!limits.allow("a", None, start) && limits.allow("b", None, start));
        assert!(!limits.allow("a", None, start + PAUSE - Duration::from_millis(1)));
        assert!(limits.allow("a", None, start + PAUSE));
    }

    #[test]
    fn an_address_cannot_go_through_the_names() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let (bad, good) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for name in 0..PER_ADDRESS {
            assert!(limits.allow("next", Some(bad), now));
            limits.failed(&name.to_string(), Some(bad), now);
        }
        assert!(!limits.allow("next", Some(bad), now) && limits.allow("next", Some(good), now));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.note(0, now);
        failures.note(0, now);
        (1..=2 * REMEMBERED_MAX).for_each(|who| failures.note(who, now));
        assert_eq!(failures.0.len(), REMEMBERED_MAX);
        assert_eq!(failures.of(&0, now), 2, "who failed more than others is remembered");
    }
}
