//! JSON as written: the order of fields and the spelling of strings and numbers are kept, because clients see them.

use std::fmt::Write as _;

/// Deeper than any answer of the API; keeps hostile input from using up the stack.
const DEPTH_MAX: usize = 600;

/// A JSON text, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Json {
    /// A number, `true`, `false` or `null`, as written.
    Word(String),
    /// A string with its quotes and escapes, as written.
    Text(String),
    /// An array.
    Array(Vec<Self>),
    /// An object; field names without quotes, as written and in order.
    Object(Vec<(String, Self)>),
}

impl Json {
    /// Takes one JSON text apart; `None` when it is none, or when anything but white space follows it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser { rest: text, depth: 0 };
        let json = parser.value()?;
        parser.rest.trim().is_empty().then_some(json)
    }

    /// The value of a field of an object.
    pub fn field(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(it, _)| it == name).map(|(_, value)| value)
    }

    /// One line per value, each with the path that leads to it.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.write_lines("", &mut lines);
        lines
    }

    fn write_lines(&self, path: &str, lines: &mut Vec<String>) {
        match self {
            Self::Word(word) | Self::Text(word) => lines.push(format!("{path} = {word}")),
            Self::Array(items) if items.is_empty() => lines.push(format!("{path} = []")),
            Self::Object(fields) if fields.is_empty() => lines.push(format!("{path} = {{}}")),
            Self::Array(items) => {
                for (position, item) in items.iter().enumerate() {
                    item.write_lines(&format!("{path}[{position}]"), lines);
                }
            }
            Self::Object(fields) => {
                for (name, value) in fields {
                    value.write_lines(&format!("{path}.{name}"), lines);
                }
            }
        }
    }

    /// The JSON text in its shortest form.
    pub fn compact(&self) -> String {
        let mut text = String::new();
        self.write_compact(&mut text);
        text
    }

    fn write_compact(&self, text: &mut String) {
        match self {
            Self::Word(word) | Self::Text(word) => text.push_str(word),
            Self::Array(items) => {
                text.push('[');
                for (position, item) in items.iter().enumerate() {
                    text.push_str(if position == 0 { "" } else { "," });
                    item.write_compact(text);
                }
                text.push(']');
            }
            Self::Object(fields) => {
                text.push('{');
                for (position, (name, value)) in fields.iter().enumerate() {
                    let _ = write!(text, "{}\"{name}\":", if position == 0 { "" } else { "," });
                    value.write_compact(text);
                }
                text.push('}');
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Option<Json> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        self.rest = self.rest.trim_start();
        let value = match self.rest.chars().next()? {
            '{' => self.object(),
            '[' => self.array(),
            '"' => self.string().map(|text| Json::Text(text.to_owned())),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Option<Json> {
        self.take('{')?;
        let mut fields = Vec::new();
        while self.take('}').is_none() {
            if !fields.is_empty() {
                self.take(',')?;
            }
            self.rest = self.rest.trim_start();
            let name = self.string()?;
            self.take(':')?;
            fields.push((name.trim_matches('"').to_owned(), self.value()?));
        }
        Some(Json::Object(fields))
    }

    fn array(&mut self) -> Option<Json> {
        self.take('[')?;
        let mut items = Vec::new();
        while self.take(']').is_none() {
            if !items.is_empty() {
                self.take(',')?;
            }
            items.push(self.value()?);
        }
        Some(Json::Array(items))
    }

    fn string(&mut self) -> Option<&'a str> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find_map(|(position, char)| {
            let closes = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            closes.then_some(position)
        })?;
        let (text, rest) = self.rest.strip_prefix('"').map(|_| self.rest.split_at(end + 1))?;
        self.rest = rest;
        Some(text)
    }

    fn word(&mut self) -> Option<Json> {
        let end =
            self.rest.find(|char: char| !char.is_ascii_alphanumeric() && !"+-.".contains(char));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let known = matches!(word, "true" | "false" | "null") || word.parse::<f64>().is_ok();
        self.rest = rest;
        known.then(|| Json::Word(word.to_owned()))
    }

    fn take(&mut self, char: char) -> Option<()> {
        let trimmed = self.rest.trim_start();
        self.rest = trimmed.strip_prefix(char)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_spelling_are_kept() {
        let text = r#"{"b":[1,{"a":"\u003c\"x"}],"a":{},"c":null,"d":[]}"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.compact(), text);
        assert_eq!(
            json.lines(),
            [".b[0] = 1", r#".b[1].a = "\u003c\"x""#, ".a = {}", ".c = null", ".d = []"]
                .map(str::to_owned)
        );
        assert_ne!(Json::parse(r#"{"a":1,"b":2}"#), Json::parse(r#"{"b":2,"a":1}"#));
        assert_ne!(Json::parse(r#""<""#), Json::parse(r#""\u003c""#));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "{\"a\":}", "[1,]", "{} x", "nul", "404 page not found", "\"open"] {
            assert_eq!(Json::parse(text), None, "{text}");
        }
        assert_eq!(Json::parse(&"[".repeat(5000)), None);
    }
}
