//! A second store, written the naive way: nested maps, recursion, no sharing, no index of expirations.
//!
//! It answers with the error's code and cause, or nothing; its listing is compared with the machine's JSON.

use quorate_core::{Command, Key, Stamp, Ttl};
use std::collections::BTreeMap;

pub(crate) type Outcome = Result<(), (u16, String)>;

#[derive(Clone, Default)]
pub(crate) struct Naive {
    root: Entry,
    pub(crate) index: u64,
}

#[derive(Clone, Default)]
struct Entry {
    /// `None` for a directory.
    value: Option<Vec<u8>>,
    children: BTreeMap<Vec<u8>, Self>,
    expiration: Option<Stamp>,
    modified: u64,
    created: u64,
}

impl Naive {
    pub(crate) fn apply(&mut self, now: Stamp, command: &Command) -> Outcome {
        match command {
            Command::Set { key, value, dir, ttl, refresh } => {
                self.set(now, key, value, *dir, *ttl, *refresh)
            }
            Command::Create { key, value, dir, ttl } => self.create(now, key, value, *dir, *ttl),
            Command::CreateInOrder { key, value, dir, ttl } => {
                let key = key.child(format!("{:020}", self.index + 1).as_bytes()).unwrap();
                self.create(now, &key, value, *dir, *ttl)
            }
            Command::Update { key, value, ttl, refresh } => {
                self.update(now, key, value, *ttl, *refresh)
            }
            Command::CompareAndSwap { key, prev_value, prev_index, value, ttl, refresh } => {
                refuse_root(key)?;
                self.compare(key, prev_value.as_deref(), *prev_index)?;
                self.update(now, key, value, *ttl, *refresh)
            }
            Command::Delete { key, dir, recursive } => {
                refuse_root(key)?;
                let entry = self.find(key)?;
                if entry.value.is_none() && !dir && !recursive {
                    return fail(102, key);
                }
                if !entry.children.is_empty() && !recursive {
                    return fail(108, key);
                }
                self.remove(key);
                Ok(())
            }
            Command::CompareAndDelete { key, prev_value, prev_index } => {
                self.compare(key, prev_value.as_deref(), *prev_index)?;
                self.remove(key);
                Ok(())
            }
            Command::Expire => {
                self.expire(now);
                Ok(())
            }
            Command::Publish { .. }
            | Command::ClusterVersion { .. }
            | Command::ChangeAuth { .. } => Ok(()),
        }
    }

