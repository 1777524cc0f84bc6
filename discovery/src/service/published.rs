//! What is told of a token: to those who hold one of its secrets, and to whoever looks its cluster up.

use std::collections::BTreeMap;

use super::attempts::{in_time, unavailable};
use super::{Service, now, read};
use crate::registry::{
    Joined, MemberKey, Published, Refusal, Report, Stage, Status, Token, TokenId,
};
use crate::store::Store;

impl<S: Store> Service<S> {
    /// A token as it is shown.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn status(&self, token: &Token) -> Result<Status, Refusal> {
        Ok(Status::of(token, &self.reports(token).await?, now()))
    }

    /// The last report of each of a token's members.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn reports(&self, token: &Token) -> Result<BTreeMap<MemberKey, Report>, Refusal> {
        let dir = self.shared.layout.reports(&token.id);
        let listed = in_time(async {
            self.shared.store.list(&dir).await.map_err(|error| unavailable(&error.0))
        })
        .await?;
        let reports = listed.into_iter().filter_map(|(name, stored)| {
            // A report that cannot be read is none: those who registered are told in any case.
            let report = serde_json::from_str(&stored.value);
            let report = report.inspect_err(|error| {
                tracing::debug!(token = %token.id, member = name, %error, "a report cannot be read");
            });
            Some((MemberKey::parse(&name).ok()?, report.ok()?))
        });
        Ok(reports.collect())
    }

    /// What is told of a token's cluster to whoever asks: nothing when there is no such token, or it is not sealed.
    ///
    /// # Errors
    /// The store cannot be reached, or the record cannot be read.
    pub async fn cluster(&self, id: &TokenId) -> Result<Option<Published>, Refusal> {
        let key = self.shared.layout.token(id);
        let stored = in_time(async {
            self.shared.store.read(&key).await.map_err(|error| unavailable(&error.0))
        })
        .await?;
        let token = stored.as_ref().map(read).transpose()?;
        let Some(token) = token.filter(|token| token.stage(now()) == Stage::Sealed) else {
            return Ok(None);
        };
        let reports = self.reports(&token).await?;
        Ok(Some(Published::of(&token, &reports)))
    }

    /// Best effort: what stays is one report of a member that does not count any more.
    pub(super) async fn forget_report(&self, id: &TokenId, member: &MemberKey) {
        let key = self.shared.layout.report(id, member);
        let forgotten = in_time(async {
            let found = self.shared.store.read(&key).await.map_err(|it| unavailable(&it.0))?;
            let Some(found) = found else { return Ok(()) };
            let deleted = self.shared.store.delete(&key, found.version).await;
            deleted.map(drop).map_err(|error| unavailable(&error.0))
        });
        if let Err(error) = forgotten.await {
            tracing::debug!(token = %id, %member, %error, "the report of a former member stays");
        }
    }
}

/// Who joined later and may not report any more.
pub(super) fn gone(before: &Token, after: &Token) -> Vec<MemberKey> {
    let is_gone = |joined: &&Joined| !after.joined.contains(joined);
    before.joined.iter().filter(is_gone).map(|joined| joined.member.clone()).collect()
}
