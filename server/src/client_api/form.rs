//! Form data: the `name=value&..` pairs of a query string or a form body, read the way Go's `net/url` reads them.
//!
//! Invariant: names and values are borrowed from the input, and every escape in them has been checked, so decoding one
//! later cannot fail. Of a repeated name the first value counts. What the values mean is `params`' business.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The names that mean something on `/v2/keys`; others are checked for bad escapes and otherwise ignored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Field {
    /// The new value.
    Value,
    /// Seconds to live.
    Ttl,
    /// Make, or remove, a directory.
    Dir,
    /// The key must (not) exist.
    PrevExist,
    /// The value the key must have.
    PrevValue,
    /// The modified index the key must have.
    PrevIndex,
    /// Renew the TTL silently.
    Refresh,
    /// Include what is below.
    Recursive,
    /// List children in order.
    Sorted,
    /// Read what a quorum has.
    Quorum,
    /// Wait for a change.
    Wait,
    /// The index to wait from.
    WaitIndex,
    /// Keep waiting after the first change.
    Stream,
    /// Leave the nodes out of the answer.
    NoValueOnSuccess,
}

/// How many [`Field`]s there are.
const FIELDS: usize = Field::NoValueOnSuccess as usize + 1;

impl Field {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"value" => Self::Value,
            b"ttl" => Self::Ttl,
            b"dir" => Self::Dir,
            b"prevExist" => Self::PrevExist,
            b"prevValue" => Self::PrevValue,
            b"prevIndex" => Self::PrevIndex,
            b"refresh" => Self::Refresh,
            b"recursive" => Self::Recursive,
            b"sorted" => Self::Sorted,
            b"quorum" => Self::Quorum,
            b"wait" => Self::Wait,
            b"waitIndex" => Self::WaitIndex,
            b"stream" => Self::Stream,
            b"noValueOnSuccess" => Self::NoValueOnSuccess,
            _ => return None,
        })
    }
}

/// Why a form cannot be read. `Display` is the text Go gives for it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum FormError {
    /// `;` once separated pairs and is refused since, rather than guessed at.
    #[error("invalid semicolon separator in query")]
    Semicolon,
    /// A `%` that is not followed by two hex digits; the offending bytes, at most three.
    #[error("invalid URL escape {}", quoted(.0))]
    Escape(Vec<u8>),
}

/// The known fields of one request, each with its first value.
#[derive(Debug, Default)]
pub(super) struct Form<'a> {
    raw: [Option<&'a [u8]>; FIELDS],
    /// Nearly no request has any: then nothing is looked at twice.
    has_escapes: bool,
}

impl<'a> Form<'a> {
    /// Adds the pairs of `encoded`; fields that already have a value keep it, so the part that wins is added first.
    ///
    /// # Errors
    /// A semicolon or a bad escape anywhere, even in a name that means nothing here.
    pub(super) fn add(&mut self, encoded: &'a [u8]) -> Result<(), FormError> {
        if memchr(b';', encoded).is_some() {
            return Err(FormError::Semicolon);
        }
        let has_escapes = memchr2(b'%', b'+', encoded).is_some();
        self.has_escapes |= has_escapes;
        let mut rest = encoded;
        while !rest.is_empty() {
            let (pair, after) = cut(rest, b'&');
            rest = after;
            let (name, value) = cut(pair, b'=');
            if has_escapes {
                check_escapes(name)?;
                check_escapes(value)?;
            }
            let field = if has_escapes { Field::named(&decoded(name)) } else { Field::named(name) };
            if let Some(field) = field {
                self.slot(field).get_or_insert(value);
            }
        }
        Ok(())
    }

    /// The decoded value of `field`; `None` if the request does not name it.
    #[must_use]
    pub(super) fn value(&self, field: Field) -> Option<Cow<'a, [u8]>> {
        let raw = self.raw.get(field as usize).copied().flatten()?;
        Some(if self.has_escapes { decoded(raw) } else { Cow::Borrowed(raw) })
    }

    fn slot(&mut self, field: Field) -> &mut Option<&'a [u8]> {
        // A field's discriminant is below FIELDS by FIELDS' definition.
        &mut self.raw[field as usize]
    }
}

