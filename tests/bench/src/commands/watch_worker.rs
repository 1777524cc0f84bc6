//! `watch-worker`: a part of the watchers in a process of its own; `watch` starts it, nobody else.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::Verdict;
use super::options::{self, value};
use crate::measure::watch_worker;

pub(super) fn command() -> Command {
    Command::new("watch-worker")
        .hide(true)
        .about("Holds a part of the watchers for `watch`")
        .arg(Arg::new("watchers").long("watchers").required(true).value_parser(value_parser!(u64)))
        .arg(Arg::new("directory").long("directory").required(true))
        .arg(Arg::new("endpoint").long("endpoint").required(true).action(ArgAction::Append))
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<Verdict> {
    let watchers: u64 = value(matches, "watchers")?;
    let directory: String = value(matches, "directory")?;
    watch_worker(&options::endpoints(matches)?, usize::try_from(watchers)?, &directory)?;
    Ok(Verdict::Valid)
}
