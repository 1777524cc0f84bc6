//! `capacity`: what the generator itself can do, against a responder that does nothing.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgMatches, Command, value_parser};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::Verdict;
use super::options::{option, seconds, value};
use crate::drive::{self, KeyOrder, Mix, Pace, Plan};
use crate::responder::Responder;
use crate::servers::Processes;

pub(super) fn command() -> Command {
    Command::new("capacity")
        .about(
            "Measures the generator itself: generator on one core, a trivial responder on the next",
        )
        .arg(
            option("connections", "COUNT", "64", "Connections")
                .value_parser(value_parser!(u64).range(1..=15_000)),
        )
        .arg(
            option("reads", "PERCENT", "0", "Share of reads")
                .value_parser(value_parser!(u8).range(0..=100)),
        )
        .arg(option("duration", "SECONDS", "3", "Time measured").value_parser(seconds))
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<Verdict> {
    let connections: u64 = value(matches, "connections")?;
    let responder = Responder::start(None, || pin(1)).context("could not start the responder")?;
    pin(0);
    let plan = Plan {
        endpoints: vec![responder.address()],
        connections: usize::try_from(connections)?,
        mix: Mix {
            read_percent: value(matches, "reads")?,
            quorum: false,
            value_bytes: 256,
            keys: 10_000,
            order: KeyOrder::Random,
            prefix: "bench".to_owned(),
            login: None,
        },
        pace: Pace::Closed,
        warmup: Duration::from_millis(300),
        duration: value(matches, "duration")?,
        requests_max: u64::MAX,
        request_timeout: Duration::from_secs(5),
        seed: 1,
    };
    let tally = drive::run(&plan, &Processes::default())?;
    let all = tally.all();
    writeln!(
        std::io::stdout().lock(),
        "{:.0} req/s, generator {:.2} µs CPU a request (so {:.0} req/s on one core), p50 {:.3} ms, p99 {:.3} ms, errors: {}",
        tally.rate(),
        tally.own_cpu_us_per_op(),
        1e6 / tally.own_cpu_us_per_op(),
        all.quantile_ms(0.5),
        all.quantile_ms(0.99),
        tally.errors
    )
    .context("could not print the figure")?;
    Ok(if tally.invalid().is_none() { Verdict::Valid } else { Verdict::Invalid })
}

/// Keeps the calling thread on a core; on a machine without that core it runs where it likes.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    let _not_there = sched_setaffinity(None, &cores);
}
