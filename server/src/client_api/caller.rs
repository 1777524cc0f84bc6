//! Who asks, and whether that one may: basic auth, or else the name in the client's certificate, or else the guest.
//!
//! A password that is wrong never falls back to anything: whoever gives a name is that one or nobody.

use std::sync::Arc;

use base64ct::{Base64, Encoding as _};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use quorate_core::Auth;
use quorate_core::auth::{Access, Caller};

use super::params::Operation;
use super::reply::{self, Reply};
use super::{Origin, Shared};
use crate::credentials::{PASSWORD_BYTES_MAX, Verdict};
use crate::member::Member;
use crate::watch::reader::written;
use crate::watch::{Proof, Reader};

/// Who a request comes from, as far as was proved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Who {
    /// No name was given.
    Guest,
    /// A user of that name, by a password; either may be another one since.
    Password(String, Proof),
    /// A user of that name, by a certificate; who may have been removed since.
    Certificate(String),
}

/// Why it is not known who asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unproved {
    /// The name or the password is wrong.
    Wrong,
    /// Too many wrong passwords.
    TooMany,
    /// Too many passwords to compare.
    Busy,
}

/// The text that goes with a request that is not allowed.
pub(super) const INSUFFICIENT: &str = "Insufficient credentials";

/// The users and roles, if they count.
pub(super) fn enabled<M: Member>(shared: &Shared<M>) -> Option<Arc<Auth>> {
    shared.member.auth()
}

/// Finds out who asks.
pub(super) async fn identify<M: Member>(
    shared: &Shared<M>,
    auth: &Auth,
    headers: &HeaderMap,
    origin: &Origin<'_>,
) -> Result<Who, Unproved> {
    let given = headers.get(AUTHORIZATION).filter(|value| !value.is_empty());
    let Some(given) = given else {
        // Only the leaf's name counts, and only if there is such a user.
        let named = origin.certificate_name().filter(|name| auth.users().contains_key(*name));
        return Ok(named.map_or(Who::Guest, |name| Who::Certificate(name.to_owned())));
    };
    let (name, password) = basic(given).ok_or(Unproved::Wrong)?;
    match shared.credentials.check(auth, &name, &password, origin.address()).await {
        Verdict::Right => {
            let user = auth.users().get(&name).ok_or(Unproved::Wrong)?;
            let proof = Proof::of(&user.password_hash);
            Ok(Who::Password(name, proof))
        }
        Verdict::Wrong => Err(Unproved::Wrong),
        Verdict::TooMany => Err(Unproved::TooMany),
        Verdict::Busy => Err(Unproved::Busy),
    }
}

/// Whether a request that needs user root may go on; the answer if not.
pub(super) async fn demand_root<M: Member>(
    shared: &Shared<M>,
    headers: &HeaderMap,
    origin: &Origin<'_>,
) -> Result<(), Box<Reply>> {
    let Some(auth) = enabled(shared) else { return Ok(()) };
    let refused = match Box::pin(identify(shared, &auth, headers, origin)).await {
        Ok(who) if auth.is_root(who.caller()) => return Ok(()),
        Ok(_) => Unproved::Wrong,
        Err(unproved) => unproved,
    };
    let mut reply = reply::message(refused.status(), refused.text());
    refused.add_to(reply.headers_mut());
    Err(Box::new(reply))
}

/// As [`demand_root`], for paths that everyone may read.
pub(super) async fn demand_root_to_change<M: Member>(
    shared: &Shared<M>,
    method: &Method,
    headers: &HeaderMap,
    origin: &Origin<'_>,
) -> Result<(), Box<Reply>> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    demand_root(shared, headers, origin).await
}

impl Who {
    pub(super) fn caller(&self) -> Caller<'_> {
        match self {
            Self::Guest => Caller::Guest,
            Self::Password(name, _) | Self::Certificate(name) => Caller::User(name),
        }
    }
}

impl Unproved {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Wrong => StatusCode::UNAUTHORIZED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Wrong => INSUFFICIENT,
            Self::TooMany => {
                "Too many wrong passwords for this user or from this address; wait some seconds"
            }
            Self::Busy => "Too many passwords are being compared; try again in a second",
        }
    }

    /// When to come back, if that helps.
    pub(super) fn add_to(self, headers: &mut HeaderMap) {
        let seconds = match self {
            Self::Wrong => return,
            Self::TooMany => "5",
            Self::Busy => "1",
        };
        headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    }
}

/// Whether `who` may do `operation`, which came for `path`. As in etcd a pattern is held against the key as it was written: with a
/// slash at its end, `/app/` is covered by `/app/*`, and `/v2/keys` without one has no key that a pattern with a slash covers.
pub(super) fn allows(auth: &Auth, who: &Who, operation: &Operation, path: &[u8]) -> bool {
    let access = access(operation);
    let written = written(access.key, has_slash(path));
    auth.allows(who.caller(), Access { key: &written, ..access })
}

/// Whether a path of a key was written with a slash at its end.
fn has_slash(path: &[u8]) -> bool {
    path.last() == Some(&b'/')
}

/// Who watches a key that came as `path`. Where users do not count nobody has proved more than a certificate does; should they
/// count one day, whoever gave a name without proof is a guest.
pub(super) fn reader(who: Option<Who>, origin: &Origin<'_>, path: &[u8]) -> Reader {
    let reader = match who {
        Some(Who::Password(name, proof)) => Reader::by_password(&name, proof),
        _ => origin.certificate_name().map_or_else(Reader::guest, Reader::by_certificate),
    };
    reader.spelled(has_slash(path))
}

/// What an operation is about to do, and where.
fn access(operation: &Operation) -> Access<'_> {
    use quorate_core::Command as C;
    let (key, recursive, write) = match operation {
        Operation::Read { key, recursive, .. } => (key, *recursive, false),
        Operation::Watch(spec, _) => (&spec.key, spec.recursive, false),
        Operation::Write(command) => match command {
            C::Set { key, .. }
            | C::Create { key, .. }
            | C::CreateInOrder { key, .. }
            | C::Update { key, .. }
            | C::CompareAndSwap { key, .. }
            | C::CompareAndDelete { key, .. } => (key, false, true),
            C::Delete { key, recursive, .. } => (key, *recursive, true),
            // No request on keys makes one of these; nobody but root may then.
            C::Expire | C::Publish { .. } | C::ClusterVersion { .. } | C::ChangeAuth { .. } => {
                return Access { key: b"", recursive: true, write: true };
            }
        },
    };
    Access { key: key.as_bytes(), recursive, write }
}

/// Name and password of a basic authorization (RFC 7617), as Go reads it.
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    /// Name, colon and password, encoded.
    const ENCODED_MAX: usize = 4 * PASSWORD_BYTES_MAX;
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") || encoded.len() > ENCODED_MAX {
        return None;
    }
    let decoded = String::from_utf8(Base64::decode_vec(encoded).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Option<(String, String)> {
        basic(&HeaderValue::from_static(text))
    }

    #[test]
    fn basic_authorization_is_read_as_go_reads_it() {
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(read("Basic YWxpY2U6cHc="), pair("alice", "pw"));
        assert_eq!(read("bAsIc YWxpY2U6YTpi"), pair("alice", "a:b"));
        for bad in [
            "Bearer x",
            "Basic",
            "Basic zz!",
            "Basic YWxpY2U=",
            "Basic  YWxpY2U6cHc=",
            "Basic /w==",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
