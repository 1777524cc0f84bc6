//! Where to listen or connect: `http://host:port`, `https://host:port`, `unix://path` and `unixs://path`.
//!
//! Only the scheme and the address are kept: a path, query or user in the text is refused, because nothing here
//! would honour it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A scheme and an address, as written in a listen or advertised URL.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    /// Whether the connection is protected by TLS (`https`, `unixs`).
    pub is_tls: bool,
    /// Where the socket is.
    pub address: Address,
}

/// The address of a socket.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Address {
    /// A name or an IP address (IPv6 without brackets), and a port; port 0 asks the system for a free one.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// Port number.
        port: u16,
    },
    /// A socket file; relative paths are relative to the working directory, as etcd has it.
    Unix(PathBuf),
}

/// Why a text is not an endpoint.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{text:?} is not an endpoint: {reason}; write http://HOST:PORT, https://HOST:PORT, unix://PATH or unixs://PATH"
)]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

impl Endpoint {
    /// A plain TCP endpoint.
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self { is_tls: false, address: Address::Tcp { host: host.into(), port } }
    }

    /// A plain unix-socket endpoint.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { is_tls: false, address: Address::Unix(path.into()) }
    }

    /// What a client writes in the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Address::Tcp { host, port } => format!("{host}:{port}"),
            Address::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.address, self.is_tls) {
            (Address::Tcp { .. }, false) => write!(f, "http://{}", self.authority()),
            (Address::Tcp { .. }, true) => write!(f, "https://{}", self.authority()),
            (Address::Unix(path), false) => write!(f, "unix://{}", path.display()),
            (Address::Unix(path), true) => write!(f, "unixs://{}", path.display()),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let refuse = |reason| EndpointError { text: text.to_owned(), reason };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refuse("it has no scheme"))?;
        let (is_tls, is_unix) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, false),
            "https" => (true, false),
            "unix" => (false, true),
            "unixs" => (true, true),
            _ => return Err(refuse("its scheme is none of http, https, unix and unixs")),
        };
        let address = if is_unix { unix_address(rest) } else { tcp_address(rest) };
        Ok(Self { is_tls, address: address.map_err(refuse)? })
    }
}

fn unix_address(rest: &str) -> Result<Address, &'static str> {
    if rest.is_empty() {
        return Err("it has no socket path");
    }
    if rest.contains('\0') {
        return Err("its socket path has a NUL byte");
    }
    Ok(Address::Unix(PathBuf::from(rest)))
}

fn tcp_address(rest: &str) -> Result<Address, &'static str> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err("only a host and a port may follow the scheme");
    }
    let (host, port) = rest.rsplit_once(':').ok_or("it has no port")?;
    let host = match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
        Some(Some(inner)) if inner.contains(':') => inner,
        Some(_) => return Err("its bracketed IPv6 address is malformed"),
        None if host.contains(':') => return Err("an IPv6 address must be in brackets"),
        None => host,
    };
    if host.is_empty() {
        return Err("it has no host");
    }
    if !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its host has a character that no host name has");
    }
    // `u16::from_str` takes a leading '+'.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("its port is not a number");
    }
    let port = port.parse().map_err(|_| "its port is not a number from 0 to 65535")?;
    Ok(Address::Tcp { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_print_as_they_were_written() {
        for text in [
            "http://127.0.0.1:2379",
            "https://db-1.example:2380",
            "http://[::1]:0",
            "unix:///run/quorate.sock",
            "unixs://localhost:1",
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
        }
        assert_eq!("HTTP://a:1/".parse::<Endpoint>().unwrap(), Endpoint::tcp("a", 1));
        assert_eq!("http://[::1]:7".parse::<Endpoint>().unwrap().authority(), "[::1]:7");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_a_reason() {
        for (text, reason) in [
            ("127.0.0.1:2379", "no scheme"),
            ("ftp://a:1", "scheme is none"),
            ("http://a", "no port"),
            ("http://:1", "no host"),
            ("http://a:+1", "not a number"),
            ("http://a:", "65535"),
            ("http://a:65536", "65535"),
            ("http://::1:80", "in brackets"),
            ("http://[::1:80", "malformed"),
            ("http://a:1/v2", "only a host and a port"),
            ("http://u@a:1", "only a host and a port"),
            ("http://a b:1", "no host name has"),
            ("unix://", "no socket path"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
