//! One run of `curl`, as clients of all kinds would ask.

use std::path::Path;
use std::process::{Command, Stdio};

use quorate_harness::Papers;

/// A request to be made by `curl`. It gives up by itself after some seconds.
#[derive(Debug)]
pub struct Curl {
    command: Command,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// The exit code: 0 when there was an answer, whatever it said.
    pub code: i32,
    /// The body of the answer.
    pub body: String,
    /// What `curl` said about it.
    pub said: String,
}

/// Long enough for a busy machine, short enough to notice a request that hangs.
const SECONDS_MAX: &str = "20";

impl Curl {
    /// Asks for `url`.
    pub fn get(url: &str) -> Self {
        let program = quorate_harness::curl().unwrap_or_else(|missing| panic!("{missing}"));
        let mut command = Command::new(program);
        command.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            SECONDS_MAX,
            url,
        ]);
        Self { command }
    }

    /// Trusts servers whose certificates were signed by the authority in this file.
    pub fn trusting(mut self, authority: &Path) -> Self {
        self.command.arg("--cacert").arg(authority);
        self
    }

    /// Shows this certificate.
    pub fn showing(mut self, papers: &Papers) -> Self {
        self.command.arg("--cert").arg(&papers.certificate).arg("--key").arg(&papers.key);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Runs it to its end. Panics when `curl` can't be started.
    #[track_caller]
    pub fn run(mut self) -> Ran {
        let output = self
            .command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("curl cannot be started: {error}"));
        Ran {
            code: output.status.code().unwrap_or(-1),
            body: String::from_utf8_lossy(&output.stdout).into_owned(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
