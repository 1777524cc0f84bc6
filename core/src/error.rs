//! The errors a client of the v2 API can meet: codes, messages, HTTP statuses and the JSON body.
//!
//! The store itself raises only a few of them; the rest are here because the table is one protocol and belongs in one
//! place.

use crate::ids::StoreIndex;
use crate::json;
use std::fmt;

/// The v2 error codes that can be reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorCode {
    /// 100: no such key.
    KeyNotFound,
    /// 101: the stored value or index is not the expected one.
    CompareFailed,
    /// 102: the key is a directory and a file was needed.
    NotFile,
    /// 104: a part of the path is a file.
    NotDir,
    /// 105: the key was to be created but exists.
    KeyExists,
    /// 107: the root can be neither written nor deleted.
    RootReadOnly,
    /// 108: a directory with children can only be deleted recursively.
    DirNotEmpty,
    /// 110: the credentials do not allow the request.
    Unauthorized,
    /// 201: `prevValue` is given but empty.
    PrevValueRequired,
    /// 202: `ttl` is not a number.
    TtlNaN,
    /// 203: an index is not a number.
    IndexNaN,
    /// 209: a field has a value that it cannot have.
    InvalidField,
    /// 210: the form cannot be read.
    InvalidForm,
    /// 211: a refresh carries a value.
    RefreshValue,
    /// 212: a refresh carries no TTL.
    RefreshTtlRequired,
    /// 300: the cluster could not take the request (no quorum, stopped, ..).
    RaftInternal,
    /// 401: the events asked for are no longer in the history.
    EventIndexCleared,
}

impl ErrorCode {
    /// The `errorCode` of the body.
    #[must_use]
    pub fn number(self) -> u16 {
        self.row().0
    }

    /// The `message` of the body.
    #[must_use]
    pub fn message(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status that goes with the code.
    #[must_use]
    pub fn http_status(self) -> u16 {
        self.row().2
    }

    fn row(self) -> (u16, &'static str, u16) {
        match self {
            Self::KeyNotFound => (100, "Key not found", 404),
            Self::CompareFailed => (101, "Compare failed", 412),
            Self::NotFile => (102, "Not a file", 403),
            Self::NotDir => (104, "Not a directory", 400),
            Self::KeyExists => (105, "Key already exists", 412),
            Self::RootReadOnly => (107, "Root is read only", 400),
            Self::DirNotEmpty => (108, "Directory not empty", 403),
            Self::Unauthorized => (110, "The request requires user authentication", 401),
            Self::PrevValueRequired => (201, "PrevValue is Required in POST form", 400),
            Self::TtlNaN => (202, "The given TTL in POST form is not a number", 400),
            Self::IndexNaN => (203, "The given index in POST form is not a number", 400),
            Self::InvalidField => (209, "Invalid field", 400),
            Self::InvalidForm => (210, "Invalid POST form", 400),
            Self::RefreshValue => (211, "Value provided on refresh", 400),
            Self::RefreshTtlRequired => (212, "A TTL must be provided on refresh", 400),
            Self::RaftInternal => (300, "Raft Internal Error", 500),
            Self::EventIndexCleared => {
                (401, "The event in requested index is outdated and cleared", 400)
            }
        }
    }
}

/// Why a request failed, as the client is told.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct StoreError {
    /// What kind of failure it is.
    pub code: ErrorCode,
    /// What it is about: a key, a comparison, a field. Bytes, since keys and values are; left out of the body when
    /// empty.
    pub cause: Vec<u8>,
    /// The store index at the failure; 0 for a request that never reached the store.
    pub index: StoreIndex,
}

impl StoreError {
    /// An error about `cause` at store index `index`.
    #[must_use]
    pub fn new(code: ErrorCode, cause: impl Into<Vec<u8>>, index: StoreIndex) -> Self {
        Self { code, cause: cause.into(), index }
    }

    /// Appends the response body: one JSON object and a newline.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"errorCode\":");
        json::write_u64(out, u64::from(self.code.number()));
        out.extend_from_slice(b",\"message\":");
        json::write_string(out, self.code.message().as_bytes());
        if !self.cause.is_empty() {
            out.extend_from_slice(b",\"cause\":");
            json::write_string(out, &self.cause);
        }
        out.extend_from_slice(b",\"index\":");
        json::write_u64(out, self.index.0);
        out.extend_from_slice(b"}\n");
    }
}

impl fmt::Display for StoreError {
    /// In the form v2 clients print: `105: Key already exists (/a) [7]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = String::from_utf8_lossy(&self.cause);
        write!(f, "{}: {} ({cause}) [{}]", self.code.number(), self.code.message(), self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_etcds() {
        use ErrorCode::*;
        let rows = [
            (KeyNotFound, 100, 404, "Key not found"),
            (CompareFailed, 101, 412, "Compare failed"),
            (NotFile, 102, 403, "Not a file"),
            (NotDir, 104, 400, "Not a directory"),
            (KeyExists, 105, 412, "Key already exists"),
            (RootReadOnly, 107, 400, "Root is read only"),
            (DirNotEmpty, 108, 403, "Directory not empty"),
            (Unauthorized, 110, 401, "The request requires user authentication"),
            (PrevValueRequired, 201, 400, "PrevValue is Required in POST form"),
            (TtlNaN, 202, 400, "The given TTL in POST form is not a number"),
            (IndexNaN, 203, 400, "The given index in POST form is not a number"),
            (InvalidField, 209, 400, "Invalid field"),
            (InvalidForm, 210, 400, "Invalid POST form"),
            (RefreshValue, 211, 400, "Value provided on refresh"),
            (RefreshTtlRequired, 212, 400, "A TTL must be provided on refresh"),
            (RaftInternal, 300, 500, "Raft Internal Error"),
            (EventIndexCleared, 401, 400, "The event in requested index is outdated and cleared"),
        ];
        for (code, number, status, message) in rows {
            assert_eq!(
                (code.number(), code.http_status(), code.message()),
                (number, status, message)
            );
        }
    }

    #[test]
    fn the_body_is_etcds() {
        let mut out = Vec::new();
        StoreError::new(ErrorCode::CompareFailed, "[<a> != b]", StoreIndex(7)).write_json(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"errorCode\":101,\"message\":\"Compare failed\",\"cause\":\"[\\u003ca\\u003e != b]\",\"index\":7}\n"
        );
        let mut out = Vec::new();
        StoreError::new(ErrorCode::NotFile, "", StoreIndex(0)).write_json(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"errorCode\":102,\"message\":\"Not a file\",\"index\":0}\n"
        );
    }

    #[test]
    fn it_prints_as_v2_clients_print_it() {
        let error = StoreError::new(ErrorCode::KeyExists, "/ec/b", StoreIndex(1241));
        assert_eq!(error.to_string(), "105: Key already exists (/ec/b) [1241]");
    }
}
