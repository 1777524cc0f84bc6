//! Why a configuration is refused: what happened, why, and what to do, for the person who wrote it.
//!
//! Where etcd has a message for the same fault, ours begins with its words, since people search for them.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::cluster::ClusterError;
use super::flags::Family;
use super::settings::Origin;
use super::tls::TlsConfigError;
use super::urls::UrlError;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line cannot be read; the text is complete, usage included.
    #[error("{0}")]
    Usage(String),
    /// An argument is not UTF-8.
    #[error("argument {position} ({lossy:?}) is not UTF-8; flags and their values must be")]
    NotUtf8 {
        /// Its place on the command line, from 1.
        position: usize,
        /// The argument, made readable.
        lossy: String,
    },
    /// The last argument is a flag that takes a value.
    #[error("flag needs an argument: --{flag}={form}")]
    MissingValue {
        /// The flag.
        flag: &'static str,
        /// What a value looks like.
        form: &'static str,
    },
    /// A boolean flag is followed by its value without `=`.
    #[error("'{value}' is not a valid flag. If it belongs to --{flag}, write --{flag}={value}")]
    LooseBoolean {
        /// The flag.
        flag: String,
        /// What follows it.
        value: String,
    },
    /// A value is not of its flag's kind.
    #[error("invalid value {value:?} for {written} ({origin}): {expected}")]
    InvalidValue {
        /// The flag, variable or key, as written.
        written: String,
        /// The value.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// What would be right.
        expected: String,
    },
    /// A value that must not be empty is.
    #[error("{written} is empty ({origin}); {advice}")]
    Empty {
        /// The flag, variable or key, as written.
        written: String,
        /// Where it was given.
        origin: Origin,
        /// What to do.
        advice: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {} ({origin}): {cause}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Where its path was given.
        origin: Origin,
        /// Why.
        cause: io::Error,
    },
    /// The file is not YAML, or not a mapping.
    #[error("{place}: {cause}")]
    Syntax {
        /// File, line and column.
        place: String,
        /// Why, with the lines around it.
        cause: String,
    },
    /// The file has a key that means nothing.
    #[error("{place}: unknown key {key:?}; {hint}")]
    UnknownKey {
        /// File, line and column.
        place: String,
        /// The key, with its block before it.
        key: String,
        /// The nearest name, or where to find all of them.
        hint: String,
    },
    /// The file has a value of the wrong form.
    #[error("{place}: {key} {expected}")]
    WrongForm {
        /// File, line and column.
        place: String,
        /// The key, with its block before it.
        key: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A flag asks for what this release lacks.
    #[error("{written} ({origin}) asks for {}, which this release of quorate-server does not have; {}", family.title(), family.advice())]
    NotYet {
        /// The flag, variable or key, as written.
        written: String,
        /// Where it was given.
        origin: Origin,
        /// What it belongs to.
        family: Family,
    },
    /// TLS flags that can't be used together.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// Peers are to talk over a unix socket.
    #[error(
        "--{flag} has {url}, but members reach each other over TCP only; use an http:// or https:// URL"
    )]
    UnixPeerUrl {
        /// The flag.
        flag: &'static str,
        /// The URL.
        url: String,
    },
    /// More than one flag says who the members are.
    #[error(
        "multiple discovery or bootstrap flags are set ({given}). Choose one of --initial-cluster, --discovery, \
         --discovery-token and --discovery-srv"
    )]
    SeveralSources {
        /// The flags.
        given: String,
    },
    /// A flag about discovery has a value that cannot be used. The value is not shown: it may be a secret.
    #[error("--{flag} ({origin}) cannot be used: {reason}")]
    Discovery {
        /// The flag.
        flag: &'static str,
        /// Where it was given.
        origin: Origin,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A flag that etcd gave up.
    #[error("{written} ({origin}) is an old flag that etcd 3.4 refuses as well; use {instead}")]
    Refused {
        /// The flag, variable or key, as written.
        written: String,
        /// Where it was given.
        origin: Origin,
        /// What to use.
        instead: &'static str,
    },
    /// A URL has the right form but cannot serve its purpose.
    #[error("--{flag} ({origin}): {cause}")]
    Url {
        /// The flag.
        flag: &'static str,
        /// Where it was given.
        origin: Origin,
        /// Why.
        cause: UrlError,
    },
    /// Clients would not learn where to reach this member.
    #[error(
        "--advertise-client-urls is required when --listen-client-urls is set explicitly; name the URLs clients reach \
         this member under, for example --advertise-client-urls={example}"
    )]
    AdvertiseClientUrls {
        /// A value that may do.
        example: String,
    },
    /// The heartbeat interval or the election timeout is 0.
    #[error("--{flag} must be >0 (set to 0ms); leave it out for the default")]
    ZeroTiming {
        /// The flag.
        flag: &'static str,
    },
    /// Followers would stand for election because of one lost heartbeat.
    #[error(
        "--election-timeout[{}ms] should be at least as 5 times as --heartbeat-interval[{}ms]; \
         raise the timeout to {}ms or more, or lower the interval",
        election.as_millis(), heartbeat.as_millis(), heartbeat.as_millis() * 5
    )]
    ElectionTooShort {
        /// The election timeout.
        election: Duration,
        /// The heartbeat interval.
        heartbeat: Duration,
    },
    /// A cluster without a leader would stay so for too long.
    #[error(
        "--election-timeout[{}ms] is too long, and should be set less than 50000ms; \
         about ten round trips between two members are enough",
        election.as_millis()
    )]
    ElectionTooLong {
        /// The election timeout.
        election: Duration,
    },
    /// The initial cluster does not fit this member.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl ConfigError {
    /// The exit code of the process, as etcd's: 2 for a command line that cannot be read, 1 for all else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::NotUtf8 { .. }
            | Self::MissingValue { .. }
            | Self::LooseBoolean { .. } => 2,
            Self::InvalidValue { origin: Origin::CommandLine, .. } => 2,
            _ => 1,
        }
    }
}
