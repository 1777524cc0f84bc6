//! Watch fan-out: what a waiting watcher costs in memory, and how long one event takes to reach all of them.
//!
//! Memory includes what the server keeps for the watcher's connection; that is what a person pays for.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::load::Spread;
use super::record::{Metric, median};
use super::watchers::{EVENT_MAX, Pool, Told, Worker};
use crate::clock::Moment;
use crate::control;
use crate::servers::{Processes, leader_of, raise_file_limit};

/// Files the generator needs besides the watchers' sockets.
const FILES_RESERVED: u64 = 256;

/// The directory watched.
const DIRECTORY: &str = "fanout";

/// A fan-out to measure.
#[derive(Clone, Debug)]
pub struct FanoutSpec {
    /// Name in the tables.
    pub name: String,
    /// Watchers in all.
    pub watchers: usize,
    /// `All` members hold them, or the `Leader` alone.
    pub spread: Spread,
    /// Events, one after the other; the watchers wait anew after each.
    pub events: u32,
}

enum Crowd {
    Here(Pool),
    Workers(Vec<Worker>),
}

impl FanoutSpec {
    /// Opens the watchers, sends the events; returns the metrics, and why they prove nothing, if so.
    ///
    /// # Errors
    /// When the watchers cannot be opened or the event cannot be written.
    pub fn run(
        &self,
        endpoints: &[SocketAddr],
        servers: &Processes,
    ) -> anyhow::Result<(Vec<Metric>, Option<String>)> {
        let leader = leader_of(endpoints)?;
        let holders = if self.spread == Spread::All { endpoints.to_vec() } else { vec![leader] };
        // The key exists before: every event is alike.
        control::put(leader, &key(), "0", EVENT_MAX).context("could not write the watched key")?;
        let memory_before = servers.resident();
        let opened = Moment::now();
        let mut crowd = Crowd::gather(&holders, self.watchers)?;
        let open_time = Moment::now().since(opened);
        let memory_after = servers.resident();
        let mut sum = Sum { cpu: Some(Duration::ZERO), ..Sum::default() };
        for event in 0..self.events {
            if event > 0 {
                crowd.arm()?;
            }
            let before = servers.cpu();
            let told = crowd.tell(leader, event)?;
            sum.add(
                &told,
                servers.cpu().zip(before).map(|(after, before)| after.saturating_sub(before)),
            );
            if told.missing > 0 {
                break;
            }
        }
        let mut metrics = sum.metrics();
        if let Some((before, after)) = memory_before.zip(memory_after) {
            let each = after.saturating_sub(before) as f64 / self.watchers.max(1) as f64;
            metrics.push(Metric::lower("memory", "bytes/watcher", each));
        }
        metrics.push(Metric::note("opened in", "ms", open_time.as_secs_f64() * 1e3));
        let missing = sum.told.missing;
        let invalid = (missing > 0)
            .then(|| format!("{missing} of {} watchers were not told of an event", self.watchers));
        Ok((metrics, invalid))
    }
}

/// All events together.
#[derive(Default)]
struct Sum {
    told: Told,
    /// For each event, how long until the last watcher was told, in milliseconds.
    last: Vec<f64>,
    /// CPU time of the servers from the events' sending until all were told; `None` when not known.
    cpu: Option<Duration>,
}

impl Sum {
    fn add(&mut self, told: &Told, cpu: Option<Duration>) {
        self.told.latency.merge(&told.latency);
        self.told.missing += told.missing;
        self.last.push(told.latency.max_ms());
        self.cpu = self.cpu.zip(cpu).map(|(sum, cpu)| sum + cpu);
    }

    fn metrics(&mut self) -> Vec<Metric> {
        self.last.sort_by(f64::total_cmp);
        let latency = &self.told.latency;
        let mut metrics = vec![
            Metric::lower("all told", "ms", median(&self.last).unwrap_or(f64::NAN)),
            Metric::lower("p50", "ms", latency.quantile_ms(0.5)),
            Metric::lower("p99", "ms", latency.quantile_ms(0.99)),
        ];
        if let Some(cpu) = self.cpu {
            let each = cpu.as_secs_f64() * 1e6 / latency.count().max(1) as f64;
            metrics.push(Metric::lower("server CPU", "µs/delivery", each));
        }
        metrics
    }
}

impl Crowd {
    /// Opens `count` watchers and waits until all wait.
    fn gather(endpoints: &[SocketAddr], count: usize) -> anyhow::Result<Self> {
        let room = raise_file_limit()?.saturating_sub(FILES_RESERVED);
        let room = usize::try_from(room).unwrap_or(usize::MAX).max(1);
        let processes = count.div_ceil(room);
        if processes <= 1 {
            let mut pool = Pool::open(endpoints, count, DIRECTORY)?;
            pool.arm()?;
            return Ok(Self::Here(pool));
        }
        let mut workers = Vec::with_capacity(processes);
        for number in 0..processes {
            let share = count / processes + usize::from(number < count % processes);
            workers.push(Worker::start(endpoints, share, DIRECTORY)?);
        }
        workers.iter_mut().try_for_each(Worker::await_ready)?;
        Ok(Self::Workers(workers))
    }

    /// Waits until all wait (anew).
    fn arm(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Here(pool) => pool.arm(),
            Self::Workers(workers) => {
                workers.iter_mut().try_for_each(Worker::arm)?;
                workers.iter_mut().try_for_each(Worker::await_ready)
            }
        }
    }

    /// Writes the event at `leader` and waits until all have been told.
    fn tell(&mut self, leader: SocketAddr, event: u32) -> anyhow::Result<Told> {
        let value = event.to_string();
        thread::scope(|scope| {
            // On a thread of its own: its answer may come after the first watchers', which must not wait for it.
            let writer = scope.spawn(move || {
                let sent = Moment::now();
                control::put(leader, &key(), &value, EVENT_MAX).map(|answer| (sent, answer.status))
            });
            let missing_here = match self {
                Self::Here(pool) => pool.gather()?,
                Self::Workers(_) => 0,
            };
            let joined =
                writer.join().map_err(|_| anyhow::anyhow!("the event's writer ended early"))?;
            let (sent, status) = joined.context("the event could not be written")?;
            anyhow::ensure!(status == 200, "the event's write was answered with status {status}");
            let mut told = Told { missing: missing_here, ..Told::default() };
            match self {
                Self::Here(pool) => told.latency = pool.latency(sent),
                Self::Workers(workers) => {
                    workers.iter_mut().try_for_each(|worker| worker.tell(sent))?;
                    workers.iter_mut().try_for_each(|worker| worker.report(&mut told))?;
                }
            }
            Ok(told)
        })
    }
}

fn key() -> String {
    format!("{DIRECTORY}/key")
}
