//! How a member learns whom it forms a cluster with, when no flag lists them: judged here from what was found elsewhere.
//!
//! Invariant: every member that finds the same facts, in whatever order, makes the same list of them, so that the lists'
//! hashes agree and [`crate::bootstrap`] can form the cluster. Left out: asking anybody, waiting, and forming itself.
//!
//! | module | judges |
//! |---|---|
//! | [`registry`] | the registrations below a discovery token, as etcd's v2 protocol keeps them |
//! | [`records`] | DNS SRV records and the addresses of their targets |

pub mod records;
pub mod registry;

use sha1::{Digest as _, Sha1};

use crate::bootstrap::Listed;
use crate::identity;

/// The members of a cluster that is about to form, this one too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Learned {
    /// This member's place in `listed`.
    pub own: Listed,
    /// All members, sorted by name.
    pub listed: Vec<Listed>,
    /// The salt of their IDs.
    pub token: String,
}

/// A member under the ID that its URLs and the token give it.
#[must_use]
pub fn member(name: &str, mut peer_urls: Vec<String>, token: &str) -> Listed {
    peer_urls.sort();
    Listed { id: identity::member_id(&peer_urls, token, None), name: name.to_owned(), peer_urls }
}

/// A text that tells one source of a list from another and does not give away what it was made from.
#[must_use]
pub fn fingerprint(source: &str) -> String {
    Sha1::digest(source).iter().map(|byte| format!("{byte:02x}")).collect()
}
