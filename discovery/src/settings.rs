//! The flags: each with its environment variable, its default and what it is for. `--help` is the manual.
//!
//! Invariant: the command line wins over the environment. Nothing here touches the disk or a socket.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, ArgMatches, Command};
use quorate_server::logging::{LogLevel, LogSettings};
use quorate_transport::endpoint::Endpoint;

use crate::http::native::{TTL_MAX, TTL_MIN};
use crate::limits::Allowance;
use crate::registry::Rules;

/// The name the program goes by.
pub const PROGRAM: &str = "quorate-discovery";
/// What the names of its environment variables begin with.
const VARIABLES: &str = "QUORATE_DISCOVERY_";
/// Columns of the help: what reads well and fits two windows side by side.
const HELP_WIDTH: usize = 100;

/// What the process is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests are taken.
    pub listen: Vec<Endpoint>,
    /// Where the store of its own keeps its files.
    pub data_dir: PathBuf,
    /// The cluster that keeps the tokens instead; empty for the store of its own.
    pub store: Vec<Endpoint>,
    /// The directory of the store that holds them.
    pub store_prefix: String,
    /// What discovery URLs begin with, without a slash at the end.
    pub public_url: Option<String>,
    /// How long things last.
    pub rules: Rules,
    /// How long a long poll waits.
    pub poll_timeout: Duration,
    /// What one address may ask for.
    pub allowance: Allowance,
    /// How many tokens there may be.
    pub tokens_max: usize,
    /// What is logged, how and where.
    pub logging: LogSettings,
}

/// What the command line asks for.
pub enum Request {
    /// To run.
    Run(Box<Settings>),
    /// To print this and end.
    Print(String),
}

/// What is wrong with the flags.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The command line cannot be read.
    #[error("{0}")]
    Usage(String),
    /// A value cannot be used.
    #[error("--{flag}={value}: {reason}")]
    Value {
        /// The flag without dashes.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
}

struct Flag {
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
}

const FLAGS: &[Flag] = &[
    Flag {
        name: "listen-url",
        value: "URL[,URL]",
        default: "http://127.0.0.1:8087",
        help: "Where to take requests. Machines elsewhere reach the service only when this is an address of this machine's network, or http://0.0.0.0:8087.",
    },
    Flag {
        name: "public-url",
        value: "URL",
        default: "",
        help: "What the URLs of new tokens begin with, for example https://discovery.example.com. All machines of a cluster must use exactly the same URL. Without it, what the client called this host.",
    },
    Flag {
        name: "data-dir",
        value: "DIR",
        default: "quorate-discovery.data",
        help: "Where the tokens are kept when no --store is given: a store of this process's own, durable at each answer.",
    },
    Flag {
        name: "store",
        value: "URL[,URL]",
        default: "",
        help: "A cluster that keeps the tokens instead: client URLs of its members, Quorate or etcd 3.4 with --enable-v2. Any number of replicas of this service may share it.",
    },
    Flag {
        name: "store-prefix",
        value: "KEY",
        default: "/_quorate/discovery",
        help: "The directory of the store that holds the tokens.",
    },
    Flag {
        name: "token-ttl",
        value: "SECONDS",
        default: "86400",
        help: "How long a token waits for its members unless its maker says otherwise.",
    },
    Flag {
        name: "seal-grace",
        value: "SECONDS",
        default: "600",
        help: "How long after the last registration a member that crashed before it had data may still come back with the same flags. Later it counts as one that lost its data.",
    },
    Flag {
        name: "sealed-ttl",
        value: "SECONDS",
        default: "2592000",
        help: "How long the list of members is kept after all have registered.",
    },
    Flag {
        name: "memory",
        value: "SECONDS",
        default: "604800",
        help: "How long a token that is over is remembered, so that whoever still uses it is told why it does not work.",
    },
    Flag {
        name: "poll-timeout",
        value: "SECONDS",
        default: "45",
        help: "How long a waiting request is held open before its client asks again.",
    },
    Flag {
        name: "max-tokens",
        value: "N",
        default: "100000",
        help: "How many tokens there may be; about two kilobytes of memory each.",
    },
    Flag {
        name: "max-requests-per-second",
        value: "N",
        default: "50",
        help: "Requests per second from one address (an IPv6 /64 is one), ten seconds' worth at once. 0 is no limit.",
    },
    Flag {
        name: "max-new-per-minute",
        value: "N",
        default: "30",
        help: "New tokens per minute from one address. 0 is no limit.",
    },
    Flag {
        name: "max-polls-per-address",
        value: "N",
        default: "256",
        help: "Waiting requests from one address. 0 is no limit.",
    },
    Flag {
        name: "max-polls",
        value: "N",
        default: "20000",
        help: "Waiting requests in all. 0 is no limit.",
    },
    Flag {
        name: "log-level",
        value: "LEVEL",
        default: "info",
        help: "debug, info, warn or error.",
    },
    Flag {
        name: "log-format",
        value: "FORMAT",
        default: "text",
        help: "text, or json for one object a line.",
    },
    Flag {
        name: "log-outputs",
        value: "OUT[,OUT]",
        default: "stderr",
        help: "stderr, stdout, or files to append to.",
    },
];

