//! Reads and replays one dialogue: parses command lines, keeps the machine and its watchers, prints what comes out.
//!
//! Words are separated by spaces; `%41` in a word stands for the byte it names. A faulty script panics: it is part of
//! the test.

use quorate_core::snapshot::Restore;
use quorate_core::{
    Applied, Command, Key, Machine, MemberId, Roster, RosterMember, Stamp, StoreError, Ttl, Value,
    WatchSpec,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// 2026-01-01T00:00:00Z: second 0 of every dialogue.
const SECOND_ZERO: u64 = 1_767_225_600;

/// Returns the script with the output lines replaced by what comes out now. Comments and blank lines stay.
pub(crate) fn replay(text: &str) -> String {
    let mut stage = Stage::new();
    let mut replayed = String::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            let _ = write!(replayed, "{line}\n{}", stage.run(command));
        } else if line.is_empty() || line.starts_with('#') {
            let _ = writeln!(replayed, "{line}");
        }
    }
    replayed
}

struct Stage {
    machine: Machine,
    now: Stamp,
    watchers: BTreeMap<String, WatchSpec>,
}

/// One command line, taken apart.
struct Line {
    verb: String,
    words: Vec<Vec<u8>>,
    options: BTreeMap<String, Vec<u8>>,
}

impl Stage {
    fn new() -> Self {
        let mut stage = Self { machine: Machine::new(), now: Stamp(0), watchers: BTreeMap::new() };
        for command in ["at 0", "roster 1", "publish 1 one 1", "version 3.4.0"] {
            stage.run(command);
        }
        stage
    }

    fn run(&mut self, command: &str) -> String {
        let line = Line::parse(command);
        match line.verb.as_str() {
            "at" => {
                let second: f64 = line.text(0).parse().unwrap();
                self.now = Stamp(SECOND_ZERO * 1_000_000_000 + (second * 1e9) as u64);
                String::new()
            }
            "get" => self.read(&line),
            "watch" => self.watch(&line),
            "history" => self.history(&line.watch_spec(0)),
            "roster" => self.roster(&line),
            "members" => self.members(),
            "restart" => self.restart(),
            "next-expiry" => format!("{:?}\n", self.machine.next_expiry().map(Stamp::rfc3339)),
            _ => self.apply(&line.command()),
        }
    }

    fn apply(&mut self, command: &Command) -> String {
        let applied = self.machine.apply(self.now, command);
        let mut text = match &applied.outcome {
            Ok(event) if event.action.name() == "internal" => {
                format!("index {}\n", self.machine.index())
            }
            Ok(event) => {
                let status = if event.is_created() { 201 } else { 200 };
                format!("{status} {}", String::from_utf8_lossy(&event.json()))
            }
            Err(error) => error_text(error),
        };
        text.push_str(&self.wake_watchers(&applied));
        text
    }

    fn wake_watchers(&self, applied: &Applied) -> String {
        let mut text = String::new();
        for event in applied.events() {
            for (name, spec) in &self.watchers {
                if spec.matches(event) {
                    let _ = write!(text, "  {name}: {}", String::from_utf8_lossy(&event.json()));
                }
            }
        }
        text
    }

    fn read(&self, line: &Line) -> String {
        let mut out = Vec::new();
        match self.machine.write_get(&line.key(0), line.flag("recursive"), self.now, &mut out) {
            Ok(()) => format!("200 {}", String::from_utf8(out).unwrap()),
            Err(error) => error_text(&error),
        }
    }

    fn watch(&mut self, line: &Line) -> String {
        self.watchers.insert(line.text(0), line.watch_spec(1));
        String::new()
    }

    fn history(&self, spec: &WatchSpec) -> String {
        match self.machine.scan_history(spec) {
            Ok(Some(event)) => String::from_utf8(event.json().to_vec()).unwrap(),
            Ok(None) => "wait\n".to_owned(),
            Err(error) => error_text(&error),
        }
    }

