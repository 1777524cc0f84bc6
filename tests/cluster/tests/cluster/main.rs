//! Tests of whole clusters: real processes, real disks, real faults. One program, so that [`turn`] can keep tests that
//! measure time apart from the others.

mod acks;
mod bad_input;
mod catch_up;
mod chaos;
mod clocks;
mod files;
mod formation;
mod full_disk;
mod membership;
mod no_quorum;
mod partition;
mod pause;
mod rolling;
mod slow_disk;
mod takeover;
mod watch_gap;
mod wiped;

use std::sync::Arc;
use std::time::Duration;

use quorate_harness::{Builder, Cluster, Member, Program};

/// Long enough for anything that should happen soon, on a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(30);

fn quorate(members: usize) -> Builder {
    Cluster::builder(Program::Quorate).members(members)
}

/// All members but `one`.
fn others(cluster: &Cluster, one: &Member) -> Vec<Arc<Member>> {
    cluster.members().into_iter().filter(|member| member.name() != one.name()).collect()
}

/// The value of the last `--flag=value` in a member's flags.
fn flag(member: &Member, name: &str) -> String {
    let start = format!("--{name}=");
    let flags = member.flags();
    let found = flags.iter().rev().find_map(|flag| flag.strip_prefix(&start));
    found.unwrap_or_else(|| panic!("{} has no {start}", member.name())).to_owned()
}

/// Overrides a flag for a member's next start.
fn set_flag(member: &Member, name: &str, value: &str) {
    let mut flags = member.flags();
    flags.retain(|flag| !flag.starts_with(&format!("--{name}=")));
    flags.push(format!("--{name}={value}"));
    member.set_flags(flags);
}
