//! Whether this member reaches the others: one small question to each at its peer URL, and what came of it in words.
//!
//! Invariant: all are asked at the same time, each for a bounded one, and nothing is kept open. Failed handshakes are told
//! here and neither logged nor counted: the links and the start do that.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use quorate_core::MemberId;
use quorate_core::bootstrap::Listed;
use quorate_transport::endpoint::Endpoint;
use quorate_transport::http_client::{ClientError, Connector, send};
use quorate_transport::tls::CertificateFault;

use super::message::{REACH_MAX, Reach};

/// Answered from the first moment on, by etcd's members, too.
const PATH: &str = "/raft/probing";
/// A peer that is there answers in milliseconds; this is for a busy one.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The answer is empty, or a line.
const ANSWER_BYTES_MAX: usize = 4096;
/// More URLs of one member are not tried.
const URLS_MAX: usize = 3;

/// See the module.
pub struct Prober {
    connector: Arc<dyn Connector>,
}

/// Why a peer is not reached.
#[derive(Debug, Eq, PartialEq)]
struct Failure {
    detail: String,
    is_about_certificates: bool,
}

impl Prober {
    /// Asks through `connector`, which should keep failed handshakes to itself.
    #[must_use]
    pub fn new(connector: Arc<dyn Connector>) -> Self {
        Self { connector }
    }

    /// Whom of `known` but `own` this member reaches, and what is wrong with certificates on the way.
    pub(super) async fn reach(&self, own: MemberId, known: &[Listed]) -> (Vec<Reach>, Vec<String>) {
        let others = known.iter().filter(|known| known.id != own).take(REACH_MAX);
        let asked = others.map(|other| async move { (other.id, self.probe(other).await) });
        let mut problems = Vec::new();
        let answers = futures_util::future::join_all(asked).await;
        let reach = answers.into_iter().map(|(member, answer)| match answer {
            Ok(rtt) => {
                let rtt_ms = u64::try_from(rtt.as_millis()).ok();
                Reach { member, ok: true, detail: String::new(), rtt_ms }
            }
            Err(Failure { detail, is_about_certificates }) => {
                if is_about_certificates {
                    problems.push(detail.clone());
                }
                Reach { member, ok: false, detail, rtt_ms: None }
            }
        });
        (reach.collect(), problems)
    }

    /// One of its URLs is enough; if none is, the first says why.
    async fn probe(&self, peer: &Listed) -> Result<Duration, Failure> {
        let mut first = None;
        for url in peer.peer_urls.iter().take(URLS_MAX) {
            match self.ask(&peer.name, url).await {
                Ok(rtt) => return Ok(rtt),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        Err(first.unwrap_or_else(|| Failure::of("it has no peer URL".to_owned())))
    }

    async fn ask(&self, name: &str, url: &str) -> Result<Duration, Failure> {
        let endpoint: Endpoint =
            url.parse().map_err(|_| Failure::of(format!("{url}: this is no URL of a peer")))?;
        let request = Request::get(PATH).body(Bytes::new());
        let request = request.map_err(|error| Failure::of(error.to_string()))?;
        let begun = Instant::now();
        let sent = send(&*self.connector, &endpoint, request, ANSWER_BYTES_MAX, TIMEOUT).await;
        match sent {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(begun.elapsed()),
            Ok(answer) => Err(Failure::of(format!(
                "{url}: it answers {}, as no member does there",
                answer.status().as_u16()
            ))),
            Err(error) => Err(in_words(name, url, &error)),
        }
    }
}

impl Failure {
    fn of(detail: String) -> Self {
        Self { detail, is_about_certificates: false }
    }
}

fn in_words(name: &str, url: &str, error: &ClientError) -> Failure {
    let cause = match error {
        ClientError::Connect { cause, .. } => Some(cause),
        ClientError::Broken { cause, .. } => {
            cause.source().and_then(|cause| cause.downcast_ref::<io::Error>())
        }
        ClientError::Body { .. } | ClientError::TimedOut { .. } => None,
    };
    let about_certificates = |detail| Failure { detail, is_about_certificates: true };
    match cause.and_then(CertificateFault::of) {
        Some(CertificateFault::Theirs(fault)) => {
            return about_certificates(format!("{name}'s certificate {fault} ({url})"));
        }
        Some(CertificateFault::Ours(fault)) => {
            return about_certificates(format!(
                "{name} refuses this member's certificate {fault} ({url})"
            ));
        }
        None => {}
    }
    let reason = match (error, cause.map(io::Error::kind)) {
        (ClientError::TimedOut { .. }, _) => {
            format!("no answer within {} s; a firewall may be in the way", TIMEOUT.as_secs())
        }
        (_, Some(io::ErrorKind::ConnectionRefused)) => {
            "connection refused: nothing listens there".to_owned()
        }
        (ClientError::Connect { cause, .. }, _) => cause.to_string(),
        (ClientError::Broken { cause, .. }, _) => {
            format!("connected, and no valid answer came: {cause}")
        }
        (ClientError::Body { cause, .. }, _) => format!("the answer is of no use: {cause}"),
    };
    Failure::of(format!("{url}: {reason}"))
}
