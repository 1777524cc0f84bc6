//! Connections: endpoints, listeners, TLS, the HTTP server and a one-shot HTTP client, shared by all three programs.
//!
//! A listening socket is bound by [`listener`]; [`http_server`] accepts from it, turns each raw stream into a
//! protected one through an [`acceptor::Acceptor`], and speaks HTTP/1.1 (or, under TLS, HTTP/2) within [`limits::ServerLimits`];
//! [`connections`] watches every connection's time limits from a single task, so that a waiting connection costs no
//! timer. [`http_client`] is the other direction, through a [`proxy`] if need be, and
//! [`dns`] finds hosts and services by name. Nothing here knows what the requests mean.

pub mod acceptor;
pub mod body;
pub mod connections;
pub mod dns;
mod endless_answer;
pub mod endpoint;
pub mod http_client;
pub mod http_server;
pub mod limits;
pub mod listener;
pub mod proxy;
mod served_body;
mod serving;
mod serving_h2;
pub mod stream;
pub mod tls;
mod tracked_io;
pub mod traffic;
pub mod upgrade;
