//! Which names and passwords were right lately, so that an authenticated request costs no hashing.
//!
//! What is kept is a keyed fingerprint of name, password and stored hash; the key is made at the start and leaves the process
//! never. So the memory holds no password, and a changed password makes its entry worthless.

use std::collections::{HashSet, VecDeque};

use blake2::digest::Mac;
use blake2::{Blake2s256, Blake2sMac256, Digest};
use quorate_core::auth::PasswordHash;

/// Users with requests under way at the same time; beyond that the oldest is hashed again.
const ENTRIES_MAX: usize = 4096;

/// Stands for a name, a password and the hash it was compared with.
pub(super) type Fingerprint = [u8; 32];

#[derive(Debug)]
pub(super) struct Cache {
    key: Option<[u8; 32]>,
    proved: HashSet<Fingerprint>,
    oldest_first: VecDeque<Fingerprint>,
}

impl Cache {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        // Without chance there is no cache: slower, and as safe.
        let key = getrandom::fill(&mut key).is_ok().then_some(key);
        Self { key, proved: HashSet::new(), oldest_first: VecDeque::new() }
    }

    /// None for a user that does not exist, who is right never.
    pub(super) fn fingerprint(
        &self,
        name: &str,
        password: &str,
        hash: Option<&PasswordHash>,
    ) -> Option<Fingerprint> {
        let mut mac = Blake2sMac256::new_from_slice(&self.key?).ok()?;
        for part in [name, password, &hash?.0] {
            // Each of one length, so that no two triples run together to the same bytes.
            mac.update(&Blake2s256::digest(part.as_bytes()));
        }
        Some(mac.finalize().into_bytes().into())
    }

    pub(super) fn contains(&self, fingerprint: &Fingerprint) -> bool {
        self.proved.contains(fingerprint)
    }

    pub(super) fn insert(&mut self, fingerprint: Fingerprint) {
        if !self.proved.insert(fingerprint) {
            return;
        }
        self.oldest_first.push_back(fingerprint);
        if self.oldest_first.len() > ENTRIES_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.proved.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let cache = Cache::new();
        let hash = PasswordHash("h".to_owned());
        let of = |name, password| cache.fingerprint(name, password, Some(&hash));
        assert!(of("ab", "c").is_some());
        assert_ne!(of("ab", "c"), of("a", "bc"));
        assert_eq!(of("ab", "c"), of("ab", "c"));
        assert_ne!(of("ab", "c"), Cache::new().fingerprint("ab", "c", Some(&hash)));
        assert_eq!(cache.fingerprint("ab", "c", None), None);
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut cache = Cache::new();
        let print = |number: usize| {
            let mut print = [0; 32];
            print[..8].copy_from_slice(&(number as u64).to_le_bytes());
            print
        };
        (0..=ENTRIES_MAX).for_each(|number| cache.insert(print(number)));
        assert!(!cache.contains(&print(0)) && cache.contains(&print(ENTRIES_MAX)));
        assert_eq!(cache.proved.len(), ENTRIES_MAX);
    }
}
