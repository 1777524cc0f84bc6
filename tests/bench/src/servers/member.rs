//! One member as a child process of ours.
//!
//! Invariant: whoever drops it has ended and reaped it; no process is ever touched but our own children, so a PID
//! cannot have been given to someone else.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::Moment;

/// Pause between looks at a member that is to end; short, for takeovers are timed across it.
const REAP_LOOK_EVERY: Duration = Duration::from_micros(200);

/// How much of a dead member's log is shown.
const LOG_TAIL_BYTES: usize = 2_000;

/// A member's process, and how to start it again.
#[derive(Debug)]
pub struct Member {
    child: Child,
    binary: PathBuf,
    args: Vec<String>,
    log: PathBuf,
    client: SocketAddr,
}

impl Member {
    /// Starts the program with its output in `log`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(
        binary: &Path,
        args: Vec<String>,
        log: PathBuf,
        client: SocketAddr,
    ) -> anyhow::Result<Self> {
        let child = spawn(binary, &args, &log)?;
        Ok(Self { child, binary: binary.to_owned(), args, log, client })
    }

    /// Its process ID.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it serves clients.
    #[must_use]
    pub fn client(&self) -> SocketAddr {
        self.client
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended: its PID may be someone else's by now.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if let Some(death) = self.death() {
            bail!(death);
        }
        kill_process(Pid::from_child(&self.child), signal).with_context(|| {
            format!("could not send {signal:?} to the member with pid {}", self.pid())
        })
    }

    /// Ends it, whatever state it is in, and reaps it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn end(&mut self) -> anyhow::Result<()> {
        // Harmless for a child that has been reaped, and ends a stopped one too.
        self.child.kill().context("could not end a member")?;
        self.child.wait().context("could not wait for a member")?;
        Ok(())
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it has not after `patience`.
    pub fn reap(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Moment::now().after(patience);
        loop {
            if let Some(status) = self.child.try_wait().context("could not wait for a member")? {
                return Ok(status);
            }
            if Moment::now() > deadline {
                bail!(
                    "the member with pid {} has not ended after {} s",
                    self.pid(),
                    patience.as_secs()
                );
            }
            thread::sleep(REAP_LOOK_EVERY);
        }
    }

    /// Starts it again, with the same flags on the same data. It must have ended.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.binary, &self.args, &self.log)?;
        Ok(())
    }

    /// Why it is not running, with the end of its log; `None` while it runs.
    pub fn death(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let log = fs::read(&self.log).unwrap_or_default();
        let tail = log.get(log.len().saturating_sub(LOG_TAIL_BYTES)..).unwrap_or_default();
        Some(format!(
            "a member ({}) ended by itself with {status}; the end of its log:\n{}",
            self.binary.display(),
            String::from_utf8_lossy(tail)
        ))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Nobody is left to be told of an error.
        let _ended = self.end();
    }
}

fn spawn(binary: &Path, args: &[String], log: &Path) -> anyhow::Result<Child> {
    let output = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("could not open the log {}", log.display()))?;
    let errors = output.try_clone().context("could not share the log between stdout and stderr")?;
    Command::new(binary)
        .args(args)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("could not start {}", binary.display()))
}
