//! One round of questions to all listed peers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use quorate_core::MemberId;
use quorate_core::bootstrap::{Answer, Listed};
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{Connector, send};

use super::Plan;
use crate::peer_api::formation::{Announcement, PATH};

/// A peer that is there answers at once; one that is not must not hold up the others.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Largest answer read: some hundred members.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The answers of all listed members but this one; those that cannot be reached are silent.
pub(super) async fn all(plan: &Plan, connector: &dyn Connector) -> BTreeMap<MemberId, Answer> {
    let others = plan.listed.iter().filter(|listed| listed.id != plan.own.id);
    let asked = others.map(|listed| async {
        (listed.id, one(listed, connector).await.unwrap_or(Answer::Silent))
    });
    futures_util::future::join_all(asked).await.into_iter().collect()
}

async fn one(listed: &Listed, connector: &dyn Connector) -> Option<Answer> {
    for url in &listed.peer_urls {
        match ask(url, connector).await {
            Ok(answer) => return Some(answer),
            Err(reason) => {
                tracing::debug!(peer = listed.name, url, %reason, "no usable answer yet");
            }
        }
    }
    None
}

async fn ask(
    url: &str,
    connector: &dyn Connector,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let endpoint: Endpoint = url.parse()?;
    let request = Request::get(PATH).body(Bytes::new())?;
    let response = send(connector, &endpoint, request, ANSWER_BYTES_MAX, TIMEOUT).await?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()).into());
    }
    Ok(Announcement::parse(response.body())?)
}
