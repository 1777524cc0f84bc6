//! `formation`: how long three members take from the first process to service.

use clap::{ArgMatches, Command};

use super::Verdict;
use super::options;
use crate::measure::{Group, Suite};

pub(super) fn command() -> Command {
    let command = Command::new("formation")
        .about("Times three members from their start until all are healthy and a write is acknowledged (--rounds times)");
    options::with_timing(options::with_target(command))
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<Verdict> {
    anyhow::ensure!(
        !matches.contains_id("endpoint"),
        "a formation needs programs to launch (--subject NAME=PATH); running servers have formed already"
    );
    // Every group is formed anew, and its formation recorded: an empty one is all it takes.
    let group = Group {
        name: "formation".to_owned(),
        timing: options::timing(matches),
        scenarios: Vec::new(),
    };
    options::run_suite(matches, Suite { groups: vec![group], rounds: 1 })
}
