//! Readiness of many sockets (level-triggered epoll), with waits as short as the clock can tell.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll;
use rustix::time::Timespec;

/// Events taken from the kernel at once; more simply come with the next call.
const EVENTS_MAX: usize = 512;

/// Waits for any of the registered sockets.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    /// A poller that watches nothing yet.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// Reports `source` as `token` each time there is more to read; what was left unread is not reported again. Closing it
    /// ends that.
    ///
    /// # Errors
    /// When the kernel refuses, as for a source registered already.
    pub fn watch_reads(&self, source: impl AsFd, token: usize) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token as u64);
        Ok(epoll::add(&self.epoll, source, data, epoll::EventFlags::IN | epoll::EventFlags::ET)?)
    }

    /// Changes whether `source` is also reported when it can be written.
    ///
    /// # Errors
    /// When `source` is not registered.
    pub fn watch_writes(&self, source: impl AsFd, token: usize, on: bool) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token as u64);
        let reads = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let flags = if on { reads | epoll::EventFlags::OUT } else { reads };
        Ok(epoll::modify(&self.epoll, source, data, flags)?)
    }

    /// Waits until something is ready or `timeout` has passed, and puts the tokens into `ready`.
    ///
    /// # Errors
    /// When the kernel refuses; a signal is no error, only an early return.
    pub fn wait(&self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        ready.clear();
        let mut events = [const { MaybeUninit::uninit() }; EVENTS_MAX];
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let (events, _) = match epoll::wait(&self.epoll, &mut events[..], Some(&timeout)) {
            Ok(events) => events,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        ready.extend(events.iter().map(|event| {
            let data = event.data;
            usize::try_from(data.u64()).unwrap_or(usize::MAX)
        }));
        Ok(())
    }
}
