//! The unmodified command line client of etcd 3.4, speaking the v2 API.

use std::process::{Command, Output, Stdio};

use quorate_harness::etcdctl;

use crate::side::Side;

/// Runs `etcdctl` against one side and returns exit code, standard output and standard error as one text.
#[track_caller]
pub fn run(side: &Side, arguments: &str) -> String {
    let output = command(side, arguments)
        .output()
        .unwrap_or_else(|error| panic!("etcdctl {arguments} at the {}: {error}", side.label()));
    shown(&output)
}

/// The command that [`run`] runs, with its output to be read by the caller. Names such as `<member m1>` are filled in;
/// arguments are split at blanks.
#[track_caller]
pub fn command(side: &Side, arguments: &str) -> Command {
    let binary = etcdctl().unwrap_or_else(|missing| panic!("{missing}"));
    let arguments =
        side.names().iter().fold(arguments.to_owned(), |text, (own, name)| text.replace(name, own));
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env("ETCDCTL_API", "2")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .arg("--endpoints")
        .arg(side.cluster().member(0).client_url())
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn shown(output: &Output) -> String {
    format!(
        "exit {:?}\n{}--- stderr\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
