//! Meeting the other members in a discovery registry: etcd's v2 discovery protocol, as a client.
//!
//! Invariant: every step may be repeated. What this member is about to register is on its disk before it is sent; whether it
//! arrived is read back, never assumed; a registration with the own ID and the own value is the own one. So a member that was
//! killed anywhere and is started again goes on where it was.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use quorate_core::bootstrap::Listed;
use quorate_core::discovery::registry::{self, Registration, Standing};
use quorate_transport::http_client::Connector;
use serde_json::Value;

use super::learn::{Look, Trouble};
use super::learned_file::{LearnedFile, Registered, check_note, note};
use super::registry_http::{RegistryHttp, Reply, TIMEOUT, bad_endpoint};
use crate::config::DiscoveryUrl;
use crate::reports::Reports;

/// How long one poll for news lasts; services end them earlier, and an end only means another look.
const POLL_TIMEOUT: Duration = Duration::from_secs(60);
/// A poll that ends at once without news would make a member ask without pause.
const POLL_MIN: Duration = Duration::from_secs(1);

/// Answers of etcd's that are asked for by number.
const KEY_NOT_FOUND: i64 = 100;
const NODE_EXISTS: i64 = 105;

/// See the module.
pub struct Registry<'a> {
    http: RegistryHttp<'a>,
    /// Salt of the IDs: the URL as it was written.
    token: String,
    own: Listed,
    file: &'a LearnedFile,
    reports: Reports,
    /// The index up to which the last listing tells everything.
    index: u64,
}

impl<'a> Registry<'a> {
    /// The registry at `url`, for the member `own`; `file` remembers what was registered, `reports` are told who has.
    #[must_use]
    pub fn new(
        url: &'a DiscoveryUrl,
        own: Listed,
        file: &'a LearnedFile,
        connector: &'a dyn Connector,
        reports: Reports,
    ) -> Self {
        let http = RegistryHttp::new(url, connector);
        Self { http, token: url.text().to_owned(), own, file, reports, index: 0 }
    }

    /// Looks who is registered, and registers this member if it is not and `registers` says so.
    pub(super) async fn look(&mut self, registers: bool) -> Result<Look, Trouble> {
        check_note(self.file, &self.own)?;
        let size = self.size().await?;
        let mut standing = self.standing(size).await?;
        if standing == Standing::Open && registers {
            let taken = self.register().await?;
            standing = self.standing(size).await?;
            // What exists already is not this member's: its ID, its name or a URL is somebody else's, and waiting helps nobody.
            if let Some(refusal) = taken.filter(|_| standing == Standing::Open) {
                self.forget();
                return Err(refusal);
            }
        }
        Ok(match standing {
            Standing::Complete(learned) => Look::Complete(learned),
            Standing::Full { members } => {
                if registers {
                    self.leave().await;
                }
                Look::Full(members)
            }
            Standing::Waiting { registered, missing } => Look::Incomplete(format!(
                "{missing} of the {size} members have not registered with {} yet; registered: {}",
                self.http.place(),
                registered.join(", ")
            )),
            Standing::Open => Look::Incomplete("this member's registration is gone".to_owned()),
        })
    }

    /// Waits for the next change. Whatever ends the poll, the next look finds out.
    pub(super) async fn rest(&self) {
        let begun = Instant::now();
        let query = format!("?recursive=true&wait=true&waitIndex={}", self.index + 1);
        let reply = self.http.ask(Method::GET, "", &query, None, POLL_TIMEOUT).await;
        let is_news =
            matches!(&reply, Ok(Reply::Json { value, .. }) if value.get("node").is_some());
        if !is_news {
            tokio::time::sleep(POLL_MIN.saturating_sub(begun.elapsed())).await;
        }
    }

    async fn size(&self) -> Result<usize, Trouble> {
        let query = "?quorum=false&recursive=false&sorted=false";
        let value = match self.http.get("/_config/size", query).await? {
            Reply::Json { value, status, .. } if status.is_success() => value,
            Reply::Json { value, .. } if error_code(&value) == KEY_NOT_FOUND => {
                return Err(Trouble::Final(format!(
                    "discovery: size key not found: there is no such token at {}, or it is over ({}). Make a new one, and give \
                     it to all members",
                    self.http.place(),
                    self.http.said(&value)
                )));
            }
            reply => return Err(self.http.refused(&reply)),
        };
        let text = value["node"]["value"].as_str().unwrap_or_default();
        registry::size(text).map_err(|error| Trouble::Final(error.to_string()))
    }

