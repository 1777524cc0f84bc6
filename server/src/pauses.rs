//! Pauses between attempts.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Pauses that double: from one that is short beside what is waited for, to one that costs nobody anything.
#[derive(Clone, Debug)]
pub(crate) struct Pauses {
    shortest: Duration,
    longest: Duration,
    next: Duration,
}

impl Pauses {
    /// From `shortest` to `longest`.
    pub(crate) const fn between(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest, next: shortest }
    }

    /// The pause before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let next = self.next;
        self.next = (next * 2).min(self.longest);
        next
    }

    /// Something has changed: the next pause is the shortest again.
    pub(crate) const fn reset(&mut self) {
        self.next = self.shortest;
    }

    /// Whether no pause has been asked for yet, or none since the reset.
    pub(crate) fn is_fresh(&self) -> bool {
        self.next == self.shortest
    }
}

/// Between half of `pause` and all of it, so that members started together do not come together.
pub(crate) fn scattered(pause: Duration) -> Duration {
    // Each `RandomState` has keys of its own, so this is chance enough.
    let chance = RandomState::new().hash_one(()) % 512;
    pause * (512 + u32::try_from(chance).unwrap_or_default()) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_double_up_to_the_longest_and_begin_again() {
        let ms = Duration::from_millis;
        let mut pauses = Pauses::between(ms(2), ms(15));
        assert!(pauses.is_fresh());
        let first: Vec<Duration> = (0..5).map(|_| pauses.next()).collect();
        assert_eq!(first, [ms(2), ms(4), ms(8), ms(15), ms(15)]);
        assert!(!pauses.is_fresh());
        pauses.reset();
        assert!(pauses.is_fresh());
        assert_eq!(pauses.next(), ms(2));
    }

    #[test]
    fn they_are_scattered_within_their_bounds() {
        let whole = Duration::from_secs(8);
        let pauses: Vec<Duration> = (0..50).map(|_| scattered(whole)).collect();
        assert!(pauses.iter().all(|pause| (whole / 2..=whole).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
