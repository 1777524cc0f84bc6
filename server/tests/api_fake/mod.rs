//! A member of one for tests: the real machine and the real watch hub, a clock that tests set, and no raft.
//!
//! It starts as a fresh single-member etcd does: member added, published, version decided, so at store index 3.

#![expect(dead_code, reason = "each test program uses its own part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::RwLock;
use quorate_core::{ClusterId, Command, Machine, MemberId, Roster, RosterMember, Stamp, WatchSpec};
use quorate_server::client_api::{Access, ClientApi, HttpMetrics, Origin};
use quorate_server::logging::LogLevel;
use quorate_server::member::Role;
use quorate_server::member::{
    AppendStats, Check, Committed, Follower, Member, MembershipError, ProposeError, Status,
};
use quorate_server::watch::{Subscription, Wakes, WatchError, WatchHub, WatchMode};
use tokio::net::TcpListener;

pub(crate) const OWN_ID: MemberId = MemberId(0x2e12_59d4_15f2_a040);
pub(crate) const PEER_URL: &str = "http://127.0.0.1:2380";
pub(crate) const CLIENT_URL: &str = "http://127.0.0.1:2379";
/// 2026-01-01T00:00:00Z.
pub(crate) const START: Stamp = Stamp(1_767_225_600_000_000_000);

#[derive(Clone)]
pub(crate) struct Fake(Arc<State>);

struct State {
    machine: RwLock<Machine>,
    hub: WatchHub,
    roster: RwLock<Roster>,
    raft_index: AtomicU64,
    now: AtomicU64,
    trouble: RwLock<Trouble>,
}

/// What is made to go wrong.
#[derive(Clone, Default)]
pub(crate) struct Trouble {
    pub propose: Option<ProposeError>,
    pub membership: Option<MembershipError>,
    pub no_leader: bool,
    pub not_joined: bool,
    pub never_answers: bool,
    pub checks: Vec<Check>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        let fake = Self(Arc::new(State {
            machine: RwLock::new(Machine::new()),
            hub: WatchHub::default(),
            roster: RwLock::default(),
            raft_index: AtomicU64::new(1),
            now: AtomicU64::new(START.0),
            trouble: RwLock::default(),
        }));
        fake.0.roster.write().members.push(RosterMember {
            id: OWN_ID,
            peer_urls: vec![PEER_URL.to_owned()],
            is_learner: false,
        });
        fake.apply_roster();
        let client_urls = vec![CLIENT_URL.to_owned()];
        let _ = fake.apply(&Command::Publish {
            member: OWN_ID,
            name: "ref".to_owned(),
            client_urls,
            incarnation: 1,
        });
        let _ = fake.apply(&Command::ClusterVersion { version: "3.4.0".to_owned() });
        fake
    }

    pub(crate) fn hub(&self) -> &WatchHub {
        &self.0.hub
    }

    pub(crate) fn trouble(&self, trouble: Trouble) {
        *self.0.trouble.write() = trouble;
    }

    pub(crate) fn pass_seconds(&self, seconds: u64) {
        self.0.now.fetch_add(seconds * 1_000_000_000, Ordering::Relaxed);
    }

    pub(crate) fn apply(&self, command: &Command) -> Result<Committed, ProposeError> {
        let mut wakes = Wakes::default();
        let mut machine = self.0.machine.write();
        let raft_index = self.0.raft_index.fetch_add(1, Ordering::Relaxed) + 1;
        let applied = machine.apply(Stamp(self.0.now.load(Ordering::Relaxed)), command);
        for event in applied.events() {
            self.0.hub.notify(event, &mut wakes);
        }
        drop(machine);
        drop(wakes);
        Ok(Committed { event: applied.outcome?, raft_index, term: 2 })
    }

    fn apply_roster(&self) {
        self.0.machine.write().apply_roster(&self.0.roster.read());
    }

    fn change<R>(
        &self,
        change: impl FnOnce(&mut Roster) -> Result<R, MembershipError>,
    ) -> Result<R, MembershipError> {
        if let Some(error) = self.0.trouble.read().membership.clone() {
            return Err(error);
        }
        let done = change(&mut self.0.roster.write())?;
        self.apply_roster();
        Ok(done)
    }
}

impl Member for Fake {
    async fn propose(&self, command: Command) -> Result<Committed, ProposeError> {
        if self.0.trouble.read().never_answers {
            std::future::pending::<()>().await;
        }
        match self.0.trouble.read().propose.clone() {
            Some(error) => Err(error),
            None => self.apply(&command),
        }
    }

    async fn read_barrier(&self) -> Result<(), ProposeError> {
        if self.0.trouble.read().never_answers {
            std::future::pending::<()>().await;
        }
        self.0.trouble.read().propose.clone().map_or(Ok(()), Err)
    }

