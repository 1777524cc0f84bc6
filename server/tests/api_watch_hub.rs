//! The watch hub beside the real machine: who is told of what, in which order, and what it costs.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stdout, reason = "seeds and times are for the reader of a failure")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use quorate_core::{Command, Event, Key, Machine, Stamp, Ttl, Value, WatchSpec};
use quorate_server::watch::{
    Next, Reader, STREAM_BACKLOG_MAX, Subscription, Wakes, WatchEnd, WatchError, WatchHub,
    WatchMode,
};

fn key(path: &str) -> Key {
    Key::parse(path.as_bytes()).unwrap()
}

fn set(path: &str) -> Command {
    Command::Set {
        key: key(path),
        value: Value::from("v"),
        dir: false,
        ttl: Ttl::Permanent,
        refresh: false,
    }
}

fn delete(path: &str) -> Command {
    Command::Delete { key: key(path), dir: true, recursive: true }
}

fn spec(path: &str, recursive: bool, since: u64) -> WatchSpec {
    WatchSpec { key: key(path), recursive, since }
}

/// Machine and hub under one lock, as a member holds them.
#[derive(Default)]
struct Store {
    machine: RwLock<Machine>,
    hub: WatchHub,
}

impl Store {
    fn apply(&self, command: &Command) -> Vec<Arc<Event>> {
        let mut wakes = Wakes::default();
        let mut machine = self.machine.write();
        let applied = machine.apply(Stamp(1), command);
        applied.events().for_each(|event| self.hub.notify(event, &mut wakes));
        let events = applied.events().cloned().collect();
        drop(machine);
        events
    }

    fn watch(&self, spec: WatchSpec, mode: WatchMode) -> Result<Subscription, WatchError> {
        let machine = self.machine.read();
        self.hub.subscribe(&machine, spec, mode, Reader::guest())
    }
}

/// What a subscription has ready now.
fn ready(subscription: &mut Subscription) -> Option<Next> {
    match subscription.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(next) => Some(next),
        Poll::Pending => None,
    }
}

/// The indexes of all events that are ready, and the end if it has come.
fn drain(subscription: &mut Subscription) -> (Vec<u64>, Option<WatchEnd>) {
    let mut indexes = Vec::new();
    loop {
        match ready(subscription) {
            Some(Next::Event(event)) => indexes.push(event.index.0),
            Some(Next::End(end)) => return (indexes, Some(end)),
            None => return (indexes, None),
        }
    }
}

/// A small generator, so that a seed says everything about a run.
struct Dice(u64);

impl Dice {
    fn thrown() -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
        let seed = std::env::var("QUORATE_SEED").map_or(seed, |seed| seed.parse().unwrap());
        println!("QUORATE_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn path(&mut self) -> String {
        let names = ["a", "b", "ab", "_h"];
        (0..=self.below(3)).map(|_| format!("/{}", names[self.below(4) as usize])).collect()
    }

    fn command(&mut self) -> Command {
        let path = self.path();
        if self.below(4) == 0 { delete(&path) } else { set(&path) }
    }
}

#[test]
fn everyone_concerned_and_nobody_else_is_told() {
    let mut dice = Dice::thrown();
    for _ in 0..50 {
        let store = Store::default();
        let mut watchers: Vec<(WatchSpec, WatchMode, Vec<u64>, Option<Subscription>)> = Vec::new();
        for _ in 0..80 {
            if dice.below(3) == 0 {
                let since = dice.below(8);
                let since = if since < 6 { 0 } else { store.machine.read().index().0 + since };
                let spec = spec(&dice.path(), dice.below(2) == 0, since);
                let mode = if dice.below(2) == 0 { WatchMode::Once } else { WatchMode::Stream };
                let subscription = store.watch(spec.clone(), mode).unwrap();
                watchers.push((spec, mode, Vec::new(), Some(subscription)));
            }
            if dice.below(10) == 0 && !watchers.is_empty() {
                let gone = dice.below(watchers.len() as u64) as usize;
                watchers[gone].3 = None;
            }
            for event in store.apply(&dice.command()) {
                for (spec, mode, expected, subscription) in &mut watchers {
                    let open = *mode == WatchMode::Stream || expected.is_empty();
                    if subscription.is_some() && open && spec.matches(&event) {
                        expected.push(event.index.0);
                    }
                }
            }
        }
        let waiting = watchers.iter().filter(|(_, mode, told, subscription)| {
            subscription.is_some() && (*mode == WatchMode::Stream || told.is_empty())
        });
        assert_eq!(store.hub.watchers(), waiting.count());
        for (spec, _, expected, subscription) in &mut watchers {
            let Some(subscription) = subscription else { continue };
            assert_eq!(drain(subscription).0, *expected, "{spec:?}");
        }
        drop(watchers);
        assert_eq!(store.hub.watchers(), 0);
    }
}

