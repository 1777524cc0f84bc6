//! Reaching servers through an HTTP proxy: plain requests are handed to it whole, with the URL they are for; TLS goes through a
//! tunnel (`CONNECT`), so that the proxy sees neither the request nor the certificate that is shown.
//!
//! Invariant: with a proxy nothing is connected to but the proxy, and names of servers are looked up by it alone.

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::endpoint::Endpoint;
use crate::http_client::{Connector, PlainConnector};
use crate::stream::Stream;
use crate::tls::TlsConnector;

/// The head of an answer to `CONNECT` is a line and some headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// See the module. The time limit is the caller's.
pub struct ProxyConnector {
    proxy: Endpoint,
    tls: Option<Arc<TlsConnector>>,
}

impl ProxyConnector {
    /// Through the proxy at `proxy`, which is spoken to in plain HTTP; `tls` protects what goes to endpoints that ask for it.
    #[must_use]
    pub fn new(proxy: Endpoint, tls: Option<Arc<TlsConnector>>) -> Self {
        Self { proxy, tls }
    }

    async fn open(&self, endpoint: &Endpoint) -> io::Result<Stream> {
        let through = |error: io::Error| {
            io::Error::new(error.kind(), format!("through the proxy {}: {error}", self.proxy))
        };
        let mut raw = PlainConnector.connect(&self.proxy).await.map_err(through)?;
        if !endpoint.is_tls {
            return Ok(raw);
        }
        let Some(tls) = &self.tls else {
            let reason = "the endpoint needs TLS, and none is configured here";
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        };
        tunnel(&mut raw, endpoint).await.map_err(through)?;
        tls.protect(endpoint, raw).await
    }
}

impl Connector for ProxyConnector {
    fn connect<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(self.open(endpoint))
    }

    fn broke(&self, endpoint: &Endpoint, error: &hyper::Error) {
        if let Some(tls) = &self.tls {
            tls.broke(endpoint, error);
        }
    }

    fn names_the_server(&self, endpoint: &Endpoint) -> bool {
        !endpoint.is_tls
    }
}

/// Asks for a tunnel to `endpoint`.
async fn tunnel(raw: &mut Stream, endpoint: &Endpoint) -> io::Result<()> {
    let to = endpoint.authority();
    let ask = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    raw.write_all(ask.as_bytes()).await?;
    let mut head = Vec::new();
    // Whoever is behind the tunnel waits for this end to speak first, so nothing of it is read here.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Err(io::Error::other("its answer is too long"));
        }
        head.push(raw.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    let line = text.lines().next().unwrap_or_default();
    let mut words = line.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    match words.next() {
        Some(status) if is_http && status.len() == 3 && status.starts_with('2') => Ok(()),
        _ => {
            let line: String = line.chars().filter(|c| !c.is_control()).take(100).collect();
            Err(io::Error::other(format!("it makes no connection to {to}: {line}")))
        }
    }
}
