//! One process of the service, and the tokens made through it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate_harness::{Answer, Cluster, Http, Member, Port, Program, Request};
use serde_json::Value;

/// A loaded machine starts the service in a second or two.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// Three etcd nodes form within seconds; one that was refused a connection comes back after 2, 4, 8 s.
pub const FORMED_WITHIN: Duration = Duration::from_secs(120);

/// A running service.
pub struct Service {
    /// Holds the process and its folder.
    _cluster: Cluster,
    member: Arc<Member>,
    dns: Option<Port>,
}

/// The zone that [`Service::with_dns`] answers for.
pub const ZONE: &str = "q.example.test";

/// A token made through the service.
#[derive(Clone, Debug)]
pub struct Token {
    /// The discovery URL.
    pub url: String,
    /// Its path: `/` and the join secret.
    pub path: String,
    /// The token's ID.
    pub id: String,
    /// The join secret.
    pub join: String,
    /// The secret to read.
    pub read: String,
    /// The secret to administer.
    pub admin: String,
}

impl Service {
    /// Starts the service with a store of its own and waits until it is ready.
    #[track_caller]
    pub fn start(flags: &[&str]) -> Self {
        let service = Self::prepare(flags);
        service.member.start();
        service.member.wait_ready(READY_WITHIN);
        service
    }

    /// Lays the service out without starting it.
    #[track_caller]
    pub fn prepare(flags: &[&str]) -> Self {
        let cluster = Cluster::builder(Program::Discovery).prepare();
        let member = Arc::clone(&cluster.members()[0]);
        let mut own = vec![
            format!("--listen-url={}", member.client_url()),
            format!("--data-dir={}", member.data_dir().display()),
            // All tests come from one address.
            "--max-requests-per-second=0".to_owned(),
            "--max-new-per-minute=0".to_owned(),
        ];
        own.extend(flags.iter().map(|flag| (*flag).to_owned()));
        member.set_flags(own);
        Self { _cluster: cluster, member, dns: None }
    }

    /// Starts a service that answers DNS for [`ZONE`], too.
    #[track_caller]
    pub fn with_dns(flags: &[&str]) -> Self {
        let port = Port::free().unwrap_or_else(|error| panic!("a port: {error}"));
        let listen = format!("--dns-listen={}", port.address());
        let zone = format!("--dns-zone={ZONE}");
        let mut service = Self::prepare(&[&[listen.as_str(), zone.as_str()], flags].concat());
        service.dns = Some(port);
        service.member.start();
        service.member.wait_ready(READY_WITHIN);
        service
    }

    /// Where it answers DNS.
    #[track_caller]
    #[must_use]
    pub fn dns(&self) -> SocketAddr {
        self.dns.as_ref().map(Port::address).unwrap_or_else(|| panic!("it answers no DNS"))
    }

    /// Sends a member's report.
    #[track_caller]
    pub fn report(&self, token: &Token, member: &str, report: &Value) -> Answer {
        let target = format!("/v1/tokens/-/members/{member}/report");
        let request = Request::new("PUT", target).body("application/json", report.to_string());
        self.send(&bearer(request, &token.join))
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Member {
        &self.member
    }

    /// A client of it.
    #[must_use]
    pub fn http(&self) -> Http {
        self.member.http()
    }

    /// Sends a request that must be answered.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        self.http().send(request).unwrap_or_else(|error| {
            panic!("{request}: {error}; the log ends with\n{}", self.member.log_tail())
        })
    }

    /// Makes a token for a cluster of `size`.
    #[track_caller]
    pub fn token(&self, size: usize) -> Token {
        let body = format!("{{\"size\":{size}}}");
        let answer = self.send(&Request::new("POST", "/v1/tokens").body("application/json", body));
        assert_eq!(answer.status, 201, "{answer}");
        let json = answer.json();
        let text = |field: &str| json[field].as_str().unwrap_or_default().to_owned();
        let join = text("join_secret");
        Token {
            url: text("discovery_url"),
            path: format!("/{join}"),
            id: text("id"),
            join,
            read: text("read_secret"),
            admin: text("admin_secret"),
        }
    }

    /// The token as the native API shows it.
    #[track_caller]
    pub fn status(&self, token: &Token) -> Value {
        let request = bearer(Request::get(format!("/v1/tokens/{}", token.id)), &token.read);
        let answer = self.send(&request);
        assert_eq!(answer.status, 200, "{answer}");
        answer.json()
    }

    /// How many members have registered.
    #[track_caller]
    pub fn registered(&self, token: &Token) -> usize {
        self.status(token)["members"].as_array().map_or(0, Vec::len)
    }

    /// Registers as an etcd node does.
    #[track_caller]
    pub fn register(&self, token: &Token, member: &str, value: &str) -> Answer {
        self.send(&register(token, member, value))
    }

    /// Does what an administrator may.
    #[track_caller]
    pub fn administer(&self, token: &Token, method: &str, below: &str, body: &str) -> Answer {
        let target = format!("/v1/tokens/{}{below}", token.id);
        let request = Request::new(method, target).body("application/json", body);
        self.send(&bearer(request, &token.admin))
    }
}

/// A registration as an etcd node sends it.
#[must_use]
pub fn register(token: &Token, member: &str, value: &str) -> Request {
    let encoded = value.replace('%', "%25").replace('=', "%3D").replace(':', "%3A");
    let encoded = encoded.replace('/', "%2F").replace('&', "%26").replace(',', "%2C");
    Request::put(format!("{}/{member}?prevExist=false", token.path), &format!("value={encoded}"))
}

/// Adds a secret.
#[must_use]
pub fn bearer(request: Request, secret: &str) -> Request {
    request.header("Authorization", &format!("Bearer {secret}"))
}
