//! `takeover`: how long writes stop when the leader is struck down.

use std::time::Duration;

use clap::{ArgMatches, Command, value_parser};

use super::Verdict;
use super::options::{self, option, value};
use crate::measure::{Blow, Group, Scenario, Suite, TakeoverSpec};
use crate::servers::Timing;

pub(super) fn command() -> Command {
    let command = Command::new("takeover")
        .about("Strikes the leader down while writers spin on the survivors; times the first write acknowledged after")
        .arg(
            option("blow", "HOW", "kill", "SIGKILL, SIGTERM (may hand over) or SIGSTOP (connections stay open)")
                .value_parser(["kill", "terminate", "freeze"]),
        )
        .arg(option("times", "COUNT", "3", "Takeovers in each round").value_parser(value_parser!(u32).range(1..=100)))
        .arg(option("patience", "MS", "50", "How long a writer waits for one answer").value_parser(value_parser!(u64).range(5..=10_000)));
    options::with_timing(options::with_target(command))
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<Verdict> {
    let blow = match value::<String>(matches, "blow")?.as_str() {
        "terminate" => Blow::Terminate,
        "freeze" => Blow::Freeze,
        _ => Blow::Kill,
    };
    let timing = options::timing(matches);
    let takeover = TakeoverSpec {
        name: takeover_name(&timing, blow),
        timing,
        blow,
        times: value(matches, "times")?,
        patience: Duration::from_millis(value(matches, "patience")?),
    };
    let group = Group {
        name: "takeover".to_owned(),
        timing,
        scenarios: vec![Scenario::Takeover(takeover)],
    };
    options::run_suite(matches, Suite { groups: vec![group], rounds: 1 })
}

/// The name in the tables, which tells settings apart.
pub(super) fn takeover_name(timing: &Timing, blow: Blow) -> String {
    let blow = match blow {
        Blow::Kill => "kill -9",
        Blow::Terminate => "SIGTERM",
        Blow::Freeze => "SIGSTOP",
    };
    format!("takeover after {blow}, {timing}")
}
