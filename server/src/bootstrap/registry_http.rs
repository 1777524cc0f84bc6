//! One request to a discovery service, redirects followed, and what its answer is worth.
//!
//! Invariant: no answer, a broken one, "too many requests" and every 5xx may pass; everything else that is not etcd's JSON
//! will not. The token never appears in a message: whoever knows it can take a place in the cluster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{ClientError, Connector, send};
use serde_json::Value;

use super::learn::Trouble;
use crate::config::DiscoveryUrl;

/// How long a service has to answer; etcd's time, but here a stall is waited out like other trouble.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// Redirects followed before it is taken for a circle, as in etcd.
const REDIRECTS_MAX: usize = 10;
/// Largest answer read: hundreds of registrations.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Shorter tokens are no secrets, and masking them would spoil the text around.
const SECRET_CHARS_MIN: usize = 8;
/// As much of a service's own words is shown.
const SHOWN_CHARS_MAX: usize = 200;

/// Where etcd's own registries are, which a service of ours also answers to.
pub(crate) const REGISTRY: &str = "/v2/keys/_etcd/registry";

/// A header of our own service's answers: whoever sends it takes reports beside them. Others are asked nothing more.
const TAKES_REPORTS: &str = "quorate-takes-reports";

/// See the module.
pub(super) struct RegistryHttp<'a> {
    takes_reports: AtomicBool,
    endpoint: Endpoint,
    path: &'a str,
    connector: &'a dyn Connector,
}

/// An answer that is of use.
#[derive(Debug)]
pub(super) enum Reply {
    /// JSON, with the `X-Etcd-Index` it came with.
    Json {
        /// The status.
        status: StatusCode,
        /// The body.
        value: Value,
        /// The index.
        index: Option<u64>,
    },
    /// A success without a body: the end of a poll.
    Empty,
}

impl<'a> RegistryHttp<'a> {
    pub(super) fn new(url: &'a DiscoveryUrl, connector: &'a dyn Connector) -> Self {
        let endpoint = url.endpoint().clone();
        Self { takes_reports: AtomicBool::new(false), endpoint, path: url.path(), connector }
    }

    /// Whether an answer said that this is a service of ours, which takes reports.
    pub(super) fn takes_reports(&self) -> bool {
        self.takes_reports.load(Ordering::Relaxed)
    }

    /// The service, for messages.
    pub(super) fn place(&self) -> String {
        self.endpoint.to_string()
    }

    /// The answer says no in a way that stays: in its own words, if it has any.
    pub(super) fn refused(&self, reply: &Reply) -> Trouble {
        let Reply::Json { status, value, .. } = reply else {
            return bad_endpoint(&self.place(), "an answer is empty");
        };
        if value.get("errorCode").is_none() && value.get("message").is_none() {
            return bad_endpoint(&self.place(), "an answer is none of etcd's");
        }
        Trouble::Final(format!(
            "discovery: {} refuses with status {}: {}",
            self.place(),
            status.as_u16(),
            self.said(value)
        ))
    }

    /// What an error of etcd's form says.
    pub(super) fn said(&self, value: &Value) -> String {
        let text = |name: &str| self.masked(value[name].as_str().unwrap_or_default());
        let code = value["errorCode"].as_i64().unwrap_or_default();
        format!("{code}: {} [{}]", text("message"), text("cause"))
    }

    /// A stranger's text, without the token that it may hold.
    fn masked(&self, text: &str) -> String {
        let token = self.path.rsplit('/').next().filter(|token| token.len() >= SECRET_CHARS_MIN);
        let text = shown(text);
        token.map_or_else(|| text.clone(), |token| text.replace(token, ".."))
    }

    pub(super) async fn get(&self, key: &str, query: &str) -> Result<Reply, Trouble> {
        self.ask(Method::GET, key, query, None, TIMEOUT).await
    }

    /// Sends a request for `key` below the token, as often as it is redirected.
    pub(super) async fn ask(
        &self,
        method: Method,
        key: &str,
        query: &str,
        form: Option<String>,
        timeout: Duration,
    ) -> Result<Reply, Trouble> {
        let mut endpoint = self.endpoint.clone();
        let mut target = format!("{}{key}{query}", self.path);
        for _ in 0..=REDIRECTS_MAX {
            let request = request(&method, &target, form.as_ref())
                .map_err(|_| bad_endpoint(&self.place(), "a path of it cannot be asked for"))?;
            let response =
                send(self.connector, &endpoint, request, ANSWER_BYTES_MAX, timeout).await;
            let response = response.map_err(failed)?;
            let location = response.headers().get(header::LOCATION);
            match location.filter(|_| response.status().is_redirection()) {
                Some(location) => {
                    let location = location.to_str().unwrap_or_default();
                    (endpoint, target) = redirected(&endpoint, location)
                        .map_err(|reason| bad_endpoint(&self.place(), reason))?;
                }
                None => return self.judge(&endpoint, &response),
            }
        }
        Err(bad_endpoint(&self.place(), "it redirects in a circle"))
    }

