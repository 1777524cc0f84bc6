//! One member: its folder, its ports, its flags, and the process when it runs.
//!
//! Invariant: a process is in `process` from its start until it has been waited for, so none is left as a zombie and no
//! signal ever goes to an id that may have been reused.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::http::{Http, Request};
use crate::keys::Keys;
use crate::ports::Port;
use crate::program::Program;
use crate::reaper;
use crate::wait::{eventually, wait_until};

/// How much of a log is shown when a test fails.
const TAIL_BYTES: u64 = 6 * 1024;
/// A member that takes longer to tell its health counts as not ready; it is asked again.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Each thread stops when the kernel next looks at it.
const PAUSE_WITHIN: Duration = Duration::from_secs(5);
/// SIGKILL cannot be refused; only a stuck disk delays it.
const KILL_WITHIN: Duration = Duration::from_secs(30);

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// It returned this exit code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// A member of a cluster under test; all operations are possible from several threads.
#[derive(Debug)]
pub struct Member {
    name: String,
    program: Program,
    binary: PathBuf,
    launcher: Vec<String>,
    data_dir: PathBuf,
    log: PathBuf,
    client: Port,
    peer: Port,
    flags: Mutex<Vec<String>>,
    environment: Mutex<Vec<(String, String)>>,
    process: Mutex<Option<Child>>,
    last_exit: Mutex<Option<Exit>>,
}

