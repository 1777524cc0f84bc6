//! `/v2/auth`: users, roles, and whether they count.
//!
//! Requests become [`Request`]s, which `quorate_core::auth` decides; what it decides is proposed, and decided anew if somebody
//! else was quicker. Errors are `{"message":..}`. Passwords go in and never come out.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use hyper::body::Body;
use quorate_core::auth::{self, Answer, AuthError, Request};
use quorate_core::{Auth, Command, ErrorCode};

use super::auth_json::{self, Malformed};
use super::caller;
use super::reply::{self, Reply, X_ETCD_CLUSTER_ID};
use super::request_body::JSON_MAX;
use super::{Origin, Shared};
use crate::member::{Member, ProposeError};

/// How often a request is decided anew because another one was quicker.
const ATTEMPTS: usize = 16;

/// What a path below `/v2/auth` names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Target<'a> {
    Users,
    User(&'a str),
    Roles,
    Role(&'a str),
    Enable,
}

/// Answers a request for `rest`, the decoded path after `/v2/auth`.
pub(super) async fn answer<M: Member, B: Body<Data = Bytes> + Unpin>(
    shared: &Shared<M>,
    parts: &Parts,
    rest: &[u8],
    body: B,
    origin: &Origin<'_>,
) -> Reply {
    let rest = String::from_utf8_lossy(rest);
    let target = match target(&rest) {
        Ok(target) => target,
        Err(reply) => return *reply,
    };
    let (takes, allow): (&[Method], _) = match target {
        Target::Users | Target::Roles => (&[Method::GET], "GET"),
        _ => (&[Method::GET, Method::PUT, Method::DELETE], "GET,PUT,DELETE"),
    };
    if !takes.contains(&parts.method) {
        return reply::method_not_allowed(Some(allow));
    }
    let proved = match target {
        // Everyone may know whether there are checks.
        Target::Enable => {
            caller::demand_root_to_change(shared, &parts.method, &parts.headers, origin).await
        }
        _ => caller::demand_root(shared, &parts.headers, origin).await,
    };
    if let Err(refusal) = proved {
        return *refusal;
    }
    let mut reply = if parts.method == Method::GET {
        shared.member.view(|machine, _| show(machine.auth(), target))
    } else {
        change(shared, parts, target, body).await
    };
    reply.headers_mut().insert(X_ETCD_CLUSTER_ID, shared.cluster_id.clone());
    reply
}

fn target(rest: &str) -> Result<Target<'_>, Box<Reply>> {
    if rest == "/enable" {
        return Ok(Target::Enable);
    }
    let mut pieces = rest.split('/').filter(|piece| !piece.is_empty());
    match (pieces.next(), pieces.next(), pieces.next()) {
        (Some("users"), None, _) => Ok(Target::Users),
        (Some("users"), Some(name), None) => Ok(Target::User(name)),
        (Some("roles"), None, _) => Ok(Target::Roles),
        (Some("roles"), Some(name), None) => Ok(Target::Role(name)),
        (Some("users" | "roles"), ..) => {
            Err(Box::new(reply::message(StatusCode::BAD_REQUEST, "Invalid path")))
        }
        _ => Err(Box::new(reply::not_found())),
    }
}

fn show(auth: &Auth, target: Target<'_>) -> Reply {
    let mut body = Vec::new();
    let shown = match target {
        Target::Enable => {
            auth_json::write_enabled(&mut body, auth.is_enabled());
            Ok(())
        }
        Target::Users => {
            auth_json::write_users(&mut body, auth);
            Ok(())
        }
        Target::User(name) => auth_json::write_user_with_roles(&mut body, auth, name),
        Target::Roles => {
            auth_json::write_roles(&mut body, auth);
            Ok(())
        }
        Target::Role(name) => match auth.role(name) {
            Some(role) => {
                auth_json::write_role(&mut body, name, &role);
                body.push(b'\n');
                Ok(())
            }
            None => Err(AuthError::NoRole(name.to_owned())),
        },
    };
    match shown {
        Ok(()) => reply::json(StatusCode::OK, body),
        Err(error) => refusal(&error),
    }
}

