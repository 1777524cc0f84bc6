//! What is told of a token: to those who hold one of its secrets, and to whoever looks its cluster up.

use std::collections::BTreeMap;

use super::attempts::{in_time, unavailable};
use super::{Service, now, read};
use crate::registry::{MemberKey, Published, Refusal, Report, Stage, Status, Token, TokenId};
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
}
