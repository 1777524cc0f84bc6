//! Which values were given, and by whom: the layers laid over each other, still as text.
//!
//! Invariant: a value here is of its flag's kind, stands under its flag's present name, and won over every other
//! layer that gave one. Left out: reading the layers (`argv`, `environment`, `file`) and typing them (`build`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::error::ConfigError;
use super::flags::{self, Flag, Meaning};

/// Where a value came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// A flag.
    CommandLine,
    /// The environment variable of this name.
    Environment(String),
    /// A line of the configuration file.
    File {
        /// The file, as its path was given.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// Made from another value, as the text says.
    Derived(&'static str),
    /// Nothing was given.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => out.write_str("command line"),
            Self::Environment(variable) => write!(out, "environment {variable}"),
            Self::File { path, line } => write!(out, "{}:{line}", path.display()),
            Self::Derived(from) => write!(out, "default, {from}"),
            Self::Default => out.write_str("default"),
        }
    }
}

/// One value as a layer gave it.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// The flag it was given for, perhaps by an old name.
    pub(super) flag: &'static Flag,
    pub(super) text: String,
    pub(super) origin: Origin,
}

impl Given {
    /// The name the person wrote, for messages.
    pub(super) fn written(&self) -> String {
        match (&self.origin, self.flag.file_key()) {
            (Origin::Environment(variable), _) => variable.clone(),
            (Origin::File { .. }, Some((Some(block), key))) => format!("{block}: {key}"),
            (Origin::File { .. }, _) => self.flag.name.to_owned(),
            _ => format!("--{}", self.flag.name),
        }
    }

    fn is_unset(&self) -> bool {
        self.text.is_empty() && self.flag.kind.empty_is_unset()
    }
}

/// The values that won, and what is to be said about those that did not.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, (String, Origin)>,
    warnings: Vec<String>,
}

impl Settings {
    /// Lays the layers over each other, the strongest first, and judges what each flag means here.
    pub(super) fn merge(layers: Vec<Vec<Given>>) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        for mut layer in layers {
            // Within a layer the present name of a flag wins over its old one.
            layer.sort_by_key(|given| matches!(given.flag.meaning, Meaning::OldName(_)));
            for given in layer {
                settings.add(given)?;
            }
        }
        Ok(settings)
    }

    /// The text given for a flag; `None` if nothing was.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(text, _)| text.as_str())
    }

    /// The text given for a flag, or else its default.
    pub fn text(&self, name: &str) -> &str {
        self.given(name).unwrap_or_else(|| flags::find(name).map_or("", |flag| flag.default))
    }

    /// Where the value of a flag came from.
    pub fn origin(&self, name: &str) -> Origin {
        self.values.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// What the person should know, in the order it was found.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Notes a value that follows from others.
    pub(super) fn derive(&mut self, name: &'static str, text: String, from: &'static str) {
        self.values.insert(name, (text, Origin::Derived(from)));
    }

    pub(super) fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    fn add(&mut self, given: Given) -> Result<(), ConfigError> {
        let flag = given.flag.canonical();
        if let Some((_, winner)) = self.values.get(flag.name) {
            if let (Origin::CommandLine, Origin::Environment(variable)) = (winner, &given.origin) {
                let line = format!(
                    "{variable} is not used: --{} on the command line wins over it",
                    flag.name
                );
                self.warnings.push(line);
            }
            return Ok(());
        }
        if given.is_unset() {
            return refuse_dangerous_gap(&given);
        }
        given.flag.kind.check(&given.text).map_err(|expected| ConfigError::InvalidValue {
            written: given.written(),
            value: given.text.clone(),
            origin: given.origin.clone(),
            expected,
        })?;
        self.judge(&given, flag)?;
        self.values.insert(flag.name, (given.text, given.origin));
        Ok(())
    }

    fn judge(&mut self, given: &Given, flag: &'static Flag) -> Result<(), ConfigError> {
        let (written, origin) = (given.written(), given.origin.clone());
        match flag.meaning {
            Meaning::NotYet(family) if !is_neutral(flag, &given.text) => {
                return Err(ConfigError::NotYet { written, origin, family });
            }
            Meaning::Refused(instead) => {
                return Err(ConfigError::Refused { written, origin, instead });
            }
            Meaning::Ignored(why) => {
                self.warn(format!("{written} ({origin}) has no effect: {why}"));
            }
            Meaning::Fixed { value, why }
                if given.text != value
                    && (flag.kind.parsed_bool(&given.text) != flag.kind.parsed_bool(value)
                        || flag.kind.parsed_bool(value).is_none()) =>
            {
                self.warn(format!("{written} ({origin}) has no effect: {why}"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether the text asks for nothing, such as `--auto-tls=false` or `--proxy=off`.
fn is_neutral(flag: &Flag, text: &str) -> bool {
    text == flag.default || (flag.kind.parsed_bool(text) == Some(false))
}

/// An empty value means that none was given, except where the default would be a surprise: a start script whose
/// variable expanded to nothing must not form a cluster of one.
fn refuse_dangerous_gap(given: &Given) -> Result<(), ConfigError> {
    let advice = match given.flag.name {
        "initial-cluster" => {
            "list the members, or leave it out to form a cluster of this member alone"
        }
        "name" => "name this member, or leave it out to be called \"default\"",
        _ => return Ok(()),
    };
    Err(ConfigError::Empty { written: given.written(), origin: given.origin.clone(), advice })
}
