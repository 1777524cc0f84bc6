//! Answers with everything taken out that differs between two clusters that behave alike, and nothing else.
//!
//! Taken out: cluster and member ids, ports, the date, raft's own index and term, the order of children where the API
//! leaves it open. Times and TTLs are taken out as well, but kept beside the lines, to be compared with a tolerance.

use std::time::Duration;

use quorate_harness::{Answer, Ending, Framing, Request};

use crate::json::Json;
use crate::side::Side;

/// Two servers are asked one after the other; on a loaded machine there may be a second between them.
pub const EXPIRATION_TOLERANCE: Duration = Duration::from_secs(3);

/// Go announces the length of bodies up to this size and sends longer ones in chunks; clients cannot depend on which.
const GO_BUFFER: usize = 2048;
const LENGTH_ANNOUNCED: &str = "(the body's length is announced)";

/// An answer, made comparable.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Normal {
    /// Status line, headers by name, body value by value.
    pub lines: Vec<String>,
    /// Expirations in nanoseconds since 1970, in order of appearance.
    pub expirations: Vec<i128>,
    /// TTLs in seconds, in order of appearance.
    pub ttls: Vec<i64>,
}

impl Normal {
    /// Makes an answer to `request` comparable.
    pub fn of(answer: &Answer, request: &Request, side: &Side) -> Self {
        let mut normal = Self::default();
        normal.lines.push(answer.status_line.clone());
        let mut headers: Vec<String> = answer
            .headers
            .iter()
            .map(|(name, value)| header(name, value, answer, request, side))
            .collect();
        headers.sort();
        normal.lines.append(&mut headers);
        if answer.ending == Ending::Premature {
            normal.lines.push("(the connection ended before the body did)".to_owned());
        }
        normal.push_body(&answer.text(), is_sorted(request), side);
        normal
    }

    /// Makes one event of a stream comparable.
    pub fn of_event(line: &str, side: &Side) -> Self {
        let mut normal = Self::default();
        normal.push_body(line, false, side);
        normal
    }

    /// What differs: lines of this one after `-`, of the other one after `+`. Empty when nothing does.
    pub fn differences(&self, other: &Self, ttl_tolerance: i64) -> Vec<String> {
        let mut found = changed_lines(&self.lines, &other.lines);
        if self.expirations.len() == other.expirations.len() {
            for (one, two) in self.expirations.iter().zip(&other.expirations) {
                if one.abs_diff(*two) > EXPIRATION_TOLERANCE.as_nanos() {
                    found.push(format!("expirations are too far apart: {one} and {two} ns"));
                }
            }
        }
        for (one, two) in self.ttls.iter().zip(&other.ttls) {
            if (one - two).abs() > ttl_tolerance {
                found.push(format!("- ttl {one}"));
                found.push(format!("+ ttl {two}"));
            }
        }
        found
    }

    fn push_body(&mut self, body: &str, sorted: bool, side: &Side) {
        let body = side.anonymous(body);
        match Json::parse(&body) {
            Some(mut json) => {
                if !sorted {
                    sort_children(&mut json);
                }
                self.extract(&mut json);
                self.lines.extend(json.lines());
                self.lines
                    .push(format!("(the body ends with {:?})", body.chars().last().unwrap_or(' ')));
            }
            None => self.lines.push(format!("body {body:?}")),
        }
    }

    fn extract(&mut self, json: &mut Json) {
        match json {
            Json::Array(items) => items.iter_mut().for_each(|item| self.extract(item)),
            Json::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), &mut *value) {
                        ("expiration", Json::Text(text)) => {
                            if let Some(time) = nanoseconds(text.trim_matches('"')) {
                                self.expirations.push(time);
                                "<time>".clone_into(text);
                            }
                        }
                        ("ttl", Json::Word(word)) => {
                            if let Ok(ttl) = word.parse() {
                                self.ttls.push(ttl);
                                "<ttl>".clone_into(word);
                            }
                        }
                        _ => self.extract(value),
                    }
                }
            }
            Json::Word(_) | Json::Text(_) => {}
        }
    }
}

/// Lines that are only in one of the two lists, in order, with a mark for the list they are from.
pub fn changed_lines(reference: &[String], subject: &[String]) -> Vec<String> {
    if reference == subject {
        return Vec::new();
    }
    let only = |mine: &[String], theirs: &[String], mark: &str| -> Vec<String> {
        mine.iter()
            .filter(|line| !theirs.contains(line))
            .map(|line| format!("{mark} {line}"))
            .collect()
    };
    let mut changed = only(reference, subject, "-");
    changed.extend(only(subject, reference, "+"));
    if changed.is_empty() {
        changed.push(format!("- order: {reference:?}"));
        changed.push(format!("+ order: {subject:?}"));
    }
    changed
}

