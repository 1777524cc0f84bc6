//! What a request for `/v2/keys` asks: from its method, key, query and form to one typed operation.
//!
//! Pure. The order of the checks is part of the API, since clients see the first that fails. Errors carry store index 0, because
//! the store was never asked.

use std::borrow::Cow;

use http::Method;
use quorate_core::{Command, ErrorCode, Key, StoreError, StoreIndex, Ttl, Value, WatchSpec};

use super::form::{Field, Form, FormError};
use crate::watch::WatchMode;

/// A request for `/v2/keys` that makes sense.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeysRequest {
    /// What to do.
    pub operation: Operation,
    /// Whether the nodes are left out of a write's answer.
    pub no_value_on_success: bool,
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Show a key.
    Read {
        /// Which.
        key: Key,
        /// Whether all that is below it is shown too.
        recursive: bool,
        /// Whether the answer must hold what a quorum has acknowledged.
        quorum: bool,
    },
    /// Wait for changes.
    Watch(WatchSpec, WatchMode),
    /// Change something.
    Write(Command),
}

/// A method that `/v2/keys` takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeysMethod {
    /// Read or watch.
    Get,
    /// Read, but send no body.
    Head,
    /// Write a key.
    Put,
    /// Create a key named after the index.
    Post,
    /// Remove a key.
    Delete,
}

impl KeysMethod {
    /// The method, if `/v2/keys` takes it.
    #[must_use]
    pub fn of(method: &Method) -> Option<Self> {
        Some(match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::PUT => Self::Put,
            Method::POST => Self::Post,
            Method::DELETE => Self::Delete,
            _ => return None,
        })
    }

    /// Whether a form body counts.
    #[must_use]
    pub fn takes_form(self) -> bool {
        matches!(self, Self::Put | Self::Post)
    }
}

/// The error for a form that cannot be read.
#[must_use]
pub fn invalid_form(cause: &dyn std::fmt::Display) -> StoreError {
    refused(ErrorCode::InvalidForm, &cause.to_string())
}

impl From<FormError> for StoreError {
    fn from(error: FormError) -> Self {
        invalid_form(&error)
    }
}

/// Reads a request. `path` is the decoded path after `/v2/keys`; `query` and `form` are still encoded.
///
/// # Errors
/// The first check that fails, in etcd's order.
pub fn parse(
    method: KeysMethod,
    path: &[u8],
    query: &[u8],
    form: &[u8],
) -> Result<KeysRequest, StoreError> {
    let mut fields = Form::default();
    fields.add(form)?;
    fields.add(query)?;
    let key = Key::parse(path).map_err(|error| invalid_form(&error))?;
    let checked = Checked::read(&fields, method)?;
    let no_value_on_success = checked.no_value_on_success;
    Ok(KeysRequest { operation: checked.operation(method, key), no_value_on_success })
}

/// The fields' values after all checks.
#[derive(Debug)]
struct Checked<'a> {
    value: Cow<'a, [u8]>,
    ttl: Ttl,
    dir: bool,
    prev_exist: Option<bool>,
    prev_value: Option<Cow<'a, [u8]>>,
    prev_index: u64,
    refresh: bool,
    recursive: bool,
    quorum: bool,
    wait: bool,
    wait_index: u64,
    stream: bool,
    no_value_on_success: bool,
}

