//! Counters of what this member's store has done since it started, as `/v2/stats/store` shows them.
//!
//! They are no part of the replicated state: reads count through a shared reference, clones of the machine share them,
//! snapshots leave them out.

use crate::json;
use std::sync::atomic::{AtomicU64, Ordering};

/// One counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The count so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one less.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How often something went well and how often not.
#[derive(Debug, Default)]
pub struct Tally {
    /// It went well.
    pub success: Counter,
    /// It failed.
    pub fail: Counter,
}

impl Tally {
    /// Counts one result and hands it back.
    pub(crate) fn note<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        match &result {
            Ok(_) => self.success.increment(),
            Err(_) => self.fail.increment(),
        }
        result
    }
}

/// The counters of one store.
#[derive(Debug, Default)]
pub struct StoreStats {
    /// Reads.
    pub gets: Tally,
    /// Sets.
    pub sets: Tally,
    /// Deletes.
    pub deletes: Tally,
    /// Updates.
    pub updates: Tally,
    /// Creates, in order or not.
    pub creates: Tally,
    /// Compare-and-swaps.
    pub compare_and_swaps: Tally,
    /// Compare-and-deletes.
    pub compare_and_deletes: Tally,
    /// Keys that expired.
    pub expired: Counter,
    /// Watchers that wait now; kept by whoever serves them.
    pub watchers: Counter,
}

impl StoreStats {
    /// Appends the body of `/v2/stats/store`, without a newline.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let tallies = [
            ("gets", &self.gets),
            ("sets", &self.sets),
            ("delete", &self.deletes),
            ("update", &self.updates),
            ("create", &self.creates),
            ("compareAndSwap", &self.compare_and_swaps),
            ("compareAndDelete", &self.compare_and_deletes),
        ];
        out.push(b'{');
        for (name, tally) in tallies {
            write_field(out, name, "Success", &tally.success);
            write_field(out, name, "Fail", &tally.fail);
        }
        write_field(out, "expireCount", "", &self.expired);
        write_field(out, "watchers", "", &self.watchers);
        // Every field ends with a comma; the last one gives way to the brace.
        out.pop();
        out.push(b'}');
    }
}

fn write_field(out: &mut Vec<u8>, name: &str, suffix: &str, counter: &Counter) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    out.extend_from_slice(b"\":");
    json::write_u64(out, counter.count());
    out.push(b',');
}

#[cfg(test)]
mod tests {
    use crate::{Command, Key, Machine, Stamp, Ttl, Value};

    #[test]
    fn the_machine_counts_what_it_does() {
        let mut machine = Machine::new();
        let (key, value) = (Key::parse(b"/a").unwrap(), Value::from("1"));
        let set = |dir| Command::Set {
            key: key.clone(),
            value: value.clone(),
            dir,
            ttl: Ttl::Seconds(1),
            refresh: false,
        };
        let delete = Command::Delete { key: key.clone(), dir: false, recursive: false };
        for command in [set(false), set(true), set(true), delete] {
            machine.apply(Stamp(1), &command);
        }
        // A clone is another view of the same store, so its reads count too.
        let mut out = Vec::new();
        let _ = machine.clone().write_get(&key, false, Stamp(1), &mut out);
        machine.apply(Stamp(u64::MAX), &Command::Expire);
        let _ = machine.write_get(&key, false, Stamp(1), &mut out);
        machine.stats().watchers.increment();
        out.clear();
        machine.stats().write_json(&mut out);
        let text = "{\"getsSuccess\":1,\"getsFail\":1,\"setsSuccess\":2,\"setsFail\":1,\"deleteSuccess\":0,\"deleteFail\":1,\
                    \"updateSuccess\":0,\"updateFail\":0,\"createSuccess\":0,\"createFail\":0,\"compareAndSwapSuccess\":0,\
                    \"compareAndSwapFail\":0,\"compareAndDeleteSuccess\":0,\"compareAndDeleteFail\":0,\"expireCount\":1,\
                    \"watchers\":1}";
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}
