//! Takeover: the leader is struck down while writers spin on the survivors; how long until a write is acknowledged?
//!
//! Only a write sent after the blow counts, so an acknowledgement already on its way proves nothing. The writers give
//! up on a member that does not answer within the attempt's patience, as a client with a deadline would.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::Signal;

use super::record::{Metric, median};
use crate::clock::Moment;
use crate::control;
use crate::interrupt;
use crate::servers::{Cluster, Member, Timing, leader_of};

/// Writers must have been served this often before the blow falls, or there was nothing to interrupt.
const WRITES_BEFORE: usize = 20;

/// A cluster that has not taken over by now never will.
const TAKEOVER_MAX: Duration = Duration::from_secs(60);

/// Pause after a refused write, so that the writers do not take the electing members' CPU.
const RETRY_PAUSE: Duration = Duration::from_millis(1);

/// Writers on each survivor, out of step with each other: a write that a leaderless member has dropped is noticed only
/// when its patience ends, so the outage is known to a fifth of that.
const WRITERS_EACH: u32 = 5;

/// Time the cluster is left alone before each blow: at default settings an election is over well before.
const SETTLE: Duration = Duration::from_millis(500);

/// How the leader is struck.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blow {
    /// SIGKILL: the process dies, its connections are reset.
    Kill,
    /// SIGTERM: it may hand over first.
    Terminate,
    /// SIGSTOP: it freezes, its connections stay open.
    Freeze,
}

/// Takeovers to measure.
#[derive(Clone, Debug)]
pub struct TakeoverSpec {
    /// Name in the tables.
    pub name: String,
    /// The cluster's timing.
    pub timing: Timing,
    /// How the leader is struck.
    pub blow: Blow,
    /// How often; the struck member is started again in between.
    pub times: u32,
    /// How long a writer waits for one answer.
    pub patience: Duration,
}

impl TakeoverSpec {
    /// Strikes the leader of `cluster` down as often as asked.
    ///
    /// # Errors
    /// When no survivor takes over, or the struck member does not come back.
    pub fn run(&self, cluster: &mut Cluster) -> anyhow::Result<Vec<Metric>> {
        let mut outages = Vec::new();
        for _ in 0..self.times {
            thread::sleep(SETTLE);
            outages.push(self.strike(cluster)?.as_secs_f64() * 1e3);
        }
        outages.sort_by(f64::total_cmp);
        Ok(vec![
            Metric::lower("median", "ms", median(&outages).unwrap_or(f64::NAN)),
            Metric::lower("longest", "ms", outages.last().copied().unwrap_or(f64::NAN)),
            Metric::note("takeovers", "times", outages.len() as f64),
        ])
    }

    fn strike(&self, cluster: &mut Cluster) -> anyhow::Result<Duration> {
        let endpoints = cluster.endpoints();
        let leader = leader_of(&endpoints)?;
        let survivors: Vec<SocketAddr> =
            endpoints.into_iter().filter(|endpoint| *endpoint != leader).collect();
        let victim =
            cluster.member_mut(leader).context("the leader is not one of the launched members")?;
        let writes = Writes::default();
        let outage = thread::scope(|scope| {
            for survivor in &survivors {
                for writer in 0..WRITERS_EACH {
                    let writes = &writes;
                    scope.spawn(move || {
                        thread::sleep(self.patience * writer / WRITERS_EACH);
                        writes.spin(*survivor, self.patience);
                    });
                }
            }
            let outage = self.outage(victim, &writes);
            writes.stop.store(true, Ordering::Relaxed);
            outage
        })?;
        // Whatever the blow was, the member must be gone before it is started again.
        victim.end()?;
        victim.restart()?;
        cluster.await_service(Moment::now()).context("the struck member did not come back")?;
        Ok(outage)
    }

    fn outage(&self, victim: &mut Member, writes: &Writes) -> anyhow::Result<Duration> {
        writes.await_one("a write before the blow", |acknowledged| {
            acknowledged.len() >= WRITES_BEFORE
        })?;
        let struck = Moment::now();
        let effective = match self.blow {
            Blow::Kill => {
                victim.signal(Signal::KILL)?;
                // Only a reaped process is sure to do nothing more. Not reaping would leave its PID taken.
                victim.reap(TAKEOVER_MAX)?;
                Moment::now()
            }
            Blow::Terminate => {
                victim.signal(Signal::TERM)?;
                victim.reap(TAKEOVER_MAX)?;
                Moment::now()
            }
            Blow::Freeze => {
                victim.signal(Signal::STOP)?;
                Moment::now()
            }
        };
        let first_after = |acknowledged: &[Write]| {
            acknowledged
                .iter()
                .filter(|write| write.sent >= effective)
                .map(|write| write.acknowledged)
                .min()
        };
        writes.await_one("a write after the blow", |acknowledged| {
            first_after(acknowledged).is_some()
        })?;
        let longest = {
            let acknowledged =
                writes.acknowledged.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match self.blow {
                // A leader that hands over causes no clean before and after: the longest silence is the outage.
                Blow::Terminate => longest_silence(&acknowledged, struck),
                Blow::Kill | Blow::Freeze => {
                    first_after(&acknowledged).map(|first| first.since(struck))
                }
            }
        };
        longest.context("no write was acknowledged after the blow")
    }
}

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Write {
    sent: Moment,
    acknowledged: Moment,
}

/// What the writers have achieved.
#[derive(Debug, Default)]
struct Writes {
    acknowledged: Mutex<Vec<Write>>,
    stop: AtomicBool,
}

impl Writes {
    fn spin(&self, endpoint: SocketAddr, patience: Duration) {
        while !self.stop.load(Ordering::Relaxed) {
            let sent = Moment::now();
            let answer = control::put(endpoint, "takeover", "x", patience);
            if answer.is_ok_and(|answer| matches!(answer.status, 200 | 201)) {
                let write = Write { sent, acknowledged: Moment::now() };
                self.acknowledged
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .push(write);
            } else {
                thread::sleep(RETRY_PAUSE);
            }
        }
    }

    fn await_one(&self, what: &str, done: impl Fn(&[Write]) -> bool) -> anyhow::Result<()> {
        let deadline = Moment::now().after(TAKEOVER_MAX);
        while !done(&self.acknowledged.lock().unwrap_or_else(std::sync::PoisonError::into_inner)) {
            interrupt::check()?;
            if Moment::now() > deadline {
                bail!("{what} was not acknowledged within {} s", TAKEOVER_MAX.as_secs());
            }
            thread::sleep(RETRY_PAUSE);
        }
        Ok(())
    }
}

/// The longest time without an acknowledgement, from the last one before `from` on.
fn longest_silence(acknowledged: &[Write], from: Moment) -> Option<Duration> {
    let mut moments: Vec<Moment> = acknowledged.iter().map(|write| write.acknowledged).collect();
    moments.sort();
    let pairs = moments.windows(2).filter(|pair| pair.last().is_some_and(|later| *later >= from));
    pairs.filter_map(|pair| Some(pair.last()?.since(*pair.first()?))).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_before_the_blow_does_not_count() {
        let write = |at: u64| Write {
            sent: Moment::from_nanos(at.saturating_sub(1)),
            acknowledged: Moment::from_nanos(at),
        };
        let writes = [write(0), write(900), write(1000), write(1300), write(1350)];
        assert_eq!(
            longest_silence(&writes, Moment::from_nanos(1001)),
            Some(Duration::from_nanos(300))
        );
        assert_eq!(longest_silence(&writes[..1], Moment::from_nanos(0)), None);
    }
}
