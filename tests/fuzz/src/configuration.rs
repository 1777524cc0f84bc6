//! `config_file` and `config_argv`: what a member is told at its start.
//!
//! The input of the first is the file; that of the second one argument or `NAME=value` variable a line. Promises: a
//! configuration is made or refused with a reason for people, the same each time; what can run can also be printed; the
//! file alone never asks for help or a version.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use quorate_server::config::{self, ConfigError, Process, Request};
use tempfile::TempDir;

use crate::disk::scratch;

/// Arguments of one input; more find nothing that these do not.
const ARGUMENTS_MAX: usize = 40;

/// Tries one input as a configuration file.
///
/// # Panics
/// When a promise is broken.
pub fn file(input: &[u8]) {
    // One for each thread: tests of one process try inputs at the same time.
    thread_local! {
        static DIR: TempDir = scratch::dir();
    }
    let path: PathBuf = DIR.with(|dir| dir.path().join("quorate.yaml"));
    std::fs::write(&path, input).expect("room for a file");
    let flag = OsString::from(format!("--config-file={}", path.display()));
    match load(std::slice::from_ref(&flag), &[]) {
        Ok(Request::Run(loaded)) => {
            assert!(!loaded.config.name.is_empty(), "a member without a name");
            printable(&[flag], &[]);
        }
        Ok(Request::Print { text, .. }) => panic!("a file made the member print: {text}"),
        Err(error) => refused(&error, &[flag], &[]),
    }
}

/// Tries one input as a command line and environment.
///
/// # Panics
/// When a promise is broken.
pub fn argv(input: &[u8]) {
    let (mut args, mut environment) = (Vec::new(), Vec::new());
    for line in input.split(|&byte| byte == b'\n').take(ARGUMENTS_MAX) {
        // Whatever file it names is not part of the input.
        let upper = line.to_ascii_uppercase();
        if upper.windows(6).any(|window| window == b"CONFIG") {
            continue;
        }
        let is_variable = line.starts_with(b"QUORATE_") || line.starts_with(b"ETCD_");
        match line.iter().position(|&byte| byte == b'=').filter(|_| is_variable) {
            Some(equals) => {
                let (name, value) = line.split_at(equals);
                environment.push((os_string(name), os_string(&value[1..])));
            }
            None => args.push(os_string(line)),
        }
    }
    match load(&args, &environment) {
        Ok(Request::Run(_)) => printable(&args, &environment),
        Ok(Request::Print { text, .. }) => assert!(text.ends_with('\n')),
        Err(error) => refused(&error, &args, &environment),
    }
}

fn os_string(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn load(args: &[OsString], environment: &[(OsString, OsString)]) -> Result<Request, ConfigError> {
    config::load(&Process {
        args: args.to_vec(),
        environment: environment.to_vec(),
        default_route: &|| Some(IpAddr::from([192, 0, 2, 3])),
    })
}

/// What can run can be shown to people.
fn printable(args: &[OsString], environment: &[(OsString, OsString)]) {
    let mut asking = vec![OsString::from("--print-config")];
    asking.extend_from_slice(args);
    match load(&asking, environment) {
        Ok(Request::Print { text, .. }) => assert!(text.contains("data-dir")),
        // Of a flag given twice the last counts: the input may take the question back.
        Ok(Request::Run(_)) => assert!(args.len() > 1),
        Err(error) => panic!("it runs but cannot be printed: {error}"),
    }
}

fn refused(error: &ConfigError, args: &[OsString], environment: &[(OsString, OsString)]) {
    let text = error.to_string();
    assert!(!text.is_empty() && error.exit_code() != 0);
    let again = load(args, environment).err().map(|error| error.to_string());
    assert_eq!(again, Some(text), "another reason the second time");
}
