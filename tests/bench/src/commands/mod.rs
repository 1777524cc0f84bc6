//! The command line: one file for each subcommand, and `options` for what they share.

mod capacity;
mod compare;
mod formation;
mod load;
mod options;
mod takeover;
mod watch;
mod watch_worker;

use clap::{ArgMatches, Command};

use crate::{interrupt, servers};

/// What a run was worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Every record counts.
    Valid,
    /// At least one record had too many errors to prove anything.
    Invalid,
}

/// The command line.
#[must_use]
pub fn command() -> Command {
    Command::new("quorate-bench")
        .about("Measures servers that speak the v2 HTTP API, or two of them side by side")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(compare::command())
        .subcommand(load::command())
        .subcommand(watch::command())
        .subcommand(formation::command())
        .subcommand(takeover::command())
        .subcommand(capacity::command())
        .subcommand(watch_worker::command())
}

/// Runs what the command line asks for.
///
/// # Errors
/// When nothing could be measured; says what to do.
pub fn run(matches: &ArgMatches) -> anyhow::Result<Verdict> {
    interrupt::listen()?;
    // Before any server is launched, for servers inherit it: watchers are many.
    servers::raise_file_limit()?;
    match matches.subcommand() {
        Some(("compare", matches)) => compare::run(matches),
        Some(("load", matches)) => load::run(matches),
        Some(("watch", matches)) => watch::run(matches),
        Some(("formation", matches)) => formation::run(matches),
        Some(("takeover", matches)) => takeover::run(matches),
        Some(("capacity", matches)) => capacity::run(matches),
        Some(("watch-worker", matches)) => watch_worker::run(matches),
        _ => anyhow::bail!("no such subcommand; see --help"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
