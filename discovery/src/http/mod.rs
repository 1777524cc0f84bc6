//! The edge: from requests to decisions and back.
//!
//! | module | owns |
//! |---|---|
//! | [`route`] | which path means what |
//! | [`v2`] | the routes and answers that etcd's nodes know |
//! | [`native`] | the native API, with its events and its description |
//! | [`page`] | the status page |
//! | [`feed`] | members as Prometheus asks for them |
//! | [`answer`], [`body`], [`query`] | what answers are made of, what requests are read into |
//!
//! Invariant: a path may hold a secret, so no path is ever logged or counted; every request has a bounded body and time.

pub mod answer;
pub mod body;
pub mod feed;
pub mod native;
pub mod page;
pub mod query;
pub mod route;
pub mod v2;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use quorate_transport::acceptor::FarIdentity;
use quorate_transport::body::{BodyError, read_body};
use quorate_transport::connections::Connection;
use quorate_transport::http_server::Handler;

use crate::limits::{Limits, OpenPoll, POLLS_PER_TOKEN_MAX, What};
use crate::registry::{Refusal, Secret, TokenId};
use crate::service::{PATIENCE, Service};
use crate::store::Store;
use body::ServiceBody;
use query::Query;
use route::Route;

/// An answer.
pub type Answer = Response<ServiceBody>;

/// The largest body that is read: a registration with the longest URLs fits ten times.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the edge is told by flags.
#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// What the URLs of new tokens begin with; otherwise what the client calls this host.
    pub public_url: Option<String>,
    /// How long a long poll waits at most.
    pub poll_timeout: Duration,
    /// How long a token lives when nobody says.
    pub token_ttl: Duration,
    /// Reverse proxies that are believed where a request comes from.
    pub trusted_proxies: Vec<IpAddr>,
}

/// Answers requests.
pub struct Edge<S> {
    service: Service<S>,
    limits: Limits,
    settings: EdgeSettings,
}

/// A request, read.
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The query; for forms with their fields first.
    pub query: Query,
    /// The body.
    pub body: Bytes,
    /// What `Authorization: Bearer` holds.
    pub bearer: Option<String>,
    /// Whether a browser asks.
    pub wants_html: bool,
    /// What the client calls this host.
    pub host: String,
    /// Where it comes from.
    pub address: Option<IpAddr>,
    /// Whether the connection is protected.
    pub is_tls: bool,
}

impl<S: Store> Edge<S> {
    /// An edge of `service`.
    #[must_use]
    pub fn new(service: Service<S>, limits: Limits, settings: EdgeSettings) -> Self {
        Self { service, limits, settings }
    }

    pub(crate) fn service(&self) -> &Service<S> {
        &self.service
    }

    pub(crate) fn settings(&self) -> &EdgeSettings {
        &self.settings
    }

    /// What the URLs of this service begin with, as far as the asking client is concerned.
    pub(crate) fn base_url(&self, asked: &Asked) -> String {
        let own = || format!("{}://{}", if asked.is_tls { "https" } else { "http" }, asked.host);
        self.settings.public_url.clone().unwrap_or_else(own)
    }

    /// Takes a place among those who wait.
    pub(crate) fn place(&self, asked: &Asked, token: &TokenId) -> Result<OpenPoll, Refusal> {
        if self.service.changes().waiting_for(token) >= POLLS_PER_TOKEN_MAX {
            return Err(Refusal::Busy {
                what: "too many requests wait for this token",
                after_s: 5,
            });
        }
        self.limits.poll(asked.address, Instant::now())
    }

    pub(crate) fn may_write(&self, token: &TokenId) -> Result<(), Refusal> {
        self.limits.write(token, Instant::now())
    }

    pub(crate) fn may_create(&self, asked: &Asked) -> Result<(), Refusal> {
        self.limits.take(What::Token, asked.address, Instant::now())
    }

    async fn dispatch(&self, route: &Route<'_>, asked: &Asked) -> Result<Answer, Refusal> {
        let now = Instant::now();
        if route.needs_secret() {
            self.limits.check_failures(asked.address, now)?;
        }
        let registers = matches!(route, Route::Registry(_)) && asked.method == Method::PUT;
        if route.is_limited() && !registers {
            self.limits.take(What::Request, asked.address, now)?;
        }
        let outcome = self.carry_out(route, asked).await;
        if matches!(outcome, Err(Refusal::Unknown)) {
            // It is refused in any case; what counts is that the next ones are, sooner.
            let _ = self.limits.take(What::Failure, asked.address, now);
        }
        match outcome {
            Err(refusal) if route.is_page(asked.wants_html) => {
                self.service.metrics().refused(&refusal);
                Ok(page::refused(&refusal))
            }
            outcome => outcome,
        }
    }

