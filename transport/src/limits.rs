//! What one HTTP server allows: connections, header bytes, and how long anything may take.
//!
//! Every default is a named constant with its reason.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Slow headers are the cheapest way to hold a connection; no honest client needs this long.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// A protected connection must finish its handshake in this time.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A request body of the largest allowed size must arrive in this time.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than the pause between two requests of a periodic client, shorter than what leaks in a day.
pub const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(180);
/// When no connection is left, an idle one is worth less than a new one.
pub const KEEP_ALIVE_IDLE_WHEN_FULL: Duration = Duration::from_secs(2);
/// A client that takes no byte of its answer for this long is as good as gone.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Request line and headers together: keys and values may stand in the query, so far more than headers need.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Largest read and write buffer of a connection; at least [`HEADER_BYTES_MAX`], or that limit is never reached.
pub const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Connections when the system sets no limit on open files.
pub const CONNECTIONS_MAX: usize = 100_000;
/// Open files kept for the log, snapshots, peer links and listeners.
const OPEN_FILES_RESERVE: u64 = 128;

/// The limits of one HTTP server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerLimits {
    /// Open connections. At this number nothing more is accepted until one closes.
    pub connections_max: usize,
    /// Bytes of request line and headers; more is answered 431.
    pub header_bytes_max: usize,
    /// From the first byte of a request to the end of its headers.
    pub header_read_timeout: Duration,
    /// From an accepted connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From the end of the headers to the end of the body.
    pub body_read_timeout: Duration,
    /// How long a connection may be open without a request.
    pub keep_alive_idle: Duration,
    /// How long an answer may make no progress because the client doesn't read.
    pub write_stall_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: default_connections_max(),
            header_bytes_max: HEADER_BYTES_MAX,
            header_read_timeout: HEADER_READ_TIMEOUT,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            body_read_timeout: BODY_READ_TIMEOUT,
            keep_alive_idle: KEEP_ALIVE_IDLE,
            write_stall_timeout: WRITE_STALL_TIMEOUT,
        }
    }
}

impl ServerLimits {
    /// How often the limits are checked: a tenth of the shortest, between 10 ms and 1 s.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = [
            self.header_read_timeout,
            self.handshake_timeout,
            self.body_read_timeout,
            self.keep_alive_idle,
            self.write_stall_timeout,
        ]
        .into_iter()
        .fold(Duration::MAX, Duration::min);
        (shortest / 10).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}

/// How many connections the limit on open files leaves room for, after a reserve for everything else.
#[must_use]
pub fn default_connections_max() -> usize {
    let Some(open_files) = getrlimit(Resource::Nofile).current else { return CONNECTIONS_MAX };
    let usable = open_files.saturating_sub(OPEN_FILES_RESERVE.max(open_files / 16));
    usize::try_from(usable).unwrap_or(CONNECTIONS_MAX).clamp(1, CONNECTIONS_MAX)
}

/// Raises the soft limit on open files to the hard one and returns what then applies (`None`: unlimited).
///
/// Service managers commonly hand out a soft limit of 1024 for the sake of programs that use `select`.
pub fn raise_open_files_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.current,
        Err(_) => before,
    }
}
