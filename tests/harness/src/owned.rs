//! A process that a test needs beside its members: a DNS server, a browser, a client that stays connected.
//!
//! Invariant: it ends with its owner, or, when the whole test is killed, by the reaper's hand.

use std::io;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};

use crate::reaper;

/// See the module.
#[derive(Debug)]
pub struct Owned {
    child: Child,
    exit: Option<ExitStatus>,
}

impl Owned {
    /// Starts it. The command must become the process, not leave one behind.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn()?;
        reaper::started(child.id());
        Ok(Self { child, exit: None })
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, if it is a pipe and was not taken before.
    pub fn take_input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its standard output, likewise.
    pub fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().ok().flatten();
            self.tell_reaper();
        }
        self.exit
    }

    /// Told once only: the ID may be a stranger's by then.
    fn tell_reaper(&self) {
        if self.exit.is_some() {
            reaper::reaped(self.child.id());
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // Fails only if it has just ended.
            let _ = self.child.kill();
            self.exit = self.child.wait().ok();
            self.tell_reaper();
        }
    }
}
