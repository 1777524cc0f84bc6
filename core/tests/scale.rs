//! Sizes that break naive trees: paths as deep as allowed, directories with very many keys. On a small stack.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use quorate_core::path::KEY_SEGMENTS_MAX;
use quorate_core::snapshot::Restore;
use quorate_core::{Command, Key, Machine, Stamp, StoreIndex, Ttl};

/// Less than a recursion of [`KEY_SEGMENTS_MAX`] levels would need.
const STACK_BYTES: usize = 128 * 1024;

#[test]
fn the_deepest_path_needs_no_stack() {
    on_a_small_stack(|| {
        let mut machine = Machine::new();
        let deepest = Key::parse("/d".repeat(KEY_SEGMENTS_MAX).as_bytes()).unwrap();
        set(&mut machine, deepest.clone(), Ttl::Permanent);
        let mut body = Vec::new();
        machine.write_get(&Key::root(), true, Stamp(0), &mut body).unwrap();
        assert_eq!(body.iter().filter(|&&byte| byte == b'[').count(), KEY_SEGMENTS_MAX);
        let machine = reborn(&machine);
        let mut machine = machine.clone();
        let top = deepest.ancestor(1);
        machine.apply(Stamp(0), &Command::Delete { key: top.clone(), dir: true, recursive: true });
        assert!(machine.node(&top).is_none() && machine.node(&deepest).is_none());
        assert_eq!(machine.index(), StoreIndex(2));
    });
}

#[test]
fn a_key_too_deep_for_an_in_order_child_is_refused() {
    let mut machine = Machine::new();
    let key = Key::parse("/d".repeat(KEY_SEGMENTS_MAX).as_bytes()).unwrap();
    let (value, dir, ttl) = ("v".into(), true, Ttl::Permanent);
    let error = machine
        .apply(Stamp(0), &Command::CreateInOrder { key, value, dir, ttl })
        .outcome
        .unwrap_err();
    assert_eq!(error.code.number(), 209);
    assert_eq!(machine.index(), StoreIndex(0));
}

#[test]
fn a_directory_of_many_keys() {
    on_a_small_stack(|| crowd(20_000));
}

#[test]
#[ignore = "takes seconds in a release build: cargo test --release -p quorate-core --test scale -- --ignored"]
fn a_directory_of_a_million_keys() {
    on_a_small_stack(|| crowd(1_000_000));
}

/// Fills a directory, lists, snapshots, then empties it twice: by one delete, and by expiry of every key.
fn crowd(keys: usize) {
    let mut machine = Machine::new();
    for number in 0..keys {
        set(
            &mut machine,
            Key::parse(format!("/dir/{number}").as_bytes()).unwrap(),
            Ttl::Seconds(1),
        );
    }
    let mut body = Vec::new();
    machine.write_get(&Key::root(), true, Stamp(0), &mut body).unwrap();
    assert_eq!(body.windows(8).filter(|window| window == b"\"value\":").count(), keys);

    let mut emptied = reborn(&machine);
    let key = Key::parse(b"/dir").unwrap();
    let applied =
        emptied.apply(Stamp(0), &Command::Delete { key: key.clone(), dir: false, recursive: true });
    assert_eq!(applied.events().count(), 1);
    assert_eq!((emptied.next_expiry(), emptied.node(&key)), (None, None));

    let (mut expired, mut entries) = (0, 0);
    while machine.next_expiry().is_some() {
        let applied = machine.apply(Stamp(1_000_000_000), &Command::Expire);
        let at_once = applied.events().count();
        assert!((1..=4096).contains(&at_once), "an entry removes some, and never too many");
        expired += at_once;
        entries += 1;
    }
    assert_eq!((expired, entries), (keys, keys.div_ceil(4096)));
    assert_eq!(machine.stats().expired.count(), keys as u64);
    assert!(machine.node(&key).is_some_and(|node| node.is_dir()));
}

fn set(machine: &mut Machine, key: Key, ttl: Ttl) {
    let command = Command::Set { key, value: "v".into(), dir: false, ttl, refresh: false };
    machine.apply(Stamp(0), &command).outcome.unwrap();
}

fn reborn(machine: &Machine) -> Machine {
    let mut restore = Restore::new();
    machine.snapshot().for_each(|chunk| restore.feed(&chunk).unwrap());
    restore.finish().unwrap()
}

fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(test).unwrap().join().unwrap();
}
