//! The first words on a peer connection: who calls whom, and why the answer may be no.
//!
//! An HTTP/1.1 upgrade request carries the [`Hello`] in headers; a refusal is a status with `{"code", "message"}`.
//! Header names, code names and their meaning are a wire contract.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use quorate_core::{ClusterId, MemberId};
use serde::{Deserialize, Serialize};

use super::{Class, PEER_PATH};

/// Version of the frames and of this handshake.
pub const PROTOCOL: u32 = 1;
/// The token of the `Upgrade` header.
pub const UPGRADE_TOKEN: &str = "quorate-peer/1";

const PROTOCOL_HEADER: HeaderName = HeaderName::from_static("quorate-peer-protocol");
const CLUSTER_HEADER: HeaderName = HeaderName::from_static("quorate-cluster");
const MEMBER_HEADER: HeaderName = HeaderName::from_static("quorate-member");
const INCARNATION_HEADER: HeaderName = HeaderName::from_static("quorate-incarnation");
const TARGET_HEADER: HeaderName = HeaderName::from_static("quorate-target");
const CLASS_HEADER: HeaderName = HeaderName::from_static("quorate-class");

/// Who this member is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Local {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its ID.
    pub member: MemberId,
    /// Names its data directory: a member whose disk was wiped has another.
    pub incarnation: u64,
}

/// What a calling member says of itself and of whom it means to reach. Claims, until a [`Gate`] has looked at them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello {
    /// The caller's cluster.
    pub cluster: ClusterId,
    /// The caller.
    pub from: MemberId,
    /// The caller's data directory.
    pub incarnation: u64,
    /// Whom the caller wants to reach.
    pub to: MemberId,
    /// What the connection is for.
    pub class: Class,
}

/// Decides who may connect.
pub trait Gate: Send + Sync + 'static {
    /// Whether the caller is a member of this cluster as it is now, and means this member. The protocol version and
    /// the form of the hello have been checked.
    ///
    /// # Errors
    /// The refusal that the caller is told.
    fn admit(&self, hello: &Hello) -> Result<(), Refusal>;
}

/// Why a member was not let in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people: what happened, why, what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The hello is not well-formed.
    Malformed,
    /// The other side speaks another version.
    OtherProtocol,
    /// The other side belongs to another cluster.
    OtherCluster,
    /// Another member listens at this URL.
    WrongTarget,
    /// The caller is not a member, as far as the other side knows yet.
    UnknownMember,
    /// The caller was removed for ever and must stop.
    RemovedMember,
    /// The caller's data directory is not the one this member ID belongs to.
    WrongIncarnation,
    /// The other side is still starting, or stopping.
    NotReady,
    /// The answer is none of these: an older or newer version, or no peer at all.
    #[serde(other)]
    Unrecognised,
}

impl RefusalCode {
    /// The status that goes with it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Unrecognised => StatusCode::BAD_REQUEST,
            Self::OtherProtocol => StatusCode::UPGRADE_REQUIRED,
            Self::OtherCluster => StatusCode::PRECONDITION_FAILED,
            Self::WrongTarget => StatusCode::MISDIRECTED_REQUEST,
            Self::UnknownMember => StatusCode::FORBIDDEN,
            Self::RemovedMember => StatusCode::GONE,
            Self::WrongIncarnation => StatusCode::CONFLICT,
            Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::OtherProtocol => "other_protocol",
            Self::OtherCluster => "other_cluster",
            Self::WrongTarget => "wrong_target",
            Self::UnknownMember => "unknown_member",
            Self::RemovedMember => "removed_member",
            Self::WrongIncarnation => "wrong_incarnation",
            Self::NotReady => "not_ready",
            Self::Unrecognised => "unrecognised",
        }
    }
}

