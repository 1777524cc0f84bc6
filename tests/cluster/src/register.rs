//! One number that only rises: a writer raises it, readers of all members check that no quorum read goes back.
//!
//! A quorum read must not show less than what was acknowledged before it began, nor less than the same reader has seen
//! before. Both hold whatever happens to the members meanwhile, so the check runs beside every kind of harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate_harness::{Http, Keys, Member, wait_until};

/// The key.
const KEY: &str = "/register";
/// A member that hangs must not hold up its reader for longer than the harm takes.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Between two attempts at a member that does not answer.
const PAUSE: Duration = Duration::from_millis(2);

/// A running register; [`Register::stop`] tells whether all reads were right.
#[derive(Debug)]
pub struct Register {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<u64, String>>>,
}

impl Register {
    /// Creates the register and starts its writer, which goes through all `members` in turn, and a reader of each.
    /// Panics when the first member cannot create it.
    #[track_caller]
    pub fn start(members: &[Arc<Member>]) -> Self {
        let first = members.first().unwrap_or_else(|| panic!("there is no member"));
        let created =
            first.keys().put(KEY, "0").unwrap_or_else(|error| panic!("no register: {error}"));
        assert!(created.is_ok(), "{}", created.answer);
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut threads: Vec<_> = (members.iter())
            .map(|member| {
                let (stop, newest) = (Arc::clone(&stop), Arc::clone(&acknowledged));
                let (keys, name) = (quick_keys(member), member.name().to_owned());
                thread::spawn(move || read(&keys, &name, &stop, &newest))
            })
            .collect();
        let all: Vec<Keys> = members.iter().map(|member| quick_keys(member)).collect();
        let (flag, newest) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        threads.push(thread::spawn(move || {
            write(&all, &flag, &newest);
            Ok(0)
        }));
        Self { stop, acknowledged, threads }
    }

    /// Waits until the register has been raised `count` times more. Panics at the deadline.
    #[track_caller]
    pub fn wait_more(&self, count: u64, within: Duration) {
        let before = self.acknowledged.load(Ordering::SeqCst);
        wait_until("the register is raised", within, || {
            self.acknowledged.load(Ordering::SeqCst) >= before + count
        });
    }

    /// Ends it and returns how many reads were checked. Panics with the first read that was wrong.
    #[track_caller]
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        let mut reads = 0;
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(Ok(count)) => reads += count,
                Ok(Err(violation)) => panic!("{violation}"),
                Err(_) => panic!("a reader or the writer panicked"),
            }
        }
        reads
    }
}

impl Drop for Register {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn quick_keys(member: &Member) -> Keys {
    Keys::new(Http::new(member.client_address()).timeout(ANSWER_WITHIN))
}

fn read(
    keys: &Keys,
    name: &str,
    stop: &AtomicBool,
    acknowledged: &AtomicU64,
) -> Result<u64, String> {
    let (mut newest, mut reads) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        let floor = acknowledged.load(Ordering::SeqCst).max(newest);
        let answer = keys.get_with(KEY, "quorum=true").ok();
        let found = answer.as_ref().and_then(|it| it.value()?.parse::<u64>().ok());
        let (Some(answer), Some(found)) = (answer, found) else {
            thread::sleep(PAUSE);
            continue;
        };
        if found < floor {
            return Err(format!(
                "a quorum read through {name} gave {found} when {floor} was known: {}",
                answer.answer
            ));
        }
        newest = found;
        reads += 1;
    }
    Ok(reads)
}

/// Raises the register by one at a time, each time from the value before: a write whose answer never came cannot undo a
/// newer one when it is carried out late.
fn write(all: &[Keys], stop: &AtomicBool, acknowledged: &AtomicU64) {
    let mut at = 0;
    for value in 1_u64.. {
        while !is_raised_to(&all[at % all.len()], value) {
            at += 1;
            thread::sleep(PAUSE);
            if stop.load(Ordering::SeqCst) {
                return;
            }
        }
        acknowledged.store(value, Ordering::SeqCst);
        if stop.load(Ordering::SeqCst) {
            return;
        }
    }
}

fn is_raised_to(keys: &Keys, value: u64) -> bool {
    let Ok(answer) = keys.cas(KEY, &(value - 1).to_string(), &value.to_string()) else {
        return false;
    };
    // An attempt before this one may have done it, its answer lost.
    let is_there = answer.json["cause"]
        .as_str()
        .is_some_and(|cause| cause == format!("[{} != {value}]", value - 1));
    answer.is_ok() || is_there
}
