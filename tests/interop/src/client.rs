//! The unmodified command line client of etcd 3.4, speaking the v2 API.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use quorate_harness::{etcdctl, eventually};

use crate::side::Side;

/// Longer than `etcdctl` tries all endpoints of a cluster without a quorum.
const RUN_WITHIN: Duration = Duration::from_secs(60);

/// Runs `etcdctl` against one side and returns exit code, standard output and standard error as one text.
/// Panics when it does not end; its output must fit into a pipe.
#[track_caller]
pub fn run(side: &Side, arguments: &str) -> String {
    let fault = |error: std::io::Error| -> Child {
        panic!("etcdctl {arguments} at the {}: {error}", side.label())
    };
    let mut child = command(side, arguments).spawn().unwrap_or_else(fault);
    if !eventually(RUN_WITHIN, || child.try_wait().is_ok_and(|status| status.is_some())) {
        // Already a failure; what matters is that nothing is left behind.
        let _ = child.kill();
        let _ = child.wait();
        panic!("etcdctl {arguments} at the {} did not end within {RUN_WITHIN:?}", side.label());
    }
    shown(&child.wait_with_output().unwrap_or_else(|error| panic!("etcdctl {arguments}: {error}")))
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
