//! What a log line looks like: text for people, or JSON with the keys etcd's zap logger uses.
//!
//! Invariant: one event is one line, whatever text of a client or of the system is in it.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;

/// Formats events.
pub(super) struct Line {
    pub(super) format: LogFormat,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        match self.format {
            LogFormat::Text => write_text(out, event.metadata(), &fields),
            LogFormat::Json => write_json(out, event.metadata(), fields),
        }
    }
}

/// The message and the other fields of one event, in the order they were given.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::String(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::from(value));
    }
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }
}

fn write_text(mut out: Writer<'_>, about: &Metadata<'_>, fields: &Fields) -> fmt::Result {
    SystemTime.format_time(&mut out)?;
    let level = about.level();
    if out.has_ansi_escapes() {
        write!(out, " \u{1b}[{}m{:5}\u{1b}[0m ", colour(level), level.as_str())?;
    } else {
        write!(out, " {:5} ", level.as_str())?;
    }
    let target = about.target();
    write!(out, "{}: ", target.strip_prefix("quorate_server::").unwrap_or(target))?;
    write_escaped(&mut out, &fields.message)?;
    for (name, value) in &fields.others {
        write!(out, " {name}=")?;
        match value {
            Value::String(text) if is_bare(text) => out.write_str(text)?,
            Value::String(text) => write!(out, "{text:?}")?,
            other => write!(out, "{other}")?,
        }
    }
    out.write_char('\n')
}

fn write_json(mut out: Writer<'_>, about: &Metadata<'_>, fields: Fields) -> fmt::Result {
    let mut ts = String::new();
    SystemTime.format_time(&mut Writer::new(&mut ts))?;
    let mut line = Map::new();
    // First, so that no field can take the place of the keys below.
    for (name, value) in fields.others {
        line.insert(name.to_owned(), value);
    }
    line.insert("level".to_owned(), about.level().as_str().to_ascii_lowercase().into());
    line.insert("ts".to_owned(), ts.into());
    line.insert("logger".to_owned(), about.target().into());
    if let (Some(file), Some(number)) = (about.file(), about.line()) {
        line.insert("caller".to_owned(), format!("{}:{number}", short(file)).into());
    }
    line.insert("msg".to_owned(), fields.message.into());
    writeln!(out, "{}", Value::Object(line))
}

/// The file with its directory, as zap shortens it.
fn short(file: &str) -> &str {
    let mut slashes = file.rmatch_indices('/').map(|(at, _)| at + 1);
    slashes.nth(1).and_then(|start| file.get(start..)).unwrap_or(file)
}

/// Keeps what a client wrote from breaking the line or steering a terminal.
fn write_escaped(out: &mut Writer<'_>, text: &str) -> fmt::Result {
    for letter in text.chars() {
        if letter.is_control() {
            write!(out, "{}", letter.escape_default())?;
        } else {
            out.write_char(letter)?;
        }
    }
    Ok(())
}

/// Whether a value can stand without quotes.
fn is_bare(text: &str) -> bool {
    !text.is_empty()
        && !text
            .contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '"')
}

fn colour(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        _ => 34,
    }
}
