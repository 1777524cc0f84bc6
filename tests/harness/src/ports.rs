//! Loopback ports for the servers under test.
//!
//! A port is kept by a socket that is bound with SO_REUSEADDR and never listens: the kernel then hands the port to
//! nobody who asks for "any port" (a second test, or an outgoing connection), while a server that sets SO_REUSEADDR
//! itself, as Go's and Rust's listeners do, can still bind it. So a port stays ours while its server is down.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};

/// A kept port on 127.0.0.1, or one at an address that belongs to one member alone. Released on drop.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    _keeper: Option<OwnedFd>,
}

impl Port {
    /// A free port chosen by the system.
    pub fn free() -> io::Result<Self> {
        let keeper = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&keeper, rustix::io::FdFlags::CLOEXEC)?;
        sockopt::set_socket_reuseaddr(&keeper, true)?;
        bind(&keeper, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        let address = SocketAddr::try_from(getsockname(&keeper)?)?;
        Ok(Self { address, _keeper: Some(keeper) })
    }

    /// A port at an address that nobody else uses.
    pub(crate) fn at(address: IpAddr, number: u16) -> Self {
        Self { address: SocketAddr::new(address, number), _keeper: None }
    }

    /// The port number.
    pub fn number(&self) -> u16 {
        self.address.port()
    }

    /// The address to listen on or to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://<address>:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_kept_port_refuses_connections_until_someone_listens() {
        let port = Port::free().unwrap();
        assert_eq!(
            TcpStream::connect(port.address()).unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        let _listener = TcpListener::bind(port.address()).unwrap();
        TcpStream::connect(port.address()).unwrap();
    }

    #[test]
    fn kept_ports_differ() {
        let ports: Vec<Port> = (0..32).map(|_| Port::free().unwrap()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ports.len());
    }
}
