//! A watcher that follows a directory from an index on, whatever happens to the members it asks.
//!
//! After every end of an answer it goes on at another member with `waitIndex` = the last event's index + 1, as the API's
//! users are told to. What it has seen must then be the history: every event, in order, once.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate_harness::{Http, Line, Member, Request};
use serde_json::Value;

/// How often a watcher that hears nothing looks whether it shall stop or move on.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A watcher that heard nothing for so many looks tries another member: a paused one keeps its connections open.
const QUIET_LOOKS_MAX: u32 = 5;
/// Between two attempts when no member answers.
const PAUSE: Duration = Duration::from_millis(5);

/// How a follower watches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// One request per event.
    LongPoll,
    /// `stream=true`.
    Stream,
}

/// A running follower.
#[derive(Debug)]
pub struct Follower {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<(u64, String)>>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Follows `key` recursively from `index` on, beginning at the member at `position`.
    pub fn start(
        members: &[Arc<Member>],
        position: usize,
        key: &str,
        index: u64,
        manner: Manner,
    ) -> Self {
        let addresses: Vec<SocketAddr> =
            members.iter().map(|member| member.client_address()).collect();
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let watch = Watch { addresses, at: position, key: key.to_owned(), next: index, manner };
        let (flag, events) = (Arc::clone(&stop), Arc::clone(&seen));
        let thread = thread::spawn(move || watch.run(&flag, &events));
        Self { stop, seen, thread: Some(thread) }
    }

    /// The events so far: modified index and value, as they came.
    pub fn seen(&self) -> Vec<(u64, String)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A watcher that panicked has printed why and has seen too little.
            let _ = thread.join();
        }
    }
}

struct Watch {
    addresses: Vec<SocketAddr>,
    at: usize,
    key: String,
    next: u64,
    manner: Manner,
}

impl Watch {
    fn run(mut self, stop: &AtomicBool, seen: &Mutex<Vec<(u64, String)>>) {
        while !stop.load(Ordering::Relaxed) {
            let before = self.next;
            self.ask(stop, seen);
            // A long poll that was answered goes on at the same member, as clients do.
            if self.manner == Manner::Stream || self.next == before {
                self.at += 1;
                thread::sleep(PAUSE);
            }
        }
    }

    fn ask(&mut self, stop: &AtomicBool, seen: &Mutex<Vec<(u64, String)>>) {
        let address = self.addresses[self.at % self.addresses.len()];
        let stream = if self.manner == Manner::Stream { "&stream=true" } else { "" };
        let target = format!(
            "/v2/keys{}?wait=true&recursive=true&waitIndex={}{stream}",
            self.key, self.next
        );
        let http = Http::new(address).timeout(LOOK_EVERY * QUIET_LOOKS_MAX);
        let Ok(mut answer) = http.stream(&Request::get(target)) else { return };
        if answer.head().status != 200 {
            return;
        }
        let mut quiet = 0;
        while !stop.load(Ordering::Relaxed) && quiet < QUIET_LOOKS_MAX {
            match answer.next_line(LOOK_EVERY) {
                Ok(Line::Text(line)) => {
                    quiet = 0;
                    self.note(&line, seen);
                }
                Ok(Line::Quiet) => quiet += 1,
                Ok(Line::End(_)) | Err(_) => return,
            }
        }
    }

    fn note(&mut self, line: &str, seen: &Mutex<Vec<(u64, String)>>) {
        // A line that was cut off by a dying member is no event; it comes again.
        let Ok(event) = serde_json::from_str::<Value>(line) else { return };
        let Some(index) = event["node"]["modifiedIndex"].as_u64() else { return };
        let what = format!(
            "{} {} {}",
            event["action"].as_str().unwrap_or_default(),
            event["node"]["key"].as_str().unwrap_or_default(),
            event["node"]["value"].as_str().unwrap_or_default()
        );
        seen.lock().unwrap_or_else(PoisonError::into_inner).push((index, what));
        self.next = index + 1;
    }
}
