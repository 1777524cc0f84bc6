//! Three members of one subject on this machine, formed from nothing, and gone when dropped.
//!
//! The clock of a formation runs from before the first process is started until all members say they are healthy and
//! the first write is acknowledged, whichever is last.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::member::Member;
use super::processes::Processes;
use super::subject::{DataRoot, Subject, Timing};
use crate::clock::Moment;
use crate::control;
use crate::interrupt;

/// Members of a launched cluster: the smallest that survives a loss.
const MEMBERS: usize = 3;

/// A cluster that has not formed by now never will.
const FORMATION_MAX: Duration = Duration::from_secs(60);

/// Pause between looks at a member that refuses connections; bounds the error of formation times.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A member that accepts and does not answer is asked again after this long.
const LOOK_PATIENCE: Duration = Duration::from_millis(250);

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
    /// Removed with the cluster, after its members.
    _data: TempDir,
}

/// How long a cluster took to form.
#[derive(Clone, Copy, Debug)]
pub struct Formation {
    /// Until all members answered /health well.
    pub healthy: Duration,
    /// Until a write was acknowledged.
    pub first_write: Duration,
}

impl Formation {
    /// Until both.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.healthy.max(self.first_write)
    }
}

impl Cluster {
    /// Starts three members of `subject` and waits until they serve.
    ///
    /// # Errors
    /// When a member cannot be started, ends, or the cluster does not form in a minute.
    pub fn form(
        subject: &Subject,
        timing: &Timing,
        root: &DataRoot,
    ) -> anyhow::Result<(Self, Formation)> {
        let data = tempfile::Builder::new()
            .prefix("quorate-bench-")
            .tempdir_in(root.path())
            .with_context(|| {
                format!("could not make a data directory in {}", root.path().display())
            })?;
        let ports = free_ports(2 * MEMBERS)?;
        let (clients, peers) = ports.split_at(MEMBERS);
        let start = Moment::now();
        let mut members = Vec::with_capacity(MEMBERS);
        for (number, client) in clients.iter().enumerate() {
            let folder = data.path().join(format!("m{number}.data"));
            let mut args = member_flags(number, client, peers, &folder.to_string_lossy());
            args.extend(timing.flags());
            args.extend(subject.flags.iter().cloned());
            let log = data.path().join(format!("m{number}.log"));
            members.push(Member::start(&subject.binary, args, log, *client)?);
        }
        let mut cluster = Self { members, _data: data };
        let formation = cluster.await_service(start).with_context(|| {
            format!("the cluster of {} ({}) did not form", subject.name, subject.binary.display())
        })?;
        Ok((cluster, formation))
    }

    /// Where its members serve clients.
    #[must_use]
    pub fn endpoints(&self) -> Vec<SocketAddr> {
        self.members.iter().map(Member::client).collect()
    }

    /// Its processes.
    #[must_use]
    pub fn processes(&self) -> Processes {
        Processes::new(self.members.iter().map(Member::pid).collect())
    }

    /// The member that serves at `endpoint`.
    pub fn member_mut(&mut self, endpoint: SocketAddr) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.client() == endpoint)
    }

    /// Waits until all members are healthy and a write is acknowledged, counting from `start`.
    ///
    /// # Errors
    /// When a member ends by itself, or it takes more than a minute.
    pub fn await_service(&mut self, start: Moment) -> anyhow::Result<Formation> {
        let endpoints = self.endpoints();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let stop = &stop;
            let watchers: Vec<_> = endpoints
                .iter()
                .map(|endpoint| scope.spawn(move || await_answer(stop, || is_healthy(*endpoint))))
                .collect();
            let writer = {
                let endpoints = endpoints.clone();
                let mut turn = endpoints.into_iter().cycle();
                scope.spawn(move || await_answer(stop, || turn.next().is_some_and(takes_writes)))
            };
            while !(watchers.iter().all(thread::ScopedJoinHandle::is_finished)
                && writer.is_finished())
            {
                let trouble = self.trouble(start);
                if trouble.is_err() {
                    stop.store(true, Ordering::Relaxed);
                    return trouble.map(|()| Formation {
                        healthy: Duration::ZERO,
                        first_write: Duration::ZERO,
                    });
                }
                thread::sleep(LOOK_EVERY);
            }
            let healthy = watchers.into_iter().map(|watcher| watcher.join().ok().flatten());
            let healthy = healthy
                .collect::<Option<Vec<Moment>>>()
                .and_then(|moments| moments.into_iter().max());
            let first_write = writer.join().ok().flatten();
            let (Some(healthy), Some(first_write)) = (healthy, first_write) else {
                bail!("a thread that waited for the cluster ended early");
            };
            Ok(Formation { healthy: healthy.since(start), first_write: first_write.since(start) })
        })
    }

    fn trouble(&mut self, start: Moment) -> anyhow::Result<()> {
        interrupt::check()?;
        if let Some(death) = self.members.iter_mut().find_map(Member::death) {
            bail!(death);
        }
        if Moment::now().since(start) > FORMATION_MAX {
            bail!("not all members served after {} s", FORMATION_MAX.as_secs());
        }
        Ok(())
    }
}