async fn change<M: Member, B: Body<Data = Bytes> + Unpin>(
    shared: &Shared<M>,
    parts: &Parts,
    target: Target<'_>,
    body: B,
) -> Reply {
    let request = match (target, &parts.method) {
        (Target::Enable, &Method::PUT) => Request::Enable,
        (Target::Enable, _) => Request::Disable,
        (Target::User(name), &Method::DELETE) => Request::DeleteUser(name.to_owned()),
        (Target::Role(name), &Method::DELETE) => Request::DeleteRole(name.to_owned()),
        (Target::User(name) | Target::Role(name), _) => {
            let bytes = match shared.bodies.read(body, JSON_MAX).await {
                Ok(bytes) => bytes,
                Err(error) => return reply::message(StatusCode::BAD_REQUEST, &error.to_string()),
            };
            match read(shared, target, name, &bytes).await {
                Ok(request) => request,
                Err(reply) => return *reply,
            }
        }
        (Target::Users | Target::Roles, _) => return reply::method_not_allowed(Some("GET")),
    };
    carry_out(shared, &request).await
}

/// What a body asks to be put.
async fn read<M: Member>(
    shared: &Shared<M>,
    target: Target<'_>,
    name: &str,
    bytes: &[u8],
) -> Result<Request, Box<Reply>> {
    let bad = |text: &str| Box::new(reply::message(StatusCode::BAD_REQUEST, text));
    let malformed = |Malformed| bad("Invalid JSON in request body.");
    let Target::User(_) = target else {
        let put = auth_json::read_role(bytes).map_err(malformed)?;
        if put.name != name {
            return Err(bad("Role JSON name does not match the name in the URL"));
        }
        return Ok(Request::PutRole(put));
    };
    let (mut put, password) = auth_json::read_user(bytes).map_err(malformed)?;
    if put.name != name {
        return Err(bad("User JSON name does not match the name in the URL"));
    }
    if password.len() > crate::credentials::PASSWORD_BYTES_MAX {
        return Err(bad("the password is longer than 1024 bytes; choose a shorter one"));
    }
    if !password.is_empty() {
        let Some(hash) = shared.credentials.hash(password).await else {
            let text = caller::Unproved::Busy.text();
            return Err(Box::new(reply::message(StatusCode::SERVICE_UNAVAILABLE, text)));
        };
        put.password_hash = Some(hash);
    }
    Ok(Request::PutUser(put))
}

async fn carry_out<M: Member>(shared: &Shared<M>, request: &Request) -> Reply {
    for _ in 0..ATTEMPTS {
        // Decided on what is acknowledged, whichever member took it.
        if let Err(error) = shared.member.read_barrier().await {
            return failure(&error);
        }
        let decided = match shared.member.view(|machine, _| machine.auth().decide(request)) {
            Ok(decided) => decided,
            Err(error) => return refusal(&error),
        };
        let auth::Decided { revision, edits, answer } = decided;
        match shared.member.propose(Command::ChangeAuth { revision, edits }).await {
            Ok(_) => return done(&answer),
            Err(ProposeError::Store(error)) if error.code == ErrorCode::CompareFailed => {}
            Err(error) => return failure(&error),
        }
    }
    let text = "users and roles are being changed by others all the time; try again";
    reply::message(StatusCode::CONFLICT, text)
}

fn done(answer: &Answer) -> Reply {
    let mut body = Vec::new();
    let created = match answer {
        Answer::Done => return reply::json(StatusCode::OK, body),
        Answer::User { name, roles, created } => {
            auth_json::write_user(&mut body, name, roles.as_deref());
            *created
        }
        Answer::Role { name, role, created } => {
            auth_json::write_role(&mut body, name, role);
            body.push(b'\n');
            *created
        }
    };
    reply::json(if created { StatusCode::CREATED } else { StatusCode::OK }, body)
}

fn refusal(error: &AuthError) -> Reply {
    // The table of errors holds valid statuses only.
    let status =
        StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply::message(status, &error.to_string())
}

fn failure(error: &ProposeError) -> Reply {
    tracing::debug!(%error, "a change of users or roles failed");
    reply::message(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}
