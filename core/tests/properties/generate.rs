//! Random commands over few keys and values, so that they meet.

use proptest::prelude::*;
use quorate_core::{Command, Key, MemberId, Stamp, Ttl, Value, WatchSpec};

/// A command and the seconds that pass before it.
pub(crate) type Step = (u64, Command);

pub(crate) fn key() -> impl Strategy<Value = Key> + Clone {
    let segment = prop_oneof![4 => Just("a"), 4 => Just("b"), 1 => Just("_h"), 1 => Just("a!"), 1 => Just("<é>")];
    prop::collection::vec(segment, 0..5)
        .prop_map(|segments| Key::parse(segments.join("/").as_bytes()).unwrap())
}

pub(crate) fn watch() -> impl Strategy<Value = WatchSpec> {
    (key(), any::<bool>(), 0..80_u64).prop_map(|(key, recursive, since)| WatchSpec {
        key,
        recursive,
        since,
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    (0..3_u64, command())
}

/// Second `second` of the test's time.
pub(crate) fn stamp(second: u64) -> Stamp {
    Stamp(1_000_000_000_000_000_000 + second * 500_000_000)
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let write = (key(), value(), any::<bool>(), ttl(), any::<bool>());
    let expectation = (key(), prop::option::of(value()), prev_index());
    prop_oneof![
        5 => write.clone().prop_map(|(key, value, dir, ttl, refresh)| Command::Set { key, value, dir, ttl, refresh }),
        3 => write.clone().prop_map(|(key, value, dir, ttl, _)| Command::Create { key, value, dir, ttl }),
        2 => write.clone().prop_map(|(key, value, dir, ttl, _)| Command::CreateInOrder { key, value, dir, ttl }),
        3 => write.clone().prop_map(|(key, value, _, ttl, refresh)| Command::Update { key, value, ttl, refresh }),
        3 => (expectation.clone(), write).prop_map(|((key, prev_value, prev_index), (_, value, _, ttl, refresh))| {
            Command::CompareAndSwap { key, prev_value, prev_index, value, ttl, refresh }
        }),
        2 => (key(), any::<bool>(), any::<bool>()).prop_map(|(key, dir, recursive)| Command::Delete { key, dir, recursive }),
        2 => expectation.prop_map(|(key, prev_value, prev_index)| Command::CompareAndDelete { key, prev_value, prev_index }),
        2 => Just(Command::Expire),
        1 => (1..4_u64, 0..3_u64).prop_map(|(id, incarnation)| Command::Publish {
            member: MemberId(id),
            name: format!("m{id}"),
            client_urls: vec![format!("http://m{id}:2379")],
            incarnation,
        }),
        1 => (4..6_u8).prop_map(|minor| Command::ClusterVersion { version: format!("3.{minor}.0") }),
    ]
}

fn value() -> impl Strategy<Value = Value> + Clone {
    prop_oneof![Just("".into()), Just("1".into()), Just("2".into()), Just(Value::new(b"\xff\n"))]
}

fn ttl() -> impl Strategy<Value = Ttl> + Clone {
    prop_oneof![3 => Just(Ttl::Permanent), 2 => (0..8_u64).prop_map(Ttl::Seconds), 1 => Just(Ttl::Seconds(u64::MAX))]
}

fn prev_index() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![2 => Just(0), 3 => 1..20_u64]
}
