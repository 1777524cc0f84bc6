//! The flags about one member: its name, its data and its timing.

use super::super::value::Kind;
use super::{Family, Flag, Section, not_yet, used};

pub(super) const SECTION: Section = Section {
    title: "Member",
    about: "Who this member is, where it keeps its data, and how fast it reacts.",
    flags: FLAGS,
};

const FLAGS: &[Flag] = &[
    used(
        "name",
        Kind::Text,
        "default",
        "Name of this member, for people. Must be the name it has in --initial-cluster.",
    ),
    used(
        "data-dir",
        Kind::Path,
        "",
        "Directory of the member's data, created when missing. Default: the name followed by .etcd, in the \
         working directory.",
    ),
    used(
        "wal-dir",
        Kind::Path,
        "",
        "Directory for the log alone, to give it a disk of its own. Default: inside the data directory.",
    ),
    used(
        "snapshot-count",
        Kind::Count,
        "100000",
        "Entries applied between two snapshots; older entries are purged after each. 0 means the default.",
    ),
    used("max-snapshots", Kind::Count, "5", "Snapshot files kept; 0 keeps all."),
    used(
        "max-wals",
        Kind::Count,
        "5",
        "Log segments kept after they are no longer needed; 0 keeps all.",
    ),
    used(
        "heartbeat-interval",
        Kind::Millis,
        "50",
        "Milliseconds between two heartbeats of the leader. Use the longest round trip between two members or more. \
         etcd's default is 100.",
    ),
    used(
        "election-timeout",
        Kind::Millis,
        "300",
        "Milliseconds without a heartbeat after which a member stands for election: at least 5 heartbeats, at most \
         50000. Every member should have the same. etcd's default is 1000; the lower one is meant for a takeover \
         within half a second.",
    ),
    used(
        "listen-peer-urls",
        Kind::Urls,
        "http://localhost:2380",
        "URLs to listen on for other members, separated by commas. The host is an IP address or localhost.",
    ),
    used(
        "listen-client-urls",
        Kind::Urls,
        "http://localhost:2379",
        "URLs to listen on for clients, separated by commas. The host is an IP address or localhost; unix:///PATH \
         listens on a unix socket.",
    ),
    not_yet(
        "force-new-cluster",
        Kind::Bool,
        "false",
        Family::Recovery,
        "Keep the data but forget all other members, after a majority of them is lost for good. Unsafe while any \
         other member still runs. Remove the flag once the member is up.",
    ),
];
