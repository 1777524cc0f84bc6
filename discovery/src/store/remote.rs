//! Tokens in a cluster: any Quorate, or etcd 3.4 with its v2 API. Several replicas of the service may share it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_client::{ClientError, KeysClient, Node, Watched};
use quorate_core::Key;

use super::{Changed, Feed, Layout, Store, StoreError, Versioned, Written};

/// How long one watch of the store waits before it is renewed, with a look at the store's index: for so long at most a member
/// that hangs keeps news from this replica.
const WATCH_PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to reach a store that does not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct RemoteStore {
    client: Arc<KeysClient>,
    layout: Layout,
}

impl RemoteStore {
    /// The tokens that `layout` places in the cluster that `client` asks.
    #[must_use]
    pub fn new(client: Arc<KeysClient>, layout: Layout) -> Self {
        Self { client, layout }
    }
}

impl Store for RemoteStore {
    type Feed = RemoteFeed;

    async fn read(&self, key: &Key) -> Result<Option<Versioned>, StoreError> {
        let node = self.client.get(key).await.map_err(failed)?;
        Ok(node.and_then(versioned))
    }

    async fn create(&self, key: &Key, value: String) -> Result<Written, StoreError> {
        written(self.client.create(key, &value, None).await.map(drop))
    }

    async fn swap(&self, key: &Key, value: String, version: u64) -> Result<Written, StoreError> {
        written(self.client.compare_and_swap(key, &value, version).await.map(drop))
    }

    async fn delete(&self, key: &Key, version: u64) -> Result<Written, StoreError> {
        written(self.client.compare_and_delete(key, version).await)
    }

    async fn put(&self, key: &Key, value: String) -> Result<(), StoreError> {
        self.client.set(key, &value, None).await.map(drop).map_err(failed)
    }

    async fn delete_tree(&self, key: &Key) -> Result<(), StoreError> {
        match self.client.delete_tree(key).await {
            Err(ClientError::NotFound(_)) => Ok(()),
            done => done.map_err(failed),
        }
    }

    async fn list(&self, key: &Key) -> Result<BTreeMap<String, Versioned>, StoreError> {
        let Some(directory) = self.client.tree(key).await.map_err(failed)? else {
            return Ok(BTreeMap::new());
        };
        let files = directory.nodes.into_iter().filter_map(|node| {
            let name = node.name().to_owned();
            versioned(node).map(|value| (name, value))
        });
        Ok(files.collect())
    }

    fn feed(&self) -> RemoteFeed {
        RemoteFeed { store: self.clone(), next: None }
    }
}

/// Tells of changes by long polls, one after the other, each from the index after the last.
pub struct RemoteFeed {
    store: RemoteStore,
    /// The index to watch from; unknown at first and after a gap.
    next: Option<u64>,
}

impl Feed for RemoteFeed {
    async fn next(&mut self) -> Changed {
        loop {
            let client = &self.store.client;
            let Some(since) = self.next else {
                match client.index().await {
                    Ok(index) => self.next = Some(index + 1),
                    Err(error) => {
                        tracing::warn!(%error, "cannot follow the store; waiting machines learn of others late");
                        tokio::time::sleep(RETRY_PAUSE).await;
                        continue;
                    }
                }
                return Changed::Everything;
            };
            match client.watch(self.store.layout.prefix(), since, WATCH_PATIENCE).await {
                Ok(Watched::Event(event)) => {
                    self.next = Some(event.node.modified_index + 1);
                    let key = Key::parse(event.node.key.as_bytes());
                    return key.map_or(Changed::Everything, |key| self.store.layout.changed(&key));
                }
                Ok(Watched::Quiet) => {
                    // A busy store moves on while nothing happens here, and its history is short.
                    if client.index().await.is_ok_and(|index| index >= since) {
                        self.next = None;
                    }
                }
                Ok(Watched::Cleared { .. }) => self.next = None,
                Err(error) => {
                    tracing::warn!(%error, "cannot follow the store; waiting machines learn of others late");
                    self.next = None;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}

fn versioned(node: Node) -> Option<Versioned> {
    let version = node.modified_index;
    node.value.map(|value| Versioned { value, version })
}

fn written(outcome: Result<(), ClientError>) -> Result<Written, StoreError> {
    match outcome {
        Ok(()) => Ok(Written::Done),
        Err(ClientError::Exists(_) | ClientError::Changed(_) | ClientError::NotFound(_)) => {
            Ok(Written::Outrun)
        }
        Err(error) => Err(failed(error)),
    }
}

fn failed(error: ClientError) -> StoreError {
    StoreError(error.to_string())
}
