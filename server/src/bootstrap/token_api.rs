//! Meeting the other members through the native API of our own discovery service, which may have several replicas.
//!
//! Invariant: as in [`super::registry`], every step may be repeated, and what is about to be registered is on the disk before
//! it is sent. A replica that does not answer is passed over; none of them has a state of its own. The list counts once the
//! service says that it is sealed.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use quorate_core::bootstrap::Listed;
use quorate_core::discovery::registry::{self, Registration, Standing};
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{Connector, send};
use serde::Deserialize;

use super::learn::{Look, Trouble};
use super::learned_file::{LearnedFile, check_note, note};
use super::registry::tell;
use super::registry_http::{TIMEOUT, bad_endpoint, failed, shown};
use crate::config::DiscoveryToken;
use crate::reports::Reports;

/// How long one wait for news lasts; the service ends it earlier.
const POLL_TIMEOUT: Duration = Duration::from_secs(60);
/// After a wait that failed the next look is not at once.
const POLL_PAUSE: Duration = Duration::from_secs(1);
/// Largest answer read: a token has nine members at most, with their reports.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// See the module.
pub struct TokenApi<'a> {
    token: &'a DiscoveryToken,
    own: Listed,
    file: &'a LearnedFile,
    connector: &'a dyn Connector,
    reports: Reports,
    /// The index of the last status seen.
    index: u64,
}

/// What the service tells of a token; it may tell more.
#[derive(Debug, Deserialize)]
struct Status {
    state: String,
    size: usize,
    index: u64,
    members: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    id: String,
    name: String,
    peer_urls: Vec<String>,
    index: u64,
}

#[derive(Debug, Deserialize)]
struct Registered {
    token: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
    transient: bool,
}

impl<'a> TokenApi<'a> {
    /// The token, for the member `own`; `file` remembers what was registered, `reports` are told who has.
    #[must_use]
    pub fn new(
        token: &'a DiscoveryToken,
        own: Listed,
        file: &'a LearnedFile,
        connector: &'a dyn Connector,
        reports: Reports,
    ) -> Self {
        Self { token, own, file, connector, reports, index: 0 }
    }

    /// Looks who is registered; registers this member, as often as it asks, if `registers` says so.
    pub(super) async fn look(&mut self, registers: bool) -> Result<Look, Trouble> {
        check_note(self.file, &self.own)?;
        let status = if registers { self.register().await? } else { Some(self.status().await?) };
        // Refused since all places are taken: by whom is told to whoever looks.
        let status = match status {
            Some(status) => status,
            None => self.status().await?,
        };
        self.index = status.index;
        self.judge(&status)
    }

    /// Waits for the next change.
    pub(super) async fn rest(&self) {
        let path = format!("/v1/tokens/-?after={}", self.index);
        if self.ask(&Method::GET, &path, None, POLL_TIMEOUT).await.is_err() {
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    async fn register(&self) -> Result<Option<Status>, Trouble> {
        note(self.file, &self.own)?;
        let claim = serde_json::json!({
            "id": self.own.id.to_string(), "name": self.own.name, "peer_urls": self.own.peer_urls,
        });
        let asked =
            self.ask(&Method::POST, "/v1/tokens/-/members", Some(claim.to_string()), TIMEOUT);
        let (endpoint, response) = asked.await?;
        if response.status() == StatusCode::CONFLICT && problem(&response).code == "full" {
            return Ok(None);
        }
        parse::<Registered>(&endpoint, &response).map(|registered| Some(registered.token))
    }

    async fn status(&self) -> Result<Status, Trouble> {
        let (endpoint, response) = self.ask(&Method::GET, "/v1/tokens/-", None, TIMEOUT).await?;
        parse(&endpoint, &response)
    }

    fn judge(&self, status: &Status) -> Result<Look, Trouble> {
        let registrations: Vec<Registration> = status.members.iter().map(registration).collect();
        tell(&self.reports, self.file, &registrations);
        let judged = registry::judge(&self.own, &self.token.secret, status.size, &registrations)
            .map_err(|error| Trouble::Final(error.to_string()))?;
        Ok(match judged {
            Standing::Complete(learned) if status.state == "sealed" => Look::Complete(learned),
            Standing::Complete(_) => Look::Incomplete("the token is not sealed yet".to_owned()),
            Standing::Full { members } => {
                if let Err(error) = self.file.unregistered() {
                    tracing::debug!(%error, "the note of the registration stays");
                }
                Look::Full(members)
            }
            Standing::Waiting { registered, missing } => Look::Incomplete(format!(
                "{missing} of the {} members have not registered yet; registered: {}",
                status.size,
                registered.join(", ")
            )),
            Standing::Open => Look::Incomplete("this member is not registered".to_owned()),
        })
    }

    /// Asks one replica after the other until one gives an answer that stays.
    async fn ask(
        &self,
        method: &Method,
        path: &str,
        body: Option<String>,
        timeout: Duration,
    ) -> Result<(Endpoint, Response<Bytes>), Trouble> {
        let mut trouble = Trouble::Passing("there is no endpoint to ask".to_owned());
        for endpoint in &self.token.endpoints {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::AUTHORIZATION, format!("Bearer {}", self.token.secret))
                .header(header::CONTENT_TYPE, "application/json")
                .body(Bytes::from(body.clone().unwrap_or_default()))
                .map_err(|_| bad_endpoint(&endpoint.to_string(), "it cannot be asked"))?;
            let sent = send(self.connector, endpoint, request, ANSWER_BYTES_MAX, timeout).await;
            match sent.map_err(failed) {
                Ok(response) if !may_pass(&response) => return Ok((endpoint.clone(), response)),
                Ok(response) => {
                    let (code, said) = (response.status().as_u16(), problem(&response).detail);
                    let said = shown(&said);
                    trouble = Trouble::Passing(format!("{endpoint} answers {code}: {said}"));
                }
                Err(Trouble::Final(reason)) => return Err(Trouble::Final(reason)),
                Err(passing) => trouble = passing,
            }
        }
        Err(trouble)
    }
}

fn may_pass(response: &Response<Bytes>) -> bool {
    let status = response.status();
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || (!status.is_success() && problem(response).transient)
}

/// What the service says is wrong; nothing if it is not this service.
fn problem(response: &Response<Bytes>) -> Problem {
    serde_json::from_slice(response.body()).unwrap_or_default()
}

fn parse<T: serde::de::DeserializeOwned>(
    endpoint: &Endpoint,
    response: &Response<Bytes>,
) -> Result<T, Trouble> {
    let place = endpoint.to_string();
    if response.status().is_success() {
        return serde_json::from_slice(response.body())
            .map_err(|_| bad_endpoint(&place, "its answer is none of quorate-discovery's"));
    }
    let Problem { code, detail, .. } = problem(response);
    if code.is_empty() {
        let reason = format!("it answers {} without saying why", response.status().as_u16());
        return Err(bad_endpoint(&place, &reason));
    }
    Err(Trouble::Final(format!(
        "discovery: {place} refuses ({}): {}",
        shown(&code),
        shown(&detail)
    )))
}

fn registration(member: &Member) -> Registration {
    let pairs: Vec<String> =
        member.peer_urls.iter().map(|url| format!("{}={url}", member.name)).collect();
    Registration { key: member.id.clone(), value: pairs.join(","), created: member.index }
}
