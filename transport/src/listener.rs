//! A bound listening socket, TCP or unix.
//!
//! A socket file left behind by a dead process is replaced; one that still answers is not.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use crate::dns;
use crate::endpoint::{Address, Endpoint};
use crate::stream::Stream;

/// Connections that the kernel completes before they are accepted: room for the reconnects of a whole fleet at once.
const BACKLOG: u32 = 4096;

/// Why an endpoint can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {endpoint}: {cause}; {advice}")]
pub struct BindError {
    endpoint: Endpoint,
    #[source]
    cause: io::Error,
    advice: &'static str,
}

/// A listening socket. Dropping it closes the socket and removes a unix socket's file.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    endpoint: Endpoint,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds the address of `endpoint` and listens.
    ///
    /// # Errors
    /// When the name doesn't resolve, the address isn't this machine's, or it is taken.
    pub async fn bind(endpoint: &Endpoint) -> Result<Self, BindError> {
        let socket = match &endpoint.address {
            Address::Tcp { host, port } => bind_tcp(host, *port).await.map(Socket::Tcp),
            Address::Unix(path) => {
                bind_unix(path).await.map(|listener| Socket::Unix(listener, path.clone()))
            }
        };
        let socket = socket.map_err(|cause| {
            let advice = advice(&cause);
            BindError { endpoint: endpoint.clone(), cause, advice }
        })?;
        Ok(Self { socket, endpoint: endpoint.clone() })
    }

    /// The endpoint that is listened on, with the port that the system chose when port 0 was asked for.
    #[must_use]
    pub fn local_endpoint(&self) -> Endpoint {
        let mut endpoint = self.endpoint.clone();
        if let (Socket::Tcp(listener), Address::Tcp { port, .. }) =
            (&self.socket, &mut endpoint.address)
            && let Ok(bound) = listener.local_addr()
        {
            *port = bound.port();
        }
        endpoint
    }

    /// The bound address; `None` on a unix socket.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }

    /// The next connection.
    ///
    /// # Errors
    /// Those of accept(2). None of them is the end of the listener.
    pub async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Socket::Unix(listener, _) => {
                listener.accept().await.map(|(stream, _)| Stream::Unix(stream))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = &self.socket {
            // Best effort: a file that stays is replaced by the next bind.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn bind_tcp(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in dns::addresses(host, port).await? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path)
                .is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()));
            let is_stale = is_socket
                && tokio::net::UnixStream::connect(path)
                    .await
                    .is_err_and(|refused| refused.kind() == io::ErrorKind::ConnectionRefused);
            if !is_stale {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the process that listens there, or choose another address"
        }
        io::ErrorKind::AddrNotAvailable => "listen on an address of this machine, or on 0.0.0.0",
        io::ErrorKind::PermissionDenied => {
            "choose a port above 1023 or a directory this user may write to"
        }
        _ => "check the listen URL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_zero_becomes_the_bound_port_on_both_families() {
        for host in ["127.0.0.1", "::1"] {
            let listener = Listener::bind(&Endpoint::tcp(host, 0)).await.unwrap();
            let bound = listener.local_endpoint();
            assert_eq!(
                bound.address,
                Address::Tcp {
                    host: host.to_owned(),
                    port: listener.local_address().unwrap().port()
                }
            );
            let error = Listener::bind(&bound).await.unwrap_err().to_string();
            assert!(error.contains("stop the process that listens there"), "{error}");
        }
    }

    #[tokio::test]
    async fn only_a_stale_socket_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("listener.sock");
        let endpoint = Endpoint::unix(&path);
        // std's listener leaves its file behind, as a killed process does.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let live = Listener::bind(&endpoint).await.unwrap();
        Listener::bind(&endpoint).await.unwrap_err();
        drop(live);
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        Listener::bind(&endpoint).await.unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
