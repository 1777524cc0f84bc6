//! Who watches, and whether that one may read what it watches: asked when a watch begins, and again at each change of users,
//! roles or of whether they count.
//!
//! Invariant: nothing is kept for a watcher without a name, which is everyone where users do not count.

use std::borrow::Cow;

use quorate_core::Auth;
use quorate_core::auth::{Access, Caller};

/// Who watches, and how the key was written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reader {
    pub(super) name: Option<ReaderName>,
    pub(super) has_slash: bool,
}

/// A name, and how it was proved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ReaderName {
    Password(Box<str>),
    Certificate(Box<str>),
}

impl Reader {
    /// Somebody who gave no name.
    #[must_use]
    pub fn guest() -> Self {
        Self::default()
    }

    /// A user who gave the right password.
    #[must_use]
    pub fn by_password(name: &str) -> Self {
        Self { name: Some(ReaderName::Password(name.into())), has_slash: false }
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

/// Whether one of this name may read a key.
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
        Some(ReaderName::Password(name)) => Caller::User(name),
        Some(ReaderName::Certificate(name)) if auth.users().contains_key(&**name) => {
            Caller::User(name)
        }
        Some(ReaderName::Certificate(_)) => Caller::Guest,
    };
    auth.allows(caller, Access { key: &written(key, has_slash), recursive, write: false })
}

/// Whether the password that proved a name is another one, or the user is.
pub(super) fn is_outdated(before: &Auth, after: &Auth, name: Option<&ReaderName>) -> bool {
    let Some(ReaderName::Password(name)) = name else { return false };
    let hash = |auth: &Auth| auth.users().get(&**name).map(|user| user.password_hash.clone());
    hash(before) != hash(after)
}

/// A cleaned key as patterns are held against it: as it was written, where the root is a slash or nothing at all.
pub(crate) fn written(key: &[u8], has_slash: bool) -> Cow<'_, [u8]> {
    match (key, has_slash) {
        (b"/", false) => Cow::Borrowed(b""),
        (b"/", true) | (_, false) => Cow::Borrowed(key),
        (_, true) => Cow::Owned([key, b"/"].concat()),
    }
}