impl std::fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Hello {
    /// The upgrade request that says it.
    #[must_use]
    pub fn request(&self) -> Request<Bytes> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = http::Uri::from_static(PEER_PATH);
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(UPGRADE_TOKEN));
        headers.insert(PROTOCOL_HEADER, HeaderValue::from(PROTOCOL));
        headers.insert(CLUSTER_HEADER, hex(self.cluster.0));
        headers.insert(MEMBER_HEADER, hex(self.from.0));
        headers.insert(INCARNATION_HEADER, hex(self.incarnation));
        headers.insert(TARGET_HEADER, hex(self.to.0));
        headers.insert(CLASS_HEADER, HeaderValue::from_static(self.class.name()));
        request
    }

    /// Reads it from the headers of an upgrade request.
    ///
    /// # Errors
    /// The refusal for a caller whose headers are missing, malformed or of another version.
    pub fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let protocol = text(headers, &PROTOCOL_HEADER)?;
        if protocol != PROTOCOL.to_string() {
            let message = format!(
                "this member speaks version {PROTOCOL} of the peer protocol, the caller {protocol}; upgrade one version at a time"
            );
            return Err(Refusal::new(RefusalCode::OtherProtocol, message));
        }
        if text(headers, &UPGRADE)? != UPGRADE_TOKEN {
            return Err(malformed(&UPGRADE));
        }
        Ok(Self {
            cluster: ClusterId(number(headers, &CLUSTER_HEADER)?),
            from: MemberId(number(headers, &MEMBER_HEADER)?),
            incarnation: number(headers, &INCARNATION_HEADER)?,
            to: MemberId(number(headers, &TARGET_HEADER)?),
            class: text(headers, &CLASS_HEADER)?.parse().map_err(|()| malformed(&CLASS_HEADER))?,
        })
    }
}

impl Refusal {
    /// The answer that says it.
    #[must_use]
    pub fn response(&self) -> Response<Bytes> {
        let body = serde_json::to_vec(self).expect("a name and a text always have a JSON form");
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.code.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// Reads it from an answer; whatever is no refusal of ours is reported as what it is.
    #[must_use]
    pub fn read(response: &Response<Bytes>) -> Self {
        serde_json::from_slice(response.body()).unwrap_or_else(|_| {
            let message = format!(
                "what listens there answered {} and not as a member would; check the peer URL",
                response.status()
            );
            Self::new(RefusalCode::Unrecognised, message)
        })
    }
}

/// The answer that ends HTTP on a connection.
pub(crate) fn switching() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(UPGRADE_TOKEN));
    response
}

fn hex(number: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("{number:x}")).expect("hexadecimal digits are legal in a header")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Refusal> {
    headers.get(name).and_then(|value| value.to_str().ok()).ok_or_else(|| malformed(name))
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Refusal> {
    let text = text(headers, name)?;
    // `from_str_radix` takes a leading '+'.
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or_else(|| malformed(name))
}

fn malformed(name: &HeaderName) -> Refusal {
    let message = format!("the header {name} is missing or malformed; only members connect here");
    Refusal::new(RefusalCode::Malformed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            cluster: ClusterId(0xabc),
            from: MemberId(1),
            incarnation: u64::MAX,
            to: MemberId(2),
            class: Class::Snapshot,
        }
    }

    #[test]
    fn a_hello_survives_its_headers() {
        assert_eq!(Hello::read(hello().request().headers()), Ok(hello()));
    }

    #[test]
    fn each_missing_or_mangled_header_is_refused() {
        let request = hello().request();
        for name in request.headers().keys().filter(|name| *name != CONNECTION) {
            for mangled in [None, Some(""), Some("+1"), Some("1ffffffffffffffff"), Some("x y")] {
                let mut headers = request.headers().clone();
                headers.remove(name);
                if let Some(text) = mangled {
                    headers.insert(name, HeaderValue::from_static(text));
                }
                let refusal = Hello::read(&headers).unwrap_err();
                let expected = match mangled {
                    Some(_) if name == PROTOCOL_HEADER => RefusalCode::OtherProtocol,
                    _ => RefusalCode::Malformed,
                };
                assert_eq!(refusal.code, expected, "{name}: {mangled:?}");
            }
        }
    }

    #[test]
    fn refusals_survive_the_wire_and_strangers_are_recognised_as_such() {
        let removed = Refusal::new(RefusalCode::RemovedMember, "member 1 was removed");
        let response = removed.response();
        assert_eq!(response.status(), StatusCode::GONE);
        assert_eq!(
            response.body(),
            r#"{"code":"removed_member","message":"member 1 was removed"}"#
        );
        assert_eq!(Refusal::read(&response), removed);
        let newer = Response::new(Bytes::from_static(br#"{"code":"too_old","message":"m"}"#));
        assert_eq!(Refusal::read(&newer), Refusal::new(RefusalCode::Unrecognised, "m"));
        let stranger = Response::new(Bytes::from_static(b"404 page not found\n"));
        assert_eq!(Refusal::read(&stranger).code, RefusalCode::Unrecognised);
    }
}
