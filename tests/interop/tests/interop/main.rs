//! The same requests to etcd 3.4 and to us. One program, so that tests which wait (for a TTL, for a start) do so side by side.

mod auth;
mod departures;
mod errors;
mod etcdctl;
mod hidden;
mod members;
mod operations;
mod params;
mod random;
mod refresh;
mod routing;
mod selftest;
mod small;
mod start_script;
mod stats;
mod ttl;
mod watch;
