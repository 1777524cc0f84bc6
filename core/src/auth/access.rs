//! Who may do what.

use super::{Auth, GUEST, ROOT, Role};

/// What a request on a key is about to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Access<'a> {
    /// The cleaned key, `/` for the root.
    pub key: &'a [u8],
    /// Whether it reaches everything below the key.
    pub recursive: bool,
    /// Whether it is anything but a read.
    pub write: bool,
}

/// Who asks, once it has been proved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller<'a> {
    /// Somebody who gave no name.
    Guest,
    /// This user, if there is one of that name.
    User(&'a str),
}

impl Auth {
    /// Whether `caller` may do that. Everyone may do everything while checks are off.
    #[must_use]
    pub fn allows(&self, caller: Caller<'_>, access: Access<'_>) -> bool {
        if !self.is_enabled() {
            return true;
        }
        match caller {
            Caller::Guest => self.roles().get(GUEST).is_some_and(|role| role.allows(access)),
            Caller::User(name) => self.roles_of(name).is_some_and(|roles| {
                roles.iter().any(|role| {
                    role == ROOT || self.roles().get(role).is_some_and(|role| role.allows(access))
                })
            }),
        }
    }

    /// Whether `caller` may change users, roles and members.
    #[must_use]
    pub fn is_root(&self, caller: Caller<'_>) -> bool {
        let has_role =
            |name| self.roles_of(name).is_some_and(|roles| roles.iter().any(|role| role == ROOT));
        !self.is_enabled() || matches!(caller, Caller::User(name) if has_role(name))
    }
}

impl Role {
    fn allows(&self, access: Access<'_>) -> bool {
        let patterns = if access.write { &self.write } else { &self.read };
        patterns.iter().flatten().any(|pattern| covers(pattern.as_bytes(), access))
    }
}

/// Without an asterisk a pattern covers one key and nothing below it.
fn covers(pattern: &[u8], access: Access<'_>) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(prefix) => access.key.starts_with(prefix),
        None => !access.recursive && access.key == pattern,
    }
}
