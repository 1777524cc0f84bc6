//! The flags about forming a cluster and about what a member tells the others.

use super::super::value::Kind;
use super::{Family, Flag, Section, fixed, not_yet, used};

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
    used(
        "discovery",
        Kind::Url,
        "",
        "URL of a discovery token to form a cluster through: of a discovery service, or of a directory in any etcd or \
         Quorate (http://HOST:2379/v2/keys/_etcd/registry/TOKEN). Spell it alike on all members. Whoever knows it can take \
         a place in the cluster.",
    ),
    used(
        "discovery-token",
        Kind::Text,
        "",
        "A token's secret to join, to form a cluster through the native API of quorate-discovery at --discovery-endpoints. As \
         with --discovery, whoever knows it can take a place; how the service's URL is spelt does not matter.",
    ),
    used(
        "discovery-endpoints",
        Kind::Urls,
        "",
        "URLs of quorate-discovery for --discovery-token, one for each replica, separated by commas; another one is asked when \
         one does not answer.",
    ),
    used(
        "discovery-srv",
        Kind::Text,
        "",
        "DNS domain whose SRV records name the members: _etcd-server-ssl._tcp for https, _etcd-server._tcp for http.",
    ),
    used(
        "discovery-srv-name",
        Kind::Text,
        "",
        "Added to the services of --discovery-srv: with prod they are _etcd-server-ssl-prod and _etcd-server-prod.",
    ),
    used(
        "discovery-srv-expect",
        Kind::Count,
        "0",
        "How many members the records of --discovery-srv are to name; fewer or more are waited out. 0: unknown; then the \
         records have to be two or more and the same for 5 s.",
    ),
    used(
        "discovery-timeout",
        Kind::Duration,
        "10m",
        "How long --discovery or --discovery-srv may take to name all members; then the member ends and says what was \
         missing. 0: for ever.",
    ),
    used(
        "discovery-fallback",
        Kind::Choice(&["exit", "proxy"]),
        "exit",
        "What to do when all places of a discovery token are taken by others. exit: end, and say by whom. etcd's default \
         is proxy.",
    ),
    used(
        "discovery-report",
        Kind::Bool,
        "true",
        "Tell quorate-discovery, for its status page and for who follows the cluster by it, how far this member is, its clock, \
         whom it reaches, what is wrong with certificates, and the cluster's members. Any other registry is told nothing.",
    ),
    used(
        "discovery-cacert",
        Kind::Path,
        "",
        "Authorities one of which has issued the certificate of the discovery service. Default: the system's.",
    ),
    used(
        "discovery-cert",
        Kind::Path,
        "",
        "Certificate shown to the discovery service, if it asks for one.",
    ),
    used("discovery-key", Kind::Path, "", "Key of --discovery-cert."),
    used(
        "dns-server",
        Kind::Text,
        "",
        "Address of the DNS server to ask in place of this machine's, with :PORT if it is not 53.",
    ),
    used(
        "discovery-proxy",
        Kind::Text,
        "",
        "HTTP proxy to reach the discovery service through: http://HOST:PORT, or HOST:PORT. An https:// service is reached \
         through a tunnel (CONNECT). Other members are not.",
    ),
    not_yet(
        "proxy",
        Kind::Choice(&["off", "readonly", "on"]),
        "off",
        Family::Proxy,
        "Whether to run as a proxy of a cluster instead of a member.",
    ),
];
