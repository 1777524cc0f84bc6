//! An authority, good certificates for members and a client, and clusters of members that use them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate_harness::{
    Authority, Cluster, FAR_AWAY, Http, Member, Order, Papers, Port, Program, Request, wait_until,
};
use tempfile::TempDir;

use crate::Curl;

/// Long enough for anything that should happen soon, on a machine that is busy with other things.
pub const SOON: Duration = Duration::from_secs(60);

/// A folder of certificates.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    /// Who signed all of them.
    pub authority: Authority,
    /// What members show, to clients and to each other.
    pub member: Papers,
    /// What a client shows.
    pub alice: Papers,
}

/// Which of its ports a member protects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Secured {
    /// The clients' alone.
    Clients,
    /// The one for other members alone.
    Peers,
    /// Both.
    Both,
}

impl Site {
    /// Makes it. Panics when `openssl` refuses.
    #[track_caller]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let authority = Authority::found(folder.path(), "good-authority");
        let member = Order { subject: "/CN=member", ..Order::default() };
        let alice = Order { subject: "/CN=alice", usage: "clientAuth", ..Order::default() };
        Self {
            member: authority.sign("member", &member),
            alice: authority.sign("alice", &alice),
            authority,
            folder,
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lays out members that demand certificates of this site's authority, without starting them. Each tells its metrics
    /// on a plain port of its own.
    #[track_caller]
    pub fn cluster(&self, members: usize, secured: Secured) -> (Cluster, Vec<Port>) {
        let cluster = Cluster::builder(Program::Quorate).members(members).prepare();
        let mut ports = Vec::new();
        for member in cluster.members() {
            ports.push(self.secure(&member, secured));
        }
        (cluster, ports)
    }

    /// A member alone that serves clients, and the port for its metrics.
    #[track_caller]
    pub fn serving(&self) -> (Cluster, Port) {
        self.serving_with(&[])
    }

    /// The same with a list of revoked certificates, empty so far, and where that list is.
    #[track_caller]
    pub fn serving_with_list(&self) -> (Cluster, Port, PathBuf) {
        let list = self.authority.revocations("list.pem", FAR_AWAY);
        let flag = format!("--client-crl-file={}", list.display());
        let (cluster, metrics) = self.serving_with(&[flag]);
        (cluster, metrics, list)
    }

    #[track_caller]
    fn serving_with(&self, flags: &[String]) -> (Cluster, Port) {
        let cluster = Cluster::builder(Program::Quorate).members(1).prepare();
        let member = cluster.member(0);
        let metrics = self.secure(&member, Secured::Clients);
        set_flags(&member, flags);
        cluster.start();
        self.wait_ready(&cluster.members());
        (cluster, metrics)
    }

    /// Makes one member protect its ports; returns the port for its metrics.
    #[track_caller]
    pub fn secure(&self, member: &Member, secured: Secured) -> Port {
        let port = Port::free().unwrap_or_else(|error| panic!("no port: {error}"));
        let mut flags: Vec<String> = member.flags();
        for flag in &mut flags {
            let is_peers = flag.contains("peer") || flag.starts_with("--initial-cluster=");
            let is_chosen = match secured {
                Secured::Clients => !is_peers,
                Secured::Peers => is_peers,
                Secured::Both => true,
            };
            if is_chosen {
                *flag = flag.replace("http://", "https://");
            }
        }
        let prefixes: &[&str] = match secured {
            Secured::Clients => &[""],
            Secured::Peers => &["peer-"],
            Secured::Both => &["", "peer-"],
        };
        for prefix in prefixes {
            flags.push(format!("--{prefix}cert-file={}", self.member.certificate.display()));
            flags.push(format!("--{prefix}key-file={}", self.member.key.display()));
            flags.push(format!("--{prefix}client-cert-auth"));
            let authority = self.authority.certificate.display();
            flags.push(format!("--{prefix}trusted-ca-file={authority}"));
        }
        flags.push(format!("--listen-metrics-urls={}", port.url()));
        member.set_flags(flags);
        port
    }

    /// `curl`, as a client that this site's members let in, asking one of them for a path.
    pub fn curl(&self, member: &Member, path: &str) -> Curl {
        let url = format!("https://{}{path}", member.client_address());
        Curl::get(&url).trusting(&self.authority.certificate).showing(&self.alice)
    }

    /// Waits until members answer clients over TLS.
    #[track_caller]
    pub fn wait_ready(&self, members: &[Arc<Member>]) {
        for member in members {
            let mut last = None;
            wait_until(&format!("{} is healthy over TLS", member.name()), SOON, || {
                assert!(member.is_running(), "{} ended:\n{}", member.name(), member.log_tail());
                let ran = self.curl(member, "/health").run();
                let is_ready = ran.body.contains("\"true\"");
                last = Some(ran);
                is_ready
            });
        }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets flags of a member for its next start; those of the same names are replaced.
pub fn set_flags(member: &Member, flags: &[String]) {
    let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
    let mut all = member.flags();
    all.retain(|known| !flags.iter().any(|flag| name(flag) == name(known)));
    all.extend(flags.iter().cloned());
    member.set_flags(all);
}

/// The value of a series (`name{label="value"}`) on a page of metrics; `None` when it isn't there.
pub fn metric(port: &Port, series: &str) -> Option<f64> {
    let page = Http::new(port.address()).send(&Request::get("/metrics")).ok()?;
    let text = page.text();
    let line = text.lines().find_map(|line| line.strip_prefix(series))?;
    line.trim().parse().ok()
}

/// Puts a file in another's place, as tools that rotate certificates do: at once.
#[track_caller]
pub fn replace(place: &Path, with: &Path) {
    let beside = place.with_extension("beside");
    let copied = fs::copy(with, &beside).and_then(|_| fs::rename(&beside, place));
    copied.unwrap_or_else(|error| panic!("{}: {error}", place.display()));
}

/// How often a side (`client`, `peer`) has taken changed files into use.
pub fn reloads(port: &Port, side: &str) -> f64 {
    let series = format!("quorate_tls_reloads_total{{side=\"{side}\"}}");
    metric(port, &series).unwrap_or_default()
}

/// Waits until changed files were taken into use.
#[track_caller]
pub fn wait_reload(port: &Port, side: &str, before: f64) {
    wait_until("changed files are read again", SOON, || reloads(port, side) > before);
}

/// How many handshakes of a side failed for a reason so far.
pub fn counted(port: &Port, side: &str, reason: &str) -> f64 {
    let series =
        format!("quorate_tls_handshake_failures_total{{reason=\"{reason}\",side=\"{side}\"}}");
    metric(port, &series).unwrap_or_default()
}
