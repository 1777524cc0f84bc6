//! Whether a password is the right one: hashing on a thread of its own, a cache of what was right, limits on what was wrong.
//!
//! Invariant: a password is compared with the hash that the replicated state holds now, or was so in this process. Nothing here
//! is stored, and neither passwords nor hashes are ever logged.

mod cache;
mod limits;
mod worker;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use quorate_core::Auth;
use quorate_core::auth::PasswordHash;

use cache::{Cache, Fingerprint};
use limits::Limits;
use worker::{Job, Worker};

/// The longest password: enough for any phrase, little enough to hash and keep waiting.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// What became of a name and a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The password is the user's.
    Right,
    /// It is not, or there is no such user.
    Wrong,
    /// Too many wrong ones came from the address or for the name; this one was not looked at.
    TooMany,
    /// More passwords wait to be compared than are let wait.
    Busy,
}

/// See the module. One for a process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Credentials(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cache: Mutex<Cache>,
    limits: Mutex<Limits>,
    worker: Worker,
}

impl Default for Credentials {
    fn default() -> Self {
        Self::new()
    }
}

impl Credentials {
    /// Nothing proved yet. The thread starts with the first password.
    #[must_use]
    pub fn new() -> Self {
        let (cache, limits) = (Mutex::new(Cache::new()), Mutex::new(Limits::default()));
        Self(Arc::new(Shared { cache, limits, worker: Worker::default() }))
    }

    /// Compares `password` with the hash of `name` in `auth`. At once for what was right before, otherwise some ten
    /// milliseconds on another thread.
    pub async fn check(
        &self,
        auth: &Auth,
        name: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Verdict {
        if password.len() > PASSWORD_BYTES_MAX {
            return Verdict::Wrong;
        }
        let hash = auth.users().get(name).map(|user| user.password_hash.clone());
        let fingerprint = self.0.cache.lock().fingerprint(name, password, hash.as_ref());
        if self.0.is_proved(fingerprint) {
            return Verdict::Right;
        }
        if !self.0.limits.lock().allow(name, address, Instant::now()) {
            return Verdict::TooMany;
        }
        let (name, password) = (name.to_owned(), password.to_owned());
        let shared = Arc::clone(&self.0);
        let compare: Job<Verdict> =
            Box::new(move || shared.compare(&name, &password, hash.as_ref(), fingerprint, address));
        self.0.worker.run(compare).await.unwrap_or(Verdict::Busy)
    }

    /// The hash to keep of a new password; none when too many wait.
    pub async fn hash(&self, password: String) -> Option<PasswordHash> {
        self.0.worker.run(Box::new(move || worker::hash(&password))).await.flatten()
    }
}

impl Shared {
    fn is_proved(&self, fingerprint: Option<Fingerprint>) -> bool {
        fingerprint.is_some_and(|it| self.cache.lock().contains(&it))
    }

    /// On the worker, one after the other: of many that came at once with the same password only the first is hashed, and each
    /// wrong one counts before the next is looked at.
    fn compare(
        &self,
        name: &str,
        password: &str,
        hash: Option<&PasswordHash>,
        fingerprint: Option<Fingerprint>,
        address: Option<IpAddr>,
    ) -> Verdict {
        if self.is_proved(fingerprint) {
            return Verdict::Right;
        }
        if !self.limits.lock().allow(name, address, Instant::now()) {
            return Verdict::TooMany;
        }
        if worker::matches(password, hash) {
            if let Some(fingerprint) = fingerprint {
                self.cache.lock().insert(fingerprint);
            }
            return Verdict::Right;
        }
        self.limits.lock().failed(name, address, Instant::now());
        tracing::warn!(
            user = name,
            address = address.map(tracing::field::display),
            "wrong user name or password"
        );
        Verdict::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_core::auth::{Request, UserPut};

    fn auth_with(name: &str, hash: PasswordHash) -> Auth {
        let mut auth = Auth::default();
        let put =
            UserPut { name: name.to_owned(), password_hash: Some(hash), ..UserPut::default() };
        let decided = auth.decide(&Request::PutUser(put)).unwrap();
        auth.apply(decided.revision, &decided.edits).unwrap();
        auth
    }

    #[tokio::test]
    async fn right_and_wrong_passwords() {
        let credentials = Credentials::new();
        let auth = auth_with("alice", credentials.hash("secret".to_owned()).await.unwrap());
        let check =
            async |name, password: &str| credentials.check(&auth, name, password, None).await;
        assert_eq!(check("alice", "secret").await, Verdict::Right);
        assert_eq!(check("alice", "secret").await, Verdict::Right);
        assert_eq!(check("alice", "Secret").await, Verdict::Wrong);
        assert_eq!(check("bob", "secret").await, Verdict::Wrong);
        assert_eq!(check("alice", &"x".repeat(PASSWORD_BYTES_MAX + 1)).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_changed_password_is_no_longer_right() {
        let credentials = Credentials::new();
        let old = auth_with("alice", credentials.hash("old".to_owned()).await.unwrap());
        assert_eq!(credentials.check(&old, "alice", "old", None).await, Verdict::Right);
        let new = auth_with("alice", credentials.hash("new".to_owned()).await.unwrap());
        assert_eq!(credentials.check(&new, "alice", "old", None).await, Verdict::Wrong);
        assert_eq!(credentials.check(&new, "alice", "new", None).await, Verdict::Right);
        assert_eq!(credentials.check(&Auth::default(), "alice", "new", None).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn guessing_is_stopped_and_keeps_out_nobody_who_was_in() {
        let credentials = Credentials::new();
        let auth = auth_with("alice", credentials.hash("secret".to_owned()).await.unwrap());
        assert_eq!(credentials.check(&auth, "alice", "secret", None).await, Verdict::Right);
        let mut seen = Vec::new();
        for guess in 0..limits::PER_NAME + 1 {
            seen.push(credentials.check(&auth, "alice", &guess.to_string(), None).await);
        }
        assert_eq!(seen.pop(), Some(Verdict::TooMany), "{seen:?}");
        assert!(seen.iter().all(|verdict| *verdict == Verdict::Wrong), "{seen:?}");
        assert_eq!(credentials.check(&auth, "alice", "secret", None).await, Verdict::Right);
    }

    #[test]
    fn one_hash_is_not_another_of_the_same_password() {
        let (one, other) = (worker::hash("p").unwrap(), worker::hash("p").unwrap());
        assert_ne!(one, other);
        assert!(worker::matches("p", Some(&one)) && !worker::matches("q", Some(&one)));
        assert!(!worker::matches("p", Some(&PasswordHash("no hash".to_owned()))));
        assert!(!worker::matches("p", None));
    }
}