/// Nanoseconds since 1970 of a time as Go's `RFC3339Nano` writes it in UTC; `None` for any other spelling.
pub fn nanoseconds(text: &str) -> Option<i128> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) =
        (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    let (time, fraction) =
        time.split_once('.').map_or((time, None), |(time, fraction)| (time, Some(fraction)));
    let mut time = time.splitn(3, ':');
    let (hour, minute, second) =
        (number(time.next()?, 2)?, number(time.next()?, 2)?, number(time.next()?, 2)?);
    let nanos = match fraction {
        Some(digits) if digits.is_empty() || digits.len() > 9 || digits.ends_with('0') => {
            return None;
        }
        Some(digits) => number(&format!("{digits:0<9}"), 9)?,
        None => 0,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
}

fn number(digits: &str, length: usize) -> Option<i64> {
    let plain = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Howard Hinnant's civil-calendar arithmetic.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn header(name: &str, value: &str, answer: &Answer, request: &Request, side: &Side) -> String {
    let is_number = value.parse::<u64>().is_ok_and(|it| it > 0);
    let shown = match name {
        "Date" if value.len() == 29 && value.ends_with(" GMT") => "<date>".to_owned(),
        "X-Raft-Index" | "X-Raft-Term" if is_number => "<number>".to_owned(),
        // Its agreement with the body is seen to by the client; the bodies are compared themselves.
        "Content-Length"
            if request.method() != "HEAD"
                && answer.framing == Framing::Length(answer.body.len()) =>
        {
            return LENGTH_ANNOUNCED.to_owned();
        }
        "Transfer-Encoding"
            if answer.framing == Framing::Chunked && answer.body.len() > GO_BUFFER =>
        {
            return LENGTH_ANNOUNCED.to_owned();
        }
        _ => side.anonymous(value),
    };
    format!("{name}: {shown}")
}

fn is_sorted(request: &Request) -> bool {
    let query = request.target().split_once('?').map_or("", |(_, query)| query);
    let last = query.split('&').find_map(|pair| pair.strip_prefix("sorted="));
    last.is_some_and(|value| matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True"))
}

fn sort_children(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(sort_children),
        Json::Object(fields) => {
            for (name, value) in fields {
                sort_children(value);
                match (name.as_str(), value) {
                    ("nodes", Json::Array(nodes)) => {
                        nodes.sort_by_cached_key(|it| it.field("key").map(Json::compact));
                    }
                    // Sorted by id on the wire, and ids differ.
                    ("members", Json::Array(members)) => {
                        members.sort_by_cached_key(|it| it.field("peerURLs").map(Json::compact));
                    }
                    _ => {}
                }
            }
        }
        Json::Word(_) | Json::Text(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_writes_them() {
        assert_eq!(nanoseconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(nanoseconds("2000-03-01T00:00:01.5Z"), Some(951_868_801_500_000_000));
        assert_eq!(nanoseconds("2026-11-23T12:37:02.61955142Z"), Some(1_795_437_422_619_551_420));
        for spelled in
            ["2000-03-01T00:00:01.50Z", "2000-03-01T00:00:01+00:00", "2000-3-1T00:00:01Z", "x"]
        {
            assert_eq!(nanoseconds(spelled), None, "{spelled}");
        }
    }

    #[test]
    fn changes_of_lines_and_of_their_order_are_seen() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(changed_lines(&lines("a b"), &lines("a b")).is_empty());
        assert_eq!(changed_lines(&lines("a b"), &lines("a c")), ["- b", "+ c"]);
        assert_eq!(changed_lines(&lines("a b"), &lines("b a")).len(), 2);
    }

    #[test]
    fn tolerances_end() {
        let at = |expiration: i128, ttl: i64| Normal {
            expirations: vec![expiration],
            ttls: vec![ttl],
            ..Normal::default()
        };
        assert!(at(0, 5).differences(&at(1_000_000_000, 5), 0).is_empty());
        assert_eq!(at(0, 5).differences(&at(9_000_000_000, 5), 0).len(), 1);
        assert_eq!(at(0, 5).differences(&at(0, 4), 0).len(), 2);
        assert!(at(0, 5).differences(&at(0, 4), 1).is_empty());
    }
}