    fn judge(&self, endpoint: &Endpoint, response: &Response<Bytes>) -> Result<Reply, Trouble> {
        let status = response.status();
        let may_pass = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        if may_pass {
            let text = self.masked(&String::from_utf8_lossy(response.body()));
            return Err(Trouble::Passing(format!(
                "the discovery service {endpoint} answers {}: {text}",
                status.as_u16()
            )));
        }
        if response.body().is_empty() && status.is_success() {
            return Ok(Reply::Empty);
        }
        let Ok(value) = serde_json::from_slice(response.body()) else {
            let reason = format!("it answers {} with something that is not JSON", status.as_u16());
            return Err(bad_endpoint(&endpoint.to_string(), &reason));
        };
        if status.is_success() && response.headers().contains_key(TAKES_REPORTS) {
            self.takes_reports.store(true, Ordering::Relaxed);
        }
        let index = response.headers().get("x-etcd-index").and_then(|index| index.to_str().ok());
        Ok(Reply::Json { status, value, index: index.and_then(|index| index.parse().ok()) })
    }
}

/// Whoever answers there is no discovery service.
pub(super) fn bad_endpoint(place: &str, reason: &str) -> Trouble {
    Trouble::Final(format!(
        "discovery: bad discovery endpoint {place}: {reason}. --discovery must be the URL of a token, as the service gave it"
    ))
}

fn request(method: &Method, target: &str, form: Option<&String>) -> http::Result<Request<Bytes>> {
    let mut request = Request::builder().method(method).uri(target);
    if form.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    request.body(form.map_or_else(Bytes::new, |form| Bytes::from(form.clone())))
}

pub(super) fn failed(error: ClientError) -> Trouble {
    match &error {
        ClientError::Connect { cause, .. } if cause.kind() == std::io::ErrorKind::Unsupported => {
            Trouble::Final(format!("discovery: {error}"))
        }
        _ => Trouble::Passing(format!("the discovery service does not answer: {error}")),
    }
}

/// Where a `Location` leads. From TLS it must not lead out of it: the token would travel in the open.
pub(crate) fn redirected(
    from: &Endpoint,
    location: &str,
) -> Result<(Endpoint, String), &'static str> {
    if location.starts_with('/') && !location.starts_with("//") {
        return Ok((from.clone(), location.to_owned()));
    }
    let (scheme, rest) = location.split_once("://").ok_or("it redirects to what is no URL")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let url = DiscoveryUrl::parse(&format!("{scheme}://{authority}/-"))
        .map_err(|_| "it redirects to what is no URL")?;
    if from.is_tls && !url.endpoint().is_tls {
        return Err("it redirects from https to http");
    }
    Ok((url.endpoint().clone(), format!("/{path}")))
}

/// A stranger's text, made fit for a log line.
pub(crate) fn shown(text: &str) -> String {
    let line: String = text
        .trim()
        .chars()
        .take(SHOWN_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    line
}

#[cfg(test)]
mod tests {
    use quorate_transport::http_client::PlainConnector;

    use super::*;

    #[test]
    fn redirects_lead_on_but_never_out_of_tls() {
        let from: Endpoint = "https://a.example:443".parse().unwrap();
        let to = |location| {
            redirected(&from, location).map(|(endpoint, target)| format!("{endpoint}{target}"))
        };
        assert_eq!(to("/t?wait=true"), Ok("https://a.example:443/t?wait=true".to_owned()));
        assert_eq!(to("https://b.example/t/1?x"), Ok("https://b.example:443/t/1?x".to_owned()));
        assert_eq!(to("http://a.example/t"), Err("it redirects from https to http"));
        assert!(to("nowhere").is_err() && to("//b.example/t").is_err());
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let url = DiscoveryUrl::parse("http://a.example/0123456789abcdef").unwrap();
        let http = RegistryHttp::new(&url, &PlainConnector);
        let endpoint = url.endpoint();
        let judged = |status: u16, body: &'static str| {
            let response =
                Response::builder().status(status).body(Bytes::from_static(body.as_bytes()));
            http.judge(endpoint, &response.unwrap())
        };
        for status in [500, 502, 503, 504, 429, 408] {
            assert!(matches!(judged(status, "<html>"), Err(Trouble::Passing(_))), "{status}");
        }
        for status in [200, 301, 400, 404] {
            assert!(matches!(judged(status, "<html>"), Err(Trouble::Final(_))), "{status}");
        }
        assert!(matches!(judged(200, ""), Ok(Reply::Empty)));
        assert!(matches!(judged(404, r#"{"errorCode":100}"#), Ok(Reply::Json { .. })));
        let Err(Trouble::Passing(said)) = judged(503, "no /0123456789abcdef now") else {
            panic!("it may pass")
        };
        assert!(said.ends_with("no /.. now"), "the token is told: {said}");
    }
}
