//! `machine`: commands and rosters over few keys, so that they meet.
//!
//! The input is decisions. Promises: two members that apply the same batches answer the same and hold the same; one that
//! is replaced by its own snapshot on the way is no exception; watchers that look into the history get events that
//! match, in order; expiry leaves nothing behind.

use quorate_core::{
    Applied, Batch, Command, Key, Machine, MemberId, Proposal, Roster, RosterMember, Stamp, Ttl,
    Value, WatchSpec,
};

use super::{restored, shown, snapshot};
use crate::choices::Choices;

const SEGMENTS: [&[u8]; 8] = [b"a", b"b", b"c", b"_h", b"..", b"\xff", b"a!", b"\""];
const VALUES: [&[u8]; 5] = [b"", b"1", b"2", b"\xff\n\x00", b"<&>"];
/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// Batches of one input; longer ones find nothing that these do not.
const BATCHES_MAX: usize = 32;

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (mut first, mut second) = (Machine::new(), Machine::new());
    let mut now = START;
    for _ in 0..BATCHES_MAX {
        if choices.is_done() {
            break;
        }
        match choices.byte() {
            255 => {
                let roster = roster(&mut choices);
                first.apply_roster(&roster);
                second.apply_roster(&roster);
            }
            254 => {
                let piece = 1 + choices.below(100);
                second = restored(&snapshot(&second), piece).expect("a snapshot restores");
            }
            253 => now = choices.number(),
            pause => {
                now = now.saturating_add(u64::from(pause % 4) * SECOND);
                apply(&mut first, &mut second, &batch(&mut choices, Stamp(now)));
            }
        }
        assert_eq!(first.index(), second.index());
        assert_eq!(first.next_expiry(), second.next_expiry());
    }
    assert_eq!(first.members(), second.members());
    assert_eq!(shown(&first), shown(&second));
    assert_eq!(snapshot(&first), snapshot(&second));
    check_history(&first, &second, &mut choices);
    first.apply(Stamp(u64::MAX), &Command::Expire);
    assert_eq!(first.next_expiry(), None);
}

/// Both get the batch as the log holds it.
fn apply(first: &mut Machine, second: &mut Machine, batch: &Batch) {
    let bytes = batch.encode();
    let batch = Batch::decode(bytes.clone()).expect("our own encoding");
    let same = Batch::decode(bytes).expect("our own encoding");
    for (one, other) in batch.proposals.iter().zip(&same.proposals) {
        let before = first.index();
        let (one, other) =
            (first.apply(batch.stamp, &one.command), second.apply(same.stamp, &other.command));
        assert_eq!(told(&one), told(&other));
        assert!(one.outcome.is_ok() || first.index() == before, "a failure moved the index");
    }
}

/// What a command's proposer and the watchers hear of it.
fn told(applied: &Applied) -> Vec<Vec<u8>> {
    let mut told = Vec::new();
    match &applied.outcome {
        Ok(event) => {
            told.push(format!("{} {}", event.index, event.is_created()).into_bytes());
            told.push(event.json().to_vec());
        }
        Err(error) => {
            let mut body = Vec::new();
            error.write_json(&mut body);
            told.push(body);
        }
    }
    told.extend(applied.events().map(|event| event.json().to_vec()));
    told
}

fn check_history(first: &Machine, second: &Machine, choices: &mut Choices<'_>) {
    let key = key(choices);
    let mut spec = WatchSpec { key, recursive: choices.flag(), since: choices.number() };
    loop {
        let (one, other) = (first.scan_history(&spec), second.scan_history(&spec));
        let event = match (one, other) {
            (Ok(Some(one)), Ok(Some(other))) => {
                assert_eq!(one.json(), other.json());
                one
            }
            (one, other) => {
                assert_eq!(one.map(|_| ()), other.map(|_| ()));
                return;
            }
        };
        assert!(spec.matches(&event) && event.index.0 >= spec.since);
        spec.since = event.index.0 + 1;
    }
}

fn batch(choices: &mut Choices<'_>, stamp: Stamp) -> Batch {
    let count = 1 + choices.below(3);
    let proposals = (0..count).map(|at| Proposal {
        origin: MemberId(1 + at as u64),
        request: at as u64,
        command: command(choices),
    });
    Batch { stamp, proposals: proposals.collect() }
}

fn command(choices: &mut Choices<'_>) -> Command {
    let which = choices.below(12);
    let key = key(choices);
    let bits = choices.byte();
    let (dir, refresh) = (bits & 1 != 0, bits & 2 != 0);
    match which {
        0 | 1 => Command::Set { key, value: value(choices), dir, ttl: ttl(choices), refresh },
        2 => Command::Create { key, value: value(choices), dir, ttl: ttl(choices) },
        3 => Command::CreateInOrder { key, value: value(choices), dir, ttl: ttl(choices) },
        4 => Command::Update { key, value: value(choices), ttl: ttl(choices), refresh },
        5 => {
            let (prev_value, prev_index) = expected(choices, bits);
            let (value, ttl) = (value(choices), ttl(choices));
            Command::CompareAndSwap { key, prev_value, prev_index, value, ttl, refresh }
        }
        6 => Command::Delete { key, dir, recursive: refresh },
        7 => {
            let (prev_value, prev_index) = expected(choices, bits);
            Command::CompareAndDelete { key, prev_value, prev_index }
        }
        8 | 9 => Command::Expire,
        10 => Command::Publish {
            member: MemberId(u64::from(bits % 5)),
            name: format!("n{}", bits % 3),
            client_urls: vec!["http://c.example:2379".to_owned()],
            incarnation: choices.number(),
        },
        _ => Command::ClusterVersion { version: format!("3.{}.0", bits % 3) },
    }
}

fn key(choices: &mut Choices<'_>) -> Key {
    let mut raw = Vec::new();
    for _ in 0..choices.below(6) {
        raw.push(b'/');
        raw.extend_from_slice(choices.pick::<&[u8]>(&SEGMENTS));
    }
    Key::parse(&raw).expect("a short key is not too deep")
}

fn value(choices: &mut Choices<'_>) -> Value {
    Value::new(choices.pick::<&[u8]>(&VALUES))
}

fn ttl(choices: &mut Choices<'_>) -> Ttl {
    if choices.flag() { Ttl::Seconds(choices.number()) } else { Ttl::Permanent }
}

fn expected(choices: &mut Choices<'_>, bits: u8) -> (Option<Value>, u64) {
    let value = (bits & 4 != 0).then(|| value(choices));
    let index = if bits & 8 != 0 { choices.number() } else { 0 };
    (value, index)
}

fn roster(choices: &mut Choices<'_>) -> Roster {
    let (present, learners) = (choices.byte(), choices.byte());
    let members = (0..5_u64).filter(|id| present & (1 << id) != 0).map(|id| RosterMember {
        id: MemberId(id),
        peer_urls: vec![format!("http://p{}.example:2380", id + u64::from(learners >> 5))],
        is_learner: learners & (1 << id) != 0,
    });
    Roster { members: members.collect() }
}
