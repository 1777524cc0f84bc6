//! Carries out decisions: reads the record, decides, stores what follows, and again if somebody else was quicker.
//!
//! Invariant: every call ends within [`PATIENCE`], with an answer or with a refusal that passes: an etcd node dies of five seconds of
//! silence. Who asks is checked against the record's hashes before anything is decided for them.

mod attempts;
mod published;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::changes::Changes;
use crate::metrics::Metrics;
use crate::registry::capability::SECRET_BYTES;
use crate::registry::report::Sent;
use crate::registry::token::FORMAT;
use crate::registry::{
    Capability, Claim, ClusterSize, Entry, Grants, MemberKey, Moment, Refusal, Report, Rules,
    Secret, Token, TokenId,
};
use crate::store::{Changed, Layout, Store, Versioned, Written};
pub use attempts::PATIENCE;
use attempts::{Pause, in_time, unavailable};

/// See the module. Cheap to clone.
pub struct Service<S> {
    shared: Arc<Shared<S>>,
}

impl<S> Clone for Service<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<S> {
    store: S,
    layout: Layout,
    rules: Rules,
    tokens_max: usize,
    changes: Changes,
    metrics: Metrics,
    /// How many tokens there were at the last sweep, and have been made here since.
    tokens: std::sync::atomic::AtomicUsize,
}

/// A new token with its three secrets, which nobody can read again.
pub struct Created {
    /// The record.
    pub token: Token,
    /// To administer it.
    pub admin: Secret,
    /// To register with it.
    pub join: Secret,
    /// To look at it.
    pub read: Secret,
}

/// An accepted registration and the token as it stands then.
pub struct Registered {
    /// The entry.
    pub entry: Entry,
    /// Whether it is new.
    pub is_new: bool,
    /// The token with it.
    pub token: Token,
}

impl<S: Store> Service<S> {
    /// A service on `store`.
    #[must_use]
    pub fn new(
        store: S,
        layout: Layout,
        rules: Rules,
        tokens_max: usize,
        metrics: Metrics,
    ) -> Self {
        let changes = Changes::default();
        let tokens = std::sync::atomic::AtomicUsize::new(0);
        Self {
            shared: Arc::new(Shared { store, layout, rules, tokens_max, changes, metrics, tokens }),
        }
    }

    /// Who waits for changes.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.shared.changes
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// How long things last.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    pub(crate) fn store(&self) -> &S {
        &self.shared.store
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// Notes how many tokens the store holds.
    pub(crate) fn note_tokens(&self, tokens: usize) {
        self.shared.tokens.store(tokens, std::sync::atomic::Ordering::Relaxed);
    }

    /// Makes a token.
    ///
    /// # Errors
    /// There are too many already, or the store cannot be reached.
    pub async fn create(&self, size: ClusterSize, ttl: Duration) -> Result<Created, Refusal> {
        let count = &self.shared.tokens;
        if count.load(std::sync::atomic::Ordering::Relaxed) >= self.shared.tokens_max {
            let what = "there is no room for more tokens here";
            return Err(Refusal::Busy { what, after_s: 60 });
        }
        let secret = |capability| random().map(|bytes| Secret::new(capability, bytes));
        let (admin, join, read) =
            (secret(Capability::Admin)?, secret(Capability::Join)?, secret(Capability::Read)?);
        let id = join.token_id().ok_or_else(|| unavailable("no ID"))?;
        let token = Token::new(id, size, Grants::of(&admin, &join, &read), now(), ttl);
        let record = write(&token);
        let key = self.shared.layout.token(&token.id);
        in_time(async {
            let mut pause = Pause::new();
            loop {
                match self.shared.store.create(&key, record.clone()).await {
                    Ok(Written::Done) => return Ok(()),
                    // Nobody else draws this ID: it was an attempt of ours that was not answered.
                    Ok(Written::Outrun) => return Ok(()),
                    Err(error) => pause.after(&error).await?,
                }
            }
        })
        .await?;
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.shared.metrics.created();
        tracing::info!(token = %token.id, size = token.size.count(), "token made");
        Ok(Created { token, admin, join, read })
    }

