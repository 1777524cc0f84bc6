//! The discovery service as a process, and those who ask it: nodes, people, a browser, Prometheus, resolvers. One program, so
//! that tests which wait do so side by side.

mod dialogue;
mod dns;
mod etcd_nodes;
mod follow;
mod native;
mod page;
mod prometheus;
mod steps;
mod tls;
