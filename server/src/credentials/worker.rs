//! The thread that hashes: one password at a time, so that guesses cost neither requests nor replication their time.
//!
//! Argon2id (RFC 9106). Its memory is taken for one password at a time only.

use std::sync::OnceLock;

use argon2::password_hash::{self, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use crossbeam_channel::Sender;
use quorate_core::auth::PasswordHash;
use tokio::sync::oneshot;

/// Passwords that may wait: a few seconds' worth.
const WAITING_MAX: usize = 128;
/// 12 MiB and three passes, one of the equivalent choices that OWASP recommends for Argon2id; the one with less memory, since a
/// member is small.
const MEMORY_KIB: u32 = 12 << 10;
const PASSES: u32 = 3;
const SALT_BYTES: usize = 16;

/// What the thread is to do.
pub(super) type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// See the module. Started by its first job, and ended with the process.
#[derive(Debug, Default)]
pub(super) struct Worker(OnceLock<Option<Sender<Job<()>>>>);

impl Worker {
    /// What `job` returns, once it had its turn; none when too many wait.
    pub(super) async fn run<T: Send + 'static>(&self, job: Job<T>) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let job: Job<()> = Box::new(move || {
            // Whoever waits no longer needs no hashing.
            if !sender.is_closed() {
                let _ = sender.send(job());
            }
        });
        self.0.get_or_init(start).as_ref()?.try_send(job).ok()?;
        receiver.await.ok()
    }
}

fn start() -> Option<Sender<Job<()>>> {
    let (sender, jobs) = crossbeam_channel::bounded::<Job<()>>(WAITING_MAX);
    let thread = std::thread::Builder::new().name("passwords".to_owned());
    let started = thread.spawn(move || jobs.iter().for_each(|job| job()));
    if let Err(error) = &started {
        tracing::error!(%error, "cannot start the thread that compares passwords; nobody can log in");
    }
    started.is_ok().then_some(sender)
}

fn hasher() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// A new hash, with chance in it; none if the system has no chance to give.
pub(super) fn hash(password: &str) -> Option<PasswordHash> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).ok()?;
    let salt = SaltString::encode_b64(&salt).ok()?;
    let hash = hasher()?.hash_password(password.as_bytes(), &salt).ok()?;
    Some(PasswordHash(hash.to_string()))
}

/// Whether `hash` is one of `password`. Takes as long when there is no hash to compare with, so that time does not tell which
/// names exist.
pub(super) fn matches(password: &str, hash: Option<&PasswordHash>) -> bool {
    static NOBODY: OnceLock<Option<PasswordHash>> = OnceLock::new();
    let compared = hash.or_else(|| NOBODY.get_or_init(|| self::hash("nobody")).as_ref());
    let (Some(compared), Some(hasher)) = (compared, hasher()) else { return false };
    let Ok(parsed) = password_hash::PasswordHash::new(&compared.0) else { return false };
    hasher.verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some()
}
