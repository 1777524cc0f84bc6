//! Users, roles and what they may do: etcd's v2 auth as replicated state.
//!
//! A request is judged by [`decide`](Auth::decide) against a state, which gives the edits to propose; they are applied only
//! if the state is still the one judged, which its revision says. Passwords come as hashes: making and checking those takes
//! time and chance, which is nothing for a replicated state.

mod access;
mod decide;
mod error;
pub(crate) mod wire;

pub use access::{Access, Caller};
pub use decide::{Answer, Decided, Permissions, Request, RolePut, UserPut};
pub use error::AuthError;

use std::collections::BTreeMap;

/// The user who may do everything, and the role that lets him.
pub const ROOT: &str = "root";
/// The role of everyone who gives no name.
pub const GUEST: &str = "guest";

/// Index changes that come before the first edit ever: etcd keeps all this in four hidden nodes of its store.
const CHANGES_OF_PREPARATION: u64 = 4;

/// A password's hash, in the form of its maker. Never shown, never logged.
#[derive(Clone, Eq, PartialEq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// A user. Lists keep the order and form they were given in: they are shown again like that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// What a password is compared with.
    pub password_hash: PasswordHash,
    /// Names of roles, which need not exist.
    pub roles: Option<Vec<String>>,
}

/// A role: patterns of keys. One that ends in `*` stands for all keys that begin with what precedes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Role {
    /// What it lets read.
    pub read: Option<Vec<String>>,
    /// What it lets write.
    pub write: Option<Vec<String>>,
}

/// One change of the state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Edit {
    /// Makes or replaces a user.
    PutUser(String, User),
    /// Removes a user.
    DeleteUser(String),
    /// Makes or replaces a role.
    PutRole(String, Role),
    /// Removes a role.
    DeleteRole(String),
    /// Turns the checks on or off.
    SetEnabled(bool),
}

/// All users and roles, and whether they count.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Auth {
    enabled: bool,
    revision: u64,
    users: BTreeMap<String, User>,
    roles: BTreeMap<String, Role>,
}

/// The state is no longer the one that the edits were decided on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outdated;

impl Auth {
    /// A state as it was taken apart by [`Self::parts`].
    pub(crate) fn restore(
        enabled: bool,
        revision: u64,
        users: BTreeMap<String, User>,
        roles: BTreeMap<String, Role>,
    ) -> Self {
        Self { enabled, revision, users, roles }
    }

    /// Whether requests are checked.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// How often the state has changed.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The users, by name.
    #[must_use]
    pub const fn users(&self) -> &BTreeMap<String, User> {
        &self.users
    }

    /// The roles that were made, by name; see [`Self::role`] for the one that was not.
    #[must_use]
    pub const fn roles(&self) -> &BTreeMap<String, Role> {
        &self.roles
    }

    /// A role by name; `root` is always there and lets do everything.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<Role> {
        if name == ROOT { Some(Role::everything()) } else { self.roles.get(name).cloned() }
    }

    /// The names of a user's roles, as shown and as they count: user `root` always has role `root`.
    #[must_use]
    pub fn roles_of(&self, name: &str) -> Option<Vec<String>> {
        let user = self.users.get(name)?;
        let mut roles = user.roles.clone().unwrap_or_default();
        if name == ROOT && !roles.iter().any(|role| role == ROOT) {
            roles.push(ROOT.to_owned());
        }
        Some(roles)
    }

    /// Carries out `edits` if the state is still the one of `revision`. Returns by how much the store index moves.
    ///
    /// # Errors
    /// It is another one; nothing has changed then.
    pub fn apply(&mut self, revision: u64, edits: &[Edit]) -> Result<u64, Outdated> {
        if revision != self.revision {
            return Err(Outdated);
        }
        let preparation = if revision == 0 { CHANGES_OF_PREPARATION } else { 0 };
        for edit in edits {
            self.revision += 1;
            match edit.clone() {
                Edit::PutUser(name, user) => drop(self.users.insert(name, user)),
                Edit::DeleteUser(name) => drop(self.users.remove(&name)),
                Edit::PutRole(name, role) => drop(self.roles.insert(name, role)),
                Edit::DeleteRole(name) => drop(self.roles.remove(&name)),
                Edit::SetEnabled(enabled) => self.enabled = enabled,
            }
        }
        Ok(if edits.is_empty() { 0 } else { preparation + edits.len() as u64 })
    }
}

impl Role {
    /// The role `root`, and what `guest` is when auth is enabled for the first time.
    pub(crate) fn everything() -> Self {
        let all = || Some(vec!["/*".to_owned()]);
        Self { read: all(), write: all() }
    }
}

#[cfg(test)]
mod tests;
