//! Options that subcommands share, what they mean, and how a suite's result is shown.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::Verdict;
use crate::control;
use crate::measure::{Spread, Suite, Target};
use crate::report::{Machine, Table, to_json};
use crate::servers::{DataRoot, Processes, Subject, Timing};

/// What a reader of the table must know.
const LEGEND: &str = "\
Cells are the median of the rounds (least..most). Latencies of an open loop count from the moment a request was due;
all others are service times, which hide what a stalled server keeps from being sent. Server CPU is that of all
members. Better by more than 1 is better, whichever way the metric goes.";

/// Adds the options that say what is measured, how often, and where the figures go.
pub(crate) fn with_target(command: Command) -> Command {
    let command = command
        .arg(
            Arg::new("subject")
                .long("subject")
                .value_name("NAME=PATH")
                .action(ArgAction::Append)
                .help(
                    "Launch three members of this program; repeat to compare, the baseline first",
                ),
        )
        .arg(
            Arg::new("subject-flag")
                .long("subject-flag")
                .value_name("NAME=FLAG")
                .action(ArgAction::Append)
                .help("A flag for that subject alone, as in quorate=--log-level=warn"),
        )
        .arg(
            Arg::new("endpoint")
                .long("endpoint")
                .value_name("URL")
                .action(ArgAction::Append)
                .conflicts_with("subject")
                .help("Measure servers that run already, at these client URLs"),
        )
        .arg(
            Arg::new("pid")
                .long("pid")
                .action(ArgAction::Append)
                .value_parser(value_parser!(u32))
                .conflicts_with("subject")
                .help("Process of such a server, for CPU and memory"),
        )
        .arg(
            option(
                "data-root",
                "DIR",
                "/var/tmp",
                "Where launched members keep their data; must be a disk",
            )
            .value_parser(value_parser!(PathBuf)),
        );
    with_output(command)
}

/// Adds the options that say how often, and where the figures go.
fn with_output(command: Command) -> Command {
    command
        .arg(
            Arg::new("rounds")
                .long("rounds")
                .value_name("COUNT")
                .value_parser(value_parser!(u32).range(1..=100))
                .help("Repetitions; subjects take turns [default: 1; for compare 3, or 2 with --quick]"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write every record there"),
        )
        .arg(
            Arg::new("markdown")
                .long("markdown")
                .action(ArgAction::SetTrue)
                .help("Print the table as Markdown"),
        )
}

/// Adds the options that set a launched cluster's timing.
pub(crate) fn with_timing(command: Command) -> Command {
    let milliseconds = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("MS")
            .value_parser(value_parser!(u64).range(1..=60_000))
            .help(help)
    };
    command
        .arg(milliseconds(
            "heartbeat-interval",
            "Heartbeat of launched members, instead of their default",
        ))
        .arg(milliseconds(
            "election-timeout",
            "Election timeout of launched members, instead of their default",
        ))
}

/// An option with a default.
pub(crate) fn option(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Arg {
    Arg::new(name).long(name).value_name(value).default_value(default).help(help)
}

/// The option that chooses the members.
pub(crate) fn spread_option() -> Arg {
    option("spread", "MEMBERS", "all", "Members to use: all evenly, or the leader alone")
        .value_parser(["all", "leader"])
}

/// What was chosen by it.
pub(crate) fn spread(matches: &ArgMatches) -> Spread {
    if matches.get_one::<String>("spread").is_some_and(|spread| spread == "leader") {
        Spread::Leader
    } else {
        Spread::All
    }
}

/// The value of an option that has a default.
pub(crate) fn value<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    name: &str,
) -> anyhow::Result<T> {
    matches.get_one::<T>(name).cloned().with_context(|| format!("--{name} has no value"))
}

/// Reads a time as people write it in seconds, as in `2` or `0.5`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number = f64::from_str(text).map_err(|error| error.to_string())?;
    if (0.0..=86_400.0).contains(&number) {
        Ok(Duration::from_secs_f64(number))
    } else {
        Err("must be between 0 and 86400 seconds".to_owned())
    }
}

