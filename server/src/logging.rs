//! The server's own log: what is written, in which form, where to, and how the level is changed while it runs.
//!
//! Invariant: exactly one subscriber is installed per process. A line that cannot be written never stops the server.
//! Left out: what to log, which is each module's own business.

use std::path::PathBuf;

/// What is logged, how and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogSettings {
    /// The level at start.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
    /// Where lines go; every line goes to each.
    pub outputs: Vec<LogOutput>,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogLevel {
    /// Everything, for those who look for a fault.
    Debug,
    /// What an operator wants to know.
    Info,
    /// What may need attention.
    Warn,
    /// What went wrong.
    Error,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line, with the keys etcd's zap logger uses.
    Json,
}

/// Where log lines go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogOutput {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}