const ABOUT: &str = "The discovery service of Quorate: machines that boot at the same time find each other by a token.\n\n\
    Serves unmodified etcd 2.x to 3.6 (--discovery URL) and quorate-server. Without flags it runs on 127.0.0.1:8087 with a store of \
    its own.";

const AFTER: &str = "\
    Make a token, then start the machines with its URL:\n\
    \x20 curl 'http://127.0.0.1:8087/new?size=3'\n\
    \x20 etcd --name NAME --discovery URL --initial-advertise-peer-urls http://ADDRESS:2380 ...\n\n\
    The URL in a browser shows who is there and who is missing. GET /v1/openapi.json describes the native API; /metrics, /livez and \
    /readyz are for monitoring.\n\n\
    Each flag can be given as a variable: QUORATE_DISCOVERY_LISTEN_URL for --listen-url. The command line wins.\n\
    Exit code 2: the command line cannot be read. Exit code 1: what it says cannot be used, or the store failed.";

/// Reads the command line and the environment.
///
/// # Errors
/// See [`SettingsError`].
pub fn load(
    args: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Request, SettingsError> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            let text = error.render().to_string();
            return match error.kind() {
                clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => {
                    Ok(Request::Print(text))
                }
                _ => Err(SettingsError::Usage(
                    text.trim_start_matches("error: ").trim_end().to_owned(),
                )),
            };
        }
    };
    Given { matches: &matches, variable: &variable }
        .settings()
        .map(|settings| Request::Run(Box::new(settings)))
}

/// The name of a flag's environment variable.
#[must_use]
pub fn variable_name(flag: &str) -> String {
    format!("{VARIABLES}{}", flag.to_ascii_uppercase().replace('-', "_"))
}

