//! The load scenario: a plan for the engine, with the members it is spread over and what is reported of it.

use std::net::SocketAddr;
use std::time::Duration;

use super::record::Metric;
use super::users;
use crate::drive::{self, KeyOrder, Mix, Pace, Plan, Tally};
use crate::servers::{Processes, leader_of};

/// Connections that fill the store before reads.
const PRELOAD_CONNECTIONS: usize = 64;

/// Longest time for filling the store; a server slower than this cannot be measured.
const PRELOAD_MAX: Duration = Duration::from_secs(300);

/// Which members a load goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Spread {
    /// All, evenly.
    All,
    /// The leader alone.
    Leader,
}

/// A load, whoever serves it.
#[derive(Clone, Debug)]
pub struct LoadSpec {
    /// Name in the tables.
    pub name: String,
    /// Which members.
    pub spread: Spread,
    /// Connections in all.
    pub connections: usize,
    /// Which requests.
    pub mix: Mix,
    /// When they are sent.
    pub pace: Pace,
    /// Time before measuring.
    pub warmup: Duration,
    /// Time measured.
    pub duration: Duration,
    /// No more requests than this.
    pub requests_max: u64,
    /// Longest wait for an answer.
    pub request_timeout: Duration,
    /// Chooses the keys.
    pub seed: u64,
}

impl LoadSpec {
    /// Runs it against `endpoints`.
    ///
    /// # Errors
    /// When no load could be made.
    pub fn run(&self, endpoints: &[SocketAddr], servers: &Processes) -> anyhow::Result<Tally> {
        let endpoints = match self.spread {
            Spread::All => endpoints.to_vec(),
            Spread::Leader => vec![leader_of(endpoints)?],
        };
        if let Some(login) = &self.mix.login {
            // Also has the password compared before 64 connections ask for it at once.
            users::assert_checked(&endpoints, login)?;
        }
        drive::run(&self.plan(endpoints), servers)
    }

    /// Writes every key once, so that reads find them.
    ///
    /// # Errors
    /// When not all could be written.
    pub fn preload(&self, endpoints: &[SocketAddr]) -> anyhow::Result<()> {
        let plan = Plan {
            connections: PRELOAD_CONNECTIONS,
            mix: Mix { read_percent: 0, order: KeyOrder::Sequential, ..self.mix.clone() },
            pace: Pace::Closed,
            warmup: Duration::ZERO,
            duration: PRELOAD_MAX,
            requests_max: self.mix.keys,
            ..self.plan(endpoints.to_vec())
        };
        let tally = drive::run(&plan, &Processes::default())?;
        let written = tally.writes.count();
        anyhow::ensure!(
            written == self.mix.keys,
            "only {written} of {} keys could be written before the reads (errors: {})",
            self.mix.keys,
            tally.errors
        );
        Ok(())
    }

    /// What is reported of `tally`.
    #[must_use]
    pub fn metrics(&self, tally: &Tally) -> Vec<Metric> {
        let mut metrics = vec![Metric::higher("throughput", "req/s", tally.rate())];
        let all = tally.all();
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            metrics.push(Metric::lower(name, "ms", all.quantile_ms(quantile)));
        }
        metrics.push(Metric::note("max", "ms", all.max_ms()));
        if tally.reads.count() > 0 && tally.writes.count() > 0 {
            metrics.push(Metric::lower("read p99", "ms", tally.reads.quantile_ms(0.99)));
            metrics.push(Metric::lower("write p99", "ms", tally.writes.quantile_ms(0.99)));
        }
        if let Some(cpu) = tally.server_cpu_us_per_op() {
            metrics.push(Metric::lower("server CPU", "µs/op", cpu));
        }
        metrics.push(Metric::note("generator CPU", "µs/op", tally.own_cpu_us_per_op()));
        metrics.push(Metric::note("answered", "requests", tally.completed as f64));
        metrics.push(Metric::note("errors", "requests", tally.errors.total() as f64));
        metrics
    }

    fn plan(&self, endpoints: Vec<SocketAddr>) -> Plan {
        Plan {
            endpoints,
            connections: self.connections,
            mix: self.mix.clone(),
            pace: self.pace,
            warmup: self.warmup,
            duration: self.duration,
            requests_max: self.requests_max,
            request_timeout: self.request_timeout,
            seed: self.seed,
        }
    }
}