    fn view<R>(&self, look: impl FnOnce(&Machine, Stamp) -> R) -> R {
        look(&self.0.machine.read(), Stamp(self.0.now.load(Ordering::Relaxed)))
    }

    fn watch(&self, spec: WatchSpec, mode: WatchMode) -> Result<Subscription, WatchError> {
        let machine = self.0.machine.read();
        self.0.hub.subscribe(&machine, spec, mode)
    }

    fn watchers(&self) -> usize {
        self.0.hub.watchers()
    }

    fn status(&self) -> Status {
        let raft_index = self.0.raft_index.load(Ordering::Relaxed);
        Status {
            member: OWN_ID,
            cluster: ClusterId(0x0482_76a8_f75b_6a87),
            term: 2,
            vote: Some(OWN_ID),
            commit_index: raft_index,
            applied_index: raft_index,
            leader: (!self.0.trouble.read().no_leader).then_some(OWN_ID),
            leader_since: START,
            role: Role::Leader,
            started_at: START,
        }
    }

    async fn add_member(
        &self,
        peer_urls: Vec<String>,
    ) -> Result<quorate_core::Member, MembershipError> {
        self.change(|roster| {
            let taken =
                |url: &String| roster.members.iter().any(|member| member.peer_urls.contains(url));
            if peer_urls.iter().any(taken) {
                return Err(MembershipError::PeerUrlExists);
            }
            let id = MemberId(0xadd0 + u64::try_from(roster.members.len()).unwrap());
            let is_learner = false;
            roster.members.push(RosterMember { id, peer_urls: peer_urls.clone(), is_learner });
            Ok(quorate_core::Member {
                id,
                name: String::new(),
                peer_urls,
                client_urls: Vec::new(),
                is_learner,
                incarnation: None,
            })
        })
    }

    async fn remove_member(&self, id: MemberId) -> Result<(), MembershipError> {
        if self.view(|machine, _| machine.members().was_removed(id)) {
            return Err(MembershipError::Removed(id));
        }
        self.change(|roster| {
            let before = roster.members.len();
            roster.members.retain(|member| member.id != id);
            if roster.members.len() == before { Err(MembershipError::NotFound(id)) } else { Ok(()) }
        })
    }

    async fn update_member(&self, id: MemberId, urls: Vec<String>) -> Result<(), MembershipError> {
        if self.view(|machine, _| machine.members().was_removed(id)) {
            return Err(MembershipError::Removed(id));
        }
        self.change(|roster| {
            let member = roster.members.iter_mut().find(|member| member.id == id);
            member.ok_or(MembershipError::NotFound(id))?.peer_urls = urls;
            Ok(())
        })
    }

    fn append_stats(&self) -> AppendStats {
        AppendStats::default()
    }

    fn followers(&self) -> Option<Vec<Follower>> {
        (!self.0.trouble.read().no_leader).then(Vec::new)
    }

    fn has_joined(&self) -> bool {
        !self.0.trouble.read().not_joined
    }

    fn liveness(&self) -> Vec<Check> {
        vec![Check { name: "apply_loop", result: Ok(()) }]
    }

    fn readiness(&self) -> Vec<Check> {
        let mut checks = vec![Check { name: "leader", result: Ok(()) }];
        checks.extend(self.0.trouble.read().checks.iter().cloned());
        checks
    }

    fn exposition(&self) -> Bytes {
        Bytes::from_static(b"up 1\n")
    }

    fn set_log_level(&self, _: LogLevel) {}
}

/// The API of `fake`, and the registry its metrics are in.
pub(crate) fn api(fake: &Fake, access: Access) -> (ClientApi<Fake>, prometheus::Registry) {
    let registry = prometheus::Registry::new();
    let metrics = HttpMetrics::register(&registry).unwrap();
    (ClientApi::new(fake.clone(), access, metrics), registry)
}

/// What a listener serves.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Serves {
    Clients,
    MetricsOnly,
}

/// Serves `api` on a port of the system's choice, for as long as the test's runtime lives.
pub(crate) async fn serve(api: ClientApi<Fake>, serves: Serves) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let api = api.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let api = api.clone();
                    async move {
                        Ok::<_, std::convert::Infallible>(match serves {
                            Serves::Clients => api.answer(request, &Origin::PLAIN).await,
                            Serves::MetricsOnly => api.answer_metrics(request).await,
                        })
                    }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                // An ended connection is what tests look at, from the client's side.
                let _ = http
                    .title_case_headers(true)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

/// Sends bytes on a connection of their own and returns all that comes back until it is closed.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}
