//! What a load run sends: to whom, how many at once, what, how fast and for how long.

use std::net::SocketAddr;
use std::time::Duration;

use crate::wire::Login;

/// One load run. Connection `i` belongs to endpoint `i` modulo their number.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Members to load; one entry for "leader only".
    pub endpoints: Vec<SocketAddr>,
    /// Connections in all, at least 1.
    pub connections: usize,
    /// Which requests.
    pub mix: Mix,
    /// When they are sent.
    pub pace: Pace,
    /// Time before measuring.
    pub warmup: Duration,
    /// Time measured.
    pub duration: Duration,
    /// No more requests than this, warm-up included.
    pub requests_max: u64,
    /// A request without an answer after this long is an error, and its connection is replaced.
    pub request_timeout: Duration,
    /// Chooses the keys.
    pub seed: u64,
}

/// The requests of a run.
#[derive(Clone, Debug)]
pub struct Mix {
    /// 0 = only writes, 100 = only reads.
    pub read_percent: u8,
    /// Linearizable reads instead of local ones.
    pub quorum: bool,
    /// Size of a written value, in bytes.
    pub value_bytes: usize,
    /// Keys are numbers below this.
    pub keys: u64,
    /// How a key is chosen.
    pub order: KeyOrder,
    /// The directory the keys are in, without slashes at its ends.
    pub prefix: String,
    /// Who asks; nobody in particular if not given.
    pub login: Option<Login>,
}

/// How the next key is chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyOrder {
    /// Every key as likely as any other.
    Random,
    /// One after the other: fills the store before reads.
    Sequential,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each connection sends its next request as soon as it has an answer.
    Closed,
    /// So many requests a second, whatever the server does.
    Open {
        /// Requests a second over all connections.
        rate: f64,
    },
}

/// The two kinds of request, tallied apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A GET.
    Read,
    /// A PUT.
    Write,
}
