//! `load`: one load, as described by flags.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::Verdict;
use super::options::{self, option, seconds, value};
use crate::drive::{KeyOrder, Mix, Pace};
use crate::measure::{Group, LoadSpec, Scenario, Suite};
use crate::wire::Login;

pub(super) fn command() -> Command {
    let command = Command::new("load")
        .about("Runs one load below /v2/keys/bench: writes, reads or both, as fast as answers come or at a rate")
        .arg(
            option("connections", "COUNT", "64", "Connections in all")
                .value_parser(value_parser!(u64).range(1..=15_000)),
        )
        .arg(
            option("reads", "PERCENT", "0", "Share of reads; the rest are writes")
                .value_parser(value_parser!(u8).range(0..=100)),
        )
        .arg(
            Arg::new("quorum")
                .long("quorum")
                .action(ArgAction::SetTrue)
                .help("Linearizable reads instead of local ones"),
        )
        .arg(
            Arg::new("rate")
                .long("rate")
                .value_name("PER_SECOND")
                .value_parser(value_parser!(f64))
                .help(
                    "Open loop: requests due at this rate, latency counted from when each was due",
                ),
        )
        .arg(
            option("value-bytes", "BYTES", "256", "Size of a written value")
                .value_parser(value_parser!(u64).range(0..=1_000_000)),
        )
        .arg(
            option("keys", "COUNT", "10000", "Keys, chosen at random")
                .value_parser(value_parser!(u64).range(1..=100_000_000)),
        )
        .arg(option("warmup", "SECONDS", "2", "Time before measuring").value_parser(seconds))
        .arg(option("duration", "SECONDS", "10", "Time measured").value_parser(seconds))
        .arg(
            option(
                "requests-max",
                "COUNT",
                "100000000",
                "No more requests than this, warm-up included",
            )
            .value_parser(value_parser!(u64)),
        )
        .arg(
            option("request-timeout", "SECONDS", "10", "Longest wait for an answer")
                .value_parser(seconds),
        )
        .arg(option("seed", "NUMBER", "1", "Chooses the keys").value_parser(value_parser!(u64)))
        .arg(
            Arg::new("user").long("user").value_name("NAME:PASSWORD").value_parser(value_parser!(Login)).help(
                "Requests of this user, by basic authentication. On launched members the load runs three times: before there \
                 are users, then as a guest and as the user, who is made; servers that run already must know the user",
            ),
        )
        .arg(options::spread_option());
    options::with_timing(options::with_target(command))
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<Verdict> {
    let rate = matches.get_one::<f64>("rate").copied();
    let connections: u64 = value(matches, "connections")?;
    let read_percent: u8 = value(matches, "reads")?;
    let quorum = matches.get_flag("quorum");
    let value_bytes: u64 = value(matches, "value-bytes")?;
    let what = match (read_percent, quorum) {
        (0, _) => "write".to_owned(),
        (100, false) => "local read".to_owned(),
        (100, true) => "quorum read".to_owned(),
        (percent, _) => format!("{percent}% reads"),
    };
    let pace = rate.map_or(String::new(), |rate| format!(", {rate}/s open loop"));
    let load = LoadSpec {
        name: format!("{what}, {connections} connections{pace}"),
        spread: options::spread(matches),
        connections: usize::try_from(connections)?,
        mix: Mix {
            read_percent,
            quorum,
            value_bytes: usize::try_from(value_bytes)?,
            keys: value(matches, "keys")?,
            order: KeyOrder::Random,
            prefix: "bench".to_owned(),
            login: None,
        },
        pace: rate.map_or(Pace::Closed, |rate| Pace::Open { rate }),
        warmup: value::<Duration>(matches, "warmup")?,
        duration: value::<Duration>(matches, "duration")?,
        requests_max: value(matches, "requests-max")?,
        request_timeout: value::<Duration>(matches, "request-timeout")?,
        seed: value(matches, "seed")?,
    };
    let is_launched = options::endpoints(matches)?.is_empty();
    let group = Group {
        name: "load".to_owned(),
        timing: options::timing(matches),
        scenarios: scenarios(load, matches.get_one::<Login>("user"), is_launched),
    };
    options::run_suite(matches, Suite { groups: vec![group], rounds: 1 })
}

/// The load alone; or, for a user, beside the same without one wherever that is for us to arrange.
fn scenarios(load: LoadSpec, user: Option<&Login>, is_launched: bool) -> Vec<Scenario> {
    let Some(user) = user else { return vec![Scenario::Load(load)] };
    let named = |who: &str, login: Option<&Login>| {
        let mix = Mix { login: login.cloned(), ..load.mix.clone() };
        Scenario::Load(LoadSpec { name: format!("{}, {who}", load.name), mix, ..load.clone() })
    };
    let as_user = named("as a user", Some(user));
    if !is_launched {
        return vec![as_user];
    }
    let guest = named("as a guest", None);
    vec![named("no users", None), Scenario::Users(user.clone()), guest, as_user]
}
