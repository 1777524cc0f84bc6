//! Forgets tokens that are long over, and counts the others, and the clusters of which nothing has been heard for long.
//!
//! Every replica sweeps: deleting is by version, so that they do not get in each other's way, and a token that was reopened in
//! the meantime stays.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::registry::{News, Stage, Token, TokenId};
use crate::service::{Service, now, read};
use crate::store::{Store, StoreError, Written};

/// Between two sweeps, at least. Nothing waits for one: a token that is over is refused by its own record.
const SWEEP_PAUSE_MIN: Duration = Duration::from_secs(30);
/// A sweep reads every record: it is to take no more than a fiftieth of the time, however many there are.
const SWEEP_SHARE: u32 = 50;

/// Sweeps for ever.
pub async fn run<S: Store>(service: Service<S>) {
    loop {
        let began = Instant::now();
        if let Err(error) = sweep(&service).await {
            tracing::warn!(%error, "cannot sweep; tokens that are over stay a little longer");
        }
        tokio::time::sleep((began.elapsed() * SWEEP_SHARE).max(SWEEP_PAUSE_MIN)).await;
    }
}

/// Sweeps once and returns how many tokens were forgotten.
///
/// # Errors
/// The store cannot be reached.
pub async fn sweep<S: Store>(service: &Service<S>) -> Result<u64, StoreError> {
    let (store, layout) = (service.store(), service.layout());
    let listed = store.list(layout.tokens()).await?;
    let mut counts: BTreeMap<Stage, i64> = Stage::ALL.iter().map(|stage| (*stage, 0)).collect();
    let mut sealed = Vec::new();
    let mut forgotten = 0;
    let total = listed.len();
    for (name, stored) in listed {
        let Some(id) = TokenId::parse(&name) else { continue };
        let token = match read(&stored) {
            Ok(token) => token,
            Err(error) => {
                tracing::warn!(token = %id, %error, "a record is left alone");
                continue;
            }
        };
        if !token.may_be_forgotten(now(), service.rules()) {
            let stage = token.stage(now());
            *counts.entry(stage).or_default() += 1;
            if stage == Stage::Sealed {
                sealed.push(token);
            }
            continue;
        }
        if store.delete(&layout.token(&id), stored.version).await? == Written::Done {
            store.delete_tree(&layout.reports(&id)).await?;
            forgotten += 1;
        }
    }
    for (stage, count) in counts {
        service.metrics().tokens(stage, count);
    }
    service.metrics().swept(forgotten);
    service.note_tokens(total.saturating_sub(usize::try_from(forgotten).unwrap_or(0)));
    // Last, since it takes a question for each: nothing else waits for it or fails with it.
    for (news, count) in news(service, &sealed).await? {
        service.metrics().clusters(news, count);
    }
    Ok(forgotten)
}

/// How many clusters there are of which kind of news. Ends with the first that cannot be read: the store is away.
async fn news<S: Store>(
    service: &Service<S>,
    sealed: &[Token],
) -> Result<BTreeMap<News, i64>, StoreError> {
    let mut clusters: BTreeMap<News, i64> = News::ALL.iter().map(|news| (*news, 0)).collect();
    for token in sealed {
        let reports = service.reports(token).await;
        let reports = reports.map_err(|error| StoreError(error.to_string()))?;
        *clusters.entry(News::of(token, &reports, now())).or_default() += 1;
    }
    Ok(clusters)
}
