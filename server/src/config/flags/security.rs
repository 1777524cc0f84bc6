//! The flags about who may talk to a member, and the blocks of the file that hold the TLS ones.

use super::super::value::Kind;
use super::{Flag, Section, fixed, used};

pub(super) const SECTION: Section = Section {
    title: "Security",
    about: "Who may talk to this member. A listen URL with https:// speaks TLS (1.2 and 1.3). Files are PEM and are read \
            again when they change.",
    flags: FLAGS,
};

/// Names of the two blocks of a file that hold TLS settings.
pub(crate) const FILE_BLOCKS: [&str; 2] = ["client-transport-security", "peer-transport-security"];

/// The block and the key under which a file sets a TLS flag; `None` for flags that stand at the top.
pub(super) fn file_block(flag: &str) -> Option<(&'static str, &'static str)> {
    FILE_KEYS
        .iter()
        .find(|(name, ..)| *name == flag)
        .map(|(_, block, key)| (FILE_BLOCKS[usize::from(*block)], *key))
}

/// Flag, whether it is a peer's, key. etcd drops `crl-file` and the allowed names silently; here they are keys.
const FILE_KEYS: &[(&str, bool, &str)] = &[
    ("cert-file", false, "cert-file"),
    ("key-file", false, "key-file"),
    ("client-cert-auth", false, "client-cert-auth"),
    ("trusted-ca-file", false, "trusted-ca-file"),
    ("ca-file", false, "ca-file"),
    ("auto-tls", false, "auto-tls"),
    ("client-crl-file", false, "crl-file"),
    ("client-cert-allowed-hostname", false, "allowed-hostname"),
    ("peer-cert-file", true, "cert-file"),
    ("peer-key-file", true, "key-file"),
    ("peer-client-cert-auth", true, "client-cert-auth"),
    ("peer-trusted-ca-file", true, "trusted-ca-file"),
    ("peer-ca-file", true, "ca-file"),
    ("peer-auto-tls", true, "auto-tls"),
    ("peer-crl-file", true, "crl-file"),
    ("peer-cert-allowed-cn", true, "allowed-cn"),
    ("peer-cert-allowed-hostname", true, "allowed-hostname"),
];

const fn file(name: &'static str, help: &'static str) -> Flag {
    used(name, Kind::Path, "", help)
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    used(name, Kind::Bool, "false", help)
}

const fn text(name: &'static str, help: &'static str) -> Flag {
    used(name, Kind::Text, "", help)
}

const FLAGS: &[Flag] = &[
    used(
        "cors",
        Kind::List,
        "*",
        "Origins that pages in a browser may call from, separated by commas; * is all.",
    ),
    used(
        "host-whitelist",
        Kind::List,
        "*",
        "Host names that requests on plain HTTP may be addressed to, separated by commas; * is all.",
    ),
    file(
        "cert-file",
        "Certificate shown to clients, followed by those of the authorities between it and the root.",
    ),
    file(
        "key-file",
        "Key of the certificate shown to clients. Its owner alone should be able to read it.",
    ),
    switch(
        "client-cert-auth",
        "Demand a certificate from clients, and take its common name for the name of the user. Needs --trusted-ca-file.",
    ),
    file(
        "client-crl-file",
        "Lists of revoked client certificates, PEM or DER. An overdue list lets nobody in.",
    ),
    text("client-cert-allowed-hostname", "Host name that client certificates must be valid for."),
    file(
        "trusted-ca-file",
        "Authorities whose client certificates are accepted. Given alone, it demands a certificate already.",
    ),
    switch(
        "auto-tls",
        "Make a certificate for clients and keep it in the data directory. Nobody vouches for it: it hides the traffic \
         from listeners, and does not prove to clients whom they speak with.",
    ),
    file(
        "peer-cert-file",
        "Certificate shown to other members, by who connects and by who is connected to: its extended key usage needs \
         serverAuth and clientAuth.",
    ),
    file("peer-key-file", "Key of the certificate shown to other members."),
    switch(
        "peer-client-cert-auth",
        "Demand a certificate from other members. Needs --peer-trusted-ca-file.",
    ),
    file(
        "peer-trusted-ca-file",
        "Authorities whose member certificates are accepted, in both directions. Given alone, it demands a certificate \
         already. Without it any machine can pose as a member.",
    ),
    text("peer-cert-allowed-cn", "Common name that member certificates must have."),
    text("peer-cert-allowed-hostname", "Host name that member certificates must be valid for."),
    switch(
        "peer-auto-tls",
        "Make a certificate for other members and keep it in the data directory. It hides the traffic from listeners; \
         any machine can still pose as a member.",
    ),
    file(
        "peer-crl-file",
        "Lists of revoked member certificates, PEM or DER. An overdue list lets nobody in.",
    ),
    fixed(
        "experimental-peer-skip-client-san-verification",
        "false",
        "true",
        "a member's address is never compared with its certificate, because that would trust DNS",
    ),
    used(
        "cipher-suites",
        Kind::List,
        "",
        "Cipher suites offered, by Go's names, separated by commas. Default: all that are safe.",
    ),
    used(
        "tls-min-version",
        Kind::Text,
        "TLS1.2",
        "Lowest version of TLS spoken: TLS1.2 or TLS1.3.",
    ),
    text(
        "tls-max-version",
        "Highest version of TLS spoken: TLS1.2 or TLS1.3. Default: the newest.",
    ),
];
