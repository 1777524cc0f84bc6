//! All links of this member: to whom, and which of a peer's links a message takes.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use quorate_core::MemberId;
use quorate_transport::dns;
use quorate_transport::endpoint::{Address, Endpoint};
use quorate_transport::http_client::Connector;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::link::{Class, LinkError, LinkLimits, LinkObserver, Local, PeerLink, Target};
use super::messages::Kind;

/// How long a port may take to accept or refuse a connection before that says nothing.
const PROBE_TIMEOUT: Duration = Duration::from_millis(250);

/// See the module.
pub struct Links {
    own: Local,
    connector: Arc<dyn Connector>,
    observer: Arc<dyn LinkObserver>,
    peers: RwLock<BTreeMap<MemberId, Arc<Peer>>>,
}

struct Peer {
    urls: watch::Sender<Vec<String>>,
    heartbeat: PeerLink,
    log: PeerLink,
    snapshot: PeerLink,
}

impl Peer {
    fn link(&self, class: Class) -> &PeerLink {
        match class {
            Class::Heartbeat => &self.heartbeat,
            Class::Log => &self.log,
            Class::Snapshot => &self.snapshot,
        }
    }
}

/// Why a message has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// It certainly never left this member.
    #[error("{0}")]
    NotSent(String),
    /// It may have arrived and been carried out.
    #[error("{0}")]
    Unknown(String),
}

/// What a peer's port says to a plain connection attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reachability {
    /// It accepts.
    Accepts,
    /// The machine is there and nobody listens.
    Refused,
    /// No answer, or another error.
    Unknown,
}

impl Links {
    /// No links yet; `connector` opens them.
    #[must_use]
    pub fn new(own: Local, connector: Arc<dyn Connector>, observer: Arc<dyn LinkObserver>) -> Self {
        Self { own, connector, observer, peers: RwLock::default() }
    }

    /// Makes sure that there are links to `member` and that they lead to `urls`.
    pub fn ensure(&self, member: MemberId, urls: &[String]) {
        if member == self.own.member {
            return;
        }
        let mut peers = self.peers.write();
        let peer = peers.entry(member).or_insert_with(|| Arc::new(self.connect(member, urls)));
        peer.urls.send_if_modified(|known| {
            let changed = known != urls;
            if changed {
                *known = urls.to_vec();
            }
            changed
        });
    }

    /// `member` has just linked to this one for calls of `class`: it can be reached for them, too.
    pub fn heard_of(&self, member: MemberId, class: Class) {
        if let Some(peer) = self.peers.read().get(&member) {
            peer.link(class).heard_of_peer();
        }
    }

    /// Changes each time that `member` can be reached again for calls of `class`; none if this member knows no way to it.
    pub fn returns(&self, member: MemberId, class: Class) -> Option<watch::Receiver<()>> {
        self.peers.read().get(&member).map(|peer| peer.link(class).returns())
    }

    /// Closes the links to members that are not among `members`.
    pub fn retain(&self, members: impl Fn(MemberId) -> bool) {
        self.peers.write().retain(|member, _| members(*member));
    }

    fn connect(&self, member: MemberId, urls: &[String]) -> Peer {
        let (sender, receiver) = watch::channel(urls.to_vec());
        let link = |class| {
            let target = Target { member, urls: receiver.clone() };
            let limits = LinkLimits::of(class);
            PeerLink::new(
                target,
                self.own,
                class,
                limits,
                Arc::clone(&self.connector),
                Arc::clone(&self.observer),
            )
        };
        Peer {
            urls: sender,
            heartbeat: link(Class::Heartbeat),
            log: link(Class::Log),
            snapshot: link(Class::Snapshot),
        }
    }

    /// Queues a message at once, so that messages of one class leave in the order of `submit`s; the answer comes later.
    pub fn submit(
        &self,
        member: MemberId,
        kind: Kind,
        body: Bytes,
        timeout: Duration,
    ) -> impl Future<Output = Result<Bytes, SubmitError>> + Send + use<> {
        let peer = self.peers.read().get(&member).map(Arc::clone);
        let answer = peer.map(|peer| peer.link(kind.class()).submit(kind as u8, body));
        async move {
            let answer = match answer {
                Some(Ok(answer)) => answer,
                Some(Err(error)) => return Err(SubmitError::from(error)),
                None => return Err(no_way_to(member)),
            };
            let answer =
                tokio::time::timeout(timeout, answer).await.unwrap_or(Err(LinkError::TimedOut));
            answer.map_err(SubmitError::from)
        }
    }

    /// Sends a message and waits for the answer.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn call(
        &self,
        member: MemberId,
        kind: Kind,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, SubmitError> {
        self.submit(member, kind, body, timeout).await
    }

    /// Like `call`; a member that cannot be reached is called once more when it can, if that is in time.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn call_when_back(
        &self,
        member: MemberId,
        kind: Kind,
        body: Bytes,
        time: Duration,
    ) -> Result<Bytes, SubmitError> {
        let peer = self.peers.read().get(&member).map(Arc::clone);
        let Some(peer) = peer else { return Err(no_way_to(member)) };
        let called = peer.link(kind.class()).call_when_back(kind as u8, body, time).await;
        called.map_err(SubmitError::from)
    }

    /// Knocks at a member's ports. `Refused` if all of them refuse.
    pub async fn probe(&self, member: MemberId) -> Reachability {
        let urls = match self.peers.read().get(&member) {
            Some(peer) => peer.urls.borrow().clone(),
            None => return Reachability::Unknown,
        };
        let mut verdict = Reachability::Unknown;
        for url in urls {
            match knock(&url).await {
                Reachability::Refused => verdict = Reachability::Refused,
                other => return other,
            }
        }
        verdict
    }
}

impl From<LinkError> for SubmitError {
    fn from(error: LinkError) -> Self {
        let text = error.to_string();
        match error {
            LinkError::Unreachable
            | LinkError::Refused(_)
            | LinkError::Overloaded
            | LinkError::TooLarge { .. } => Self::NotSent(text),
            LinkError::TimedOut | LinkError::Closed | LinkError::Failed(_) => Self::Unknown(text),
        }
    }
}

fn no_way_to(member: MemberId) -> SubmitError {
    SubmitError::NotSent(format!("this member knows no way to member {member}"))
}

async fn knock(url: &str) -> Reachability {
    let Ok(Endpoint { address, .. }) = url.parse() else { return Reachability::Unknown };
    let attempt = async {
        match &address {
            Address::Tcp { host, port } => dns::connect(host, *port).await.map(drop),
            Address::Unix(path) => UnixStream::connect(path).await.map(drop),
        }
    };
    match tokio::time::timeout(PROBE_TIMEOUT, attempt).await {
        Ok(Ok(())) => Reachability::Accepts,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Reachability::Refused
        }
        Ok(Err(_)) | Err(_) => Reachability::Unknown,
    }
}
