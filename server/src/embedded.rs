//! A cluster of one inside of another program: the log, the store and its watches in a data directory, and no port at all.
//!
//! It is the same member as `run` starts, made durable in the same way and readable by `quorate-server` later. What is left
//! out is everything that needs somebody else: peers, clients, a port. The program that embeds it stops it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quorate_transport::http_client::{Connector, PlainConnector};

use crate::bootstrap::{self, Forming};
use crate::client_tasks::ClientTasks;
use crate::config::{self, Config, Process, Request};
use crate::logging::LogHandle;
use crate::member::Member as _;
use crate::metrics::Metrics;
use crate::node::{Node, StopReason};
use crate::reports::Whereabouts;
use crate::run::formation_file::FormationFile;
use crate::run::{Decided, RunError, plan, start_node};
use crate::storage::data_dir::DataDir;

/// A member of one reads its log and elects itself in well under a second; a slow disk with a long log takes longer.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often it is asked whether it is ready.
const READY_CHECK: Duration = Duration::from_millis(5);

/// A running member without ports. Dropping it does not stop it: see [`Embedded::stop`].
pub struct Embedded {
    node: Node,
    /// Held for its lock: no second process may use the directory.
    _data_dir: DataDir,
}

impl Embedded {
    /// Opens the store in `data_dir`, making it if it is not there, and returns once it takes writes.
    ///
    /// # Errors
    /// The directory is used by another process, belongs to a larger cluster or is damaged, or the disk fails.
    pub async fn open(name: &str, data_dir: &Path) -> Result<Self, RunError> {
        let config = configuration(name, data_dir)?;
        let mut data_dir = DataDir::open(&config.data_dir, None)?;
        let file = FormationFile::open(data_dir.path())?;
        let plan = plan(&config, &data_dir, &file)?;
        let forming = Arc::new(Forming::new(&plan));
        // There is no peer to call.
        let connector: Arc<dyn Connector> = Arc::new(PlainConnector);
        let started =
            bootstrap::run(&plan, &forming, &*connector, |bound| file.bind(bound)).await?;
        let metrics = Arc::new(Metrics::new()?);
        let decided = Decided {
            plan: &plan,
            started: &started,
            bound: &file.bound(),
            connector,
            clients: ClientTasks::default(),
            reporting: Whereabouts::default(),
        };
        let node =
            start_node(&config, &mut data_dir, &decided, &metrics, LogHandle::idle()).await?;
        node.form().await?;
        let embedded = Self { node, _data_dir: data_dir };
        embedded.ready().await?;
        Ok(embedded)
    }

    /// The member, for everything that a client could ask of it.
    #[must_use]
    pub fn member(&self) -> &Node {
        &self.node
    }

    /// Returns once the store cannot go on, and why. Only a failed disk ends it.
    pub async fn stopped(&self) -> StopReason {
        self.node.stopped().await
    }

    /// Ends all watches and closes the log; everything acknowledged is on the disk already.
    pub async fn stop(&self) {
        self.node.end_watches();
        self.node.shut_down().await;
    }

    async fn ready(&self) -> Result<(), RunError> {
        let ready = async {
            while !(self.node.may_serve() && self.node.status().leader.is_some()) {
                tokio::time::sleep(READY_CHECK).await;
            }
        };
        tokio::select! {
            reason = self.node.stopped() => Err(RunError::Stopped(reason)),
            in_time = tokio::time::timeout(READY_WITHIN, ready) => in_time.map_err(|_| {
                let text = format!(
                    "the store did not get ready within {}s. If its data directory belonged to a cluster of several members, \
                     start quorate-server on it instead",
                    READY_WITHIN.as_secs()
                );
                RunError::Io(io::Error::new(io::ErrorKind::TimedOut, text))
            }),
        }
    }
}

/// What flags would make of a member that is alone. Neither environment nor file has a say: they configure the program around it.
fn configuration(name: &str, data_dir: &Path) -> Result<Config, RunError> {
    let flag = |flag: &str, value: &std::ffi::OsStr| {
        let mut argument = OsString::from(flag);
        argument.push(value);
        argument
    };
    let args = vec![flag("--name=", name.as_ref()), flag("--data-dir=", data_dir.as_os_str())];
    let process = Process { args, environment: Vec::new(), default_route: &|| None };
    match config::load(&process) {
        Ok(Request::Run(loaded)) => Ok(loaded.config),
        Ok(Request::Print { text, .. }) => Err(RunError::Cluster(text)),
        Err(error) => Err(RunError::Cluster(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use quorate_core::{Command, Key, Ttl, Value};

    use super::*;

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::parse(b"/a").unwrap();
        for round in 0..2 {
            let store = Embedded::open("alone", dir.path()).await.unwrap();
            let found = store.member().view(|machine, _| machine.node(&key).cloned());
            assert_eq!(found.is_some(), round == 1, "round {round}");
            let value = Value::from("1");
            let set = Command::Set {
                key: key.clone(),
                value,
                dir: false,
                ttl: Ttl::Permanent,
                refresh: false,
            };
            store.member().propose(set).await.unwrap();
            let busy = Embedded::open("alone", dir.path()).await;
            assert!(busy.is_err(), "two at once");
            store.stop().await;
        }
    }
}
