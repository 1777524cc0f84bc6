//! Reads, rendered straight into the answer's buffer.

use super::Store;
use crate::error::StoreError;
use crate::ids::Stamp;
use crate::node::Node;
use crate::path::Key;
use std::sync::Arc;

/// A directory being listed.
struct Listing<'a, I> {
    directory: &'a Node,
    children: I,
    /// Whether a child was written, so that the list is open.
    is_open: bool,
}

impl Store {
    /// Appends the answer to a read of `key`: with its children if it is a directory, with all its descendants if
    /// `recursive`.
    pub(crate) fn write_get(
        &self,
        key: &Key,
        recursive: bool,
        now: Stamp,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        self.write_get_within(key, recursive, now, usize::MAX, out).map(|_| ())
    }

    /// Like `write_get`, but gives up once `out` holds more than `bytes_max`. Says whether it got to the end.
    pub(crate) fn write_get_within(
        &self,
        key: &Key,
        recursive: bool,
        now: Stamp,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, StoreError> {
        let node = self.tree.find(key).map_err(|miss| self.missing(key, &miss))?;
        out.extend_from_slice(b"{\"action\":\"get\",\"node\":");
        if !node.is_dir() {
            node.write_json(now, out);
        } else if !self.write_listing(node, recursive, now, bytes_max, out) {
            return Ok(false);
        }
        out.extend_from_slice(b"}\n");
        Ok(true)
    }

    /// Appends a directory. The directories being listed are a list here and not the call stack, however deep they are.
    fn write_listing(
        &self,
        root: &Node,
        recursive: bool,
        now: Stamp,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let list = |directory| Listing {
            directory,
            children: self.visible_children(directory),
            is_open: false,
        };
        root.write_head(now, out);
        let mut open = vec![list(root)];
        while let Some(listing) = open.last_mut() {
            if out.len() > bytes_max {
                return false;
            }
            let Some(child) = listing.children.next() else {
                if listing.is_open {
                    out.push(b']');
                }
                listing.directory.write_tail(out);
                open.pop();
                continue;
            };
            out.extend_from_slice(if listing.is_open { b"," } else { b",\"nodes\":[" });
            listing.is_open = true;
            if recursive && child.is_dir() {
                child.write_head(now, out);
                open.push(list(child));
            } else {
                child.write_json(now, out);
            }
        }
        true
    }

    fn visible_children<'a>(
        &'a self,
        directory: &Node,
    ) -> impl Iterator<Item = &'a Arc<Node>> + use<'a> {
        self.tree.children(&directory.key).filter(|child| !child.key.is_hidden())
    }
}
