//! The load engine: one thread, nonblocking sockets, prebuilt requests.
//!
//! `plan` says what to send, `pacer` when, `connection` moves the bytes, `engine` turns the crank, `tally` is what came
//! of it. An open loop counts latency from the moment a request was due, so a stalled server cannot hide its stall by
//! holding up the generator; a closed loop reports service time.

mod chance;
mod connection;
mod engine;
mod pacer;
mod plan;
mod poller;
mod tally;

pub use chance::Chance;
pub use connection::{Connection, Progress, READ_BYTES};
pub use engine::run;
pub use plan::{KeyOrder, Kind, Mix, Pace, Plan};
pub use poller::Poller;
pub use tally::{Errors, Latency, Tally};
