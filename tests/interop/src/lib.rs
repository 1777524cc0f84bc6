//! Differential tests: the same requests to etcd 3.4 and to Quorate, the answers compared as they are on the wire.
//!
//! - [`Pair`]: a reference and a subject that are asked the same things; every difference ends up in its report.
//! - [`script`]: requests as lines of text, each with the status it must have.
//! - [`normal`] and [`json`]: what may differ between two clusters (ids, ports, clocks) is taken out; nothing else is.
//! - [`departures`]: where Quorate differs on purpose, and why.
//! - [`requests`]: random requests. [`client`]: the unmodified `etcdctl`. [`liar`]: a server that is wrong on purpose.
//!
//! The subject is `quorate-server`, or etcd itself with `QUORATE_INTEROP_SUBJECT=etcd`, which tests this suite.

pub mod client;
pub mod departures;
pub mod json;
pub mod liar;
pub mod normal;
mod pair;
pub mod requests;
pub mod script;
mod side;

pub use pair::{Both, Pair, PairWatch, compare, compare_with};
pub use side::{Side, subject_program};