#[test]
fn history_runs_into_live_events_without_gap_or_repetition() {
    const WRITES: u64 = 4000;
    let seed = Dice::thrown().0;
    let store = Store::default();
    // The whole run is written down to compare with.
    let log: RwLock<Vec<Arc<Event>>> = RwLock::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = Dice(seed);
            while store.machine.read().index().0 < WRITES {
                let events = store.apply(&dice.command());
                log.write().extend(events);
                if dice.below(16) == 0 {
                    std::thread::yield_now();
                }
            }
            store.hub.close();
        });
        for watcher in 1..4 {
            let (store, log) = (&store, &log);
            scope.spawn(move || {
                let mut dice = Dice(seed.wrapping_add(watcher) | 1);
                follow(store, &mut dice, log);
            });
        }
    });
}

/// Follows a stream, starts anew from where it was when it overflows, and compares all that it saw with what happened.
fn follow(store: &Store, dice: &mut Dice, log: &RwLock<Vec<Arc<Event>>>) {
    let recursive = dice.below(4) > 0;
    let mut spec = spec(if dice.below(2) == 0 { "/" } else { "/a" }, recursive, 1);
    let (first, mut seen) = (spec.since, Vec::new());
    let mut subscriptions = 0;
    let ended = 'watch: loop {
        let mut subscription = match store.watch(spec.clone(), WatchMode::Stream) {
            Ok(subscription) => subscription,
            Err(WatchError::Stopped) => break 'watch None,
            Err(WatchError::Store(error)) => break 'watch Some(error.to_string()),
            Err(error) => panic!("{error}"),
        };
        subscriptions += 1;
        let mut rounds = dice.below(2000);
        while rounds > 0 {
            let (told, end) = drain(&mut subscription);
            seen.extend(told);
            rounds -= 1;
            match end {
                Some(WatchEnd::Stopped) => break 'watch None,
                Some(WatchEnd::Overflow) => break,
                Some(end @ (WatchEnd::Done | WatchEnd::Forbidden)) => panic!("{end:?}"),
                None => {}
            }
        }
        spec.since = seen.last().copied().unwrap_or(first - 1) + 1;
    };
    println!("{} events in {subscriptions} streams, ended by {ended:?}", seen.len());
    let whole = WatchSpec { since: first, ..spec };
    let last = seen.last().copied().unwrap_or(0);
    // The writer notes an event only after telling it.
    let deadline = Instant::now() + Duration::from_secs(10);
    while log.read().last().is_none_or(|event| event.index.0 < last) && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let log = log.read();
    let happened = log.iter().filter(|event| event.index.0 <= last && whole.matches(event));
    assert_eq!(seen, happened.map(|event| event.index.0).collect::<Vec<_>>());
}

#[test]
fn a_stream_that_is_not_read_ends_after_its_backlog() {
    let store = Store::default();
    let mut slow = store.watch(spec("/", true, 0), WatchMode::Stream).unwrap();
    let backlog = STREAM_BACKLOG_MAX as u64;
    for _ in 0..backlog {
        store.apply(&set("/a"));
    }
    assert_eq!(store.hub.watchers(), 1);
    for _ in 0..5 {
        store.apply(&set("/a"));
    }
    assert_eq!(store.hub.watchers(), 0);
    let (told, end) = drain(&mut slow);
    assert_eq!(told, (1..=backlog).collect::<Vec<_>>());
    assert_eq!(end, Some(WatchEnd::Overflow));
}

#[test]
fn the_past_does_not_count_against_the_backlog() {
    let store = Store::default();
    for _ in 0..500 {
        store.apply(&set("/a"));
    }
    let mut stream = store.watch(spec("/a", false, 1), WatchMode::Stream).unwrap();
    for _ in 0..100 {
        store.apply(&set("/a"));
    }
    assert_eq!(drain(&mut stream), ((1..=600).collect(), None));
}