    /// How things stand, by a fresh listing.
    async fn standing(&mut self, size: usize) -> Result<Standing, Trouble> {
        let query = "?quorum=false&recursive=false&sorted=false";
        let (value, index) = match self.http.get("", query).await? {
            Reply::Json { value, status, index } if status.is_success() => (value, index),
            reply => return Err(self.http.refused(&reply)),
        };
        if !value["node"].is_object() {
            return Err(bad_endpoint(&self.http.place(), "its listing has no node"));
        }
        let registrations: Vec<Registration> = value["node"]["nodes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(registration)
            .collect();
        let newest = value["node"]["nodes"].as_array().into_iter().flatten();
        let newest = newest.filter_map(|node| node["modifiedIndex"].as_u64()).max();
        self.index = index.or(newest).unwrap_or_default();
        if self.http.takes_reports() {
            tell(&self.reports, self.file, &registrations);
        }
        registry::judge(&self.own, &self.token, size, &registrations)
            .map_err(|error| Trouble::Final(error.to_string()))
    }

    /// Writes down what is about to be registered, then registers it. That it was there already may be as good: who made it is
    /// judged by the listing that follows, and the service's words are for the case that it was not this member.
    async fn register(&self) -> Result<Option<Trouble>, Trouble> {
        let Registered { key, value } = note(self.file, &self.own)?;
        let body = format!("value={}", form_encoded(&value));
        let path = format!("/{key}");
        let ask = self.http.ask(Method::PUT, &path, "?prevExist=false", Some(body), TIMEOUT);
        match ask.await? {
            Reply::Json { status, .. } if status.is_success() => {
                tracing::info!(%key, value, service = self.http.place(), "registered");
                Ok(None)
            }
            // A success is a success; what was written is read back in any case.
            Reply::Empty => Ok(None),
            reply @ Reply::Json { .. } if exists(&reply) => Ok(Some(self.http.refused(&reply))),
            reply => {
                // It said no, so nothing is registered that a later start would have to stand by.
                self.forget();
                Err(self.http.refused(&reply))
            }
        }
    }

    /// Removes the note of a registration that was refused, so that better flags are not held against it.
    fn forget(&self) {
        if let Err(error) = self.file.unregistered() {
            tracing::warn!(%error, "the note of a refused registration stays in the data directory");
        }
    }

    /// Takes back a registration that came too late. If that fails it is in nobody's way: it is behind the last place.
    async fn leave(&self) {
        if self.file.registered().is_none() {
            return;
        }
        let path = format!("/{}", self.own.id);
        let query = format!("?prevValue={}", form_encoded(&registry::value_of(&self.own)));
        if let Err(error) = self.http.ask(Method::DELETE, &path, &query, None, TIMEOUT).await {
            tracing::debug!(?error, "the late registration could not be taken back");
        }
        if let Err(error) = self.file.unregistered() {
            tracing::debug!(%error, "the note of the registration stays");
        }
    }
}

/// Tells those who report who has registered with a service that takes reports.
pub(super) fn tell(reports: &Reports, file: &LearnedFile, registrations: &[Registration]) {
    if let Err(error) = file.reports_are_taken() {
        tracing::debug!(%error, "that the service takes reports is forgotten by the next start");
    }
    reports.registered(registrations.iter().filter_map(Registration::listed).collect());
    reports.are_taken();
}

fn exists(reply: &Reply) -> bool {
    matches!(reply, Reply::Json { status: StatusCode::PRECONDITION_FAILED, value, .. } if error_code(value) == NODE_EXISTS)
}

fn error_code(value: &Value) -> i64 {
    value["errorCode"].as_i64().unwrap_or_default()
}

/// A child of the token's directory, if it is a key.
fn registration(node: &Value) -> Option<Registration> {
    let key = node["key"].as_str()?.rsplit('/').next()?.to_owned();
    let value = node["value"].as_str()?.to_owned();
    Some(Registration { key, value, created: node["createdIndex"].as_u64()? })
}

/// Escapes all that is not a letter, a digit or one of `-._~`.
fn form_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_as_a_form() {
        assert_eq!(
            form_encoded("d1=http://127.0.0.1:1,é"),
            "d1%3Dhttp%3A%2F%2F127.0.0.1%3A1%2C%C3%A9"
        );
    }
}
