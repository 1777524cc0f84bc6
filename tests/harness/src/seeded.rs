//! Repeatable randomness for tests (SplitMix64). Not for secrets, and statistically only as good as tests need.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// A generator whose whole course follows from its seed.
#[derive(Clone, Debug)]
pub struct Seeded {
    seed: u64,
    state: u64,
}

impl Seeded {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// Starts from the environment variable `QUORATE_SEED` (decimal, or hex after `0x`), else from the clock.
    /// Prints the seed, so that a failing run can be repeated.
    pub fn from_environment(label: &str) -> Self {
        let seed = match env::var("QUORATE_SEED") {
            Ok(text) => parse_seed(&text).unwrap_or_else(|| {
                panic!("QUORATE_SEED is `{text}`: give a decimal number, or hex after 0x")
            }),
            Err(_) => clock_seed(),
        };
        eprintln!("{label}: seed {seed:#x} (repeat with QUORATE_SEED={seed:#x})");
        Self::new(seed)
    }

    /// The seed this generator started from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.bits() % bound }
    }

    /// True once in `times` on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.below(choices.len() as u64) as usize;
        &choices[index]
    }
}

fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn clock_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs() ^ (u64::from(now.subsec_nanos()) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_course() {
        let (mut one, mut two, mut other) = (Seeded::new(7), Seeded::new(7), Seeded::new(8));
        let course = |rng: &mut Seeded| (0..8).map(|_| rng.bits()).collect::<Vec<_>>();
        let first = course(&mut one);
        assert_eq!(first, course(&mut two));
        assert_ne!(first, course(&mut other));
    }

    #[test]
    fn seeds_are_read_as_decimal_or_hex() {
        assert_eq!(parse_seed("10"), Some(10));
        assert_eq!(parse_seed("0x10"), Some(16));
        assert_eq!(parse_seed("ten"), None);
    }
}
