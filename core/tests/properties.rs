//! Properties of the machine under random commands: it agrees with a naive store, a restored one goes on alike, history
//! and live watches tell the same, and no bytes make a decoder panic.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "properties/generate.rs"]
mod generate;
#[path = "properties/naive.rs"]
mod naive;

use bytes::Bytes;
use generate::{Step, command, key, stamp, step, watch};
use naive::{Naive, Outcome};
use proptest::prelude::*;
use quorate_core::snapshot::{Restore, RestoreError};
use quorate_core::{
    Applied, Batch, Command, Event, Key, Machine, MemberId, Proposal, Roster, RosterMember, Stamp,
    WatchSpec,
};
use std::sync::Arc;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_machine_agrees_with_a_naive_store(steps in prop::collection::vec(step(), 1..60)) {
        let (mut machine, mut naive, mut second) = (Machine::new(), Naive::default(), 0);
        for (pause, command) in steps {
            // No members: what they publish changes nothing.
            if matches!(command, Command::ClusterVersion { .. }) { continue }
            second += pause;
            let before = naive.index;
            let applied = machine.apply(stamp(second), &command);
            let expected = naive.apply(stamp(second), &command);
            prop_assert_eq!(outcome(&applied), expected.clone(), "{:?}", command);
            prop_assert_eq!(machine.index().0, naive.index);
            prop_assert!(expected.is_ok() || naive.index == before, "a failure moved the index");
            prop_assert_eq!(machine.next_expiry(), naive.next_expiry());
        }
        prop_assert_eq!(listing(&machine), naive.listing());
        machine.apply(Stamp(u64::MAX), &Command::Expire);
        prop_assert_eq!(machine.next_expiry(), None);
    }

    #[test]
    fn a_restored_machine_goes_on_alike(
        first in prop::collection::vec(step(), 0..40),
        later in prop::collection::vec(step(), 1..30),
        cut in 1..200_usize,
        watches in prop::collection::vec(watch(), 4),
    ) {
        let mut original = Machine::new();
        original.apply_roster(&roster(&[1, 2, 3]));
        original.apply_roster(&roster(&[1, 2]));
        run(&mut original, 0, &first);
        let bytes: Vec<u8> = original.snapshot().flatten().collect();
        let mut restored = restore(bytes.chunks(cut)).unwrap();
        prop_assert_eq!(restored.members(), original.members());
        prop_assert_eq!(restored.last_stamp(), original.last_stamp());
        prop_assert_eq!(run(&mut restored, 100, &later), run(&mut original, 100, &later));
        original.apply_roster(&roster(&[1, 2, 3]));
        restored.apply_roster(&roster(&[1, 2, 3]));
        for spec in &watches {
            prop_assert_eq!(history(&restored, spec), history(&original, spec));
        }
        prop_assert!(restored.snapshot().eq(original.snapshot()));
    }

    #[test]
    fn history_tells_what_a_live_watcher_was_told(steps in prop::collection::vec(step(), 1..60), spec in watch()) {
        let (mut machine, mut second, mut live) = (Machine::new(), 0, Vec::new());
        let spec = WatchSpec { since: spec.since.max(1), ..spec };
        for (pause, command) in &steps {
            second += pause;
            let applied = machine.apply(stamp(second), command);
            live.extend(applied.events().filter(|event| spec.matches(event)).map(|event| event.json()));
        }
        prop_assert_eq!(history(&machine, &spec).unwrap(), live);
    }

    #[test]
    fn a_watcher_of_a_file_hears_whenever_it_changes(steps in prop::collection::vec(step(), 1..60), key in key()) {
        let (mut machine, mut second) = (Machine::new(), 0);
        let spec = WatchSpec { key: key.clone(), recursive: false, since: 0 };
        for (pause, command) in &steps {
            // A refresh that asks for a directory silently makes one of a file, in etcd as well.
            if matches!(command, Command::Set { dir: true, refresh: true, .. }) { continue }
            second += pause;
            let before = value(&machine, &key);
            let applied = machine.apply(stamp(second), command);
            let is_told = applied.events().any(|event| spec.matches(event));
            prop_assert!(is_told || value(&machine, &key) == before, "{:?}", command);
        }
    }

    #[test]
    fn batches_come_back(commands in prop::collection::vec(command(), 0..8), at in any::<u64>(), request in any::<u64>()) {
        let proposals = commands.into_iter().map(|command| Proposal { origin: MemberId(request), request, command });
        let batch = Batch { stamp: Stamp(at), proposals: proposals.collect() };
        prop_assert_eq!(Batch::decode(batch.encode()).unwrap(), batch);
    }

    #[test]
    fn no_bytes_make_a_batch_panic(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        command in command(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let _ = Batch::decode(noise.into());
        let proposal = Proposal { origin: MemberId(1), request: 1, command };
        let mut bytes = Batch { stamp: Stamp(1), proposals: vec![proposal] }.encode().to_vec();
        flips.into_iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = byte);
        let mut machine = Machine::new();
        for proposal in Batch::decode(bytes.into()).map(|batch| batch.proposals).unwrap_or_default() {
            machine.apply(Stamp(1), &proposal.command);
        }
    }

    #[test]
    fn no_bytes_make_a_restore_panic(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        steps in prop::collection::vec(step(), 0..12),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let _ = restore([&noise[..]].into_iter());
        let _ = restore([b"quorate\x01", &noise[..]].into_iter());
        let mut machine = Machine::new();
        machine.apply_roster(&roster(&[1]));
        run(&mut machine, 0, &steps);
        let mut bytes: Vec<u8> = machine.snapshot().flatten().collect();
        flips.into_iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = byte);
        // What is accepted in spite of the damage must be a working machine.
        if let Ok(mut machine) = restore([&bytes[..]].into_iter()) {
            run(&mut machine, 100, &steps);
            machine.apply(Stamp(u64::MAX), &Command::Expire);
            machine.snapshot().for_each(drop);
        }
    }
}

