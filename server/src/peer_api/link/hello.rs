//! The handshake: who is calling whom, in the headers of the upgrade request; and why it is refused, as status and JSON.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use quorate_core::{ClusterId, MemberId};
use serde::{Deserialize, Serialize};

use super::PATH;
use crate::peer_api::formation::PROTOCOL;

/// What travels on a link. Each class has a connection of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// Short messages that must not wait: heartbeats, votes, read indexes.
    Heartbeat,
    /// Entries of the log, and operations on their way to it.
    Log,
    /// Snapshots.
    Snapshot,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Heartbeat, Self::Log, Self::Snapshot];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Log => "log",
            Self::Snapshot => "snapshot",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

/// Who calls whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello {
    /// The version of the protocol the caller speaks.
    pub protocol: u32,
    /// The cluster both should belong to.
    pub cluster: ClusterId,
    /// The caller.
    pub sender: MemberId,
    /// The incarnation of the caller's data directory.
    pub incarnation: u64,
    /// Whom the caller means to reach.
    pub target: MemberId,
    /// What will travel.
    pub class: Class,
}

/// Decides who is let in.
pub trait Gate: Send + Sync + 'static {
    /// Lets a caller in, or says why not.
    ///
    /// # Errors
    /// The refusal.
    fn admit(&self, hello: &Hello) -> Result<(), Refusal>;
}

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The handshake is not one.
    Malformed,
    /// Another version of the protocol.
    Protocol,
    /// Another cluster.
    Cluster,
    /// The caller reached another member than it meant.
    Target,
    /// The caller was removed from the cluster, for ever.
    Removed,
    /// The caller is no member (yet).
    Unknown,
    /// The caller's data directory is not the one that member lived in.
    Incarnation,
}

/// A refusal, for programs and people.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people: what happened, why, what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The refusal as an HTTP answer.
    #[must_use]
    pub fn response<B: From<Vec<u8>>>(&self) -> Response<B> {
        let status = match self.code {
            RefusalCode::Malformed => StatusCode::BAD_REQUEST,
            RefusalCode::Protocol => StatusCode::UPGRADE_REQUIRED,
            RefusalCode::Removed => StatusCode::GONE,
            RefusalCode::Unknown => StatusCode::FORBIDDEN,
            RefusalCode::Cluster | RefusalCode::Incarnation => StatusCode::PRECONDITION_FAILED,
            RefusalCode::Target => StatusCode::MISDIRECTED_REQUEST,
        };
        // A struct of a name and a text always serialises.
        let mut response = Response::new(B::from(serde_json::to_vec(self).unwrap_or_default()));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, json);
        response
    }
}

const UPGRADE: &str = "quorate-peer";
const HEADER_PROTOCOL: &str = "x-quorate-protocol";
const HEADER_CLUSTER: &str = "x-quorate-cluster";
const HEADER_SENDER: &str = "x-quorate-member";
const HEADER_INCARNATION: &str = "x-quorate-incarnation";
const HEADER_TARGET: &str = "x-quorate-target";
const HEADER_CLASS: &str = "x-quorate-class";

impl Hello {
    /// The upgrade request that says so.
    ///
    /// # Errors
    /// Never in practice: all parts are valid header values.
    pub fn request<B: Default>(&self) -> Result<Request<B>, http::Error> {
        Request::get(PATH)
            .header(http::header::CONNECTION, "upgrade")
            .header(http::header::UPGRADE, UPGRADE)
            .header(HEADER_PROTOCOL, self.protocol)
            .header(HEADER_CLUSTER, self.cluster.to_string())
            .header(HEADER_SENDER, self.sender.to_string())
            .header(HEADER_INCARNATION, self.incarnation)
            .header(HEADER_TARGET, self.target.to_string())
            .header(HEADER_CLASS, self.class.as_str())
            .body(B::default())
    }

    /// Reads the headers of an upgrade request.
    ///
    /// # Errors
    /// When one is missing or malformed, or the protocol is of another version.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let malformed = |name: &str| {
            let message = format!("the handshake lacks a valid {name}; only quorate members connect here");
            Refusal::new(RefusalCode::Malformed, message)
        };
        if text("upgrade") != Some(UPGRADE) {
            return Err(malformed("upgrade"));
        }
        let decimal = |name| text(name).and_then(|value| value.parse().ok()).ok_or_else(|| malformed(name));
        let hex = |name| {
            let value = text(name).and_then(|value| u64::from_str_radix(value, 16).ok());
            value.ok_or_else(|| malformed(name))
        };
        let protocol: u64 = decimal(HEADER_PROTOCOL)?;
        if protocol != u64::from(PROTOCOL) {
            let message = format!(
                "the caller speaks version {protocol} of the peer protocol, this member version {PROTOCOL}. Run releases \
                 that understand each other"
            );
            return Err(Refusal::new(RefusalCode::Protocol, message));
        }
        Ok(Self {
            protocol: PROTOCOL,
            cluster: ClusterId(hex(HEADER_CLUSTER)?),
            sender: MemberId(hex(HEADER_SENDER)?),
            incarnation: decimal(HEADER_INCARNATION)?,
            target: MemberId(hex(HEADER_TARGET)?),
            class: text(HEADER_CLASS).and_then(Class::parse).ok_or_else(|| malformed(HEADER_CLASS))?,
        })
    }
}

/// The answer that opens a link.
pub(super) fn switching<B: Default>() -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(http::header::UPGRADE, HeaderValue::from_static(UPGRADE));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            protocol: PROTOCOL,
            cluster: ClusterId(0xc1),
            sender: MemberId(0xa),
            incarnation: u64::MAX,
            target: MemberId(0xb),
            class: Class::Snapshot,
        }
    }

    #[test]
    fn a_hello_survives_its_headers() {
        let request: Request<Vec<u8>> = hello().request().unwrap();
        assert_eq!(Hello::from_headers(request.headers()), Ok(hello()));
    }

    #[test]
    fn each_missing_header_is_named() {
        let request: Request<Vec<u8>> = hello().request().unwrap();
        for name in [HEADER_PROTOCOL, HEADER_CLUSTER, HEADER_SENDER, HEADER_INCARNATION, HEADER_TARGET, HEADER_CLASS] {
            let mut headers = request.headers().clone();
            headers.remove(name);
            let refusal = Hello::from_headers(&headers).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::Malformed);
            assert!(refusal.message.contains(name));
        }
    }

    #[test]
    fn another_protocol_is_refused() {
        let mut request: Request<Vec<u8>> = hello().request().unwrap();
        request.headers_mut().insert(HEADER_PROTOCOL, HeaderValue::from_static("99"));
        assert_eq!(Hello::from_headers(request.headers()).unwrap_err().code, RefusalCode::Protocol);
    }
}
