//! The URLs of the configuration: where a member listens, and what it tells others to dial.
//!
//! Invariant: a value of these types has passed the checks etcd makes on its own URL flags, so the code that
//! binds or dials never meets a malformed one. Printing a parsed URL gives the text it was read from.
//! Resolving names and opening sockets is left to the caller.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// How a URL is spoken to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scheme {
    /// Plain HTTP over TCP.
    Http,
    /// HTTP over TLS over TCP.
    Https,
    /// Plain HTTP over a unix socket.
    Unix,
}

impl Scheme {
    /// The scheme as it is written before `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Unix => "unix",
        }
    }
}

/// What a listener binds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BindTarget {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// A URL this member listens on: its host is an IP address or `localhost`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ListenUrl(Url);

/// A URL others dial to reach a member: its host is any name or address.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AdvertiseUrl(Url);

/// Why a text is not a URL that can be used here.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlError {
    /// The scheme is none of those known.
    #[error("URL scheme must be http, https or unix: {0}")]
    Scheme(String),
    /// Host and port cannot be told apart.
    #[error("URL address does not have the form \"host:port\": {0}")]
    HostPort(String),
    /// The port is not a number between 0 and 65535.
    #[error("URL has an invalid port {port:?} (a number from 0 to 65535 is needed): {url}")]
    Port {
        /// The whole URL.
        url: String,
        /// What stands where the port belongs.
        port: String,
    },
    /// A path, query or fragment follows the address.
    #[error("URL must not contain a path: {0}")]
    Path(String),
    /// A listen URL names a host.
    #[error(
        "expected IP in URL for binding ({0}); use an IP address of this machine, 0.0.0.0 or localhost"
    )]
    NotAnIp(String),
    /// An advertised URL names no host.
    #[error("unexpected empty host ({0}); name the host or address that others can reach")]
    EmptyHost(String),
    /// An advertised URL has port 0, which nobody can dial.
    #[error("port 0 cannot be dialled ({0}); advertise the port that others can reach")]
    ZeroPort(String),
    /// A unix URL names no socket.
    #[error("unix URL names no socket path: {0}")]
    EmptySocketPath(String),
}

impl ListenUrl {
    /// Reads one URL to listen on. Spaces around it are ignored.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text)?;
        if let Address::Tcp { host, .. } = &url.address
            && bindable_ip(host).is_none()
        {
            return Err(UrlError::NotAnIp(url.to_string()));
        }
        Ok(Self(url))
    }

    /// How clients of this listener speak to it.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// The host as written, without brackets; `None` for a unix socket.
    pub fn host(&self) -> Option<&str> {
        self.0.host()
    }

    /// The port; `None` for a unix socket. 0 lets the system choose.
    pub fn port(&self) -> Option<u16> {
        self.0.port()
    }

    /// Whether every address of the machine is listened on (0.0.0.0 or ::).
    pub fn is_wildcard(&self) -> bool {
        matches!(self.bind_target(), BindTarget::Tcp(address) if address.ip().is_unspecified())
    }

    /// What to bind. `localhost` means 127.0.0.1, as it does for etcd.
    pub fn bind_target(&self) -> BindTarget {
        match &self.0.address {
            Address::Tcp { host, port } => {
                let ip = bindable_ip(host).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
                BindTarget::Tcp(SocketAddr::new(ip, *port))
            }
            Address::Unix(path) => BindTarget::Unix(path.clone()),
        }
    }
}

impl AdvertiseUrl {
    /// Reads one URL that others dial. Spaces around it are ignored.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text)?;
        match &url.address {
            Address::Tcp { host, .. } if host.is_empty() => {
                Err(UrlError::EmptyHost(url.to_string()))
            }
            Address::Tcp { port: 0, .. } => Err(UrlError::ZeroPort(url.to_string())),
            _ => Ok(Self(url)),
        }
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// The host as written, without brackets; `None` for a unix socket.
    pub fn host(&self) -> Option<&str> {
        self.0.host()
    }

    /// The port; `None` for a unix socket.
    pub fn port(&self) -> Option<u16> {
        self.0.port()
    }

    /// The path of the unix socket; `None` for a TCP address.
    pub fn socket_path(&self) -> Option<&Path> {
        match &self.0.address {
            Address::Unix(path) => Some(path),
            Address::Tcp { .. } => None,
        }
    }

    /// The same URL with another host.
    pub fn with_host(&self, ip: IpAddr) -> Self {
        let mut url = self.0.clone();
        if let Address::Tcp { host, .. } = &mut url.address {
            *host = ip.to_string();
        }
        Self(url)
    }

