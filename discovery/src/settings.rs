//! The flags: each with its environment variable, its default and what it is for. `--help` is the manual.
//!
//! Invariant: the command line wins over the environment. Nothing here touches the disk or a socket.

mod dns;
mod flags;
mod listening;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, ArgMatches, Command};
use quorate_server::logging::{LogLevel, LogSettings};
use quorate_transport::endpoint::{Endpoint, EndpointError};
use quorate_transport::tls::{KeyPairFiles, TlsSettings};

pub use self::dns::DnsSettings;
use self::flags::{ABOUT, AFTER, FLAGS, Flag, SWITCH};
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
    /// What is shown to whoever connects by `https://`, and what is demanded of them.
    pub protection: Option<TlsSettings>,
    /// Reverse proxies that are believed where a request comes from.
    pub trusted_proxies: Vec<IpAddr>,
    /// The authorities of the store's certificates; the system's if not given.
    pub store_ca: Option<PathBuf>,
    /// The certificate shown to the store.
    pub store_key_pair: Option<KeyPairFiles>,
    /// The user at the store, and the file that holds the password.
    pub store_user: Option<(String, PathBuf)>,
    /// Where DNS is answered, if it is.
    pub dns: Option<DnsSettings>,
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

/// The rows of the manual's table of flags.
#[must_use]
pub fn flag_rows() -> String {
    let row = |flag: &Flag| {
        let default =
            if flag.default.is_empty() { String::new() } else { format!("`{}`", flag.default) };
        format!("| `--{}` {} | {default} | {} |\n", flag.name, flag.value, flag.help)
    };
    FLAGS.iter().map(row).collect()
}

fn command() -> Command {
    let arg = |flag: &Flag| {
        let default = if flag.default.is_empty() {
            String::new()
        } else {
            format!(" [default: {}]", flag.default)
        };
        let help = StyledStr::from(format!("{}{default}", flag.help));
        let arg = if flag.value == SWITCH {
            let bare = Arg::new(flag.name).num_args(0..=1).require_equals(true);
            bare.default_missing_value("true")
        } else {
            Arg::new(flag.name)
        };
        arg.long(flag.name)
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
        let listen = self.endpoints("listen-url")?;
        let protection = self.protection(&listen)?;
        Ok(Settings {
            listen,
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
            protection,
            trusted_proxies: self.addresses("trusted-proxies")?,
            store_ca: self.path("store-ca-file"),
            store_key_pair: self.key_pair("store-cert-file", "store-key-file")?,
            store_user: self.store_user()?,
            dns: self.dns()?,
            logging: self.logging()?,
        })
    }

    fn path(&self, flag: &str) -> Option<PathBuf> {
        Some(self.text(flag)).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    fn key_pair(
        &self,
        certificate: &'static str,
        key: &'static str,
    ) -> Result<Option<KeyPairFiles>, SettingsError> {
        match (self.path(certificate), self.path(key)) {
            (Some(certificate), Some(key)) => Ok(Some(KeyPairFiles { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.wrong(certificate, format!("it needs --{key} as well"))),
            (None, Some(_)) => Err(self.wrong(key, format!("it needs --{certificate} as well"))),
        }
    }

    fn store_user(&self) -> Result<Option<(String, PathBuf)>, SettingsError> {
        let user = self.text("store-user");
        match self.path("store-password-file") {
            Some(file) if !user.is_empty() && !user.contains(':') => Ok(Some((user, file))),
            None if user.is_empty() => Ok(None),
            _ => {
                let reason = "a user's name without colons and --store-password-file go together";
                Err(self.wrong("store-user", reason.to_owned()))
            }
        }
    }

    fn addresses(&self, flag: &'static str) -> Result<Vec<IpAddr>, SettingsError> {
        let text = self.text(flag);
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words
            .map(|word| word.parse().map_err(|_| self.wrong(flag, "give IP addresses".to_owned())))
            .collect()
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
            let parsed = word.trim_end_matches('/').parse();
            parsed.map_err(|error: EndpointError| self.wrong(flag, error.to_string()))
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

    pub(super) fn load_with(args: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
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
            ("--store=s:1", "not an endpoint"),
            ("--listen-url=https://127.0.0.1:1", "--cert-file"),
            ("--cert-file=c", "--key-file"),
            ("--client-cert-auth", "--trusted-ca-file"),
            ("--client-cert-auth=perhaps", "true or false"),
            ("--client-crl-file=c", "--trusted-ca-file"),
            ("--trusted-ca-file=c", "https://"),
            ("--store-key-file=c", "--store-cert-file"),
            ("--store-user=root", "--store-password-file"),
            ("--trusted-proxies=proxy", "IP addresses"),
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
