//! What compare-and-swap and compare-and-delete demand of a file, and how a mismatch is told.

use super::Store;
use crate::error::{ErrorCode, StoreError};
use crate::node::{Node, Value};
use crate::path::Key;
use std::sync::Arc;

/// What the file must be; what is not given is not compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) value: Option<&'a Value>,
    /// 0 if not given: no file has that index.
    pub(crate) index: u64,
}

impl Store {
    /// The file at `key`, if it is as expected.
    pub(super) fn expect(
        &self,
        key: &Key,
        expected: &Expected<'_>,
    ) -> Result<Arc<Node>, StoreError> {
        let node = self.tree.find(key).map_err(|miss| self.missing(key, &miss))?;
        let Some(value) = node.value() else {
            // etcd names the root here by its internal name, which it then cuts off.
            let cause = if key.is_root() { &[] } else { key.as_bytes() };
            return Err(StoreError::new(ErrorCode::NotFile, cause, self.index));
        };
        let mut cause = Vec::new();
        if let Some(given) = expected.value.filter(|given| *given != value) {
            push_mismatch(&mut cause, given, value);
        }
        let actual = node.modified.0;
        if expected.index != 0 && expected.index != actual {
            push_mismatch(
                &mut cause,
                expected.index.to_string().as_bytes(),
                actual.to_string().as_bytes(),
            );
        }
        if cause.is_empty() {
            Ok(node.clone())
        } else {
            Err(StoreError::new(ErrorCode::CompareFailed, cause, self.index))
        }
    }
}

/// Appends `[given != actual]`, after a space if it is the second.
fn push_mismatch(cause: &mut Vec<u8>, given: &[u8], actual: &[u8]) {
    if !cause.is_empty() {
        cause.push(b' ');
    }
    for part in [b"[", given, b" != ", actual, b"]"] {
        cause.extend_from_slice(part);
    }
}