/// The timing asked for.
pub(crate) fn timing(matches: &ArgMatches) -> Timing {
    let span = |name: &str| matches.get_one::<u64>(name).copied().map(Duration::from_millis);
    Timing { heartbeat: span("heartbeat-interval"), election: span("election-timeout") }
}

/// The endpoints asked for.
pub(crate) fn endpoints(matches: &ArgMatches) -> anyhow::Result<Vec<SocketAddr>> {
    matches
        .get_many::<String>("endpoint")
        .unwrap_or_default()
        .map(|text| control::parse_endpoint(text))
        .collect()
}

/// Runs `suite` on the target asked for, and shows the result.
pub(crate) fn run_suite(matches: &ArgMatches, mut suite: Suite) -> anyhow::Result<Verdict> {
    suite.rounds = matches.get_one("rounds").copied().unwrap_or(suite.rounds);
    let target = target(matches)?;
    let subjects: &[Subject] =
        if let Target::Launched { subjects, .. } = &target { subjects } else { &[] };
    let machine = Machine::describe(subjects);
    let records = suite.run(&target, &mut |line| eprintln!("{line}"))?;
    let table = Table::new(&target.names(), &records);
    let mut out = std::io::stdout().lock();
    let body = if matches.get_flag("markdown") { table.markdown() } else { table.text() };
    let faults = table.faults().join("\n");
    writeln!(out, "{}\n\n{body}\n{LEGEND}\n{faults}", machine.lines().join("\n"))
        .context("could not print the table")?;
    if let Some(path) = matches.get_one::<PathBuf>("json") {
        let command = without_password(std::env::args().skip(1));
        write_json(path, &to_json(&machine, &command, &records))?;
    }
    let valid = records.iter().all(|record| record.invalid.is_none());
    Ok(if valid { Verdict::Valid } else { Verdict::Invalid })
}

/// The command line as it may be shown: a user's password is nobody's business who reads the records.
fn without_password(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut is_user = false;
    let shown = words.map(|word| {
        let (flag, value) = word.split_once('=').unwrap_or((&word, ""));
        let login = if std::mem::take(&mut is_user) { &word } else { value };
        let has_password = flag == "--user" || login == word;
        is_user = word == "--user";
        match login.split_once(':').filter(|_| has_password) {
            Some((name, _)) => format!("{}:***", &word[..word.len() - login.len() + name.len()]),
            None => word,
        }
    });
    shown.collect()
}

fn target(matches: &ArgMatches) -> anyhow::Result<Target> {
    let endpoints = endpoints(matches)?;
    if !endpoints.is_empty() {
        let pids = matches.get_many::<u32>("pid").unwrap_or_default().copied().collect();
        return Ok(Target::Attached { endpoints, processes: Processes::new(pids) });
    }
    let mut subjects = Vec::new();
    for text in matches.get_many::<String>("subject").unwrap_or_default() {
        let mut subject = Subject::parse(text)?;
        for flag in matches.get_many::<String>("subject-flag").unwrap_or_default() {
            subject.accept_flag(flag);
        }
        if subjects.iter().any(|other: &Subject| other.name == subject.name) {
            bail!("two subjects are named {}; give each a name of its own", subject.name);
        }
        subjects.push(subject);
    }
    if subjects.is_empty() {
        bail!(
            "nothing to measure: name programs with --subject NAME=PATH, or running servers with --endpoint URL"
        );
    }
    let root: PathBuf = value(matches, "data-root")?;
    Ok(Target::Launched { subjects, root: DataRoot::new(&root)? })
}

fn write_json(path: &Path, json: &serde_json::Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(json).context("could not render the records")?;
    std::fs::write(path, text + "\n")
        .with_context(|| format!("could not write the records to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_written_down() {
        let shown = |words: &[&str]| without_password(words.iter().map(|it| (*it).to_owned()));
        assert_eq!(
            shown(&["load", "--user=a:b:c", "--json=x:y"]),
            ["load", "--user=a:***", "--json=x:y"]
        );
        assert_eq!(
            shown(&["--user", "a:b=c", "--endpoint", "h:1"]),
            ["--user", "a:***", "--endpoint", "h:1"]
        );
    }

    #[test]
    fn times_are_seconds_within_a_day() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["-1", "NaN", "1e9", "2s", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
