//! Users and roles as JSON: what requests hold, and what answers look like, byte for byte as Go's encoder has them.

use quorate_core::auth::{AuthError, Permissions, ROOT, Role, RolePut, UserPut};
use quorate_core::{Auth, json};
use serde_json::{Map, Value as Json};

/// A body is not what it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// What a body asks for a user, and the password in it, which is empty if there is none.
pub(super) fn read_user(body: &[u8]) -> Result<(UserPut, String), Malformed> {
    let object = object(body)?;
    let put = UserPut {
        name: text(&object, "user")?,
        password_hash: None,
        roles: names(&object, "roles")?,
        grant: names(&object, "grant")?.unwrap_or_default(),
        revoke: names(&object, "revoke")?.unwrap_or_default(),
    };
    Ok((put, text(&object, "password")?))
}

/// What a body asks for a role.
pub(super) fn read_role(body: &[u8]) -> Result<RolePut, Malformed> {
    let object = object(body)?;
    Ok(RolePut {
        name: text(&object, "role")?,
        permissions: permissions(&object, "permissions")?,
        grant: permissions(&object, "grant")?,
        revoke: permissions(&object, "revoke")?,
    })
}

/// The first value of the body; Go's decoder reads no further.
fn object(body: &[u8]) -> Result<Map<String, Json>, Malformed> {
    match serde_json::Deserializer::from_slice(body).into_iter().next() {
        Some(Ok(Json::Object(object))) => Ok(object),
        Some(Ok(Json::Null)) => Ok(Map::new()),
        _ => Err(Malformed),
    }
}

/// A field by its name, the case of which Go's decoder does not mind.
fn field<'a>(object: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    let found = object.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value).filter(|value| !value.is_null())
}

fn text(object: &Map<String, Json>, name: &str) -> Result<String, Malformed> {
    match field(object, name) {
        None => Ok(String::new()),
        Some(Json::String(text)) => Ok(text.clone()),
        Some(_) => Err(Malformed),
    }
}

fn names(object: &Map<String, Json>, name: &str) -> Result<Option<Vec<String>>, Malformed> {
    let Some(value) = field(object, name) else { return Ok(None) };
    let Json::Array(values) = value else { return Err(Malformed) };
    let texts = values.iter().map(|value| match value {
        Json::String(text) => Ok(text.clone()),
        Json::Null => Ok(String::new()),
        _ => Err(Malformed),
    });
    texts.collect::<Result<_, _>>().map(Some)
}

fn permissions(object: &Map<String, Json>, name: &str) -> Result<Permissions, Malformed> {
    let inner = |object: &Map<String, Json>, name| match field(object, name) {
        None => Ok(Map::new()),
        Some(Json::Object(inner)) => Ok(inner.clone()),
        Some(_) => Err(Malformed),
    };
    let kv = inner(&inner(object, name)?, "kv")?;
    Ok(Permissions { read: names(&kv, "read")?, write: names(&kv, "write")? })
}

/// `{"enabled":..}`.
pub(super) fn write_enabled(out: &mut Vec<u8>, enabled: bool) {
    let text = if enabled { "{\"enabled\":true}\n" } else { "{\"enabled\":false}\n" };
    out.extend_from_slice(text.as_bytes());
}

/// A user by the names of its roles.
pub(super) fn write_user(out: &mut Vec<u8>, name: &str, roles: Option<&[String]>) {
    out.extend_from_slice(b"{\"user\":");
    json::write_string(out, name.as_bytes());
    out.extend_from_slice(b",\"roles\":");
    write_names(out, roles);
    out.extend_from_slice(b"}\n");
}

/// All users with their roles; roles that do not exist are left out.
pub(super) fn write_users(out: &mut Vec<u8>, auth: &Auth) {
    out.extend_from_slice(b"{\"users\":");
    if auth.users().is_empty() {
        out.extend_from_slice(b"null}\n");
        return;
    }
    out.push(b'[');
    for (at, name) in auth.users().keys().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let names = auth.roles_of(name).unwrap_or_default();
        let roles: Vec<_> =
            names.iter().filter_map(|role| Some((role.as_str(), auth.role(role)?))).collect();
        write_expanded(out, name, &roles);
    }
    out.extend_from_slice(b"]}\n");
}

/// One user with its roles.
///
/// # Errors
/// There is no such user, or one of its roles does not exist.
pub(super) fn write_user_with_roles(
    out: &mut Vec<u8>,
    auth: &Auth,
    name: &str,
) -> Result<(), AuthError> {
    let names = auth.roles_of(name).ok_or_else(|| AuthError::NoUser(name.to_owned()))?;
    let roles = names.iter().map(|role| {
        let found = auth.role(role).ok_or_else(|| AuthError::NoRole(role.clone()))?;
        Ok((role.as_str(), found))
    });
    let roles: Vec<_> = roles.collect::<Result<_, _>>()?;
    write_expanded(out, name, &roles);
    out.push(b'\n');
    Ok(())
}

/// All roles, with `root`, by name.
pub(super) fn write_roles(out: &mut Vec<u8>, auth: &Auth) {
    let mut names: Vec<&str> = auth.roles().keys().map(String::as_str).collect();
    if let Err(at) = names.binary_search(&ROOT) {
        names.insert(at, ROOT);
    }
    out.extend_from_slice(b"{\"roles\":[");
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_role(out, name, &auth.role(name).unwrap_or_default());
    }
    out.extend_from_slice(b"]}\n");
}

/// One role, without a newline.
pub(super) fn write_role(out: &mut Vec<u8>, name: &str, role: &Role) {
    out.extend_from_slice(b"{\"role\":");
    json::write_string(out, name.as_bytes());
    out.extend_from_slice(b",\"permissions\":{\"kv\":{\"read\":");
    write_names(out, role.read.as_deref());
    out.extend_from_slice(b",\"write\":");
    write_names(out, role.write.as_deref());
    out.extend_from_slice(b"}}}");
}

fn write_expanded(out: &mut Vec<u8>, name: &str, roles: &[(&str, Role)]) {
    out.extend_from_slice(b"{\"user\":");
    json::write_string(out, name.as_bytes());
    for (at, (name, role)) in roles.iter().enumerate() {
        out.extend_from_slice(if at == 0 { &b",\"roles\":["[..] } else { b"," });
        write_role(out, name, role);
    }
    out.extend_from_slice(if roles.is_empty() { &b"}"[..] } else { b"]}" });
}

fn write_names(out: &mut Vec<u8>, names: Option<&[String]>) {
    let Some(names) = names else {
        out.extend_from_slice(b"null");
        return;
    };
    out.push(b'[');
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::write_string(out, name.as_bytes());
    }
    out.push(b']');
}
