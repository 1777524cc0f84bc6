//! By what members that are about to form a cluster see that they mean the same one.

use sha1::{Digest as _, Sha1};

use super::Listed;

/// The hash of a member list and its token. Equal hashes prove equal lists.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct FormationHash(pub [u8; 20]);

impl std::fmt::Debug for FormationHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for FormationHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FormationHash {
    /// The hash of `listed` under `token`; the order of the list does not matter.
    #[must_use]
    pub fn of(listed: &[Listed], token: &str) -> Self {
        let mut members: Vec<&Listed> = listed.iter().collect();
        members.sort_by(|a, b| (a.id, &a.name).cmp(&(b.id, &b.name)));
        let mut hash = Sha1::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        add(token);
        for member in members {
            add(&member.name);
            member.peer_urls.iter().for_each(|url| add(url));
            add("");
        }
        Self(hash.finalize().into())
    }
}
