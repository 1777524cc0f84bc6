//! Black-box harness: runs real member processes and talks to them over real sockets.
//!
//! - [`Program`]: which server to run, and where its binary is.
//! - [`Cluster`] and [`Member`]: start, kill, pause, restart, wipe, grow; owned processes only.
//! - [`Network`]: a network of one's own, to be cut and to lose packets.
//! - [`Owned`]: any other process that a test needs; it ends with the test, too.
//! - [`SlowDisk`]: a member whose disk takes its time.
//! - [`Http`], [`Request`], [`Answer`], [`Stream`]: HTTP/1.1 as it is on the wire, spelling and order kept.
//! - [`Keys`]: the v2 key operations, with parsed answers.
//! - [`Authority`], [`Order`], [`Papers`]: certificates, good and bad, made by `openssl`.
//! - [`Ledger`]: writes that were acknowledged, to be checked after a fault.
//! - [`wait_until`], [`eventually`]: conditions with a deadline, in place of sleeps.
//! - [`Seeded`]: repeatable randomness that tells its seed.
//!
//! Invariant: whatever happens to the test, no started process outlives it. Knows nothing of the servers' insides.

mod certificates;
mod cluster;
mod http;
mod keys;
mod launch;
mod ledger;
mod member;
mod network;
mod owned;
mod ports;
mod program;
mod reaper;
mod seeded;
mod slow_disk;
mod storage;
mod wait;

pub use certificates::{
    Authority, FAR_AWAY, LONG_AGO, NOT_SO_LONG_AGO, Order, Papers, curl, openssl,
    skip_without_openssl,
};
pub use cluster::{Builder, Cluster};
pub use http::{Answer, Ending, Framing, Http, HttpError, Line, Request, Stream};
pub use keys::{KeyAnswer, Keys};
pub use ledger::{Attempt, Ledger, Loss};
pub use member::{Exit, Member};
pub use network::Network;
pub use owned::Owned;
pub use ports::Port;
pub use program::{MissingProgram, Program, etcdctl, skip_without_etcd};
pub use seeded::Seeded;
pub use slow_disk::{SlowDisk, skip_without_strace};
pub use storage::is_in_memory;
pub use wait::{POLL_INTERVAL, eventually, wait_until};
