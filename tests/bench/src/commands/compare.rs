//! `compare`: every scenario against every subject, A B A B, for the table in the documentation.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::Verdict;
use super::options::{self, option, value};
use super::takeover::takeover_name;
use crate::drive::{KeyOrder, Mix, Pace};
use crate::measure::{Blow, FanoutSpec, Group, LoadSpec, Scenario, Spread, Suite, TakeoverSpec};
use crate::servers::Timing;

/// Groups by name, in their order.
const GROUPS: [&str; 7] =
    ["writes", "reads", "memory", "watch", "watch-leader", "takeover", "takeover-tuned"];

/// The tuned timing: what a cluster in one rack may use (election ten times the heartbeat, as always advised).
const TUNED: Timing = Timing {
    heartbeat: Some(Duration::from_millis(20)),
    election: Some(Duration::from_millis(200)),
};

/// Longest time for the counted writes; a server slower than this cannot be measured.
const COUNTED_WRITES_MAX: Duration = Duration::from_secs(300);

pub(super) fn command() -> Command {
    let command = Command::new("compare")
        .about("Runs every scenario against each subject in turn and prints medians and ratios")
        .arg(
            Arg::new("quick")
                .long("quick")
                .action(ArgAction::SetTrue)
                .help("Short runs: two to three minutes for two subjects"),
        )
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("GROUP")
                .action(ArgAction::Append)
                .value_parser(GROUPS)
                .help("Only this group of scenarios; may be repeated"),
        )
        .arg(
            option("rate", "PER_SECOND", "1000", "Rate of the open-loop writes")
                .value_parser(value_parser!(f64)),
        )
        .arg(
            option("watchers", "COUNT", "8000", "Watchers of the fan-out")
                .value_parser(value_parser!(u64).range(1..=60_000)),
        )
        .arg(option("seed", "NUMBER", "1", "Chooses the keys").value_parser(value_parser!(u64)));
    options::with_target(command)
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<Verdict> {
    let scale = Scale::new(matches)?;
    let chosen: Vec<&String> = matches.get_many("only").unwrap_or_default().collect();
    let groups = [
        scale.writes(),
        scale.reads(),
        scale.memory(),
        scale.watch(Spread::All, "all members"),
        scale.watch(Spread::Leader, "the leader"),
        scale.takeover(Timing::default()),
        scale.takeover(TUNED),
    ];
    let groups = GROUPS
        .iter()
        .zip(groups)
        .filter(|(name, _)| chosen.is_empty() || chosen.iter().any(|chosen| chosen == *name))
        .map(|(name, (timing, scenarios))| Group { name: (*name).to_owned(), timing, scenarios });
    options::run_suite(matches, Suite { groups: groups.collect(), rounds: scale.rounds })
}

/// How long everything is.
struct Scale {
    warmup: Duration,
    duration: Duration,
    keys: u64,
    rounds: u32,
    /// Writes before memory is looked at: a number, not a time, or the faster server would seem the bigger.
    counted_writes: u64,
    events: u32,
    takeovers: u32,
    rate: f64,
    watchers: u64,
    seed: u64,
}

/// A group's timing and scenarios.
type Content = (Timing, Vec<Scenario>);

impl Scale {
    fn new(matches: &ArgMatches) -> anyhow::Result<Self> {
        let quick = matches.get_flag("quick");
        Ok(Self {
            warmup: Duration::from_millis(if quick { 500 } else { 2_000 }),
            duration: Duration::from_secs(if quick { 2 } else { 8 }),
            keys: if quick { 2_000 } else { 10_000 },
            rounds: if quick { 2 } else { 3 },
            counted_writes: if quick { 20_000 } else { 100_000 },
            events: if quick { 3 } else { 10 },
            takeovers: if quick { 2 } else { 3 },
            rate: value(matches, "rate")?,
            watchers: value(matches, "watchers")?,
            seed: value(matches, "seed")?,
        })
    }

    fn writes(&self) -> Content {
        let rate = self.rate;
        let mut open =
            self.load(&format!("write, {rate}/s open loop, 128 connections"), 128, 0, false);
        if let Scenario::Load(load) = &mut open {
            load.pace = Pace::Open { rate };
        }
        let on_leader = |mut scenario: Scenario| {
            if let Scenario::Load(load) = &mut scenario {
                load.spread = Spread::Leader;
            }
            scenario
        };
        let scenarios = vec![
            // One connection to any member would measure by luck the leader or a follower.
            on_leader(self.load("write, 1 connection, leader", 1, 0, false)),
            self.load("write, 64 connections, all members", 64, 0, false),
            on_leader(self.load("write, 64 connections, leader", 64, 0, false)),
            self.load("write, 256 connections, all members", 256, 0, false),
            open,
        ];
        (Timing::default(), scenarios)
    }

    fn reads(&self) -> Content {
        let scenarios = vec![
            self.load("local read, 64 connections, all members", 64, 100, false),
            self.load("quorum read, 64 connections, all members", 64, 100, true),
            self.load("90% local reads, 10% writes, 64 connections, all members", 64, 90, false),
        ];
        (Timing::default(), scenarios)
    }

    fn memory(&self) -> Content {
        let count = self.counted_writes;
        let mut writes = self.load(
            &format!("write, {count} counted, 64 connections, all members"),
            64,
            0,
            false,
        );
        if let Scenario::Load(load) = &mut writes {
            load.requests_max = count;
            load.warmup = Duration::ZERO;
            load.duration = COUNTED_WRITES_MAX;
        }
        let scenarios = vec![
            Scenario::Memory { name: "memory of an idle cluster".to_owned() },
            writes,
            Scenario::Memory { name: format!("memory after {count} writes of 256 bytes") },
        ];
        (Timing::default(), scenarios)
    }

    /// Each spread has a cluster of its own: memory that earlier watchers have freed would make later ones seem free.
    fn watch(&self, spread: Spread, place: &str) -> Content {
        let watchers = usize::try_from(self.watchers).unwrap_or(usize::MAX);
        let name = format!("fan-out to {watchers} watchers on {place}");
        (
            Timing::default(),
            vec![Scenario::Fanout(FanoutSpec { name, watchers, spread, events: self.events })],
        )
    }

    fn takeover(&self, timing: Timing) -> Content {
        let takeover = TakeoverSpec {
            name: takeover_name(&timing, Blow::Kill),
            timing,
            blow: Blow::Kill,
            times: self.takeovers,
            patience: Duration::from_millis(50),
        };
        (timing, vec![Scenario::Takeover(takeover)])
    }

    fn load(&self, name: &str, connections: usize, read_percent: u8, quorum: bool) -> Scenario {
        Scenario::Load(LoadSpec {
            name: name.to_owned(),
            spread: Spread::All,
            connections,
            mix: Mix {
                read_percent,
                quorum,
                value_bytes: 256,
                keys: self.keys,
                order: KeyOrder::Random,
                prefix: "bench".to_owned(),
                login: None,
            },
            pace: Pace::Closed,
            warmup: self.warmup,
            duration: self.duration,
            requests_max: u64::MAX,
            request_timeout: Duration::from_secs(10),
            seed: self.seed,
        })
    }
}
