//! The key operations over a list of endpoints: the one that answered last is asked first, the others when it does not.
//!
//! Invariant: a write is sent a second time only when it is certain that the first never left; all else is reported as uncertain,
//! and the caller reads before it decides again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use quorate_core::Key;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{self, Connector, PlainConnector};

use crate::answer::{Body, ClientError, Event, Node, Watched};

/// How long one endpoint may take to answer. Short, since there is another one to ask and somebody waits.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long one endpoint may take to list everything below a key.
pub(crate) const LIST_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest answer that is read: a listing of a hundred thousand small keys.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Where etcd's v2 API keeps its keys.
const KEYS: &str = "/v2/keys";
/// The code for a watch whose beginning is no longer in the history.
const HISTORY_CLEARED: u16 = 401;
/// The code for everything inside of the cluster that went wrong.
const INTERNAL: u16 = 300;

/// How a client is set up.
#[derive(Clone)]
pub struct Settings {
    /// The members to ask, in the order they are tried at first.
    pub endpoints: Vec<Endpoint>,
    /// Opens connections; with TLS, if the endpoints ask for it.
    pub connector: Arc<dyn Connector>,
    /// How long one endpoint may take.
    pub attempt_timeout: Duration,
    /// Who asks, at a store with authentication.
    pub user: Option<Basic>,
}

/// A user's name and password, ready to be sent. It shows neither.
#[derive(Clone)]
pub struct Basic(HeaderValue);

impl Basic {
    /// The header for this user.
    #[must_use]
    pub fn new(name: &str, password: &str) -> Self {
        let text = format!("Basic {}", base64(format!("{name}:{password}").as_bytes()));
        // Letters, digits and three signs: always a header value.
        let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        Self(value)
    }
}

impl Settings {
    /// Plain connections to `endpoints`, with the default times.
    #[must_use]
    pub fn plain(endpoints: Vec<Endpoint>) -> Self {
        let connector = Arc::new(PlainConnector);
        Self { endpoints, connector, attempt_timeout: ATTEMPT_TIMEOUT, user: None }
    }
}

/// See the module. Share it behind an `Arc`.
pub struct KeysClient {
    settings: Settings,
    /// The endpoint that answered last.
    preferred: AtomicUsize,
}

