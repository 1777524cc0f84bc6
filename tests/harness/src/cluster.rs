//! A cluster of members in one folder, which goes away with it.
//!
//! Leaves membership changes to the tests: [`Cluster::prepare_joiner`] only makes a member that could join.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::http::{Http, Request};
use crate::keys::Keys;
use crate::launch::Launch;
use crate::member::{self, Member, Parts};
use crate::network::{CLIENT_PORT, Network, PEER_PORT};
use crate::ports::Port;
use crate::program::Program;
use crate::storage;
use crate::wait::wait_until;

/// A loaded two-core machine starts three members in about five seconds.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Leadership is asked of several members in a row; one that hangs must not use up the wait.
const LEADER_TIMEOUT: Duration = Duration::from_secs(1);

/// Says what a cluster is to be like.
#[derive(Clone, Debug)]
pub struct Builder {
    program: Program,
    members: usize,
    flags: Vec<String>,
    member_flags: Vec<(usize, String)>,
    environment: Vec<(String, String)>,
    token: String,
    data_root: Option<PathBuf>,
    network: Option<Arc<Network>>,
}

/// Members and the folder they share. Kills them and removes the folder on drop; shows their logs when a test fails.
#[derive(Debug)]
pub struct Cluster {
    builder: Builder,
    binary: PathBuf,
    members: Mutex<Vec<Arc<Member>>>,
    folder: Option<TempDir>,
}

impl Builder {
    /// Sets the number of founding members; 1 when not called.
    pub fn members(mut self, members: usize) -> Self {
        self.members = members;
        self
    }

    /// Adds a flag for every member, e.g. `--snapshot-count=100`. The last of equal flags wins.
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Adds a flag for one founding member, counted from 0.
    pub fn member_flag(mut self, member: usize, flag: impl Into<String>) -> Self {
        self.member_flags.push((member, flag.into()));
        self
    }

    /// Adds an environment variable for every member. `ETCD_*` variables of the test's own environment are not passed on.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the initial cluster token; `test` when not called.
    pub fn token(mut self, token: &str) -> Self {
        self.token = token.to_owned();
        self
    }

    /// Makes the cluster's folder below `root` in place of `TMPDIR` or the build's target folder.
    pub fn data_root(mut self, root: &Path) -> Self {
        self.data_root = Some(root.to_owned());
        self
    }

    /// Places the founding members in `network`, each at an address of its own.
    pub fn network(mut self, network: &Arc<Network>) -> Self {
        self.network = Some(Arc::clone(network));
        self
    }

    /// Lays the cluster out without starting it. Panics when the program is missing, with what to do.
    #[track_caller]
    pub fn prepare(self) -> Cluster {
        let binary = self.program.binary().unwrap_or_else(|missing| panic!("{missing}"));
        let folder = storage::fresh_folder(self.data_root.as_deref())
            .unwrap_or_else(|error| panic!("no folder for the cluster's data: {error}"));
        let founders: Vec<Founder> = (1..=self.members)
            .map(|number| Founder::new(number, self.network.as_deref()))
            .collect();
        let initial_cluster = joined(founders.iter().map(|it| (it.name.as_str(), it.peer.url())));
        let cluster =
            Cluster { builder: self, binary, members: Mutex::default(), folder: Some(folder) };
        for (position, founder) in founders.into_iter().enumerate() {
            let own = cluster.builder.member_flags.iter().filter(|(member, _)| *member == position);
            let own: Vec<String> = own.map(|(_, flag)| flag.clone()).collect();
            cluster.add(founder, &initial_cluster, "new", own);
        }
        cluster
    }

    /// Lays the cluster out, starts all members and waits until each is healthy. Panics when that fails.
    #[track_caller]
    pub fn start(self) -> Cluster {
        let cluster = self.prepare();
        cluster.start();
        cluster.wait_ready();
        cluster
    }
}

impl Cluster {
    /// Begins to describe a cluster of `program`.
    pub fn builder(program: Program) -> Builder {
        Builder {
            program,
            members: 1,
            flags: Vec::new(),
            member_flags: Vec::new(),
            environment: Vec::new(),
            token: "test".to_owned(),
            data_root: None,
            network: None,
        }
    }

    /// The program its members run.
    pub fn program(&self) -> Program {
        self.builder.program
    }

    /// The folder of data and logs.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// All members that have not been retired, in the order they were made.
    pub fn members(&self) -> Vec<Arc<Member>> {
        self.list().clone()
    }

    /// The member at `position`, counted from 0. Panics when there is none.
    #[track_caller]
    pub fn member(&self, position: usize) -> Arc<Member> {
        let members = self.list();
        let found = members.get(position);
        Arc::clone(
            found
                .unwrap_or_else(|| panic!("member {position} of {} does not exist", members.len())),
        )
    }

    /// The address where the first member listens for clients.
    pub fn address(&self) -> SocketAddr {
        self.member(0).client_address()
    }

    /// A client of the first member.
    pub fn http(&self) -> Http {
        self.member(0).http()
    }

