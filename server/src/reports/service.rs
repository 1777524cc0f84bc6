//! The discovery service, as the one that takes reports: where it is, and what its answers are worth.
//!
//! Invariant: the join secret goes to the service's own hosts alone, in a header, and never from https to http. A service that
//! does not know all that a report has is sent what it knows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use quorate_core::MemberId;
use quorate_transport::endpoint::{Address, Endpoint};
use quorate_transport::http_client::{Connector, send};
use serde::Deserialize;

use super::message::Message;
use super::target::Target;
use crate::bootstrap::registry_http::{redirected, shown};

/// How long a service has to take a report.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Its answer is empty, or says what is wrong.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Redirects followed: from http to https, or to another port.
const REDIRECTS_MAX: usize = 3;
/// A service that refused what is new in a report is spared it for so long; it may be replaced by a newer one.
const SPARED_FOR: Duration = Duration::from_secs(3600);
/// The service's code for a member that it has not heard of.
const NOT_HEARD_OF: &str = "no_such_member";

/// See the module.
pub struct Service {
    secret: String,
    /// What stands before the native API's paths, mostly nothing.
    prefix: String,
    endpoints: Vec<Endpoint>,
    /// The one that answered last.
    preferred: usize,
    connector: Arc<dyn Connector>,
    /// Until when reports are what older services know.
    spared_until: Option<Instant>,
}

/// Why a report was not taken.
#[derive(Debug)]
pub(super) struct Untaken {
    /// What happened.
    pub(super) reason: String,
    /// Whether it may be over soon.
    pub(super) may_pass: bool,
}

/// The service's word on what is wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
}

impl Service {
    /// The service at `target`.
    #[must_use]
    pub fn new(target: &Target, connector: Arc<dyn Connector>) -> Self {
        let Target { secret, prefix, endpoints, .. } = target.clone();
        Self { secret, prefix, endpoints, preferred: 0, connector, spared_until: None }
    }

    /// Sends a report of `member`.
    pub(super) async fn put(&mut self, member: MemberId, message: &Message) -> Result<(), Untaken> {
        let older = message.for_older_services();
        let is_spared = self.spared_until.is_some_and(|until| Instant::now() < until);
        let answer = match older.as_ref().filter(|_| is_spared) {
            Some(older) => self.put_body(member, older).await?,
            None => self.put_body(member, message).await?,
        };
        let refuses_form = answer.status() == StatusCode::BAD_REQUEST;
        let answer = match older.filter(|_| refuses_form && !is_spared) {
            Some(older) => {
                let answer = self.put_body(member, &older).await?;
                if answer.status().is_success() {
                    self.spared_until = Some(Instant::now() + SPARED_FOR);
                    tracing::info!(
                        "the discovery service takes reports, but not client URLs and the membership: it may be older than this member"
                    );
                }
                answer
            }
            None => answer,
        };
        judge(&answer)
    }

    /// Asks one replica after the other, from the one that answered last, until one does.
    async fn put_body(
        &mut self,
        member: MemberId,
        message: &Message,
    ) -> Result<Response<Bytes>, Untaken> {
        let body = serde_json::to_vec(message).map_err(|error| final_trouble(error.to_string()))?;
        let body = Bytes::from(body);
        let target = format!("{}/v1/tokens/-/members/{member}/report", self.prefix);
        let mut trouble = passing("there is no endpoint to ask".to_owned());
        for turn in 0..self.endpoints.len() {
            let position = (self.preferred + turn) % self.endpoints.len();
            let Some(endpoint) = self.endpoints.get(position) else { continue };
            match self.follow(endpoint, &target, &body).await {
                Ok(answer) if !answer.status().is_server_error() => {
                    self.preferred = position;
                    return Ok(answer);
                }
                Ok(answer) => trouble = passing(told(&answer)),
                Err(error) => trouble = error,
            }
        }
        Err(trouble)
    }

    async fn follow(
        &self,
        endpoint: &Endpoint,
        target: &str,
        body: &Bytes,
    ) -> Result<Response<Bytes>, Untaken> {
        let (mut endpoint, mut target) = (endpoint.clone(), target.to_owned());
        for _ in 0..=REDIRECTS_MAX {
            let request = Request::put(&target)
                .header(header::AUTHORIZATION, format!("Bearer {}", self.secret))
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone())
                .map_err(|_| final_trouble("its URL cannot be asked".to_owned()))?;
            let sent = send(&*self.connector, &endpoint, request, ANSWER_BYTES_MAX, TIMEOUT).await;
            let answer = sent.map_err(|error| passing(error.to_string()))?;
            let location = answer.headers().get(header::LOCATION);
            let Some(location) = location.filter(|_| answer.status().is_redirection()) else {
                return Ok(answer);
            };
            let location = location.to_str().unwrap_or_default();
            let (next, path) = redirected(&endpoint, location)
                .map_err(|reason| final_trouble(reason.to_owned()))?;
            if !is_same_host(&endpoint, &next) {
                return Err(final_trouble("it redirects to another host".to_owned()));
            }
            (endpoint, target) = (next, path);
        }
        Err(final_trouble("it redirects in a circle".to_owned()))
    }
}