/// Which of `endpoints` the cluster's leader serves at.
///
/// # Errors
/// When no member names a leader among them within ten seconds.
pub fn leader_of(endpoints: &[SocketAddr]) -> anyhow::Result<SocketAddr> {
    let deadline = Moment::now().after(Duration::from_secs(10));
    loop {
        for endpoint in endpoints {
            if let Some(leader) =
                named_leader(*endpoint).filter(|leader| endpoints.contains(leader))
            {
                return Ok(leader);
            }
        }
        interrupt::check()?;
        if Moment::now() > deadline {
            bail!(
                "no member named a leader among {endpoints:?} in 10 s; give the endpoints as they are advertised"
            );
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn named_leader(endpoint: SocketAddr) -> Option<SocketAddr> {
    let answer = control::get(endpoint, "/v2/members/leader", Duration::from_secs(1)).ok()?;
    let member: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    let urls = member.get("clientURLs")?.as_array()?;
    urls.iter().find_map(|url| control::parse_endpoint(url.as_str()?).ok())
}

/// The moment `look` first succeeded; `None` when told to stop.
fn await_answer(stop: &AtomicBool, mut look: impl FnMut() -> bool) -> Option<Moment> {
    while !stop.load(Ordering::Relaxed) {
        if look() {
            return Some(Moment::now());
        }
        thread::sleep(LOOK_EVERY);
    }
    None
}

fn is_healthy(endpoint: SocketAddr) -> bool {
    control::get(endpoint, "/health", LOOK_PATIENCE).is_ok_and(|answer| {
        let health: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        let says = health.and_then(|health| Some(health.get("health")?.as_str()? == "true"));
        answer.status == 200 && says == Some(true)
    })
}

fn takes_writes(endpoint: SocketAddr) -> bool {
    control::put(endpoint, "formed", "yes", LOOK_PATIENCE)
        .is_ok_and(|answer| matches!(answer.status, 200 | 201))
}

/// Ports the system chose. They are let go just before use; only a bind to port 0 elsewhere in between could take one.
fn free_ports(count: usize) -> anyhow::Result<Vec<SocketAddr>> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()
        .context("the system has no free port on 127.0.0.1")?;
    held.iter()
        .map(|listener| listener.local_addr().context("a bound socket has no address"))
        .collect()
}

fn member_flags(
    number: usize,
    client: &SocketAddr,
    peers: &[SocketAddr],
    folder: &str,
) -> Vec<String> {
    let peer = peers.get(number).map(SocketAddr::to_string).unwrap_or_default();
    let initial: Vec<String> =
        peers.iter().enumerate().map(|(number, peer)| format!("m{number}=http://{peer}")).collect();
    vec![
        format!("--name=m{number}"),
        format!("--data-dir={folder}"),
        format!("--listen-client-urls=http://{client}"),
        format!("--advertise-client-urls=http://{client}"),
        format!("--listen-peer-urls=http://{peer}"),
        format!("--initial-advertise-peer-urls=http://{peer}"),
        format!("--initial-cluster={}", initial.join(",")),
        "--initial-cluster-state=new".to_owned(),
        "--initial-cluster-token=quorate-bench".to_owned(),
        "--enable-v2=true".to_owned(),
    ]
}