#[test]
fn a_watch_on_the_past_takes_no_place() {
    let store = Store::default();
    store.apply(&set("/a"));
    store.apply(&set("/a"));
    let mut once = store.watch(spec("/a", false, 1), WatchMode::Once).unwrap();
    assert_eq!((store.hub.watchers(), once.index().0), (0, 2));
    assert_eq!(drain(&mut once), (vec![1], Some(WatchEnd::Done)));
}

#[test]
fn lost_history_is_an_error() {
    let store = Store::default();
    for _ in 0..1500 {
        store.apply(&set("/a"));
    }
    for mode in [WatchMode::Once, WatchMode::Stream] {
        let Err(WatchError::Store(error)) = store.watch(spec("/a", false, 3), mode) else {
            panic!()
        };
        assert_eq!((error.code.number(), error.index.0), (401, 1500));
    }
}

#[test]
fn closing_ends_all_and_admits_nobody() {
    let store = Store::default();
    let mut once = store.watch(spec("/a", false, 0), WatchMode::Once).unwrap();
    let mut stream = store.watch(spec("/", true, 0), WatchMode::Stream).unwrap();
    store.apply(&set("/b"));
    store.hub.close();
    assert_eq!(store.hub.watchers(), 0);
    assert_eq!(drain(&mut once), (vec![], Some(WatchEnd::Stopped)));
    assert_eq!(drain(&mut stream), (vec![1], Some(WatchEnd::Stopped)));
    let refused = store.watch(spec("/a", false, 0), WatchMode::Once);
    assert!(matches!(refused, Err(WatchError::Stopped)));
}

#[test]
fn an_interruption_ends_all_and_admits_new_ones() {
    let store = Store::default();
    let mut once = store.watch(spec("/a", false, 0), WatchMode::Once).unwrap();
    store.hub.interrupt();
    assert_eq!(drain(&mut once), (vec![], Some(WatchEnd::Overflow)));
    let again = store.watch(spec("/a", false, 0), WatchMode::Once).unwrap();
    assert_eq!(store.hub.watchers(), 1);
    drop(once);
    assert_eq!(
        store.hub.watchers(),
        1,
        "a watcher that was ended must not take another's place with it"
    );
    drop(again);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn eight_thousand_watchers_are_told_of_one_event() {
    const CROWD: usize = 8000;
    for paths in [1, CROWD] {
        let store = Store::default();
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let mut crowd: Vec<Subscription> = (0..CROWD)
            .map(|at| {
                store
                    .watch(spec(&format!("/dir/{}", at % paths), false, 0), WatchMode::Once)
                    .unwrap()
            })
            .collect();
        for watcher in &mut crowd {
            assert!(watcher.poll_next(&mut Context::from_waker(&waker)).is_pending());
        }
        store.apply(&set("/dir/elsewhere"));
        assert_eq!(bell.0.load(Ordering::Relaxed), 0);
        let started = Instant::now();
        store.apply(&set("/dir/0"));
        assert_eq!(bell.0.load(Ordering::Relaxed), CROWD / paths);
        // Whoever still waits is told that the directory is gone.
        store.apply(&delete("/dir"));
        println!("{paths} keys: told in {:?}", started.elapsed());
        assert_eq!(bell.0.load(Ordering::Relaxed), CROWD);
        assert_eq!(store.hub.watchers(), 0);
        for watcher in &mut crowd {
            assert!(matches!(ready(watcher), Some(Next::Event(_))));
        }
    }
}

#[test]
fn leaving_takes_the_same_time_whatever_the_crowd() {
    let store = Store::default();
    let crowd = |count: usize| -> Vec<Subscription> {
        (0..count).map(|_| store.watch(spec("/a", true, 0), WatchMode::Once).unwrap()).collect()
    };
    let mut all = crowd(50_000);
    // From both ends and the middle, so that a search through the list would take minutes.
    let started = Instant::now();
    while let Some(first) = all.pop() {
        drop(first);
        let middle = all.len() / 2;
        if middle > 0 {
            drop(all.swap_remove(middle));
        }
    }
    assert_eq!(store.hub.watchers(), 0);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
