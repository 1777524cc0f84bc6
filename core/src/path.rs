//! Keys: cleaned absolute paths of bytes.
//!
//! A [`Key`] begins with `/`, has no trailing slash and no empty, `.` or `..` segment; the root is `/`. Its buffer
//! holds the depth (two bytes, big-endian) before the path, so that plain byte order sorts by depth first and the
//! children of a directory are one contiguous range. Percent-decoding is left to whoever reads the URL.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The most segments a key may have. A bound on the work one key can cause; etcd has none and overflows its stack
/// instead.
pub const KEY_SEGMENTS_MAX: usize = 1024;

/// Bytes that the depth takes in front of the path.
const DEPTH_BYTES: usize = 2;

/// A cleaned absolute key. Cheap to clone; ordered by depth, then by bytes.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key(Arc<[u8]>);

/// A key has more than [`KEY_SEGMENTS_MAX`] segments.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the key has more than {KEY_SEGMENTS_MAX} segments; use a flatter layout")]
pub struct KeyTooDeep;

impl Key {
    /// Cleans `raw` as Go's `path.Clean("/" + raw)` does.
    ///
    /// # Errors
    /// The cleaned key has more than [`KEY_SEGMENTS_MAX`] segments.
    pub fn parse(raw: &[u8]) -> Result<Self, KeyTooDeep> {
        let mut buffer = Vec::with_capacity(DEPTH_BYTES + 1 + raw.len());
        buffer.extend_from_slice(&[0; DEPTH_BYTES]);
        let mut depth = 0;
        for segment in raw.split(|&byte| byte == b'/') {
            match segment {
                b"" | b"." => {}
                b".." => {
                    if let Some(slash) =
                        buffer.iter().skip(DEPTH_BYTES).rposition(|&byte| byte == b'/')
                    {
                        buffer.truncate(DEPTH_BYTES + slash);
                        depth -= 1;
                    }
                }
                name => {
                    buffer.push(b'/');
                    buffer.extend_from_slice(name);
                    depth += 1;
                }
            }
        }
        Self::seal(buffer, depth)
    }

    /// The root directory, `/`.
    #[must_use]
    pub fn root() -> Self {
        Self(Arc::from([0, 0, b'/']))
    }

    /// The path, always beginning with `/`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.get(DEPTH_BYTES..).unwrap_or_default()
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.depth() == 0
    }

    /// How many segments the key has; 0 for the root.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.first_chunk().map_or(0, |depth| usize::from(u16::from_be_bytes(*depth)))
    }

    /// The directory that holds this key; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.depth().checked_sub(1).map(|depth| self.ancestor(depth))
    }

    /// The ancestor with `depth` segments; the key itself if it has no more than that.
    #[must_use]
    pub fn ancestor(&self, depth: usize) -> Self {
        if depth >= self.depth() {
            return self.clone();
        }
        Self(Arc::from(self.ancestor_position(depth)))
    }

    /// The last segment; empty for the root.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// Whether the last segment begins with `_`, which hides the key from listings.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.name().first() == Some(&b'_')
    }

    /// The key `name` below this one, where `name` is one non-empty segment without a slash.
    ///
    /// # Errors
    /// The key would have more than [`KEY_SEGMENTS_MAX`] segments.
    pub fn child(&self, name: &[u8]) -> Result<Self, KeyTooDeep> {
        debug_assert!(!name.is_empty() && !name.contains(&b'/'), "one segment");
        let mut buffer = vec![0; DEPTH_BYTES];
        buffer.extend_from_slice(self.stem());
        buffer.push(b'/');
        buffer.extend_from_slice(name);
        Self::seal(buffer, self.depth() + 1)
    }

    /// What follows this key in `other` (beginning with `/`) if `other` is strictly below it.
    #[must_use]
    pub fn below<'a>(&self, other: &'a Self) -> Option<&'a [u8]> {
        let rest = other.as_bytes().strip_prefix(self.stem())?;
        (rest.first() == Some(&b'/') && rest.len() > 1).then_some(rest)
    }

    /// The path without the root's slash, so that `/` plus a name can be appended.
    fn stem(&self) -> &[u8] {
        if self.is_root() { &[] } else { self.as_bytes() }
    }

    /// The sort positions that enclose every key exactly `levels` below this one.
    pub(crate) fn descendants_at(&self, levels: usize) -> Range<Vec<u8>> {
        // No key is deeper than the limit, so saturating leaves the range empty.
        let depth = u16::try_from(self.depth() + levels).unwrap_or(u16::MAX);
        let bound = |end: u8| [&depth.to_be_bytes(), self.stem(), &[end]].concat();
        // '0' is the byte after '/'.
        bound(b'/')..bound(b'0')
    }

    /// The sort position of the ancestor with `depth` segments, without making a key of it.
    pub(crate) fn ancestor_position(&self, depth: usize) -> Vec<u8> {
        let path = self.as_bytes();
        let slashes = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        let end = slashes.map(|(at, _)| at).nth(depth).unwrap_or(path.len()).max(1);
        let depth = u16::try_from(depth.min(self.depth())).unwrap_or(u16::MAX);
        [&depth.to_be_bytes(), path.get(..end).unwrap_or_default()].concat()
    }

    fn seal(mut buffer: Vec<u8>, depth: usize) -> Result<Self, KeyTooDeep> {
        if depth > KEY_SEGMENTS_MAX {
            return Err(KeyTooDeep);
        }
        let depth = u16::try_from(depth).map_err(|_| KeyTooDeep)?;
        if depth == 0 {
            return Ok(Self::root());
        }
        for (slot, byte) in buffer.iter_mut().zip(depth.to_be_bytes()) {
            *slot = byte;
        }
        Ok(Self(Arc::from(buffer)))
    }
}

