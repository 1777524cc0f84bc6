//! What members meet each other through in these tests: a discovery service that can be told to misbehave, and a real DNS
//! server whose records can be changed.
//!
//! Invariant: both listen on loopback ports chosen by the system, and end with the value that owns them.

mod dns_server;
mod http_proxy;
mod scripted;

pub use dns_server::{DnsServer, skip_without_dnsmasq};
pub use http_proxy::HttpProxy;
pub use scripted::{Fault, Scripted, Step};