    async fn carry_out(&self, route: &Route<'_>, asked: &Asked) -> Result<Answer, Refusal> {
        match route {
            Route::Live => Ok(answer::text(StatusCode::OK, "ok\n")),
            Route::Ready => match self.service.ready().await {
                Ok(()) => Ok(answer::text(StatusCode::OK, "ok\n")),
                Err(refusal) => {
                    Ok(answer::text(StatusCode::SERVICE_UNAVAILABLE, &format!("{refusal}\n")))
                }
            },
            Route::Metrics => Ok(answer::bytes(
                "text/plain; version=0.0.4",
                self.service.metrics().page(self.limits.open_polls()),
            )),
            Route::Fixed { kind, text } => Ok(answer::fixed(kind, text)),
            Route::New => v2::new_token(self, asked).await,
            Route::Registry(path) if route.is_page(asked.wants_html) => {
                page::of_join(self, asked, path).await
            }
            Route::Registry(path) => v2::answer(self, asked, path).await,
            Route::Page { token, secret, events } => {
                page::answer(self, asked, token, secret, *events).await
            }
            Route::Feed { .. } if !matches!(asked.method, Method::GET | Method::HEAD) => {
                Err(Refusal::NoRoute("this list can be read and not written"))
            }
            Route::Feed { token, secret } => {
                let id = TokenId::parse(token).ok_or(Refusal::Unknown)?;
                let secret = Secret::parse(secret).ok_or(Refusal::Unknown)?;
                feed::answer(self, Some(&id), &secret).await
            }
            Route::Native(path) => native::answer(self, asked, path).await,
            Route::Nothing => Err(Refusal::NoRoute("there is nothing at this path")),
        }
    }

    async fn answer(&self, request: Request<Incoming>, from: FarIdentity) -> Answer {
        let began = Instant::now();
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let route = Route::of(&path);
        let outcome = async {
            let asked = read(parts, body, from, &self.settings.trusted_proxies).await?;
            self.dispatch(&route, &asked).await
        };
        // What it does to the store is bounded within; this bounds a body that trickles in.
        let outcome = tokio::time::timeout(PATIENCE + PATIENCE / 4, outcome).await;
        let outcome =
            outcome.unwrap_or_else(|_| Err(Refusal::Unavailable("this took too long".to_owned())));
        let metrics = self.service.metrics();
        metrics.answered(route.name(), began.elapsed());
        outcome.unwrap_or_else(|refusal| {
            metrics.refused(&refusal);
            if route.speaks_v2() { v2::refuse(&refusal) } else { native::refuse(&refusal) }
        })
    }
}

impl<S: Store> Handler for Edge<S> {
    type Body = ServiceBody;

    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Connection,
    ) -> impl Future<Output = Answer> + Send {
        let from = connection.identity().clone();
        // Large and short: every connection keeps the space of this future.
        Box::pin(async move { self.answer(request, from).await })
    }
}

async fn read(
    parts: http::request::Parts,
    body: Incoming,
    from: FarIdentity,
    proxies: &[IpAddr],
) -> Result<Asked, Refusal> {
    let address = origin(&parts.headers, from.address.map(|it| it.ip()), proxies);
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header(header::AUTHORIZATION).and_then(|value| {
        let (scheme, secret) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim().to_owned())
    });
    let wants_html = header(header::ACCEPT).is_some_and(|kinds| kinds.contains("text/html"));
    let host = header(header::HOST).unwrap_or("localhost").to_owned();
    let is_form = header(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.trim_start().starts_with("application/x-www-form-urlencoded"));
    let body = read_body(body, BODY_BYTES_MAX).await.map_err(|error| match error {
        BodyError::TooLarge { max } => Refusal::TooLarge { max },
        BodyError::Broken(_) => Refusal::BadRequest("the body ended early".to_owned()),
    })?;
    let mut pairs = String::new();
    if is_form {
        let form = std::str::from_utf8(&body)
            .map_err(|_| Refusal::BadRequest("the form is not UTF-8".to_owned()))?;
        pairs.push_str(form.trim());
        pairs.push('&');
    }
    pairs.push_str(parts.uri.query().unwrap_or_default());
    let query = Query::parse(&pairs)?;
    Ok(Asked {
        method: parts.method,
        query,
        body,
        bearer,
        wants_html,
        host,
        address,
        is_tls: from.is_protected,
    })
}

/// Where a request comes from: the other end of the connection; if that is a trusted proxy, the last address it names that is not
/// one itself. What stands further to the front anybody could have written.
fn origin(headers: &HeaderMap, far: Option<IpAddr>, proxies: &[IpAddr]) -> Option<IpAddr> {
    let is_proxy = |address: &IpAddr| proxies.contains(&address.to_canonical());
    if !far.as_ref().is_some_and(is_proxy) {
        return far;
    }
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let first_stranger =
        named.iter().rev().map_while(|text| text.parse().ok()).find(|it| !is_proxy(it));
    first_stranger.or(far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let proxies = [address("10.0.0.1"), address("10.0.0.2")];
        let cases = [
            ("192.0.2.9", "1.2.3.4", "192.0.2.9"),
            ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
            ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("10.0.0.1", "1.2.3.4, nonsense", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
        ];
        for (far, header, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", header.parse().unwrap());
            assert_eq!(origin(&headers, Some(address(far)), &proxies), Some(address(expected)));
        }
    }
}