impl<'a> Checked<'a> {
    fn read(form: &Form<'a>, method: KeysMethod) -> Result<Self, StoreError> {
        let prev_index = number(form, Field::PrevIndex, r#"invalid value for "prevIndex""#)?;
        let wait_index = number(form, Field::WaitIndex, r#"invalid value for "waitIndex""#)?;
        let recursive = flag(form, Field::Recursive, r#"invalid value for "recursive""#)?;
        // Children are always listed in order; the flag only has to be well-formed.
        flag(form, Field::Sorted, r#"invalid value for "sorted""#)?;
        let wait = flag(form, Field::Wait, r#"invalid value for "wait""#)?;
        let dir = flag(form, Field::Dir, r#"invalid value for "dir""#)?;
        let quorum = flag(form, Field::Quorum, r#"invalid value for "quorum""#)?;
        let stream = flag(form, Field::Stream, r#"invalid value for "stream""#)?;
        if wait.unwrap_or(false) && method != KeysMethod::Get {
            return Err(refused(
                ErrorCode::InvalidField,
                r#""wait" can only be used with GET requests"#,
            ));
        }
        let prev_value = form.value(Field::PrevValue);
        if prev_value.as_ref().is_some_and(|value| value.is_empty()) {
            return Err(refused(ErrorCode::PrevValueRequired, r#""prevValue" cannot be empty"#));
        }
        let no_value_on_success =
            flag(form, Field::NoValueOnSuccess, r#"invalid value for "noValueOnSuccess""#)?;
        let ttl = ttl(form)?;
        let prev_exist = flag(form, Field::PrevExist, "invalid value for prevExist")?;
        let refresh = flag(form, Field::Refresh, "invalid value for refresh")?.unwrap_or(false);
        let value = form.value(Field::Value).unwrap_or_default();
        if refresh && !value.is_empty() {
            return Err(refused(ErrorCode::RefreshValue, "A value was provided on a refresh"));
        }
        if refresh && ttl == Ttl::Permanent {
            return Err(refused(ErrorCode::RefreshTtlRequired, "No TTL value set"));
        }
        Ok(Self {
            value,
            ttl,
            dir: dir.unwrap_or(false),
            prev_exist,
            prev_value,
            prev_index: prev_index.unwrap_or(0),
            refresh,
            recursive: recursive.unwrap_or(false),
            quorum: quorum.unwrap_or(false),
            wait: wait.unwrap_or(false),
            wait_index: wait_index.unwrap_or(0),
            stream: stream.unwrap_or(false),
            no_value_on_success: no_value_on_success.unwrap_or(false),
        })
    }

    fn operation(self, method: KeysMethod, key: Key) -> Operation {
        match method {
            // A quorum read never waits.
            KeysMethod::Get if self.wait && !self.quorum => {
                let spec = WatchSpec { key, recursive: self.recursive, since: self.wait_index };
                let mode = if self.stream { WatchMode::Stream } else { WatchMode::Once };
                Operation::Watch(spec, mode)
            }
            KeysMethod::Get => {
                Operation::Read { key, recursive: self.recursive, quorum: self.quorum }
            }
            KeysMethod::Head => Operation::Read { key, recursive: self.recursive, quorum: false },
            KeysMethod::Put => Operation::Write(self.put(key)),
            KeysMethod::Post => Operation::Write(Command::CreateInOrder {
                key,
                value: Value::new(self.value),
                dir: self.dir,
                ttl: self.ttl,
            }),
            KeysMethod::Delete => Operation::Write(self.delete(key)),
        }
    }

    /// First match wins: create, compare-and-swap, update, set.
    fn put(self, key: Key) -> Command {
        let compares = self.compares();
        let Self { ttl, dir, refresh, prev_index, .. } = self;
        let value = Value::new(self.value);
        match self.prev_exist {
            Some(false) => Command::Create { key, value, dir, ttl },
            Some(true) | None if compares => {
                let prev_value = self.prev_value.map(Value::new);
                Command::CompareAndSwap { key, prev_value, prev_index, value, ttl, refresh }
            }
            Some(true) => Command::Update { key, value, ttl, refresh },
            None => Command::Set { key, value, dir, ttl, refresh },
        }
    }

    fn delete(self, key: Key) -> Command {
        if self.compares() {
            let prev_value = self.prev_value.map(Value::new);
            return Command::CompareAndDelete { key, prev_value, prev_index: self.prev_index };
        }
        Command::Delete { key, dir: self.dir, recursive: self.recursive }
    }

    fn compares(&self) -> bool {
        self.prev_index > 0 || self.prev_value.is_some()
    }
}

fn flag(form: &Form<'_>, field: Field, cause: &str) -> Result<Option<bool>, StoreError> {
    match form.value(field).as_deref() {
        None => Ok(None),
        Some(b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True") => Ok(Some(true)),
        Some(b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False") => Ok(Some(false)),
        Some(_) => Err(refused(ErrorCode::InvalidField, cause)),
    }
}

fn number(form: &Form<'_>, field: Field, cause: &str) -> Result<Option<u64>, StoreError> {
    match form.value(field) {
        None => Ok(None),
        Some(text) => decimal(&text).map(Some).ok_or_else(|| refused(ErrorCode::IndexNaN, cause)),
    }
}

/// An empty TTL is none.
fn ttl(form: &Form<'_>) -> Result<Ttl, StoreError> {
    match form.value(Field::Ttl) {
        Some(text) if !text.is_empty() => decimal(&text)
            .map(Ttl::Seconds)
            .ok_or_else(|| refused(ErrorCode::TtlNaN, r#"invalid value for "ttl""#)),
        _ => Ok(Ttl::Permanent),
    }
}

/// Digits only, without a sign.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn refused(code: ErrorCode, cause: &str) -> StoreError {
    StoreError::new(code, cause, StoreIndex(0))
}