    /// The token that `secret` opens, if it allows `needed`. `id` is for secrets that do not lead to their token.
    ///
    /// # Errors
    /// There is none, or the secret is not one of its.
    pub async fn open(
        &self,
        id: Option<&TokenId>,
        secret: &Secret,
        needed: Capability,
    ) -> Result<Token, Refusal> {
        self.open_versioned(id, secret, needed).await.map(|(token, _)| token)
    }

    /// Registers a member.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn register(
        &self,
        id: Option<&TokenId>,
        secret: &Secret,
        claim: &Claim,
    ) -> Result<Registered, Refusal> {
        let rules = &self.shared.rules;
        let registered = self
            .decide(id, secret, Capability::Join, |token| {
                let done = token.register(claim, now(), rules)?;
                let after = done.change.clone().unwrap_or_else(|| token.clone());
                let change = done.change.clone();
                Ok(((done, after), change))
            })
            .await;
        let (done, token) = registered.inspect_err(|refusal| {
            tracing::info!(member = %claim.member, name = claim.name, reason = refusal.code(), "registration refused");
        })?;
        let is_new = done.change.is_some();
        if let Some(took) = done.time_to_form() {
            self.shared.metrics.formed(took);
            tracing::info!(token = %token.id, members = token.entries.len(), took_ms = took.as_millis(), "sealed: all members are there");
        }
        if is_new {
            let missing = token.size.count().saturating_sub(token.entries.len());
            tracing::info!(token = %token.id, member = %done.entry.member, name = done.entry.name, missing, "member registered");
        }
        Ok(Registered { entry: done.entry, is_new, token })
    }

    /// Takes down what a member reports, if `admit` lets one more change of the token pass; it is asked for members alone. One that has
    /// not registered is let in if those who may report have said that it is a member.
    ///
    /// # Errors
    /// It is no member, or the report cannot be taken.
    pub async fn report(
        &self,
        id: Option<&TokenId>,
        secret: &Secret,
        member: &MemberKey,
        sent: Sent,
        admit: impl Fn(&TokenId) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let report = Report::new(sent, now())?;
        let has_started = report.sent.progress == crate::registry::report::Progress::Started;
        // Who has registered is in the record; of others those who have tell.
        let token = self.open(id, secret, Capability::Join).await?;
        let reports = match token.counts_since(member) {
            Some(_) => BTreeMap::new(),
            // Reading them all is more work than taking one down.
            None => {
                admit(&token.id)?;
                self.reports(&token).await?
            }
        };
        let (id, forgotten) = self
            .decide(id, secret, Capability::Join, |token| {
                token.alive(report.at)?;
                let admitted = token.admit(member, &reports, report.at)?;
                admit(&token.id)?;
                let after = admitted.as_ref().unwrap_or(token);
                let forgotten = published::gone(token, after);
                // Only who runs shows that the cluster lives: one that waits is no part of it.
                if !has_started {
                    return Ok(((token.id.clone(), forgotten), admitted));
                }
                let started = match after.entry(member) {
                    Some(_) => after.started(member, report.at)?,
                    None => None,
                };
                let after = started.as_ref().unwrap_or(after);
                let kept = after.kept(report.at, &self.shared.rules);
                Ok(((token.id.clone(), forgotten), kept.or(started).or(admitted)))
            })
            .await?;
        if !reports.is_empty() {
            tracing::info!(token = %id, %member, "a member reports that joined the cluster later");
        }
        for member in forgotten {
            self.forget_report(&id, &member).await;
        }
        let key = self.shared.layout.report(&id, member);
        let text =
            serde_json::to_string(&report).map_err(|error| unavailable(&error.to_string()))?;
        in_time(async {
            self.shared.store.put(&key, text).await.map_err(|error| unavailable(&error.0))
        })
        .await?;
        self.shared.changes.tell(&Changed::Token(id));
        Ok(())
    }

    /// Carries out what an administrator decides about a token.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub async fn administer(
        &self,
        id: Option<&TokenId>,
        secret: &Secret,
        decide: impl Fn(&Token, Moment) -> Result<Option<Token>, Refusal>,
    ) -> Result<Token, Refusal> {
        self.decide(id, secret, Capability::Admin, |token| {
            let change = decide(token, now())?;
            Ok((change.clone().unwrap_or_else(|| token.clone()), change))
        })
        .await
        .inspect(|token| tracing::info!(token = %token.id, state = token.stage(now()).name(), "token changed by its administrator"))
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ready(&self) -> Result<(), Refusal> {
        let key = self.shared.layout.prefix().clone();
        in_time(async {
            self.shared.store.read(&key).await.map(drop).map_err(|error| unavailable(&error.0))
        })
        .await
    }

    /// Reads, decides and stores until it is decided on what is stored.
    async fn decide<T>(
        &self,
        id: Option<&TokenId>,
        secret: &Secret,
        needed: Capability,
        decide: impl Fn(&Token) -> Result<(T, Option<Token>), Refusal>,
    ) -> Result<T, Refusal> {
        in_time(async {
            let mut pause = Pause::new();
            loop {
                let (token, version) = self.read_checked(id, secret, needed).await?;
                let (answer, change) = decide(&token)?;
                let Some(change) = change else { return Ok(answer) };
                let key = self.shared.layout.token(&token.id);
                match self.shared.store.swap(&key, write(&change), version).await {
                    Ok(Written::Done) => {
                        self.shared.changes.tell(&Changed::Token(token.id));
                        return Ok(answer);
                    }
                    Ok(Written::Outrun) => pause.rest().await,
                    // It may have been written: the next reading shows it, and deciding again answers the same.
                    Err(error) => pause.after(&error).await?,
                }
            }
        })
        .await
    }

    async fn open_versioned(
        &self,
        id: Option<&TokenId>,
        secret: &Secret,
        needed: Capability,
    ) -> Result<(Token, u64), Refusal> {
        in_time(self.read_checked(id, secret, needed)).await
    }

    async fn read_checked(
        &self,
        id: Option<&TokenId>,
        secret: &Secret,
        needed: Capability,
    ) -> Result<(Token, u64), Refusal> {
        let own = secret.token_id();
        let id = id.or(own.as_ref()).ok_or(Refusal::Unknown)?;
        let key = self.shared.layout.token(id);
        let mut pause = Pause::new();
        let stored = loop {
            match self.shared.store.read(&key).await {
                Ok(stored) => break stored.ok_or(Refusal::Unknown)?,
                Err(error) => pause.after(&error).await?,
            }
        };
        let version = stored.version;
        let token = read(&stored)?;
        // That a token exists is told only to those who hold one of its secrets.
        let held = token.grants.check(secret).ok_or(Refusal::Unknown)?;
        if !held.covers(needed) {
            return Err(Refusal::Forbidden(needed));
        }
        Ok((token, version))
    }
}

/// The time now.
#[must_use]
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Reads a record.
pub(crate) fn read(stored: &Versioned) -> Result<Token, Refusal> {
    let token: Token = serde_json::from_str(&stored.value)
        .map_err(|error| unavailable(&format!("a record cannot be read: {error}")))?;
    if token.format > FORMAT {
        return Err(unavailable("the record was written by a newer release"));
    }
    Ok(token)
}

fn write(token: &Token) -> String {
    // Strings, numbers and lists: nothing in it can fail to be written.
    serde_json::to_string(token).unwrap_or_default()
}

fn random() -> Result<[u8; SECRET_BYTES], Refusal> {
    let mut bytes = [0; SECRET_BYTES];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(SECRET_BYTES) => Ok(bytes),
        _ => Err(unavailable("the system has no randomness")),
    }
}
