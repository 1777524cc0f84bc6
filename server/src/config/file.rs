//! The configuration file: YAML with etcd's keys, every one of them checked.
//!
//! Invariant: a key that means nothing is refused with its line, never dropped. Scalars are taken as they are
//! written, so `name: 007` names a member "007". A key without a value is as good as absent.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::error::ConfigError;
use super::flags::{self, FILE_BLOCKS, Flag};
use super::nearest;
use super::settings::{Given, Origin};
use super::value::Kind;

/// A configuration has a hundred short lines; anything near this size is another file given by mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the file at `path`, which was named by `origin`.
pub(super) fn read(path: &Path, origin: Origin) -> Result<Vec<Given>, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), origin, cause };
    let text = read_bounded(path).map_err(unreadable)?;
    parse(path, &text)
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Given>, ConfigError> {
    let document: Spanned<Node> = serde_saphyr::from_str(text).map_err(|error| {
        let place =
            error.location().map_or_else(|| path.display().to_string(), |at| place(path, at));
        let cause = error.without_snippet().to_string();
        let cause = cause.split(" at line ").next().unwrap_or_default();
        let cause = cause.split(", set DuplicateKeyPolicy").next().unwrap_or_default();
        ConfigError::Syntax { place, cause: format!("{cause}; correct the file") }
    })?;
    let reader = Reader { path, text };
    match &document.value {
        Node::Null => Ok(Vec::new()),
        Node::Map(entries) => reader.top(entries),
        _ => Err(ConfigError::Syntax {
            place: place(path, document.referenced),
            cause: "the file must hold `key: value` lines".to_owned(),
        }),
    }
}

type Entries = [(Spanned<String>, Spanned<Node>)];

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn top(&self, entries: &Entries) -> Result<Vec<Given>, ConfigError> {
        let mut layer = Vec::new();
        for (key, value) in entries {
            let Some(block) = FILE_BLOCKS.into_iter().find(|block| *block == key.value) else {
                layer.extend(self.entry(None, key, value)?);
                continue;
            };
            match &value.value {
                Node::Null => {}
                Node::Map(inner) => {
                    for (key, value) in inner {
                        layer.extend(self.entry(Some(block), key, value)?);
                    }
                }
                _ => {
                    return Err(self.wrong_form(
                        block,
                        value,
                        "must hold `key: value` lines, indented below it",
                    ));
                }
            }
        }
        Ok(layer)
    }

    fn entry(
        &self,
        block: Option<&'static str>,
        key: &Spanned<String>,
        value: &Spanned<Node>,
    ) -> Result<Option<Given>, ConfigError> {
        let Some(flag) =
            flags::all().find(|flag| flag.file_key() == Some((block, key.value.as_str())))
        else {
            return Err(self.unknown(block, key));
        };
        let Some(text) = self.value_text(&key.value, value, flag.kind)? else {
            return Ok(None);
        };
        let origin = Origin::File { path: self.path.to_owned(), line: key.referenced.line() };
        Ok(Some(Given { flag, text: in_flag_form(flag.kind, text), origin }))
    }

    /// The value as it would stand on the command line; `None` for no value.
    fn value_text(
        &self,
        key: &str,
        value: &Spanned<Node>,
        kind: Kind,
    ) -> Result<Option<String>, ConfigError> {
        let listable = matches!(kind, Kind::List | Kind::Urls | Kind::Cluster);
        match &value.value {
            Node::Null => Ok(None),
            Node::List(items) if listable => {
                let texts: Vec<String> = items
                    .iter()
                    .map(|item| {
                        self.scalar(item)
                            .ok_or_else(|| self.wrong_form(key, item, "must be a list of words"))
                    })
                    .collect::<Result<_, _>>()?;
                Ok(Some(texts.join(",")))
            }
            _ => {
                let expected =
                    if listable { "must be one value or a list" } else { "must be one value" };
                self.scalar(value).map(Some).ok_or_else(|| self.wrong_form(key, value, expected))
            }
        }
    }

    /// A scalar as written: the text of a string, the characters of a number or boolean.
    fn scalar(&self, value: &Spanned<Node>) -> Option<String> {
        match &value.value {
            Node::Text(text) => Some(text.clone()),
            Node::Plain(canonical) => {
                Some(self.source(value.defined).unwrap_or(canonical).to_owned())
            }
            _ => None,
        }
    }

    fn source(&self, at: Location) -> Option<&str> {
        let start = usize::try_from(at.span().byte_offset()?).ok()?;
        let len = usize::try_from(at.span().byte_len()?).ok()?;
        self.text.get(start..start.checked_add(len)?).map(str::trim)
    }

    fn unknown(&self, block: Option<&str>, key: &Spanned<String>) -> ConfigError {
        let here = flags::all()
            .filter_map(Flag::file_key)
            .filter(|(inside, _)| *inside == block)
            .map(|(_, key)| key);
        let blocks = FILE_BLOCKS.into_iter().filter(|_| block.is_none());
        let hint = if let Some(flag) = flags::find(&key.value) {
            elsewhere(flag)
        } else if let Some(near) = nearest::name(&key.value, here.chain(blocks)) {
            format!("did you mean {near:?}?")
        } else {
            "the keys are the names of the flags, which --help lists".to_owned()
        };
        let key_path =
            block.map_or_else(|| key.value.clone(), |block| format!("{block}: {}", key.value));
        ConfigError::UnknownKey { place: place(self.path, key.referenced), key: key_path, hint }
    }

    fn wrong_form(&self, key: &str, value: &Spanned<Node>, expected: &'static str) -> ConfigError {
        ConfigError::WrongForm {
            place: place(self.path, value.referenced),
            key: key.to_owned(),
            expected,
        }
    }
}

/// Where a flag belongs that was written at the wrong place of a file.
fn elsewhere(flag: &Flag) -> String {
    match flag.file_key() {
        Some((Some(block), key)) => format!("write it as {key:?} below {block:?}"),
        Some((None, key)) => format!("write {key:?} at the top level"),
        None => "a file cannot set it: it belongs on the command line".to_owned(),
    }
}

/// Rewrites what only files hold: YAML's words for true and false, and durations in nanoseconds.
fn in_flag_form(kind: Kind, text: String) -> String {
    match (kind, text.to_ascii_lowercase().as_str()) {
        (Kind::Bool, "yes" | "on" | "y") => "true".to_owned(),
        (Kind::Bool, "no" | "off" | "n") => "false".to_owned(),
        (Kind::Duration, digits) if digits.parse::<u64>().is_ok() => format!("{digits}ns"),
        _ => text,
    }
}

fn place(path: &Path, at: Location) -> String {
    format!("{}:{}:{}", path.display(), at.line(), at.column())
}

#[derive(Debug)]
enum Node {
    Null,
    /// A string, decoded.
    Text(String),
    /// A number or boolean, in a form that may differ from the one written.
    Plain(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a value, a list or a block")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}
