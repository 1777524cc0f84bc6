//! The flags about forming a cluster and about what a member tells the others.

use super::super::value::Kind;
use super::{Family, Flag, Meaning, Section, fixed, not_yet, used};

pub(super) const SECTION: Section = Section {
    title: "Clustering",
    about: "How members find each other. The --initial flags count only until the member has data.",
    flags: FLAGS,
};

const FLAGS: &[Flag] = &[
    used(
        "initial-advertise-peer-urls",
        Kind::Urls,
        "http://localhost:2380",
        "URLs the other members reach this one under. When not given and every address is listened on, the host is \
         this machine's address on its default route.",
    ),
    used(
        "advertise-client-urls",
        Kind::Urls,
        "http://localhost:2379",
        "URLs clients reach this member under. Required when --listen-client-urls is given. When not given and every \
         address is listened on, the host is this machine's address on its default route.",
    ),
    used(
        "initial-cluster",
        Kind::Cluster,
        "",
        "Members of a new cluster, as NAME=PEER-URL separated by commas; a name may appear once for each of its URLs. \
         Default: this member alone.",
    ),
    used(
        "initial-cluster-state",
        Kind::Choice(&["new", "existing", "auto"]),
        "new",
        "new: form a cluster of the members listed. existing: join a cluster this member was added to. auto: find out \
         from the members listed, and refuse to start rather than guess.",
    ),
    used(
        "initial-cluster-token",
        Kind::Text,
        "etcd-cluster",
        "Text that goes into the cluster's ID, so that two clusters formed alike stay apart.",
    ),
    used(
        "strict-reconfig-check",
        Kind::Bool,
        "true",
        "Refuse to add or remove a member when that could cost the cluster its quorum.",
    ),
    fixed(
        "pre-vote",
        "true",
        "true",
        "elections always ask first, which etcd does only with this flag",
    ),
    fixed("enable-v2", "true", "true", "the v2 API is what this server speaks"),
    not_yet(
        "discovery",
        Kind::Text,
        "",
        Family::Discovery,
        "URL of a discovery token to form a cluster through.",
    ),
    not_yet(
        "discovery-srv",
        Kind::Text,
        "",
        Family::DnsSrv,
        "DNS domain whose SRV records name the members.",
    ),
    Flag {
        name: "discovery-srv-name",
        kind: Kind::Text,
        default: "",
        meaning: Meaning::Ignored("it only adds to --discovery-srv"),
        help: "",
    },
    Flag {
        name: "discovery-proxy",
        kind: Kind::Text,
        default: "",
        meaning: Meaning::Ignored("it only adds to --discovery"),
        help: "",
    },
    Flag {
        name: "discovery-fallback",
        kind: Kind::Choice(&["exit", "proxy"]),
        default: "proxy",
        meaning: Meaning::Ignored("it only adds to --discovery"),
        help: "",
    },
    not_yet(
        "proxy",
        Kind::Choice(&["off", "readonly", "on"]),
        "off",
        Family::Proxy,
        "Whether to run as a proxy of a cluster instead of a member.",
    ),
];
