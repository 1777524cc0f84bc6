//! Golden dialogues of the registry: the scripts in `testdata/` say what is asked (`> request`) and what must come out.
//!
//! After a wanted change run `QUORATE_RECORD=1 cargo test -p quorate-discovery --test registry_dialogues` and read the difference in
//! review. Time stands still but for `+SECONDS`; a token has 60 s to form, 10 s of grace, 100 s of rest and 100 s of memory.

#![expect(clippy::unwrap_used, reason = "a broken script or a value that cannot be fails the test")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_discovery::registry::capability::SECRET_BYTES;
use quorate_discovery::registry::{
    Capability, Claim, ClusterSize, Grants, MemberKey, Moment, Refusal, Rules, Scope, Secret,
    Token, Waits,
};

const RULES: Rules = Rules {
    token_ttl: Duration::from_secs(60),
    seal_grace: Duration::from_secs(10),
    sealed_ttl: Duration::from_secs(100),
    memory: Duration::from_secs(100),
};

#[test]
fn dialogues_go_as_written() {
    let is_recording = std::env::var_os("QUORATE_RECORD").is_some();
    for path in scripts() {
        let text = std::fs::read_to_string(&path).unwrap();
        let actual = replay(&text);
        if is_recording {
            std::fs::write(&path, &actual).unwrap();
            continue;
        }
        for (number, (written, got)) in text.lines().zip(actual.lines()).enumerate() {
            assert_eq!(written, got, "{}:{}", path.display(), number + 1);
        }
        assert_eq!(text.lines().count(), actual.lines().count(), "{}", path.display());
    }
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "txt"));
    paths.sort();
    assert!(!paths.is_empty(), "the dialogues are missing");
    paths
}

/// Comments, empty lines and requests are kept; answers are made anew.
fn replay(text: &str) -> String {
    let mut desk = Desk { token: token(3), now: Moment(1_800_000_000_000) };
    let mut out = String::new();
    for line in text.lines() {
        if let Some(request) = line.strip_prefix("> ") {
            out.push_str(&format!("{line}\n{}\n", desk.answer(request)));
        } else if line.is_empty() || line.starts_with('#') {
            out.push_str(&format!("{line}\n"));
        }
    }
    out
}

fn token(size: u64) -> Token {
    let secret = |capability, byte| Secret::new(capability, [byte; SECRET_BYTES]);
    let join = secret(Capability::Join, 2);
    let grants = Grants::of(&secret(Capability::Admin, 1), &join, &secret(Capability::Read, 3));
    let now = Moment(1_800_000_000_000);
    Token::new(
        join.token_id().unwrap(),
        ClusterSize::new(size).unwrap(),
        grants,
        now,
        RULES.token_ttl,
    )
}

struct Desk {
    token: Token,
    now: Moment,
}

impl Desk {
    fn answer(&mut self, request: &str) -> String {
        let words: Vec<&str> = request.split(' ').collect();
        match self.attempt(&words) {
            Ok(text) => format!(
                "{text} | {} index {} floor {}",
                self.token.stage(self.now).name(),
                self.token.index,
                self.token.floor
            ),
            Err(refusal) => {
                let (status, code, _) = refusal.v2();
                format!("{} {status}/{code} {}: {refusal}", refusal.code(), refusal.status())
            }
        }
    }

    fn attempt(&mut self, words: &[&str]) -> Result<String, Refusal> {
        let (now, rules) = (self.now, &RULES);
        match *words {
            ["size", size] => {
                let size = ClusterSize::parse(size)?;
                self.token = Token { size, ..token(3) };
                Ok("made".to_owned())
            }
            ["+", seconds] => {
                self.now = now.after(Duration::from_secs(seconds.parse().unwrap()));
                Ok(self.now.to_string())
            }
            ["register", member, value] => {
                let claim = Claim::from_value(MemberKey::parse(member)?, value)?;
                let done = self.token.register(&claim, now, rules)?;
                let formed =
                    done.time_to_form().map(|it| format!(" formed in {it:?}")).unwrap_or_default();
                let kind = if done.change.is_some() { "new" } else { "again" };
                self.token = done.change.unwrap_or_else(|| self.token.clone());
                Ok(format!("{kind} {} at {}{formed}", done.entry.value(), done.entry.index))
            }
            ["poll", who, since] => {
                let scope =
                    if who == "all" { Scope::All } else { Scope::Member(MemberKey::parse(who)?) };
                let waits = Waits { scope, since: since.parse().unwrap() };
                let event = self.token.poll(&waits, now)?;
                Ok(event.map_or("waits".to_owned(), |entry| {
                    format!("{} at {}", entry.value(), entry.index)
                }))
            }
            ["started", member] => {
                let change = self.token.started(&MemberKey::parse(member)?, now)?;
                self.store(change)
            }
            ["kept"] => {
                let change = self.token.kept(now, rules);
                self.store(change)
            }
            ["remove", member] => self
                .token
                .remove(&MemberKey::parse(member)?, now)
                .map(Some)
                .and_then(|it| self.store(it)),
            ["reopen"] => self
                .token
                .reopen(now, rules.token_ttl, false)
                .map(Some)
                .and_then(|it| self.store(it)),
            ["reopen", "force"] => self
                .token
                .reopen(now, rules.token_ttl, true)
                .map(Some)
                .and_then(|it| self.store(it)),
            ["revoke"] => {
                let change = self.token.revoke(now);
                self.store(change)
            }
            ["sweep"] => Ok(format!("forget: {}", self.token.may_be_forgotten(now, rules))),
            _ => panic!("no such request: {words:?}"),
        }
    }

    fn store(&mut self, change: Option<Token>) -> Result<String, Refusal> {
        let text = if change.is_some() { "stored" } else { "unchanged" };
        // As it comes back from the store.
        let stored = change
            .map(|token| serde_json::from_str(&serde_json::to_string(&token).unwrap()).unwrap());
        self.token = stored.unwrap_or_else(|| self.token.clone());
        Ok(text.to_owned())
    }
}
