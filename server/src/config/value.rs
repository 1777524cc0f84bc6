//! What values look like, and reading them: one set of rules for the command line, the environment and the file.
//!
//! Invariant: a text that passes `Kind::check` can be read by the functions below for that kind.
//! Booleans and durations are read as Go reads them, because scripts written for etcd hold them.

use std::time::Duration;

use super::cluster::InitialCluster;
use super::urls;

/// What a value of a flag looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// True or false; on the command line the flag alone means true.
    Bool,
    /// A number of things, 0 or more.
    Count,
    /// A number that may be negative.
    Integer,
    /// A whole number of milliseconds.
    Millis,
    /// A duration with its unit.
    Duration,
    /// Any text.
    Text,
    /// A path.
    Path,
    /// One URL, whose form is checked with its use.
    Url,
    /// URLs separated by commas.
    Urls,
    /// Words separated by commas.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Members as `name=url`, separated by commas.
    Cluster,
    /// Whatever; on the command line only after `=`.
    Anything,
}

impl Kind {
    /// What stands for a value in the manual.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Bool => "true|false",
            Self::Count | Self::Integer => "N",
            Self::Millis => "MS",
            Self::Duration => "DURATION",
            Self::Text | Self::Anything => "TEXT",
            Self::Path => "PATH",
            Self::Url => "URL",
            Self::Urls => "URL,..",
            Self::List => "WORD,..",
            Self::Choice(_) => "WORD",
            Self::Cluster => "NAME=URL,..",
        }
    }

    /// Whether the flag alone, with no value after it, is complete.
    pub fn stands_alone(self) -> bool {
        matches!(self, Self::Bool | Self::Anything)
    }

    /// The truth a text stands for, if values of this kind are true or false.
    pub(super) fn parsed_bool(self, text: &str) -> Option<bool> {
        if self == Self::Bool { boolean(text) } else { None }
    }

    /// Whether an empty value is the same as none.
    pub fn empty_is_unset(self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::Path
                | Self::Url
                | Self::Urls
                | Self::List
                | Self::Cluster
                | Self::Anything
        )
    }

    /// Whether `text` is such a value; if not, what is expected.
    pub fn check(self, text: &str) -> Result<(), String> {
        let expected = match self {
            Self::Bool if boolean(text).is_none() => "expected true or false".to_owned(),
            Self::Count if text.parse::<u64>().is_err() => {
                "expected a whole number, 0 or more".to_owned()
            }
            Self::Integer if text.parse::<i64>().is_err() => "expected a whole number".to_owned(),
            Self::Millis if text.parse::<u32>().is_err() => {
                "expected a whole number of milliseconds, such as 100, without a unit".to_owned()
            }
            Self::Duration if duration(text).is_none() => {
                "expected a duration with its unit, such as 5s, 100ms or 1h30m".to_owned()
            }
            Self::Choice(words) if !words.contains(&text) => {
                format!("expected one of {}", words.join(", "))
            }
            Self::Urls => {
                return items(text)
                    .try_for_each(urls::check_syntax)
                    .map_err(|error| error.to_string());
            }
            Self::Cluster => {
                return InitialCluster::parse(text).map(drop).map_err(|error| error.to_string());
            }
            _ => return Ok(()),
        };
        Err(expected)
    }
}

/// Reads a boolean from Go's set.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads a duration as Go writes one: numbers with units, such as `1h30m` or `1.5s`; 0 needs no unit.
/// `None` for anything else, for negative ones, and for more than 584 years.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_len);
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        total = total.checked_add(quantity(number, unit_nanos(unit)?)?)?;
        rest = after;
    }
    (!text.is_empty() && text != "+").then_some(total)
}

/// The words of a list: separated by commas, without spaces around them, empty ones left out.
pub fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` times `unit` nanoseconds, where the number may have a fraction. Digits of the fraction that the unit
/// cannot express are dropped, as Go drops them.
fn quantity(number: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.chars() {
        place /= 10;
        nanos = nanos.checked_add(place.checked_mul(u64::from(digit.to_digit(10)?))?)?;
    }
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let good = [
            ("5s", 5_000_000_000),
            ("100ms", 100_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("0", 0),
            ("0s", 0),
            ("+2us", 2_000),
            ("3µs", 3_000),
            ("7ns", 7),
        ];
        for (text, nanos) in good {
            assert_eq!(duration(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "+",
            "-1s",
            "5 s",
            "5d",
            ".s",
            "1..5s",
            "1.5.5s",
            "99999999999999h",
            "5ss",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn booleans_are_gos() {
        for text in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(boolean(text), Some(true));
        }
        for text in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(boolean(text), Some(false));
        }
        for text in ["", "yes", "on", "tRUE", "2", " true"] {
            assert_eq!(boolean(text), None, "{text:?}");
        }
    }

    #[test]
    fn lists_drop_spaces_and_gaps() {
        assert_eq!(items(" a, b ,,c").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(items("").count(), 0);
    }
}