    /// Every key with its value (`None` for a directory), indexes and expiration, depth first.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        list(&self.root, "", &mut lines);
        lines
    }

    pub(crate) fn next_expiry(&self) -> Option<Stamp> {
        all(&self.root, Vec::new()).into_iter().filter_map(|(_, entry)| entry.expiration).min()
    }

    fn set(
        &mut self,
        now: Stamp,
        key: &Key,
        value: &[u8],
        dir: bool,
        ttl: Ttl,
        refresh: bool,
    ) -> Outcome {
        let mut value = value.to_vec();
        match self.find(key) {
            Ok(_) if key.is_root() => return fail(107, key),
            Ok(Entry { value: None, .. }) => return fail(102, key),
            Ok(Entry { value: Some(old), .. }) if refresh => value.clone_from(old),
            Ok(_) => {}
            Err((100, _)) if !refresh => {}
            Err(error) => return Err(error),
        }
        self.put(now, key, &value, dir, ttl);
        Ok(())
    }

    fn create(&mut self, now: Stamp, key: &Key, value: &[u8], dir: bool, ttl: Ttl) -> Outcome {
        refuse_root(key)?;
        match self.find(key) {
            Ok(_) => fail(105, key),
            Err((100, _)) => {
                self.put(now, key, value, dir, ttl);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn update(&mut self, now: Stamp, key: &Key, value: &[u8], ttl: Ttl, refresh: bool) -> Outcome {
        refuse_root(key)?;
        if self.find(key)?.value.is_none() && !value.is_empty() {
            return fail(102, key);
        }
        self.index += 1;
        let index = self.index;
        let entry = self.entry(key, index);
        if let Some(old) = &mut entry.value {
            entry.modified = index;
            if !refresh {
                *old = value.to_vec();
            }
        }
        entry.expiration = ttl.expiration(now);
        Ok(())
    }

    fn compare(&self, key: &Key, prev_value: Option<&[u8]>, prev_index: u64) -> Outcome {
        let entry = self.find(key)?;
        let Some(value) = &entry.value else {
            return if key.is_root() { Err((102, String::new())) } else { fail(102, key) };
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut wrong = Vec::new();
        if let Some(given) = prev_value.filter(|given| given != value) {
            wrong.push(format!("[{} != {}]", text(given), text(value)));
        }
        if prev_index != 0 && prev_index != entry.modified {
            wrong.push(format!("[{prev_index} != {}]", entry.modified));
        }
        if wrong.is_empty() { Ok(()) } else { Err((101, wrong.join(" "))) }
    }

    fn expire(&mut self, now: Stamp) {
        loop {
            let expired = all(&self.root, Vec::new())
                .into_iter()
                .filter_map(|(path, entry)| Some((entry.expiration?, Key::parse(&path).unwrap())))
                .filter(|(expiration, _)| *expiration <= now)
                .min();
            let Some((_, key)) = expired else { return };
            self.remove(&key);
        }
    }

    fn put(&mut self, now: Stamp, key: &Key, value: &[u8], dir: bool, ttl: Ttl) {
        self.index += 1;
        let index = self.index;
        *self.entry(key, index) = Entry {
            value: (!dir).then(|| value.to_vec()),
            children: BTreeMap::new(),
            expiration: ttl.expiration(now),
            modified: index,
            created: index,
        };
    }

    fn remove(&mut self, key: &Key) {
        self.index += 1;
        let parent = self.entry(&key.parent().unwrap(), 0);
        parent.children.remove(key.name()).unwrap();
    }

    fn find(&self, key: &Key) -> Result<&Entry, (u16, String)> {
        let (mut entry, mut path) = (&self.root, String::new());
        for name in names(key) {
            if entry.value.is_some() {
                return Err((104, path));
            }
            path = format!("{path}/{}", String::from_utf8_lossy(name));
            entry = entry.children.get(name).ok_or((100, path.clone()))?;
        }
        Ok(entry)
    }

    fn entry(&mut self, key: &Key, index: u64) -> &mut Entry {
        let mut entry = &mut self.root;
        for name in names(key) {
            let missing = Entry { modified: index, created: index, ..Entry::default() };
            entry = entry.children.entry(name.to_vec()).or_insert(missing);
        }
        entry
    }
}

fn names(key: &Key) -> impl Iterator<Item = &[u8]> {
    key.as_bytes().split(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

fn refuse_root(key: &Key) -> Outcome {
    if key.is_root() { fail(107, key) } else { Ok(()) }
}

fn fail(code: u16, key: &Key) -> Outcome {
    Err((code, key.to_string()))
}

fn all(entry: &Entry, path: Vec<u8>) -> Vec<(Vec<u8>, &Entry)> {
    let mut found = Vec::new();
    for (name, child) in &entry.children {
        found.extend(all(child, [&path, &b"/"[..], name].concat()));
    }
    found.push((path, entry));
    found
}

fn list(entry: &Entry, path: &str, lines: &mut Vec<String>) {
    for (name, child) in entry.children.iter().filter(|(name, _)| !name.starts_with(b"_")) {
        let path = format!("{path}/{}", String::from_utf8_lossy(name));
        let value = child.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
        let expiration = child.expiration.map(Stamp::rfc3339);
        lines.push(format!("{path} {value:?} {} {} {expiration:?}", child.modified, child.created));
        list(child, &path, lines);
    }
}
