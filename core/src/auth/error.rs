//! Why a change of users or roles is refused, in etcd's words and with etcd's statuses.

/// See the module. The text is for the client; [`AuthError::http_status`] goes with it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself")]
pub enum AuthError {
    #[error("auth: User {0} does not exist.")]
    NoUser(String),
    #[error("auth: User {0} does not exist")]
    NoUserToDelete(String),
    #[error("auth: User {0} already exists.")]
    UserExists(String),
    #[error("auth: Cannot create user {0} with an empty password")]
    EmptyPassword(String),
    #[error("auth: User not updated. Use grant/revoke/password to update the user.")]
    UserNotUpdated,
    #[error("auth: Granting duplicate role {role} for user {user}")]
    DuplicateRole { role: String, user: String },
    #[error("auth: Revoking ungranted role {role} for user {user}")]
    UngrantedRole { role: String, user: String },
    #[error("auth: Cannot delete root user while auth is enabled.")]
    RootNeeded,
    #[error("auth: Role {0} does not exist.")]
    NoRole(String),
    #[error("auth: Role {0} doesn't exist.")]
    NoRoleToDelete(String),
    #[error("auth: Role {0} already exists.")]
    RoleExists(String),
    #[error("auth: Cannot modify role root: is root role.")]
    RootRole,
    #[error("auth: Role not updated. Use grant/revoke to update the role.")]
    RoleNotUpdated,
    #[error("auth: Granting duplicate read permission {0}")]
    DuplicateRead(String),
    #[error("auth: Granting duplicate write permission {0}")]
    DuplicateWrite(String),
    #[error("auth: No root user available, please create one")]
    NoRootUser,
    #[error("auth: already enabled")]
    AlreadyEnabled,
    #[error("auth: already disabled")]
    AlreadyDisabled,
    #[error("{0} JSON contains both {1} and grant/revoke")]
    Ambiguous(&'static str, &'static str),
}

impl AuthError {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::EmptyPassword(_)
            | Self::UserNotUpdated
            | Self::RoleNotUpdated
            | Self::Ambiguous(..) => 400,
            Self::RootNeeded | Self::RootRole => 403,
            Self::NoUser(_)
            | Self::NoUserToDelete(_)
            | Self::NoRole(_)
            | Self::NoRoleToDelete(_) => 404,
            Self::UserExists(_)
            | Self::DuplicateRole { .. }
            | Self::UngrantedRole { .. }
            | Self::RoleExists(_)
            | Self::DuplicateRead(_)
            | Self::DuplicateWrite(_)
            | Self::NoRootUser
            | Self::AlreadyEnabled
            | Self::AlreadyDisabled => 409,
        }
    }
}