fn command() -> Command {
    let arg = |flag: &Flag| {
        let default = if flag.default.is_empty() {
            String::new()
        } else {
            format!(" [default: {}]", flag.default)
        };
        let help = StyledStr::from(format!("{}{default}", flag.help));
        Arg::new(flag.name)
            .long(flag.name)
            .value_name(flag.value)
            .help(help)
            .action(ArgAction::Set)
            .overrides_with(flag.name)
    };
    Command::new(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .term_width(HELP_WIDTH)
        .args(FLAGS.iter().map(arg))
}

struct Given<'a> {
    matches: &'a ArgMatches,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Given<'_> {
    fn settings(&self) -> Result<Settings, SettingsError> {
        let seconds = |flag| self.number(flag).map(Duration::from_secs);
        let token_ttl = seconds("token-ttl")?;
        if !(TTL_MIN..=TTL_MAX).contains(&token_ttl) {
            let reason = format!(
                "a token lives from {} to {} seconds",
                TTL_MIN.as_secs(),
                TTL_MAX.as_secs()
            );
            return Err(self.wrong("token-ttl", reason));
        }
        let poll_timeout = seconds("poll-timeout")?;
        if poll_timeout.is_zero() {
            return Err(self.wrong(
                "poll-timeout",
                "clients would ask without a pause; give at least 1".to_owned(),
            ));
        }
        let store_prefix = self.text("store-prefix");
        if crate::store::Layout::new(&store_prefix).is_none() {
            return Err(
                self.wrong("store-prefix", "give a key such as /_quorate/discovery".to_owned())
            );
        }
        Ok(Settings {
            listen: self.endpoints("listen-url")?,
            data_dir: PathBuf::from(self.text("data-dir")),
            store: self.endpoints("store")?,
            store_prefix,
            public_url: self.public_url()?,
            rules: Rules {
                token_ttl,
                seal_grace: seconds("seal-grace")?,
                sealed_ttl: seconds("sealed-ttl")?,
                memory: seconds("memory")?,
            },
            poll_timeout,
            allowance: Allowance {
                requests_per_second: self.small("max-requests-per-second")?,
                tokens_per_minute: self.small("max-new-per-minute")?,
                polls_per_address: self.small("max-polls-per-address")?,
                polls: self.small("max-polls")?,
            },
            tokens_max: usize::try_from(self.number("max-tokens")?).unwrap_or(usize::MAX),
            logging: self.logging()?,
        })
    }

    fn logging(&self) -> Result<LogSettings, SettingsError> {
        let level = self.text("log-level");
        if LogLevel::from_word(&level).is_none() {
            return Err(self.wrong("log-level", "give debug, info, warn or error".to_owned()));
        }
        let format = self.text("log-format");
        if !["text", "json"].contains(&format.as_str()) {
            return Err(self.wrong("log-format", "give text or json".to_owned()));
        }
        let outputs = self.text("log-outputs");
        Ok(LogSettings::from_words(&level, &format, &outputs.split(',').collect::<Vec<_>>()))
    }

    fn public_url(&self) -> Result<Option<String>, SettingsError> {
        let text = self.text("public-url");
        let url = text.trim_end_matches('/');
        if url.is_empty() {
            return Ok(None);
        }
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['?', '#', ' ', '"', '<', '@']))
        {
            let reason = "give http://HOST[:PORT] or https://HOST[:PORT]".to_owned();
            return Err(self.wrong("public-url", reason));
        }
        Ok(Some(url.to_owned()))
    }

    fn endpoints(&self, flag: &'static str) -> Result<Vec<Endpoint>, SettingsError> {
        let text = self.text(flag);
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let endpoints = words.map(|word| {
            let endpoint: Endpoint = word.trim_end_matches('/').parse().map_err(
                |error: quorate_transport::endpoint::EndpointError| {
                    self.wrong(flag, error.to_string())
                },
            )?;
            if endpoint.is_tls {
                return Err(self.wrong(
                    flag,
                    "this build has no TLS yet; use http://, behind a proxy that speaks TLS"
                        .to_owned(),
                ));
            }
            Ok(endpoint)
        });
        endpoints.collect()
    }

    fn small(&self, flag: &'static str) -> Result<u32, SettingsError> {
        let number = self.number(flag)?;
        u32::try_from(number)
            .map_err(|_| self.wrong(flag, "that is too much; 0 is no limit".to_owned()))
    }

    fn number(&self, flag: &'static str) -> Result<u64, SettingsError> {
        let text = self.text(flag);
        text.parse().map_err(|_| self.wrong(flag, "give a whole number".to_owned()))
    }

    fn wrong(&self, flag: &'static str, reason: String) -> SettingsError {
        SettingsError::Value { flag, value: self.text(flag), reason }
    }

    /// The value: from the command line, the environment, or the default. An empty variable is as good as none.
    fn text(&self, name: &str) -> String {
        let given = self.matches.get_one::<String>(name).cloned();
        let given =
            given.or_else(|| (self.variable)(&variable_name(name)).filter(|text| !text.is_empty()));
        given.unwrap_or_else(|| {
            let flag = FLAGS.iter().find(|flag| flag.name == name);
            flag.map(|flag| flag.default.to_owned()).unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with(args: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
        let args = std::iter::once(PROGRAM).chain(args.iter().copied()).map(OsString::from);
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        match load(args, variable) {
            Ok(Request::Run(settings)) => Ok(*settings),
            Ok(Request::Print(text)) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn without_anything_it_runs_on_loopback_with_its_own_store() {
        let settings = load_with(&[], &[]).unwrap();
        assert_eq!(settings.listen, [Endpoint::tcp("127.0.0.1", 8087)]);
        assert!(settings.store.is_empty() && settings.public_url.is_none());
        assert_eq!(settings.rules.token_ttl, Duration::from_secs(86_400));
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let variables =
            [("QUORATE_DISCOVERY_TOKEN_TTL", "100"), ("QUORATE_DISCOVERY_STORE", "http://s:2379/")];
        let settings = load_with(&["--token-ttl=200"], &variables).unwrap();
        assert_eq!(settings.rules.token_ttl, Duration::from_secs(200));
        assert_eq!(settings.store, [Endpoint::tcp("s", 2379)]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_what_to_do() {
        let cases = [
            ("--token-ttl=1", "60 to"),
            ("--poll-timeout=0", "at least 1"),
            ("--public-url=discovery.example", "https://HOST"),
            ("--store=https://s:1", "no TLS"),
            ("--store-prefix=/", "give a key"),
            ("--log-level=loud", "give debug"),
            ("--max-polls=many", "whole number"),
            ("--nonsense", "unexpected argument"),
        ];
        for (flag, expected) in cases {
            let error = load_with(&[flag], &[]).unwrap_err();
            assert!(error.contains(expected), "{flag}: {error}");
        }
    }

    #[test]
    fn the_help_is_a_manual() {
        let help = load_with(&["--help"], &[]).unwrap_err();
        for flag in FLAGS {
            assert!(help.contains(&format!("--{}", flag.name)), "{} is not in\n{help}", flag.name);
        }
        assert!(help.contains("/new?size=3") && help.contains("Exit code"));
    }
}
