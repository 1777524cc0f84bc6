//! A token: the record that is stored, and what may become of it.
//!
//! Invariants, whatever is decided in whatever order: names, member IDs and peer URLs are unique; at most `size` entries; indexes only
//! grow, and an entry keeps its index; once sealed, the set never changes unless an administrator reopens the token, and then
//! whoever saw the old set is told to start over (`floor`). Who may ask for a decision is checked before it, by the caller.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::capability::{Grants, TokenId};
use super::claim::{Claim, MemberKey, is_loopback};
use super::joined::Joined;
use super::moment::Moment;
use super::refusal::Refusal;
use super::size::ClusterSize;

/// The format of the record; a newer one is refused instead of being misread.
pub const FORMAT: u32 = 1;
/// The index of the size key, the first thing that a token holds.
pub const SIZE_INDEX: u64 = 1;

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How long a token waits for its members.
    pub token_ttl: Duration,
    /// How long a member of a sealed token may still ask for the answer it got: machines crash while they start, too.
    pub seal_grace: Duration,
    /// How long a sealed token is kept: its members' list is of use after they have started.
    pub sealed_ttl: Duration,
    /// How long a token that is over is kept, so that whoever still asks is told why and not that it never was.
    pub memory: Duration,
}

/// A registered member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// The member's ID.
    pub member: MemberKey,
    /// Its name.
    pub name: String,
    /// Where the others reach it.
    pub peer_urls: Vec<String>,
    /// Its place in the order of registrations.
    pub index: u64,
    /// When it registered.
    pub at: Moment,
    /// When it said that it has started; members that speak etcd's protocol alone never do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Moment>,
}

impl Entry {
    fn claim(&self) -> Claim {
        Claim {
            member: self.member.clone(),
            name: self.name.clone(),
            peer_urls: self.peer_urls.clone(),
        }
    }

    /// The value as etcd's nodes read it.
    #[must_use]
    pub fn value(&self) -> String {
        self.claim().value()
    }
}

/// Where a token is in its life, at some time.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Stage {
    /// Nobody has registered.
    Open,
    /// Reopened, and nobody has registered since.
    Reopened,
    /// Some have registered.
    Forming,
    /// All have: nobody forms with it again.
    Sealed,
    /// Its time was over before all were there.
    Expired,
    /// An administrator ended it.
    Revoked,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Open, Self::Reopened, Self::Forming, Self::Sealed, Self::Expired, Self::Revoked];

    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Reopened => "reopened",
            Self::Forming => "forming",
            Self::Sealed => "sealed",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// The record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Token {
    /// See [`FORMAT`].
    pub format: u32,
    /// Its ID.
    pub id: TokenId,
    /// How many members are waited for.
    pub size: ClusterSize,
    /// The hashes of its secrets.
    pub grants: Grants,
    /// When it was made.
    pub created: Moment,
    /// When it ends: unformed, or sealed and of no interest any more.
    pub expires: Moment,
    /// The index of its last change that members are told of.
    pub index: u64,
    /// Whoever waits from this index or before has seen a set that no longer holds.
    pub floor: u64,
    /// Who registered, in order.
    pub entries: Vec<Entry>,
    /// When all were there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Moment>,
    /// When an administrator ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Moment>,
    /// When an administrator last reopened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened: Option<Moment>,
    /// Who joined the cluster after it was formed, and reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Joined>,
}

/// A registration that is accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registration {
    /// The entry, old or new.
    pub entry: Entry,
    /// What to store; nothing when the entry was there.
    pub change: Option<Token>,
}

impl Registration {
    /// How long the members needed, from the first to the last, if this is the one that completes them.
    #[must_use]
    pub fn time_to_form(&self) -> Option<Duration> {
        let token = self.change.as_ref()?;
        let first = token.entries.iter().map(|entry| entry.at).min()?;
        token.sealed.map(|sealed| sealed.since(first))
    }
}

impl Token {
    /// A token nobody has registered with.
    #[must_use]
    pub fn new(id: TokenId, size: ClusterSize, grants: Grants, now: Moment, ttl: Duration) -> Self {
        Self {
            format: FORMAT,
            id,
            size,
            grants,
            created: now,
            expires: now.after(ttl),
            index: SIZE_INDEX,
            floor: 0,
            entries: Vec::new(),
            sealed: None,
            revoked: None,
            reopened: None,
            joined: Vec::new(),
        }
    }

    /// Where it is in its life.
    #[must_use]
    pub fn stage(&self, now: Moment) -> Stage {
        if self.revoked.is_some() {
            Stage::Revoked
        } else if now >= self.expires {
            Stage::Expired
        } else if self.sealed.is_some() {
            Stage::Sealed
        } else if !self.entries.is_empty() {
            Stage::Forming
        } else if self.reopened.is_some() {
            Stage::Reopened
        } else {
            Stage::Open
        }
    }

    /// Refuses everybody once the token is over.
    ///
    /// # Errors
    /// [`Refusal::Expired`], [`Refusal::Revoked`].
    pub fn alive(&self, now: Moment) -> Result<(), Refusal> {
        match (self.revoked, self.stage(now)) {
            (Some(at), _) => Err(Refusal::Revoked { at }),
            (None, Stage::Expired) => {
                Err(Refusal::Expired { at: self.expires, was_sealed: self.sealed.is_some() })
            }
            _ => Ok(()),
        }
    }