    /// The key operations through the first member.
    pub fn keys(&self) -> Keys {
        self.member(0).keys()
    }

    /// Starts every member that does not run.
    #[track_caller]
    pub fn start(&self) {
        for member in self.members() {
            if !member.is_running() {
                member.start();
            }
        }
    }

    /// Waits until every member that runs is healthy. Panics when one is not in time.
    #[track_caller]
    pub fn wait_ready(&self) {
        for member in self.members() {
            if member.pid().is_some() {
                member.wait_ready(READY_WITHIN);
            }
        }
    }

    /// The member that more than half of all members name as leader, if there is one right now.
    pub fn leader(&self) -> Option<Arc<Member>> {
        let members = self.members();
        let named: Vec<String> =
            members.iter().filter_map(|member| leader_according_to(member)).collect();
        let votes = |name: &str| named.iter().filter(|it| *it == name).count();
        members.iter().find(|member| votes(member.name()) * 2 > members.len()).cloned()
    }

    /// Waits until there is a [`Cluster::leader`] and returns it. Panics at the deadline.
    #[track_caller]
    pub fn wait_leader(&self, within: Duration) -> Arc<Member> {
        let mut leader = None;
        wait_until("a majority of the members agree on a leader", within, || {
            leader = self.leader();
            leader.is_some()
        });
        leader.unwrap_or_else(|| panic!("there is no leader"))
    }

    /// Makes one more member, set up to join this cluster; add its peer URL to the cluster, then start it.
    #[track_caller]
    pub fn prepare_joiner(&self, flags: &[&str]) -> Arc<Member> {
        let joiner = Founder::new(self.next_number(), None);
        let members = self.members();
        let known = members.iter().map(|it| (it.name(), it.peer_url()));
        let initial_cluster = joined(known.chain([(joiner.name.as_str(), joiner.peer.url())]));
        self.add(
            joiner,
            &initial_cluster,
            "existing",
            flags.iter().map(|flag| (*flag).to_owned()).collect(),
        )
    }

    /// Kills a member and leaves it out of this cluster from now on; for members that were removed by request.
    pub fn retire(&self, member: &Member) {
        member.kill9();
        self.list().retain(|it| it.name() != member.name());
    }

    fn add(
        &self,
        founder: Founder,
        initial_cluster: &str,
        state: &str,
        own: Vec<String>,
    ) -> Arc<Member> {
        let Founder { name, launcher, client, peer } = founder;
        let data_dir = member::data_dir(self.folder(), &name);
        let launch = Launch {
            name: &name,
            data_dir: &data_dir,
            client: &client,
            peer: &peer,
            initial_cluster,
            state,
            token: &self.builder.token,
        };
        let mut flags = launch.flags();
        flags.extend(self.builder.flags.iter().cloned());
        flags.extend(own);
        let member = Arc::new(Member::new(Parts {
            name,
            program: self.builder.program,
            binary: self.binary.clone(),
            launcher,
            folder: self.folder().to_owned(),
            client,
            peer,
            flags,
            environment: self.builder.environment.clone(),
        }));
        self.list().push(Arc::clone(&member));
        member
    }

    /// Names are never used twice, so that a data folder never meets a second owner.
    fn next_number(&self) -> usize {
        let highest = self
            .members()
            .iter()
            .filter_map(|it| it.name().trim_start_matches('m').parse().ok())
            .max();
        highest.unwrap_or(0_usize).max(self.builder.members) + 1
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in self.members() {
            member.kill9();
            if thread::panicking() {
                eprintln!(
                    "--- log of {} ({}) ---\n{}",
                    member.name(),
                    member.program(),
                    member.log_tail()
                );
            }
        }
        if std::env::var_os("QUORATE_KEEP").is_some()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("kept {}", folder.keep().display());
        }
    }
}

/// A member that has a name and ports, and nothing else yet.
struct Founder {
    name: String,
    launcher: Vec<String>,
    client: Port,
    peer: Port,
}

impl Founder {
    #[track_caller]
    fn new(number: usize, network: Option<&Network>) -> Self {
        let name = format!("m{number}");
        if let Some(network) = network {
            let address = network.address(number - 1);
            let (client, peer) = (Port::at(address, CLIENT_PORT), Port::at(address, PEER_PORT));
            return Self { name, launcher: network.launcher(number - 1), client, peer };
        }
        let port =
            || Port::free().unwrap_or_else(|error| panic!("no free port on 127.0.0.1: {error}"));
        Self { name, launcher: Vec::new(), client: port(), peer: port() }
    }
}

fn joined<'a>(members: impl Iterator<Item = (&'a str, String)>) -> String {
    members.map(|(name, url)| format!("{name}={url}")).collect::<Vec<_>>().join(",")
}

fn leader_according_to(member: &Member) -> Option<String> {
    member.pid()?;
    let answer =
        member.http().timeout(LEADER_TIMEOUT).send(&Request::get("/v2/members/leader")).ok()?;
    if answer.status != 200 {
        return None;
    }
    answer.json()["name"].as_str().map(str::to_owned)
}