/// Another host is not given the secret.
fn is_same_host(one: &Endpoint, other: &Endpoint) -> bool {
    match (&one.address, &other.address) {
        (Address::Tcp { host: one, .. }, Address::Tcp { host: other, .. }) => {
            one.eq_ignore_ascii_case(other)
        }
        _ => false,
    }
}

fn judge(answer: &Response<Bytes>) -> Result<(), Untaken> {
    match answer.status() {
        status if status.is_success() => Ok(()),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(passing(told(answer))),
        // It joined later, and the others have not told the service yet.
        StatusCode::NOT_FOUND if problem(answer).code == NOT_HEARD_OF => Err(passing(told(answer))),
        _ => Err(final_trouble(told(answer))),
    }
}

fn told(answer: &Response<Bytes>) -> String {
    format!("it answers {}: {}", answer.status().as_u16(), shown(&problem(answer).detail))
}

fn problem(answer: &Response<Bytes>) -> Problem {
    serde_json::from_slice(answer.body()).unwrap_or_default()
}

fn passing(reason: String) -> Untaken {
    Untaken { reason, may_pass: true }
}

fn final_trouble(reason: String) -> Untaken {
    Untaken { reason, may_pass: false }
}

#[cfg(test)]
mod tests {
    use quorate_transport::http_client::PlainConnector;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::DiscoveryToken;
    use crate::reports::message::Progress;

    /// Answers so many requests, each on a connection of its own, by what is in them; gives back what they were.
    async fn answering(
        listener: TcpListener,
        count: usize,
        answer: fn(&str) -> &'static str,
    ) -> Vec<String> {
        let mut asked = Vec::new();
        for _ in 0..count {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            while !text.ends_with('}') {
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).await.unwrap();
                text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
            let head = answer(&text);
            let all = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(all.as_bytes()).await.unwrap();
            asked.push(text);
        }
        asked
    }

    async fn service() -> (Service, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let endpoints = vec![Endpoint::tcp("127.0.0.1", 1), Endpoint::tcp("127.0.0.1", port)];
        let token = DiscoveryToken { secret: "s".repeat(32), endpoints };
        (Service::new(&Target::of_token(&token, None), Arc::new(PlainConnector)), listener)
    }

    fn message() -> Message {
        Message {
            progress: Progress::Started,
            clock_ms: 1,
            program: String::new(),
            reach: Vec::new(),
            certificate_problems: Vec::new(),
            client_urls: vec!["http://h:1".to_owned()],
            metrics_urls: Vec::new(),
            membership: None,
        }
    }

    #[tokio::test]
    async fn an_older_service_is_sent_what_it_knows() {
        let (mut service, listener) = service().await;
        let knows = |asked: &str| {
            if asked.contains("client_urls") { "400 Bad Request" } else { "204 No Content" }
        };
        let answering = tokio::spawn(answering(listener, 3, knows));
        for _ in 0..2 {
            service.put(MemberId(0x1f), &message()).await.unwrap();
        }
        let asked = answering.await.unwrap();
        let newer: Vec<bool> = asked.iter().map(|it| it.contains("client_urls")).collect();
        assert_eq!(newer, [true, false, false], "it is tried once, and spared then");
        assert!(asked[2].starts_with("PUT /v1/tokens/-/members/1f/report HTTP/1.1"), "{asked:?}");
        assert!(asked[2].contains("\"progress\":\"started\""), "{asked:?}");
    }

    #[tokio::test]
    async fn another_host_is_not_given_the_secret() {
        let (mut service, listener) = service().await;
        let leads_away = |_: &str| "307 Temporary Redirect\r\nLocation: http://localhost:1/x";
        let answering = tokio::spawn(answering(listener, 1, leads_away));
        let untaken = service.put(MemberId(1), &message()).await.unwrap_err();
        assert_eq!(untaken.reason, "it redirects to another host");
        answering.await.unwrap();
    }
}
