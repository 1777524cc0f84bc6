//! What a request about users and roles changes, and what it is answered: the rules of etcd 3.4.

use super::{Auth, AuthError, Edit, GUEST, PasswordHash, ROOT, Role, User};
use std::collections::BTreeSet;

/// A request that may change something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// Makes or changes a user.
    PutUser(UserPut),
    /// Removes the user of that name.
    DeleteUser(String),
    /// Makes or changes a role.
    PutRole(RolePut),
    /// Removes the role of that name.
    DeleteRole(String),
    /// Turns checks on.
    Enable,
    /// Turns checks off.
    Disable,
}

/// What is asked for a user.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UserPut {
    /// Whose name it is.
    pub name: String,
    /// The hash of the password, if one was given.
    pub password_hash: Option<PasswordHash>,
    /// The roles of a new user.
    pub roles: Option<Vec<String>>,
    /// Roles to add.
    pub grant: Vec<String>,
    /// Roles to take away.
    pub revoke: Vec<String>,
}

/// Patterns to read and to write.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Permissions {
    /// Patterns of keys to read.
    pub read: Option<Vec<String>>,
    /// Patterns of keys to write.
    pub write: Option<Vec<String>>,
}

impl Permissions {
    fn is_empty(&self) -> bool {
        self.read.iter().chain(&self.write).all(Vec::is_empty)
    }
}

/// What is asked for a role.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RolePut {
    /// Whose name it is.
    pub name: String,
    /// What a new role lets do.
    pub permissions: Permissions,
    /// What to let do as well.
    pub grant: Permissions,
    /// What to let do no more.
    pub revoke: Permissions,
}

/// What is answered once the edits are applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Nothing but success.
    Done,
    /// The user as it is now.
    User {
        /// Its name.
        name: String,
        /// Its roles.
        roles: Option<Vec<String>>,
        /// Whether to say that it was created.
        created: bool,
    },
    /// The role as it is now.
    Role {
        /// Its name.
        name: String,
        /// What it lets do.
        role: Role,
        /// Whether to say that it was created.
        created: bool,
    },
}

/// What to propose, and what to answer when that is applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decided {
    /// The state decided on.
    pub revision: u64,
    /// The changes, in order.
    pub edits: Vec<Edit>,
    /// What to answer then.
    pub answer: Answer,
}

impl Auth {
    /// Judges `request` against this state.
    ///
    /// # Errors
    /// It is refused; nothing is to be proposed.
    pub fn decide(&self, request: &Request) -> Result<Decided, AuthError> {
        let (edits, answer) = match request {
            Request::PutUser(put) => self.put_user(put)?,
            Request::DeleteUser(name) => (self.delete_user(name)?, Answer::Done),
            Request::PutRole(put) => self.put_role(put)?,
            Request::DeleteRole(name) => (self.delete_role(name)?, Answer::Done),
            Request::Enable => (self.enable()?, Answer::Done),
            Request::Disable if !self.is_enabled() => return Err(AuthError::AlreadyDisabled),
            Request::Disable => (vec![Edit::SetEnabled(false)], Answer::Done),
        };
        Ok(Decided { revision: self.revision(), edits, answer })
    }

    fn put_user(&self, put: &UserPut) -> Result<(Vec<Edit>, Answer), AuthError> {
        let names_roles = put.roles.as_ref().is_some_and(|roles| !roles.is_empty());
        let changes_roles = !put.grant.is_empty() || !put.revoke.is_empty();
        if changes_roles && names_roles {
            return Err(AuthError::Ambiguous("User", "roles"));
        }
        let exists = self.users().contains_key(&put.name);
        if changes_roles || (exists && !names_roles) {
            return self.update_user(put);
        }
        let Some(hash) = &put.password_hash else {
            return Err(AuthError::EmptyPassword(put.name.clone()));
        };
        if exists {
            return Err(AuthError::UserExists(put.name.clone()));
        }
        let mut roles = put.roles.clone();
        if put.name == ROOT && !roles.iter().flatten().any(|role| role == ROOT) {
            roles.get_or_insert_default().push(ROOT.to_owned());
        }
        let user = User { password_hash: hash.clone(), roles: roles.clone() };
        let (name, created) = (put.name.clone(), !names_roles);
        Ok((vec![Edit::PutUser(name.clone(), user)], Answer::User { name, roles, created }))
    }

