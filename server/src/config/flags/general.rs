//! The flags about the configuration itself and those that print something and end.

use super::super::value::Kind;
use super::{Flag, Section, action, used};

pub(super) const SECTION: Section = Section {
    title: "General",
    about: "Where the configuration comes from, and what to print instead of running.",
    flags: FLAGS,
};

const FLAGS: &[Flag] = &[
    used(
        "config-file",
        Kind::Path,
        "",
        "YAML file with the names of the flags as keys. Flags and variables given besides it win over it.",
    ),
    action("print-config", "Print every value with where it came from, and end without starting."),
    action("version", "Print the version, and end."),
];
