//! `watch`: fan-out of one event to many waiting watchers, and what they cost.

use clap::{ArgMatches, Command, value_parser};

use super::Verdict;
use super::options::{self, option, value};
use crate::measure::{FanoutSpec, Group, Scenario, Spread, Suite};

pub(super) fn command() -> Command {
    let command = Command::new("watch")
        .about("Opens many recursive long-poll watchers, then times an event's way to all of them")
        .arg(
            option("watchers", "COUNT", "8000", "Watchers in all")
                .value_parser(value_parser!(u64).range(1..=60_000)),
        )
        .arg(
            option("events", "COUNT", "5", "Events, one after the other")
                .value_parser(value_parser!(u32).range(1..=10_000)),
        )
        .arg(options::spread_option());
    options::with_timing(options::with_target(command))
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<Verdict> {
    let watchers: u64 = value(matches, "watchers")?;
    let spread = options::spread(matches);
    let place = if spread == Spread::All { "all members" } else { "the leader" };
    let fanout = FanoutSpec {
        name: format!("fan-out to {watchers} watchers on {place}"),
        watchers: usize::try_from(watchers)?,
        spread,
        events: value(matches, "events")?,
    };
    let group = Group {
        name: "watch".to_owned(),
        timing: options::timing(matches),
        scenarios: vec![Scenario::Fanout(fanout)],
    };
    options::run_suite(matches, Suite { groups: vec![group], rounds: 1 })
}