impl Borrow<[u8]> for Key {
    /// The sort position: depth, then path. Only the tree's ranges use it.
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Key {
    /// The path, with bytes that are not UTF-8 replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(raw: &str) -> Key {
        Key::parse(raw.as_bytes()).unwrap()
    }

    #[test]
    fn parsing_cleans_as_go_does() {
        let cases = [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("a", "/a"),
            ("/a/", "/a"),
            ("//a//b/./c/../d", "/a/b/d"),
            ("/..", "/"),
            ("/../a", "/a"),
            ("/a/..", "/"),
            ("/a/../../b", "/b"),
            ("/...", "/..."),
        ];
        for (raw, clean) in cases {
            assert_eq!(key(raw).to_string(), clean, "{raw:?}");
            assert_eq!(key(raw), key(clean), "{raw:?}");
        }
        assert_eq!(Key::parse(b"/\xff").unwrap().as_bytes(), b"/\xff");
    }

    #[test]
    fn parts_of_a_key() {
        let deep = key("/a/_b/c");
        assert_eq!((deep.depth(), deep.name(), deep.is_hidden()), (3, &b"c"[..], false));
        assert_eq!(deep.parent(), Some(key("/a/_b")));
        assert!(key("/a/_b").is_hidden());
        assert_eq!(key("/a").parent(), Some(Key::root()));
        assert_eq!(Key::root().parent(), None);
        assert_eq!((Key::root().depth(), Key::root().name()), (0, &b""[..]));
        for (depth, ancestor) in ["/", "/a", "/a/_b", "/a/_b/c", "/a/_b/c"].into_iter().enumerate()
        {
            assert_eq!(deep.ancestor(depth), key(ancestor));
            assert_eq!(deep.ancestor_position(depth), *Borrow::<[u8]>::borrow(&key(ancestor)));
        }
        assert_eq!(Key::root().child(b"x"), Ok(key("/x")));
        assert_eq!(deep.child(b"x"), Ok(key("/a/_b/c/x")));
    }

    #[test]
    fn below_goes_by_segments() {
        assert_eq!(key("/a").below(&key("/a/b")), Some(&b"/b"[..]));
        assert_eq!(Key::root().below(&key("/a/b")), Some(&b"/a/b"[..]));
        for (above, other) in [("/a", "/a"), ("/a", "/ab"), ("/a/b", "/a"), ("/", "/")] {
            assert_eq!(key(above).below(&key(other)), None, "{above} {other}");
        }
    }

    #[test]
    fn children_lie_in_one_range() {
        let range = key("/a").descendants_at(1);
        for (raw, inside) in [
            ("/a/b", true),
            ("/a/\u{7f}", true),
            ("/a", false),
            ("/a0", false),
            ("/a/b/c", false),
            ("/b/c", false),
        ] {
            let position = key(raw);
            assert_eq!(range.contains(&position.0.to_vec()), inside, "{raw}");
        }
        assert!(Key::root().descendants_at(2).contains(&key("/x/y").0.to_vec()));
    }

    #[test]
    fn depth_is_bounded() {
        let deepest = "/a".repeat(KEY_SEGMENTS_MAX);
        assert_eq!(key(&deepest).depth(), KEY_SEGMENTS_MAX);
        assert_eq!(Key::parse(format!("{deepest}/a").as_bytes()), Err(KeyTooDeep));
        assert_eq!(key(&deepest).child(b"a"), Err(KeyTooDeep));
        // What counts is the cleaned key.
        assert_eq!(key(&format!("{deepest}/a/..")).depth(), KEY_SEGMENTS_MAX);
    }
}
