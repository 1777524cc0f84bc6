//! Query strings and form bodies: `name=value` pairs, percent-encoded.

use crate::registry::Refusal;

/// Pairs of one query or form: more than any client of ours or etcd's sends.
const PAIRS_MAX: usize = 64;

/// Decoded pairs in order.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `text`.
    ///
    /// # Errors
    /// An escape is broken, or there are too many pairs.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() >= PAIRS_MAX {
                return Err(Refusal::BadRequest("the query has too many parameters".to_owned()));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The first value of `name`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether `name` says yes, in one of Go's spellings.
    ///
    /// # Errors
    /// It says neither yes nor no.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.value(name) {
            None | Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(false),
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
            Some(_) => Err(Refusal::BadRequest(format!("`{name}` must be true or false"))),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| Refusal::BadRequest(format!("`{name}` must be a whole number")))
        };
        self.value(name).map(parse).transpose()
    }
}

/// Undoes form encoding.
fn decode(text: &str) -> Result<String, Refusal> {
    let broken = || Refusal::BadRequest("a percent escape is broken".to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit().ok_or_else(broken)?, digit().ok_or_else(broken)?);
                // Two hex digits fit a byte.
                (high << 4 | low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_encodes_is_decoded() {
        let query =
            Query::parse("value=d1%3Dhttp%3A%2F%2F127.0.0.1%3A1&a=1+2&wait=true&x").unwrap();
        assert_eq!(query.value("value"), Some("d1=http://127.0.0.1:1"));
        assert_eq!(query.value("a"), Some("1 2"));
        assert_eq!((query.flag("wait"), query.flag("none")), (Ok(true), Ok(false)));
        assert!(query.flag("a").is_err() && query.number("a").is_err());
        for broken in ["%", "%1", "%zz", "%ff"] {
            assert!(Query::parse(broken).is_err(), "{broken}");
        }
    }
}