/// What a member is made of; see [`crate::Builder`] for how to get one.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) program: Program,
    pub(crate) binary: PathBuf,
    /// A program and its arguments that start the binary; none to start it directly. It must become the member's process.
    pub(crate) launcher: Vec<String>,
    pub(crate) folder: PathBuf,
    pub(crate) client: Port,
    pub(crate) peer: Port,
    pub(crate) flags: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Member {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { name, program, binary, launcher, folder, client, peer, flags, environment } =
            parts;
        Self {
            data_dir: data_dir(&folder, &name),
            log: folder.join(format!("{name}.log")),
            name,
            program,
            binary,
            launcher,
            client,
            peer,
            flags: Mutex::new(flags),
            environment: Mutex::new(environment),
            process: Mutex::new(None),
            last_exit: Mutex::new(None),
        }
    }

    /// The member's name, `m1`, `m2`, ...
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program it runs.
    pub fn program(&self) -> Program {
        self.program
    }

    /// Where it listens for clients.
    pub fn client_address(&self) -> SocketAddr {
        self.client.address()
    }

    /// The URL it advertises to clients.
    pub fn client_url(&self) -> String {
        self.client.url()
    }

    /// Where it listens for peers.
    pub fn peer_address(&self) -> SocketAddr {
        self.peer.address()
    }

    /// The URL it advertises to peers.
    pub fn peer_url(&self) -> String {
        self.peer.url()
    }

    /// Its data folder; there is none before the first start and after [`Member::wipe`].
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A client of this member that opens a connection per request.
    pub fn http(&self) -> Http {
        Http::new(self.client.address())
    }

    /// The key operations through this member.
    pub fn keys(&self) -> Keys {
        Keys::new(self.http())
    }

    /// The flags the next start uses.
    pub fn flags(&self) -> Vec<String> {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the flags for the next start.
    pub fn set_flags(&self, flags: Vec<String>) {
        *self.flags.lock().unwrap_or_else(PoisonError::into_inner) = flags;
    }

    /// Replaces the environment variables the next start adds to the test's own.
    pub fn set_environment(&self, environment: Vec<(String, String)>) {
        *self.environment.lock().unwrap_or_else(PoisonError::into_inner) = environment;
    }

    /// Starts the process without waiting for anything. Panics when it runs already or cannot be started.
    #[track_caller]
    pub fn start(&self) {
        let mut process = self.process();
        assert!(process.is_none(), "{} is running already", self.name);
        let log = self.open_log();
        let environment = self.environment.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut command = match self.launcher.split_first() {
            Some((launcher, arguments)) => {
                let mut command = Command::new(launcher);
                command.args(arguments).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        let child = command
            .args(self.flags())
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_no_setting(name)))
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(
                log.try_clone().unwrap_or_else(|error| panic!("{}: {error}", self.log.display())),
            )
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.binary.display()));
        reaper::started(child.id());
        *process = Some(child);
    }

    /// Whether the process runs (or is paused).
    pub fn is_running(&self) -> bool {
        self.try_wait().is_none() && self.process().is_some()
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Child::id)
    }

    /// Ends the process with SIGKILL and waits until it is gone. Does nothing when it does not run.
    pub fn kill9(&self) {
        self.signal(Signal::KILL);
        eventually(KILL_WITHIN, || self.try_wait().is_some() || self.process().is_none());
    }

    /// How the process ended the last time it did.
    pub fn last_exit(&self) -> Option<Exit> {
        self.try_wait().or(*self.last_exit.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the process to end with SIGTERM and waits for that. Panics when it is still there after `within`.
    #[track_caller]
    pub fn terminate(&self, within: Duration) -> Exit {
        self.signal(Signal::TERM);
        self.wait_exit(within)
    }

    /// Waits until the process has ended by itself. Panics when it is still there after `within`.
    #[track_caller]
    pub fn wait_exit(&self, within: Duration) -> Exit {
        wait_until(&format!("{} has ended", self.name), within, || !self.is_running());
        self.last_exit().unwrap_or_else(|| panic!("{} has no exit code", self.name))
    }

    /// Stops the process where it stands (SIGSTOP); its connections stay open. Returns once all its threads stand still.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        if let Some(pid) = self.pid() {
            wait_until(&format!("{} stands still", self.name), PAUSE_WITHIN, || stands_still(pid));
        }
    }

    /// Lets a paused process go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills the process if it runs and starts it with the same flags; see [`Member::wait_ready`].
    #[track_caller]
    pub fn restart(&self) {
        self.kill9();
        self.start();
    }

    /// Removes the data folder. Panics while the process runs.
    #[track_caller]
    pub fn wipe(&self) {
        assert!(!self.is_running(), "{} still runs: kill it before wiping its data", self.name);
        if self.data_dir.exists() {
            fs::remove_dir_all(&self.data_dir)
                .unwrap_or_else(|error| panic!("{}: {error}", self.data_dir.display()));
        }
    }

    /// Whether `GET /health` says true right now; for the discovery service, whether `GET /readyz` is answered with 200.
    pub fn is_ready(&self) -> bool {
        if self.program == Program::Discovery {
            let answer = self.http().timeout(HEALTH_TIMEOUT).send(&Request::get("/readyz"));
            return answer.is_ok_and(|it| it.status == 200);
        }
        let answer = self.http().timeout(HEALTH_TIMEOUT).send(&Request::get("/health"));
        answer.is_ok_and(|it| it.status == 200 && it.json()["health"] == "true")
    }

    /// Waits until [`Member::is_ready`]. Panics at the deadline, and at once when the process has ended.
    #[track_caller]
    pub fn wait_ready(&self, within: Duration) {
        wait_until(&format!("{} is healthy", self.name), within, || {
            if let Some(exit) = self.try_wait() {
                panic!(
                    "{} ended ({exit:?}) instead of getting ready; its log ends with\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            assert!(self.process().is_some(), "{} was not started", self.name);
            self.is_ready()
        });
    }

    /// Everything the process has printed, over all its starts.
    pub fn log_text(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The last lines the process has printed.
    pub fn log_tail(&self) -> String {
        let Ok(mut log) = File::open(&self.log) else { return String::new() };
        let length = log.metadata().map(|it| it.len()).unwrap_or_default();
        let mut tail = Vec::new();
        let read = log
            .seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
            .and_then(|_| log.read_to_end(&mut tail));
        read.map(|_| String::from_utf8_lossy(&tail).into_owned()).unwrap_or_default()
    }

    /// The exit of the process if it has ended since it was started; asked once, it is forgotten.
    fn try_wait(&self) -> Option<Exit> {
        let mut process = self.process();
        let child = process.as_mut()?;
        let status = child.try_wait().ok().flatten()?;
        reaper::reaped(child.id());
        *process = None;
        let exit = exit_of(status);
        *self.last_exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(exit);
        Some(exit)
    }

    fn signal(&self, signal: Signal) {
        // Held while signalling: the id cannot be waited for, and so not be reused, meanwhile.
        let process = self.process();
        let id = process
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok())
            .and_then(Pid::from_raw);
        if let Some(id) = id {
            // Fails only when the process has just ended, which the callers find out by waiting.
            let _ = kill_process(id, signal);
        }
    }

    fn open_log(&self) -> File {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap_or_else(|error| panic!("{}: {error}", self.log.display()))
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Where a member of this name keeps its data in a cluster's folder.
pub(crate) fn data_dir(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.data"))
}

/// The test's own environment must not configure the servers.
fn is_no_setting(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    !name.starts_with("ETCD_") && !name.starts_with("QUORATE_")
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}

/// Whether each thread of a process is stopped (state `T` in `/proc/PID/task/TID/stat`).
fn stands_still(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which is in parentheses and may hold anything.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}
