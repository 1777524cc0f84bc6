//! A process as the configuration sees it, made up for a test.

use std::ffi::OsString;
use std::net::IpAddr;

use quorate_server::config::{self, Config, ConfigError, Loaded, Process, Request};

/// Arguments and environment of a process on a machine whose default route has the address 10.1.2.3.
pub(crate) fn load(args: &[&str], environment: &[(&str, &str)]) -> Result<Request, ConfigError> {
    config::load(&Process {
        args: args.iter().map(OsString::from).collect(),
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        default_route: &|| Some(IpAddr::from([10, 1, 2, 3])),
    })
}

/// The configuration of a process that is expected to run.
pub(crate) fn loaded(args: &[&str], environment: &[(&str, &str)]) -> Loaded {
    match load(args, environment) {
        Ok(Request::Run(loaded)) => *loaded,
        other => panic!("{args:?} {environment:?} should run, but: {other:?}"),
    }
}

/// The configuration that flags alone make.
#[allow(dead_code, reason = "each test program uses its own share of this module")]
pub(crate) fn config(args: &[&str]) -> Config {
    loaded(args, &[]).config
}

/// The error of a process that is expected not to run.
#[allow(dead_code, reason = "each test program uses its own share of this module")]
pub(crate) fn refusal(args: &[&str], environment: &[(&str, &str)]) -> ConfigError {
    match load(args, environment) {
        Err(error) => error,
        Ok(request) => panic!("{args:?} {environment:?} should be refused, but: {request:?}"),
    }
}

/// What a process prints that is expected to print and end.
#[allow(dead_code, reason = "each test program uses its own share of this module")]
pub(crate) fn printed(args: &[&str], environment: &[(&str, &str)]) -> String {
    match load(args, environment) {
        Ok(Request::Print { text, .. }) => text,
        other => panic!("{args:?} {environment:?} should print, but: {other:?}"),
    }
}