    /// The entry of a member.
    #[must_use]
    pub fn entry(&self, member: &MemberKey) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.member == *member)
    }

    /// Registers a member, or answers again what it was answered before.
    ///
    /// # Errors
    /// Why it cannot register, with who is in its way.
    pub fn register(
        &self,
        claim: &Claim,
        now: Moment,
        rules: &Rules,
    ) -> Result<Registration, Refusal> {
        self.alive(now)?;
        if let Some(entry) = self.entry(&claim.member) {
            self.same_again(entry, claim, now, rules)?;
            return Ok(Registration { entry: entry.clone(), change: None });
        }
        if let Some(since) = self.sealed {
            return Err(Refusal::Full { size: self.size, since });
        }
        self.free_for(claim)?;
        let mut token = self.clone();
        token.index += 1;
        let entry = Entry {
            member: claim.member.clone(),
            name: claim.name.clone(),
            peer_urls: claim.peer_urls.clone(),
            index: token.index,
            at: now,
            started: None,
        };
        token.entries.push(entry.clone());
        if token.entries.len() >= token.size.count() {
            token.sealed = Some(now);
            token.expires = now.after(rules.sealed_ttl);
        }
        Ok(Registration { entry, change: Some(token) })
    }

    /// A member says that it has started: what it registered is never answered again.
    ///
    /// # Errors
    /// It is not registered, or the token is over.
    pub fn started(&self, member: &MemberKey, now: Moment) -> Result<Option<Self>, Refusal> {
        self.alive(now)?;
        let mut token = self.clone();
        let entry = token.entries.iter_mut().find(|entry| entry.member == *member);
        let entry = entry.ok_or_else(|| Refusal::NoSuchMember(member.clone()))?;
        // Nobody can have started while members are missing.
        if entry.started.is_some() || self.sealed.is_none() {
            return Ok(None);
        }
        entry.started = Some(now);
        Ok(Some(token))
    }

    /// A member of a formed cluster reports, so the cluster lives: its list is kept for as long again as after the last registration.
    /// Nothing changes while more than half of that time is left, so that a token is not written with each report.
    #[must_use]
    pub fn kept(&self, now: Moment, rules: &Rules) -> Option<Self> {
        let is_sealed = self.stage(now) == Stage::Sealed;
        (is_sealed && self.expires.since(now) < rules.sealed_ttl / 2).then(|| {
            let mut token = self.clone();
            token.expires = now.after(rules.sealed_ttl);
            token
        })
    }

    /// Ends the token for good; nothing changes when it is over already.
    #[must_use]
    pub fn revoke(&self, now: Moment) -> Option<Self> {
        self.revoked.is_none().then(|| {
            let mut token = self.clone();
            token.revoked = Some(now);
            token.index += 1;
            token.floor = token.index;
            token
        })
    }

    /// Forgets all entries, so that the machines may form from the beginning.
    ///
    /// # Errors
    /// It was revoked; or members have said that they started, and `is_forced` does not say that they are gone.
    pub fn reopen(&self, now: Moment, ttl: Duration, is_forced: bool) -> Result<Self, Refusal> {
        if let Some(at) = self.revoked {
            return Err(Refusal::Revoked { at });
        }
        if self.sealed.is_some() && !is_forced {
            let started = self.entries.iter().filter(|entry| entry.started.is_some());
            let names = started.map(|entry| entry.name.clone()).collect();
            return Err(Refusal::MayRun { started: names });
        }
        let mut token = self.clone();
        token.entries.clear();
        token.joined.clear();
        token.sealed = None;
        token.reopened = Some(now);
        token.expires = now.after(ttl);
        token.index += 1;
        token.floor = token.index;
        Ok(token)
    }

    /// Removes the entry of a machine that will not come. Those that saw it are told to start over.
    ///
    /// # Errors
    /// The token is over or sealed, or there is no such entry.
    pub fn remove(&self, member: &MemberKey, now: Moment) -> Result<Self, Refusal> {
        self.alive(now)?;
        if let Some(since) = self.sealed {
            return Err(Refusal::Sealed { since });
        }
        if self.entry(member).is_none() {
            return Err(Refusal::NoSuchMember(member.clone()));
        }
        let mut token = self.clone();
        token.entries.retain(|entry| entry.member != *member);
        token.index += 1;
        token.floor = token.index;
        Ok(token)
    }

    /// Whether nothing is lost when it is forgotten.
    #[must_use]
    pub fn may_be_forgotten(&self, now: Moment, rules: &Rules) -> bool {
        let over = self.revoked.unwrap_or(self.expires);
        now >= over.after(rules.memory)
    }

    /// Whether a member that is registered may be answered as before.
    fn same_again(
        &self,
        entry: &Entry,
        claim: &Claim,
        now: Moment,
        rules: &Rules,
    ) -> Result<(), Refusal> {
        if entry.claim() != *claim {
            return Err(Refusal::TakenId { by: Box::new(entry.clone()) });
        }
        match self.sealed {
            // It may have lived since, and would come back under an ID whose votes and acknowledgements it has forgotten.
            Some(since) if entry.started.is_some() || now >= since.after(rules.seal_grace) => {
                Err(Refusal::Lived { since, entry: Box::new(entry.clone()) })
            }
            _ => Ok(()),
        }
    }

    fn free_for(&self, claim: &Claim) -> Result<(), Refusal> {
        for entry in &self.entries {
            if entry.name == claim.name {
                return Err(Refusal::TakenName { by: Box::new(entry.clone()) });
            }
            if let Some(url) = claim.peer_urls.iter().find(|url| entry.peer_urls.contains(url)) {
                return Err(Refusal::TakenUrl { url: url.clone(), by: Box::new(entry.clone()) });
            }
            let is_local = entry.peer_urls.iter().any(|url| is_loopback(url));
            if is_local != claim.is_loopback() {
                return Err(Refusal::Unreachable { local: is_local.then(|| entry.name.clone()) });
            }
        }
        Ok(())
    }
}