    fn roster(&mut self, line: &Line) -> String {
        // `1`, `2:learner`, `3@http://other`.
        let members = (0..line.words.len()).map(|at| {
            let word = line.text(at);
            let (rest, is_learner) =
                word.strip_suffix(":learner").map_or((word.as_str(), false), |rest| (rest, true));
            let (id, url) = rest.split_once('@').unwrap_or((rest, "http://peer"));
            RosterMember {
                id: MemberId(id.parse().unwrap()),
                peer_urls: vec![url.to_owned()],
                is_learner,
            }
        });
        self.machine.apply_roster(&Roster { members: members.collect() });
        format!("index {}\n", self.machine.index())
    }

    fn members(&self) -> String {
        let members = self.machine.members();
        let mut text = String::new();
        for member in members.iter() {
            let _ = writeln!(text, "{member:?}");
        }
        let removed: Vec<String> = members.removed().map(|id| id.to_string()).collect();
        let _ = writeln!(text, "removed {removed:?} version {:?}", members.cluster_version());
        text
    }

    /// Goes on from a snapshot, as a restarted member does.
    fn restart(&mut self) -> String {
        let mut restore = Restore::new();
        self.machine.snapshot().for_each(|chunk| restore.feed(&chunk).unwrap());
        self.machine = restore.finish().unwrap();
        String::new()
    }
}

impl Line {
    fn parse(line: &str) -> Self {
        let mut parts = line.split(' ');
        let verb = parts.next().unwrap().to_owned();
        let (mut words, mut options) = (Vec::new(), BTreeMap::new());
        for part in parts {
            match part.split_once('=') {
                Some((name, value)) if !part.starts_with('/') => {
                    options.insert(name.to_owned(), unescape(value));
                }
                _ => words.push(unescape(part)),
            }
        }
        Self { verb, words, options }
    }

    fn command(&self) -> Command {
        let key = || self.key(0);
        let value = Value::from(self.options.get("value").cloned().unwrap_or_default());
        let ttl = self.number("ttl").map_or(Ttl::Permanent, Ttl::Seconds);
        let dir = self.flag("dir");
        let refresh = self.flag("refresh");
        let prev_value = self.options.get("prevValue").cloned().map(Value::from);
        let prev_index = self.number("prevIndex").unwrap_or(0);
        match self.verb.as_str() {
            "set" => Command::Set { key: key(), value, dir, ttl, refresh },
            "create" => Command::Create { key: key(), value, dir, ttl },
            "post" => Command::CreateInOrder { key: key(), value, dir, ttl },
            "update" => Command::Update { key: key(), value, ttl, refresh },
            "cas" => {
                Command::CompareAndSwap { key: key(), prev_value, prev_index, value, ttl, refresh }
            }
            "delete" => Command::Delete { key: key(), dir, recursive: self.flag("recursive") },
            "cad" => Command::CompareAndDelete { key: key(), prev_value, prev_index },
            "expire" => Command::Expire,
            "publish" => Command::Publish {
                member: MemberId(self.text(0).parse().unwrap()),
                name: self.text(1),
                client_urls: vec!["http://client".to_owned()],
                incarnation: self.text(2).parse().unwrap(),
            },
            "version" => Command::ClusterVersion { version: self.text(0) },
            other => panic!("no such command: {other}"),
        }
    }

    fn watch_spec(&self, key_at: usize) -> WatchSpec {
        let since = self.number("since").unwrap_or(0);
        WatchSpec { key: self.key(key_at), recursive: self.flag("recursive"), since }
    }

    fn text(&self, at: usize) -> String {
        String::from_utf8(self.words[at].clone()).unwrap()
    }

    fn key(&self, at: usize) -> Key {
        Key::parse(&self.words[at]).unwrap()
    }

    fn flag(&self, name: &str) -> bool {
        self.words.iter().any(|word| word == name.as_bytes())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.options.get(name).map(|digits| String::from_utf8_lossy(digits).parse().unwrap())
    }
}

fn error_text(error: &StoreError) -> String {
    let mut body = Vec::new();
    error.write_json(&mut body);
    format!("{} {}", error.code.http_status(), String::from_utf8(body).unwrap())
}

fn unescape(word: &str) -> Vec<u8> {
    let mut parts = word.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}