impl KeysClient {
    /// A client; nothing is connected to yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, preferred: AtomicUsize::new(0) }
    }

    /// Reads a key as a quorum knows it; `None` when it does not exist.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get(&self, key: &Key) -> Result<Option<Node>, ClientError> {
        self.read(key, "quorum=true", self.settings.attempt_timeout).await
    }

    /// Reads a directory with everything below it, as a quorum knows it; `None` when it does not exist.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn tree(&self, key: &Key) -> Result<Option<Node>, ClientError> {
        self.read(key, "quorum=true&recursive=true", LIST_TIMEOUT).await
    }

    /// Creates a key that must not exist. `ttl` is in seconds.
    ///
    /// # Errors
    /// [`ClientError::Exists`], or that it could not be done.
    pub async fn create(
        &self,
        key: &Key,
        value: &str,
        ttl: Option<u64>,
    ) -> Result<Node, ClientError> {
        self.write(Method::PUT, key, "prevExist=false", Some((value, ttl))).await
    }

    /// Writes a key, whatever it held. `ttl` is in seconds.
    ///
    /// # Errors
    /// That it could not be done.
    pub async fn set(&self, key: &Key, value: &str, ttl: Option<u64>) -> Result<Node, ClientError> {
        self.write(Method::PUT, key, "", Some((value, ttl))).await
    }

    /// Writes a key if nobody has written it since `modified_index`.
    ///
    /// # Errors
    /// [`ClientError::Changed`], [`ClientError::NotFound`], or that it could not be done.
    pub async fn compare_and_swap(
        &self,
        key: &Key,
        value: &str,
        modified_index: u64,
    ) -> Result<Node, ClientError> {
        self.write(Method::PUT, key, &format!("prevIndex={modified_index}"), Some((value, None)))
            .await
    }

    /// Deletes a key if nobody has written it since `modified_index`.
    ///
    /// # Errors
    /// [`ClientError::Changed`], [`ClientError::NotFound`], or that it could not be done.
    pub async fn compare_and_delete(
        &self,
        key: &Key,
        modified_index: u64,
    ) -> Result<(), ClientError> {
        self.write(Method::DELETE, key, &format!("prevIndex={modified_index}"), None)
            .await
            .map(drop)
    }

    /// Deletes a directory with everything below it.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], or that it could not be done.
    pub async fn delete_tree(&self, key: &Key) -> Result<(), ClientError> {
        self.write(Method::DELETE, key, "dir=true&recursive=true", None).await.map(drop)
    }

    /// Waits at most `patience` for the first change at or below `key` whose index is `since` or later.
    ///
    /// # Errors
    /// That no endpoint could be asked.
    pub async fn watch(
        &self,
        key: &Key,
        since: u64,
        patience: Duration,
    ) -> Result<Watched, ClientError> {
        let target = target(key, &format!("wait=true&recursive=true&waitIndex={since}"));
        let mut last = String::from("none is configured");
        for (position, endpoint) in self.in_turn() {
            match self.ask(endpoint, request(&Method::GET, &target, None), patience).await {
                Ok(response) => {
                    self.preferred.store(position, Ordering::Relaxed);
                    match Body::read(response.body()) {
                        Some(body) if body.error_code == HISTORY_CLEARED => {
                            return Ok(Watched::Cleared { index: body.index });
                        }
                        Some(Body { action, node: Some(node), error_code: 0, .. }) => {
                            return Ok(Watched::Event(Event { action, node }));
                        }
                        // Its end of a long poll, as some proxies and services have it.
                        None if response.status().is_success() => return Ok(Watched::Quiet),
                        _ => last = unusable(endpoint, &response),
                    }
                }
                Err(http_client::ClientError::TimedOut { .. }) => return Ok(Watched::Quiet),
                Err(error) => last = error.to_string(),
            }
        }
        Err(ClientError::Unavailable { last, is_uncertain: false })
    }

    /// The store's index now, for a watch from here on.
    ///
    /// # Errors
    /// That no endpoint could be asked.
    pub async fn index(&self) -> Result<u64, ClientError> {
        // Any answer of the keys API carries it, also that the key is not there.
        let target = target(&Key::root(), "quorum=true");
        let (response, _) = self.first_answer(&target, self.settings.attempt_timeout).await?;
        let index = response.headers().get("x-etcd-index");
        index.and_then(|value| value.to_str().ok()?.parse().ok()).ok_or_else(|| {
            ClientError::Unavailable {
                last: "the answer has no X-Etcd-Index".to_owned(),
                is_uncertain: false,
            }
        })
    }

    async fn read(
        &self,
        key: &Key,
        query: &str,
        timeout: Duration,
    ) -> Result<Option<Node>, ClientError> {
        let (_, body) = self.first_answer(&target(key, query), timeout).await?;
        match body.into_node() {
            Ok(node) => Ok(Some(node)),
            Err(ClientError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks one endpoint after the other until one knows.
    async fn first_answer(
        &self,
        target: &str,
        timeout: Duration,
    ) -> Result<(Response<Bytes>, Body), ClientError> {
        let mut last = String::from("none is configured");
        for (position, endpoint) in self.in_turn() {
            let request = request(&Method::GET, target, None);
            match self.ask(endpoint, request, timeout).await {
                Ok(response) => match Body::read(response.body()) {
                    Some(body)
                        if body.error_code != INTERNAL && !response.status().is_server_error() =>
                    {
                        self.preferred.store(position, Ordering::Relaxed);
                        return Ok((response, body));
                    }
                    _ => last = unusable(endpoint, &response),
                },
                Err(error) => last = error.to_string(),
            }
        }
        Err(ClientError::Unavailable { last, is_uncertain: false })
    }

    async fn write(
        &self,
        method: Method,
        key: &Key,
        query: &str,
        content: Option<(&str, Option<u64>)>,
    ) -> Result<Node, ClientError> {
        let target = target(key, query);
        let form = content.map(|(value, ttl)| form(value, ttl));
        let mut last = String::from("none is configured");
        for (position, endpoint) in self.in_turn() {
            let request = request(&method, &target, form.clone());
            match self.ask(endpoint, request, self.settings.attempt_timeout).await {
                Ok(response) => {
                    return match Body::read(response.body()) {
                        Some(body)
                            if body.error_code != INTERNAL
                                && !response.status().is_server_error() =>
                        {
                            self.preferred.store(position, Ordering::Relaxed);
                            body.into_node()
                        }
                        _ => Err(ClientError::Unavailable {
                            last: unusable(endpoint, &response),
                            is_uncertain: true,
                        }),
                    };
                }
                // It never left, so the next endpoint may be given it.
                Err(error @ http_client::ClientError::Connect { .. }) => last = error.to_string(),
                Err(error) => {
                    self.preferred.store(position + 1, Ordering::Relaxed);
                    return Err(ClientError::Unavailable {
                        last: error.to_string(),
                        is_uncertain: true,
                    });
                }
            }
        }
        Err(ClientError::Unavailable { last, is_uncertain: false })
    }

    async fn ask(
        &self,
        endpoint: &Endpoint,
        mut request: Request<Bytes>,
        timeout: Duration,
    ) -> Result<Response<Bytes>, http_client::ClientError> {
        if let Some(Basic(value)) = &self.settings.user {
            request.headers_mut().insert(header::AUTHORIZATION, value.clone());
        }
        http_client::send(&*self.settings.connector, endpoint, request, ANSWER_BYTES_MAX, timeout)
            .await
    }

    /// All endpoints with their positions, the preferred one first.
    fn in_turn(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        let endpoints = &self.settings.endpoints;
        let first = self.preferred.load(Ordering::Relaxed) % endpoints.len().max(1);
        endpoints.iter().enumerate().cycle().skip(first).take(endpoints.len())
    }
}

fn unusable(endpoint: &Endpoint, response: &Response<Bytes>) -> String {
    let cause = Body::read(response.body()).map(|body| body.cause).unwrap_or_default();
    format!("{endpoint} answered {} {cause}", response.status())
}

fn target(key: &Key, query: &str) -> String {
    let mut target = String::from(KEYS);
    push_encoded(&mut target, key.as_bytes(), b"/");
    if !query.is_empty() {
        target.push('?');
        target.push_str(query);
    }
    target
}

fn form(value: &str, ttl: Option<u64>) -> String {
    let mut form = String::from("value=");
    push_encoded(&mut form, value.as_bytes(), b"");
    if let Some(ttl) = ttl {
        form.push_str(&format!("&ttl={ttl}"));
    }
    form
}

fn request(method: &Method, target: &str, form: Option<String>) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method.clone();
    // Every byte of it is encoded, so it is a path.
    *request.uri_mut() = target.parse().unwrap_or_default();
    if let Some(form) = form {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        *request.body_mut() = Bytes::from(form);
    }
    request
}

/// Appends `bytes` with everything percent-encoded but letters, digits, `-._~` and what is in `kept`.
fn push_encoded(out: &mut String, bytes: &[u8], kept: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) as usize & 63;
            let digit = DIGITS.get(digit).copied().unwrap_or_default();
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_encoded() {
        let key = Key::parse("/a b/ü".as_bytes()).unwrap();
        assert_eq!(target(&key, "x=1"), "/v2/keys/a%20b/%C3%BC?x=1");
        assert_eq!(form("n=http://h:1,&", Some(3)), "value=n%3Dhttp%3A%2F%2Fh%3A1%2C%26&ttl=3");
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{ff}", "w78="),
        ];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[tokio::test]
    async fn with_nobody_there_a_write_is_certainly_not_done() {
        // Port 1 is reserved and nothing listens there.
        let client = KeysClient::new(Settings::plain(vec![Endpoint::tcp("127.0.0.1", 1)]));
        let key = Key::parse(b"/a").unwrap();
        let error = client.create(&key, "x", None).await.unwrap_err();
        assert!(!error.is_uncertain(), "{error}");
        assert!(client.get(&key).await.is_err());
    }

    #[test]
    fn the_endpoint_that_answered_last_comes_first() {
        let endpoints = (1..=3).map(|port| Endpoint::tcp("h", port)).collect();
        let client = KeysClient::new(Settings::plain(endpoints));
        client.preferred.store(4, Ordering::Relaxed);
        let order: Vec<usize> = client.in_turn().map(|(position, _)| position).collect();
        assert_eq!(order, [1, 2, 0]);
    }
}