    fn update_user(&self, put: &UserPut) -> Result<(Vec<Edit>, Answer), AuthError> {
        let name = put.name.clone();
        let old = self.users().get(&name).ok_or_else(|| AuthError::NoUser(name.clone()))?;
        let mut roles: BTreeSet<String> =
            self.roles_of(&name).unwrap_or_default().into_iter().collect();
        for role in &put.grant {
            if !roles.insert(role.clone()) {
                return Err(AuthError::DuplicateRole { role: role.clone(), user: name });
            }
        }
        for role in &put.revoke {
            if !roles.remove(role) {
                return Err(AuthError::UngrantedRole { role: role.clone(), user: name });
            }
        }
        let password_hash = put.password_hash.as_ref().unwrap_or(&old.password_hash).clone();
        let user = User { password_hash, roles: Some(roles.into_iter().collect()) };
        let shown = old.roles.as_ref().map(|_| self.roles_of(&name).unwrap_or_default());
        if user.password_hash == old.password_hash && user.roles == shown {
            return Err(AuthError::UserNotUpdated);
        }
        let answer = Answer::User { name: name.clone(), roles: user.roles.clone(), created: false };
        Ok((vec![Edit::PutUser(name, user)], answer))
    }

    fn delete_user(&self, name: &str) -> Result<Vec<Edit>, AuthError> {
        if self.is_enabled() && name == ROOT {
            return Err(AuthError::RootNeeded);
        }
        if !self.users().contains_key(name) {
            return Err(AuthError::NoUserToDelete(name.to_owned()));
        }
        Ok(vec![Edit::DeleteUser(name.to_owned())])
    }

    fn put_role(&self, put: &RolePut) -> Result<(Vec<Edit>, Answer), AuthError> {
        let name = put.name.clone();
        let changes = !put.grant.is_empty() || !put.revoke.is_empty();
        if changes && !put.permissions.is_empty() {
            return Err(AuthError::Ambiguous("Role", "permissions"));
        }
        if name == ROOT {
            return Err(AuthError::RootRole);
        }
        let role = match (self.roles().get(&name), changes) {
            (None, true) => return Err(AuthError::NoRole(name)),
            (Some(_), false) => return Err(AuthError::RoleExists(name)),
            (None, false) => {
                let Permissions { read, write } = put.permissions.clone();
                Role { read, write }
            }
            (Some(old), true) => old.updated(put)?,
        };
        let answer = Answer::Role { name: name.clone(), role: role.clone(), created: !changes };
        Ok((vec![Edit::PutRole(name, role)], answer))
    }

    fn delete_role(&self, name: &str) -> Result<Vec<Edit>, AuthError> {
        if name == ROOT {
            return Err(AuthError::RootRole);
        }
        if !self.roles().contains_key(name) {
            return Err(AuthError::NoRoleToDelete(name.to_owned()));
        }
        Ok(vec![Edit::DeleteRole(name.to_owned())])
    }

    fn enable(&self) -> Result<Vec<Edit>, AuthError> {
        if self.is_enabled() {
            return Err(AuthError::AlreadyEnabled);
        }
        if !self.users().contains_key(ROOT) {
            return Err(AuthError::NoRootUser);
        }
        let guest = (!self.roles().contains_key(GUEST))
            .then(|| Edit::PutRole(GUEST.to_owned(), Role::everything()));
        Ok(guest.into_iter().chain([Edit::SetEnabled(true)]).collect())
    }
}

impl Role {
    /// This role with what `put` grants and without what it revokes; revoking what was never granted changes nothing.
    fn updated(&self, put: &RolePut) -> Result<Self, AuthError> {
        let read =
            changed((&self.read, &put.grant.read, &put.revoke.read), AuthError::DuplicateRead)?;
        let write =
            changed((&self.write, &put.grant.write, &put.revoke.write), AuthError::DuplicateWrite)?;
        let role = Self { read: Some(read), write: Some(write) };
        if role == *self { Err(AuthError::RoleNotUpdated) } else { Ok(role) }
    }
}

type Patterns = Option<Vec<String>>;

fn changed(
    (old, grant, revoke): (&Patterns, &Patterns, &Patterns),
    duplicate: fn(String) -> AuthError,
) -> Result<Vec<String>, AuthError> {
    let mut patterns: BTreeSet<&String> = old.iter().flatten().collect();
    for pattern in grant.iter().flatten() {
        if !patterns.insert(pattern) {
            return Err(duplicate(pattern.clone()));
        }
    }
    for pattern in revoke.iter().flatten() {
        patterns.remove(pattern);
    }
    Ok(patterns.into_iter().cloned().collect())
}
