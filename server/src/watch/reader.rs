//! Who watches, and whether that one may read what it watches: asked when a watch begins, and again at each change of users,
//! roles or of whether they count.
//!
//! Invariant: a password counts as long as the hash it was compared with is the user's, whatever happened in between. Nothing is
//! kept for a watcher without a name, which is everyone where users do not count.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use quorate_core::Auth;
use quorate_core::auth::{Access, Caller, PasswordHash};

/// Who watches, and how the key was written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reader {
    pub(super) name: Option<ReaderName>,
    pub(super) has_slash: bool,
}

/// A name, and how it was proved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ReaderName {
    Password(Box<str>, Proof),
    Certificate(Box<str>),
}

/// Stands for the hash that a password was compared with: as much of it as is worth keeping for each watcher. Made with a key of
/// this process, so that nobody can look for a hash that stands for the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proof(u64);

/// See [`Proof`].
static PROOF_KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Proof {
    /// That of a password that was compared with `hash`, and was right.
    #[must_use]
    pub fn of(hash: &PasswordHash) -> Self {
        Self(PROOF_KEY.hash_one(&hash.0))
    }
}

impl Reader {
    /// Somebody who gave no name.
    #[must_use]
    pub fn guest() -> Self {
        Self::default()
    }

    /// A user who gave the right password, by the hash there was then.
    #[must_use]
    pub fn by_password(name: &str, proof: Proof) -> Self {
        Self { name: Some(ReaderName::Password(name.into(), proof)), has_slash: false }
    }

    /// Whoever has a certificate for this name: a user, if there is one, or else a guest.
    #[must_use]
    pub fn by_certificate(name: &str) -> Self {
        Self { name: Some(ReaderName::Certificate(name.into())), has_slash: false }
    }

    /// Says whether the key was written with a slash at its end, which patterns tell apart.
    #[must_use]
    pub fn spelled(self, has_slash: bool) -> Self {
        Self { has_slash, ..self }
    }
}

/// Whether one of this name may read a key. Whose password is another one by now may read nothing: it is somebody else's name.
pub(super) fn may_read(
    auth: &Auth,
    name: Option<&ReaderName>,
    has_slash: bool,
    key: &[u8],
    recursive: bool,
) -> bool {
    if !auth.is_enabled() {
        return true;
    }
    let caller = match name {
        None => Caller::Guest,
        Some(ReaderName::Password(name, proof)) => {
            let user = auth.users().get(&**name);
            if user.is_none_or(|user| Proof::of(&user.password_hash) != *proof) {
                return false;
            }
            Caller::User(name)
        }
        Some(ReaderName::Certificate(name)) if auth.users().contains_key(&**name) => {
            Caller::User(name)
        }
        Some(ReaderName::Certificate(_)) => Caller::Guest,
    };
    auth.allows(caller, Access { key: &written(key, has_slash), recursive, write: false })
}

/// Whether two states let the same ones read the same, whatever was changed in between.
pub(super) fn is_same(before: &Auth, after: &Auth) -> bool {
    before.revision() == after.revision()
        || (before.is_enabled() == after.is_enabled()
            && before.users() == after.users()
            && before.roles() == after.roles())
}

/// A cleaned key as patterns are held against it: as it was written, where the root is a slash or nothing at all.
pub(crate) fn written(key: &[u8], has_slash: bool) -> Cow<'_, [u8]> {
    match (key, has_slash) {
        (b"/", false) => Cow::Borrowed(b""),
        (b"/", true) | (_, false) => Cow::Borrowed(key),
        (_, true) => Cow::Owned([key, b"/"].concat()),
    }
}
