//! The flags about who may talk to a member, and the blocks of the file that hold the TLS ones.

use super::super::value::Kind;
use super::{Family, Flag, Section, not_yet, used};

pub(super) const SECTION: Section = Section {
    title: "Security",
    about: "Who may talk to this member. TLS is not part of this release: its flags are refused, never ignored.",
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
    not_yet(name, Kind::Path, "", Family::Tls, help)
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    not_yet(name, Kind::Bool, "false", Family::Tls, help)
}

const fn text(name: &'static str, help: &'static str) -> Flag {
    not_yet(name, Kind::Text, "", Family::Tls, help)
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
    file("cert-file", "Certificate shown to clients."),
    file("key-file", "Key of the certificate shown to clients."),
    switch("client-cert-auth", "Ask clients for a certificate."),
    file("client-crl-file", "List of revoked client certificates."),
    text("client-cert-allowed-hostname", "Host name that client certificates must hold."),
    file("trusted-ca-file", "Authorities whose client certificates are accepted."),
    switch("auto-tls", "Make a certificate for clients at start."),
    file("peer-cert-file", "Certificate shown to other members."),
    file("peer-key-file", "Key of the certificate shown to other members."),
    switch("peer-client-cert-auth", "Ask other members for a certificate."),
    file("peer-trusted-ca-file", "Authorities whose member certificates are accepted."),
    text("peer-cert-allowed-cn", "Common name that member certificates must hold."),
    text("peer-cert-allowed-hostname", "Host name that member certificates must hold."),
    switch("peer-auto-tls", "Make a certificate for other members at start."),
    file("peer-crl-file", "List of revoked member certificates."),
    switch(
        "experimental-peer-skip-client-san-verification",
        "Accept member certificates from any address.",
    ),
    not_yet("cipher-suites", Kind::List, "", Family::Tls, "Cipher suites offered."),
    text("tls-min-version", "Lowest version of TLS spoken."),
    text("tls-max-version", "Highest version of TLS spoken."),
];
