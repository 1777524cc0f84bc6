//! Members that joined a formed cluster later: they have no entry, and report all the same.
//!
//! Invariants: one is let in only by the word of those who are known already, the newest list of members that they gave; so a cluster all
//! of whose founders were replaced one after the other is followed on. Whoever holds the join secret can speak as any member: this
//! keeps out IDs that nobody knows, and what secrets keep out is decided before. A token has at most [`JOINED_MAX`] of them, and one that is let in has no more rights than to report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::claim::MemberKey;
use super::membership::newest;
use super::moment::Moment;
use super::refusal::Refusal;
use super::report::Report;
use super::token::Token;

/// The most of one token. A list of members has half as many: when this is reached, those that are in it no longer are forgotten.
pub const JOINED_MAX: usize = 64;

/// A member that joined later.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Joined {
    /// Its ID.
    pub member: MemberKey,
    /// When its first report came.
    pub at: Moment,
}

impl Token {
    /// Since when reports of a member count; nothing if they do not. What it said before is of another time of the token.
    #[must_use]
    pub fn counts_since(&self, member: &MemberKey) -> Option<Moment> {
        let joined = || self.joined.iter().find(|it| it.member == *member).map(|it| it.at);
        self.entry(member).map(|entry| entry.at).or_else(joined)
    }

    /// Lets a member report that has not registered; nothing changes if it may already. `reports` are those of the token.
    ///
    /// # Errors
    /// [`Refusal::NoSuchMember`], if nobody who may report has said that it is a member.
    pub fn admit(
        &self,
        member: &MemberKey,
        reports: &BTreeMap<MemberKey, Report>,
        now: Moment,
    ) -> Result<Option<Self>, Refusal> {
        if self.counts_since(member).is_some() {
            return Ok(None);
        }
        let list = self.sealed.and_then(|_| newest(self, reports)).unwrap_or_default();
        let is_listed = |member: &MemberKey| list.members.iter().any(|it| it.id == *member);
        if !is_listed(member) {
            return Err(Refusal::NoSuchMember(member.clone()));
        }
        let mut token = self.clone();
        if token.joined.len() >= JOINED_MAX {
            token.joined.retain(|it| is_listed(&it.member));
        }
        token.joined.push(Joined { member: member.clone(), at: now });
        Ok(Some(token))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::registry::capability::SECRET_BYTES;
    use crate::registry::membership::{Listed, Membership, present};
    use crate::registry::report::Sent;
    use crate::registry::{Capability, Claim, ClusterSize, Grants, Rules, Secret};

    const HOUR: Duration = Duration::from_secs(3600);
    const START: Moment = Moment(1_800_000_000_000);
    const RULES: Rules =
        Rules { token_ttl: HOUR, seal_grace: HOUR, sealed_ttl: HOUR, memory: HOUR };

    fn key(number: usize) -> MemberKey {
        MemberKey::parse(&format!("{number:x}")).unwrap()
    }

    /// A sealed token of member 1.
    fn token() -> Token {
        let secret = |capability| Secret::new(capability, [1; SECRET_BYTES]);
        let join = secret(Capability::Join);
        let grants = Grants::of(&secret(Capability::Admin), &join, &secret(Capability::Read));
        let size = ClusterSize::new(1).unwrap();
        let token = Token::new(join.token_id().unwrap(), size, grants, START, HOUR);
        let claim = Claim::from_value(key(1), "one=http://10.0.0.1:2380").unwrap();
        token.register(&claim, START, &RULES).unwrap().change.unwrap()
    }

    fn says(index: u64, members: &[usize]) -> Report {
        let listed = |number: &usize| Listed {
            id: key(*number),
            name: String::new(),
            peer_urls: vec![format!("http://10.0.0.{number}:2380")],
            client_urls: Vec::new(),
        };
        let membership = Membership { index, members: members.iter().map(listed).collect() };
        let sent = Sent { membership: Some(membership), ..Sent::default() };
        Report { at: START.after(Duration::from_secs(index)), clock_offset_ms: None, sent }
    }

    #[test]
    fn each_is_let_in_by_the_word_of_those_before_it_and_a_stranger_by_nobodys() {
        let (mut token, mut reports) = (token(), BTreeMap::new());
        for number in 2..200 {
            let stranger = token.admit(&key(number), &reports, START);
            assert_eq!(
                stranger,
                Err(Refusal::NoSuchMember(key(number))),
                "nobody spoke of {number}"
            );
            // A stranger's own word is none, however new it is.
            reports.insert(key(number), says(9999, &[number]));
            assert!(token.admit(&key(number), &reports, START).is_err());
            let before = key(number - 1);
            let index = number as u64;
            reports.insert(before, says(index, &[number - 1, number]));
            let now = START.after(Duration::from_secs(index));
            token = token.admit(&key(number), &reports, now).unwrap().unwrap();
            assert_eq!(token.admit(&key(number), &reports, now), Ok(None));
            assert!(token.joined.len() <= JOINED_MAX, "{}", token.joined.len());
            // From now on its word counts.
            reports.insert(key(number), says(index, &[number]));
        }
        reports.insert(key(199), says(500, &[199]));
        let members: Vec<MemberKey> =
            present(&token, &reports).into_iter().map(|it| it.id).collect();
        assert_eq!(members, [key(199)]);
        assert!(token.counts_since(&key(198)).is_some() && token.counts_since(&key(40)).is_none());
        // Reopened, it is the token of another cluster.
        let reopened = token.reopen(START, HOUR, true).unwrap();
        assert!(reopened.admit(&key(199), &reports, START).is_err());
    }
}
