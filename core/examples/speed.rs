//! How long the machine's commonest operations take: `cargo run --release -p quorate-core --example speed`.
//!
//! A yardstick for changes to the tree, on one core and without a server around it. The numbers are no promise.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]
#![expect(
    clippy::disallowed_types,
    reason = "the machine may read no clock; whoever times it must"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the machine may read no clock; whoever times it must"
)]

use quorate_core::{
    Batch, Command, Key, KeyTooDeep, Machine, MemberId, Proposal, Stamp, Ttl, Value,
};
use std::hint::black_box;
use std::time::Instant;

const KEYS: u64 = 200_000;
const VALUE_BYTES: usize = 256;

fn main() -> Result<(), KeyTooDeep> {
    let mut machine = Machine::new();
    let keys =
        (0..KEYS).map(|number| Key::parse(format!("/bench/{}/{number}", number % 100).as_bytes()));
    let keys: Vec<Key> = keys.collect::<Result<_, _>>()?;
    let value = Value::from(vec![b'v'; VALUE_BYTES]);
    let set = |key: &Key, ttl| {
        let (key, value) = (key.clone(), value.clone());
        Command::Set { key, value, dir: false, ttl, refresh: false }
    };

    time("set, new key", KEYS, || {
        for key in &keys {
            machine.apply(Stamp(1), &set(key, Ttl::Permanent));
        }
    });
    time("set, existing key, with TTL and event body", KEYS, || {
        for key in &keys {
            let applied = machine.apply(Stamp(1), &set(key, Ttl::Seconds(1)));
            black_box(applied.outcome.map(|event| event.json()).ok());
        }
    });
    let mut out = Vec::new();
    time("get, one key", KEYS, || {
        for key in &keys {
            out.clear();
            black_box(machine.write_get(key, false, Stamp(1), &mut out).is_ok());
        }
    });
    out.clear();
    time("get, all keys, per key", KEYS, || {
        black_box(machine.write_get(&Key::root(), true, Stamp(1), &mut out).is_ok());
    });
    time("freeze, then set", 1000, || {
        for key in keys.iter().take(1000) {
            let frozen = machine.clone();
            machine.apply(Stamp(1), &set(key, Ttl::Seconds(1)));
            drop(frozen);
        }
    });
    time("snapshot, per key", KEYS, || machine.snapshot().for_each(|chunk| drop(black_box(chunk))));
    time("expire, per key", KEYS, || {
        black_box(machine.apply(Stamp(u64::MAX), &Command::Expire));
    });
    time("encode and decode a batch of one", KEYS, || {
        for key in &keys {
            let proposal =
                Proposal { origin: MemberId(1), request: 1, command: set(key, Ttl::Permanent) };
            let batch = Batch { stamp: Stamp(1), proposals: vec![proposal] };
            black_box(Batch::decode(batch.encode()).is_ok());
        }
    });
    Ok(())
}

fn time(what: &str, count: u64, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let each = start.elapsed().as_nanos() / u128::from(count);
    println!("{what:45} {each:>8} ns");
}
