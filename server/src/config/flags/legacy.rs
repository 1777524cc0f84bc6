//! The flags of etcd 0.4 and 2.x that start scripts still pass.

use super::super::value::Kind;
use super::{Flag, Meaning, Section};

pub(super) const SECTION: Section = Section {
    title: "Old names",
    about: "Flags of etcd 0.4 and 2.x. What etcd 3.4 drops silently is accepted with a warning.",
    flags: FLAGS,
};

const GONE: &str = "etcd gave it up with version 2";

/// As in etcd, these take a value only after `=`.
const fn dropped(name: &'static str) -> Flag {
    Flag { name, kind: Kind::Anything, default: "", meaning: Meaning::Ignored(GONE), help: "" }
}

const fn old(name: &'static str, of: &'static str) -> Flag {
    Flag { name, kind: Kind::Path, default: "", meaning: Meaning::OldName(of), help: "" }
}

const fn replaced(name: &'static str, instead: &'static str) -> Flag {
    Flag { name, kind: Kind::Text, default: "", meaning: Meaning::Refused(instead), help: "" }
}

const FLAGS: &[Flag] = &[
    old("ca-file", "trusted-ca-file"),
    old("peer-ca-file", "peer-trusted-ca-file"),
    replaced("addr", "--advertise-client-urls"),
    replaced("bind-addr", "--listen-client-urls"),
    replaced("peer-addr", "--initial-advertise-peer-urls"),
    replaced("peer-bind-addr", "--listen-peer-urls"),
    replaced("peers", "--initial-cluster"),
    replaced("peers-file", "--initial-cluster"),
    dropped("cluster-active-size"),
    dropped("cluster-remove-delay"),
    dropped("cluster-sync-interval"),
    dropped("config"),
    dropped("force"),
    dropped("max-result-buffer"),
    dropped("max-retry-attempts"),
    dropped("peer-heartbeat-interval"),
    dropped("peer-election-timeout"),
    dropped("retry-interval"),
    dropped("snapshot"),
    dropped("v"),
    dropped("vv"),
];
