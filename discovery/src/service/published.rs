//! What is told of a token: to those who hold one of its secrets, and to whoever looks its cluster up.

use std::collections::BTreeMap;

use super::attempts::{in_time, unavailable};
use super::{Service, now};
use crate::registry::{MemberKey, Refusal, Report, Status, Token};
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
            Some((MemberKey::parse(&name).ok()?, serde_json::from_str(&stored.value).ok()?))
        });
        Ok(reports.collect())
    }
}