    /// The same URL with another port.
    pub fn with_port(&self, new_port: u16) -> Self {
        let mut url = self.0.clone();
        if let Address::Tcp { port, .. } = &mut url.address {
            *port = new_port;
        }
        Self(url)
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Display for AdvertiseUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Checks only what every URL must fulfil, whoever uses it.
pub fn check_syntax(text: &str) -> Result<(), UrlError> {
    Url::parse(text).map(drop)
}

/// URLs as etcd prints a list of them: with commas and no spaces.
pub fn join<U: fmt::Display>(urls: &[U]) -> String {
    urls.iter().map(U::to_string).collect::<Vec<_>>().join(",")
}

#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Url {
    scheme: Scheme,
    address: Address,
}

#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl Url {
    fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError::Scheme(text.to_owned()));
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "unix" => Scheme::Unix,
            _ => return Err(UrlError::Scheme(text.to_owned())),
        };
        if scheme == Scheme::Unix {
            if rest.is_empty() {
                return Err(UrlError::EmptySocketPath(text.to_owned()));
            }
            return Ok(Self { scheme, address: Address::Unix(PathBuf::from(rest)) });
        }
        if rest.contains(['/', '?', '#']) {
            return Err(UrlError::Path(text.to_owned()));
        }
        let (host, port) =
            split_host_port(rest).ok_or_else(|| UrlError::HostPort(text.to_owned()))?;
        let port = port
            .parse()
            .map_err(|_| UrlError::Port { url: text.to_owned(), port: port.to_owned() })?;
        Ok(Self { scheme, address: Address::Tcp { host: host.to_owned(), port } })
    }

    fn host(&self) -> Option<&str> {
        match &self.address {
            Address::Tcp { host, .. } => Some(host),
            Address::Unix(_) => None,
        }
    }

    fn port(&self) -> Option<u16> {
        match self.address {
            Address::Tcp { port, .. } => Some(port),
            Address::Unix(_) => None,
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://", self.scheme.as_str())?;
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => write!(out, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(out, "{host}:{port}"),
            Address::Unix(path) => write!(out, "{}", path.display()),
        }
    }
}

/// Splits `host:port`, where an IPv6 host stands in brackets. Signs are refused: Rust would read "+80" as 80.
fn split_host_port(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains([':', ']', '@', ' ']) => return None,
        None => host,
    };
    (!port.is_empty() && !port.starts_with('+')).then_some((host, port))
}

fn bindable_ip(host: &str) -> Option<IpAddr> {
    if host == "localhost" { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_urls_are_judged_as_etcd_judges_them() {
        let good =
            ["http://localhost:2379", "https://10.0.0.1:1", "http://[::1]:0", "unix:///run/q.sock"];
        for text in good {
            assert_eq!(ListenUrl::parse(text).map(|url| url.to_string()), Ok(text.to_owned()));
        }
        let bad = [
            ("http://example.com:2379", "expected IP in URL for binding (http://example.com:2379)"),
            ("http://:2379", "expected IP in URL for binding (http://:2379)"),
            ("localhost:2379", "URL scheme must be http, https or unix: localhost:2379"),
            (
                "ftp://localhost:2379",
                "URL scheme must be http, https or unix: ftp://localhost:2379",
            ),
            (
                "http://localhost",
                "URL address does not have the form \"host:port\": http://localhost",
            ),
            (
                "http://::1:2379",
                "URL address does not have the form \"host:port\": http://::1:2379",
            ),
            (
                "http://localhost:",
                "URL address does not have the form \"host:port\": http://localhost:",
            ),
            ("http://localhost:x", "URL has an invalid port \"x\""),
            ("http://localhost:65536", "URL has an invalid port \"65536\""),
            ("http://localhost:+80", "URL address does not have the form"),
            ("http://localhost:2379/", "URL must not contain a path: http://localhost:2379/"),
            ("unix://", "unix URL names no socket path: unix://"),
        ];
        for (text, message) in bad {
            let error = ListenUrl::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }

    #[test]
    fn advertised_urls_must_be_diallable() {
        for text in ["http://example.com:2380", "https://10.0.0.1:1", "http://[fe80::1]:7"] {
            assert_eq!(AdvertiseUrl::parse(text).map(|url| url.to_string()), Ok(text.to_owned()));
        }
        assert!(matches!(AdvertiseUrl::parse("http://:2380"), Err(UrlError::EmptyHost(_))));
        assert!(matches!(AdvertiseUrl::parse("http://a:0"), Err(UrlError::ZeroPort(_))));
    }

    #[test]
    fn localhost_binds_the_ipv4_loopback() {
        let url = ListenUrl::parse("http://localhost:2379").expect("a good URL");
        assert_eq!(url.bind_target(), BindTarget::Tcp(SocketAddr::from(([127, 0, 0, 1], 2379))));
        let wild = ListenUrl::parse("http://[::]:1").expect("a good URL");
        assert!(wild.is_wildcard() && !url.is_wildcard());
    }

    #[test]
    fn hosts_and_ports_can_be_replaced() {
        let url = AdvertiseUrl::parse("http://localhost:2379").expect("a good URL");
        let moved = url.with_host(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])).with_port(7);
        assert_eq!(moved.to_string(), "http://[::1]:7");
    }
}