/// What stands before and after the first `separator`; all of it and nothing if there is none.
fn cut(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let at = memchr(separator, text).unwrap_or(text.len());
    let (before, from) = text.split_at(at);
    (before, from.get(1..).unwrap_or_default())
}

/// Decodes `+` and `%xx` of a text whose escapes have been checked; borrows when there are none.
fn decoded(encoded: &[u8]) -> Cow<'_, [u8]> {
    if memchr2(b'%', b'+', encoded).is_none() {
        return Cow::Borrowed(encoded);
    }
    let mut out = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'+' => out.push(b' '),
            b'%' => {
                if let Some((byte, after)) = escape(after) {
                    out.push(byte);
                    rest = after;
                }
            }
            plain => out.push(*plain),
        }
    }
    Cow::Owned(out)
}

/// The byte that two hex digits at the start of `text` stand for, and what follows them.
pub(super) fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], rest) = text.split_first_chunk()?;
    Some((hex_digit(high)? << 4 | hex_digit(low)?, rest))
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn check_escapes(text: &[u8]) -> Result<(), FormError> {
    let mut rest = text;
    while let Some(percent) = memchr(b'%', rest) {
        let (_, from_percent) = rest.split_at(percent);
        match escape(from_percent.get(1..).unwrap_or_default()) {
            Some((_, after)) => rest = after,
            None => return Err(FormError::Escape(from_percent.iter().take(3).copied().collect())),
        }
    }
    Ok(())
}

/// `bytes` in double quotes with Go's escapes (`strconv.Quote`).
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from('"');
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '"' | '\\' => out.extend(['\\', char]),
                '\u{7}' => out.push_str("\\a"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{b}' => out.push_str("\\v"),
                '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(char))),
                _ if char.is_control() || (char.is_whitespace() && char != ' ') => {
                    out.push_str(&format!("\\u{:04x}", u32::from(char)));
                }
                _ => out.push(char),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(encoded: &str) -> Option<Vec<u8>> {
        let mut form = Form::default();
        form.add(encoded.as_bytes()).unwrap();
        form.value(Field::Value).map(Cow::into_owned)
    }

    #[test]
    fn pairs_are_read_as_go_reads_them() {
        let cases: [(&str, Option<&[u8]>); 14] = [
            ("", None),
            ("value", Some(b"")),
            ("value=", Some(b"")),
            ("value=a", Some(b"a")),
            ("value=a=b", Some(b"a=b")),
            ("&&value=a&&", Some(b"a")),
            ("value=a&value=b", Some(b"a")),
            ("value=&value=b", Some(b"")),
            ("value=a+b%2B%26%3b", Some(b"a b+&;")),
            ("value=%00%ff%Fe", Some(b"\x00\xff\xfe")),
            ("%76alue=a", Some(b"a")),
            ("Value=a", None),
            ("value+=a", None),
            ("=a", None),
        ];
        for (encoded, expected) in cases {
            assert_eq!(value(encoded).as_deref(), expected, "{encoded:?}");
        }
    }

    #[test]
    fn what_is_added_first_wins() {
        let mut form = Form::default();
        form.add(b"value=body").unwrap();
        form.add(b"value=query&ttl=5").unwrap();
        assert_eq!(form.value(Field::Value).as_deref(), Some(&b"body"[..]));
        assert_eq!(form.value(Field::Ttl).as_deref(), Some(&b"5"[..]));
    }

    #[test]
    fn errors_are_worded_as_go_words_them() {
        let cases: [(&[u8], &str); 9] = [
            (b"a=1;b=2", "invalid semicolon separator in query"),
            (b"x=%zz&y=;", "invalid semicolon separator in query"),
            (b"x=%zz", r#"invalid URL escape "%zz""#),
            (b"x=%z", r#"invalid URL escape "%z""#),
            (b"x=%", r#"invalid URL escape "%""#),
            (b"x=%zz123", r#"invalid URL escape "%zz""#),
            (b"%ff%g\"=1", r#"invalid URL escape "%g\"""#),
            (b"x=%\xff\x01", r#"invalid URL escape "%\xff\x01""#),
            ("x=%é".as_bytes(), "invalid URL escape \"%é\""),
        ];
        for (encoded, text) in cases {
            assert_eq!(Form::default().add(encoded).unwrap_err().to_string(), text);
        }
    }
}