/// Skipped fields are how a newer version's entries stay readable; a skipped command would be a fork.
#[test]
fn unknown_fields_are_skipped_and_unknown_commands_refused() {
    let proposal = Proposal { origin: MemberId(1), request: 2, command: Command::Expire };
    let batch = Batch { stamp: Stamp(3), proposals: vec![proposal] };
    let mut bytes = batch.encode().to_vec();
    // Field 100, varint 1.
    bytes.extend_from_slice(&[0xa0, 0x06, 0x01]);
    assert_eq!(Batch::decode(bytes.into()).unwrap(), batch);
    // Field 2 of the batch: a proposal with nothing but field 99, an empty message.
    let error = Batch::decode(Bytes::from_static(&[0x12, 0x03, 0x9a, 0x06, 0x00])).unwrap_err();
    assert!(error.to_string().contains("does not know"), "{error}");
}

#[test]
fn the_last_thousand_events_are_kept() {
    let mut machine = Machine::new();
    let key = Key::parse(b"/k").unwrap();
    let mut spec = WatchSpec { key: key.clone(), recursive: false, since: 1 };
    for number in 1..=2500_u64 {
        let version = Command::ClusterVersion { version: number.to_string() };
        let set = Command::Set {
            key: key.clone(),
            value: "v".into(),
            dir: false,
            ttl: Default::default(),
            refresh: false,
        };
        machine.apply(Stamp(number), if number % 5 == 0 { &version } else { &set });
        let oldest = number.saturating_sub(999).max(1);
        spec.since = oldest;
        let found = machine.scan_history(&spec).unwrap().map(|event| event.index.0);
        let wanted = if oldest % 5 == 0 { oldest + 1 } else { oldest };
        assert_eq!(found, (wanted <= number).then_some(wanted), "after {number}");
        spec.since = oldest - 1;
        let scanned = machine.scan_history(&spec);
        if spec.since == 0 {
            assert!(scanned.unwrap().is_none(), "0 means from now on");
        } else {
            let error = scanned.unwrap_err();
            assert_eq!(
                String::from_utf8(error.cause).unwrap(),
                format!("the requested history has been cleared [{oldest}/{}]", oldest - 1)
            );
            assert_eq!((error.code.number(), error.index.0), (401, number));
        }
    }
}

fn outcome(applied: &Applied) -> Outcome {
    let told = |error: &quorate_core::StoreError| {
        (error.code.number(), String::from_utf8_lossy(&error.cause).into_owned())
    };
    applied.outcome.as_ref().map(|_| ()).map_err(told)
}

/// The outcome and the events of every step, as JSON.
fn run(machine: &mut Machine, start: u64, steps: &[Step]) -> Vec<String> {
    let mut second = start;
    let mut told = Vec::new();
    for (pause, command) in steps {
        second += pause;
        let applied = machine.apply(stamp(second), command);
        told.push(format!("{:?} {}", outcome(&applied), machine.index()));
        let json = |event: &Arc<Event>| String::from_utf8(event.json().to_vec()).unwrap();
        told.extend(applied.outcome.iter().map(json));
        told.extend(applied.events().map(json));
    }
    told
}

fn history(machine: &Machine, spec: &WatchSpec) -> Result<Vec<Bytes>, String> {
    let (mut spec, mut told) = (spec.clone(), Vec::new());
    while let Some(event) = machine.scan_history(&spec).map_err(|error| error.to_string())? {
        told.push(event.json());
        spec.since = event.index.0 + 1;
    }
    Ok(told)
}

fn value(machine: &Machine, key: &Key) -> Option<Vec<u8>> {
    machine.node(key).and_then(|node| node.value()).map(|value| value.to_vec())
}

/// The machine's recursive read of the root in the naive store's form.
fn listing(machine: &Machine) -> Vec<String> {
    let mut body = Vec::new();
    machine.write_get(&Key::root(), true, Stamp(0), &mut body).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let mut lines = Vec::new();
    list(&body["node"], &mut lines);
    lines
}

fn list(node: &serde_json::Value, lines: &mut Vec<String>) {
    for child in node["nodes"].as_array().into_iter().flatten() {
        let text = |field: &str| child[field].as_str().map(str::to_owned);
        assert_eq!(child["dir"].as_bool().is_some(), child["value"].is_null());
        lines.push(format!(
            "{} {:?} {} {} {:?}",
            text("key").unwrap(),
            text("value"),
            child["modifiedIndex"],
            child["createdIndex"],
            text("expiration")
        ));
        list(child, lines);
    }
}

fn roster(ids: &[u64]) -> Roster {
    let members = ids.iter().map(|&id| {
        let peer_urls = vec![format!("http://m{id}:2380")];
        RosterMember { id: MemberId(id), peer_urls, is_learner: id == 2 }
    });
    Roster { members: members.collect() }
}

fn restore<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Result<Machine, RestoreError> {
    let mut restore = Restore::new();
    for chunk in chunks {
        restore.feed(chunk)?;
    }
    restore.finish()
}
