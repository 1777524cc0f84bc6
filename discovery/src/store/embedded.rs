//! Tokens in a store of this process: a cluster of one in a data directory, without a port.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_core::{Command, ErrorCode, Key, Ttl, Value, WatchSpec};
use quorate_server::embedded::Embedded;
use quorate_server::member::{Member as _, ProposeError};
use quorate_server::watch::{Next, Reader, Subscription, WatchMode};

use super::{Changed, Feed, Layout, Store, StoreError, Versioned, Written};

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct EmbeddedStore {
    member: Arc<Embedded>,
    layout: Layout,
}

impl EmbeddedStore {
    /// The tokens that `layout` places in the store of `member`.
    #[must_use]
    pub fn new(member: Arc<Embedded>, layout: Layout) -> Self {
        Self { member, layout }
    }

    async fn propose(&self, command: Command) -> Result<(), ProposeError> {
        self.member.member().propose(command).await.map(drop)
    }
}

impl Store for EmbeddedStore {
    type Feed = EmbeddedFeed;

    async fn read(&self, key: &Key) -> Result<Option<Versioned>, StoreError> {
        // Nobody else writes to this store, so what is applied here is all there is.
        Ok(self.member.member().view(|machine, _| {
            let node = machine.node(key)?;
            Some(Versioned { value: text(node.value()?), version: node.modified.0 })
        }))
    }

    async fn create(&self, key: &Key, value: String) -> Result<Written, StoreError> {
        let (key, value) = (key.clone(), Value::from(value.as_str()));
        written(self.propose(Command::Create { key, value, dir: false, ttl: Ttl::Permanent }).await)
    }

    async fn swap(&self, key: &Key, value: String, version: u64) -> Result<Written, StoreError> {
        let swap = Command::CompareAndSwap {
            key: key.clone(),
            prev_value: None,
            prev_index: version,
            value: Value::from(value.as_str()),
            ttl: Ttl::Permanent,
            refresh: false,
        };
        written(self.propose(swap).await)
    }

    async fn delete(&self, key: &Key, version: u64) -> Result<Written, StoreError> {
        let delete =
            Command::CompareAndDelete { key: key.clone(), prev_value: None, prev_index: version };
        written(self.propose(delete).await)
    }

    async fn put(&self, key: &Key, value: String) -> Result<(), StoreError> {
        let set = Command::Set {
            key: key.clone(),
            value: Value::from(value.as_str()),
            dir: false,
            ttl: Ttl::Permanent,
            refresh: false,
        };
        self.propose(set).await.map_err(|error| StoreError(error.to_string()))
    }

    async fn delete_tree(&self, key: &Key) -> Result<(), StoreError> {
        let delete = Command::Delete { key: key.clone(), dir: true, recursive: true };
        match self.propose(delete).await {
            Err(ProposeError::Store(error)) if error.code == ErrorCode::KeyNotFound => Ok(()),
            done => done.map_err(|error| StoreError(error.to_string())),
        }
    }

    async fn list(&self, key: &Key) -> Result<BTreeMap<String, Versioned>, StoreError> {
        Ok(self.member.member().view(|machine, _| {
            let files = machine.children(key).filter_map(|node| {
                let name = String::from_utf8_lossy(node.key.name()).into_owned();
                Some((name, Versioned { value: text(node.value()?), version: node.modified.0 }))
            });
            files.collect()
        }))
    }

    fn feed(&self) -> EmbeddedFeed {
        EmbeddedFeed { store: self.clone(), watch: None }
    }
}

/// Tells of changes from the store's own watch.
pub struct EmbeddedFeed {
    store: EmbeddedStore,
    watch: Option<Subscription>,
}

impl Feed for EmbeddedFeed {
    async fn next(&mut self) -> Changed {
        let Some(watch) = &mut self.watch else {
            let spec =
                WatchSpec { key: self.store.layout.prefix().clone(), recursive: true, since: 0 };
            match self.store.member.member().watch(spec, WatchMode::Stream, Reader::guest()) {
                Ok(watch) => self.watch = Some(watch),
                // Only a store that stops refuses this watch: nobody makes users in it.
                Err(_) => std::future::pending().await,
            }
            return Changed::Everything;
        };
        match watch.next().await {
            Next::Event(event) => self.store.layout.changed(&event.node.key),
            Next::End(_) => {
                self.watch = None;
                Changed::Everything
            }
        }
    }
}

fn written(outcome: Result<(), ProposeError>) -> Result<Written, StoreError> {
    match outcome {
        Ok(()) => Ok(Written::Done),
        Err(ProposeError::Store(error))
            if [ErrorCode::KeyExists, ErrorCode::CompareFailed, ErrorCode::KeyNotFound]
                .contains(&error.code) =>
        {
            Ok(Written::Outrun)
        }
        Err(error) => Err(StoreError(error.to_string())),
    }
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(value).into_owned()
}
