//! The table of flags, from which the command line, the variables and the help are made.

/// One flag.
pub(super) struct Flag {
    /// Its name without dashes.
    pub(super) name: &'static str,
    /// What a value looks like.
    pub(super) value: &'static str,
    /// The value when nothing is given; empty when there is none.
    pub(super) default: &'static str,
    /// What it is for.
    pub(super) help: &'static str,
}

/// The value of a flag that says yes when it is given without one.
pub(super) const SWITCH: &str = "BOOL";

/// All of them, in the order they are shown.
pub(super) const FLAGS: &[Flag] = &[
    flag(
        "listen-url",
        "URL[,URL]",
        "http://127.0.0.1:8087",
        "Where to take requests. Machines elsewhere reach the service only by an address that others can connect to; http://0.0.0.0:8087 is all of this machine's.",
    ),
    flag(
        "public-url",
        "URL",
        "",
        "What the URLs of new tokens begin with: https://discovery.example.com for example. All machines of a cluster must use exactly the same URL. Without it, what the client called this host.",
    ),
    flag(
        "data-dir",
        "DIR",
        "quorate-discovery.data",
        "Where the tokens are kept when no --store is given: a store of this process's own, durable at each answer.",
    ),
    flag(
        "store",
        "URL[,URL]",
        "",
        "A cluster that keeps the tokens instead: client URLs of its members, Quorate or etcd 3.4 with --enable-v2. Any number of replicas of this service may share it.",
    ),
    flag(
        "store-prefix",
        "KEY",
        "/_quorate/discovery",
        "The directory of the store that holds the tokens.",
    ),
    flag(
        "cert-file",
        "FILE",
        "",
        "The certificate for https:// listen URLs, PEM, followed by those between it and the root. etcd's nodes accept only what their system trusts.",
    ),
    flag("key-file", "FILE", "", "Its key. Both are read again when they change."),
    flag(
        "trusted-ca-file",
        "FILE",
        "",
        "Authorities whose client certificates are accepted at https:// listen URLs. Given alone, it demands a certificate already. etcd's nodes have none to show to a discovery service; quorate-server has --discovery-cert.",
    ),
    flag(
        "client-cert-auth",
        SWITCH,
        "false",
        "Demand a certificate from clients. Needs --trusted-ca-file.",
    ),
    flag(
        "client-crl-file",
        "FILE",
        "",
        "Lists of revoked client certificates, PEM or DER. An overdue list lets nobody in. All of these files are read again when they change.",
    ),
    flag(
        "trusted-proxies",
        "IP[,IP]",
        "",
        "Addresses of reverse proxies whose X-Forwarded-For tells where a request comes from. Without it all of a proxy's clients share the limits of one address.",
    ),
    flag(
        "store-ca-file",
        "FILE",
        "",
        "The authorities that an https:// store's certificates must be from. Without it, the system's.",
    ),
    flag("store-cert-file", "FILE", "", "A certificate to show to the store."),
    flag("store-key-file", "FILE", "", "Its key."),
    flag(
        "store-user",
        "NAME",
        "",
        "The user at a store with authentication; needs --store-password-file.",
    ),
    flag(
        "store-password-file",
        "FILE",
        "",
        "A file whose first line is the user's password. Nobody but this service should be able to read it.",
    ),
    flag(
        "token-ttl",
        "SECONDS",
        "86400",
        "How long a token waits for its members unless its maker says otherwise.",
    ),
    flag(
        "seal-grace",
        "SECONDS",
        "600",
        "How long after the last registration a member that crashed before it had data may still come back with the same flags. Later it counts as one that lost its data.",
    ),
    flag(
        "sealed-ttl",
        "SECONDS",
        "2592000",
        "How long the list of members is kept after all have registered. While members of the cluster report, it is kept for at least half as long after each report.",
    ),
    flag(
        "memory",
        "SECONDS",
        "604800",
        "How long a token that is over is remembered, so that whoever still uses it is told why it does not work.",
    ),
    flag(
        "poll-timeout",
        "SECONDS",
        "45",
        "How long a waiting request is held open before its client asks again.",
    ),
    flag(
        "max-tokens",
        "N",
        "100000",
        "How many tokens there may be; about two kilobytes of memory each.",
    ),
    flag(
        "max-requests-per-second",
        "N",
        "200",
        "Requests per second from one address (an IPv6 /64 is one), ten seconds' worth at once. 0 is no limit.",
    ),
    flag("max-new-per-minute", "N", "30", "New tokens per minute from one address. 0 is no limit."),
    flag("max-polls-per-address", "N", "256", "Waiting requests from one address. 0 is no limit."),
    flag("max-polls", "N", "20000", "Waiting requests in all. 0 is no limit."),
    flag(
        "dns-listen",
        "ADDR:PORT[,ADDR:PORT]",
        "",
        "Where to answer DNS for the clusters of sealed tokens, over UDP and TCP: 192.0.2.10:53. Off without it: whoever can ask there and knows a token's ID sees the addresses of its members.",
    ),
    flag(
        "dns-zone",
        "ZONE",
        "",
        "The domain to answer for: quorate.example.com. Of a token's cluster it has _etcd-server._tcp.ID.ZONE, _etcd-client._tcp.ID.ZONE and the like.",
    ),
    flag(
        "dns-address",
        "IP[,IP]",
        "",
        "Addresses of this service as ns.ZONE, the zone's name server; of all replicas, if there are several. Without it, those of --dns-listen, if they are addresses that others can use.",
    ),
    flag(
        "dns-max-queries-per-second",
        "N",
        "100",
        "DNS queries per second from one address (an IPv6 /64 is one), by UDP and by TCP each, ten seconds' worth at once. 0 is no limit.",
    ),
    flag("log-level", "LEVEL", "info", "debug, info, warn or error."),
    flag("log-format", "FORMAT", "text", "text, or json for one object a line."),
    flag("log-outputs", "OUT[,OUT]", "stderr", "stderr, stdout, or files to append to."),
];

const fn flag(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Flag {
    Flag { name, value, default, help }
}

/// What the help begins with.
pub(super) const ABOUT: &str = "The discovery service of Quorate: machines that boot at the same time find each other by a token.\n\n\
    Serves unmodified etcd 2.x to 3.6 (--discovery URL) and quorate-server. Without flags it runs on 127.0.0.1:8087 with a store of \
    its own.";

/// What the help ends with.
pub(super) const AFTER: &str = "\
    Make a token, then start the machines with its URL:\n\
    \x20 curl 'http://127.0.0.1:8087/new?size=3'\n\
    \x20 etcd --name NAME --discovery URL --initial-advertise-peer-urls http://ADDRESS:2380 ...\n\n\
    The URL in a browser shows who is there and who is missing. GET /v1/openapi.json describes the native API; /metrics, /livez and \
    /readyz are for monitoring.\n\n\
    Each flag can be given as a variable: QUORATE_DISCOVERY_LISTEN_URL for --listen-url. The command line wins.\n\
    Exit code 2: the command line cannot be read. Exit code 1: what it says cannot be used, or the store failed.";
