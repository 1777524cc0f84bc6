//! Every flag this program knows, as data: the one table from which the command line, the environment, the file,
//! `--help`, `--print-config` and the manual are made.
//!
//! Invariant: each flag of etcd 3.4 stands in exactly one section, with what it means here. Names are unique.
//! Left out: reading values (`value`) and what is done with them (`build`).

mod clustering;
mod general;
mod inert;
mod legacy;
mod member;
mod observability;
mod security;

pub(super) use self::security::FILE_BLOCKS;
use super::value::Kind;

/// One flag. The environment variable and the key of the file follow from its name.
#[derive(Debug)]
pub struct Flag {
    /// The name without dashes.
    pub name: &'static str,
    /// What a value looks like.
    pub kind: Kind,
    /// The value when nothing is given, as text; empty when there is none.
    pub default: &'static str,
    /// What it means here.
    pub meaning: Meaning,
    /// What it is for, for people, with units.
    pub help: &'static str,
}

/// What a flag of etcd's means here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meaning {
    /// It does what it says.
    Used,
    /// It asks for something other than to run. Only the command line can.
    Action,
    /// The behaviour cannot be chosen: this value is taken as a matter of course, any other with a warning.
    Fixed {
        /// The value that describes what happens anyway.
        value: &'static str,
        /// Why there is no choice.
        why: &'static str,
    },
    /// Accepted with a warning that says why it has no effect.
    Ignored(&'static str),
    /// Refused, because leaving it out would do something else than was asked for.
    NotYet(Family),
    /// Refused: the flag is gone from etcd too. Says what to write instead.
    Refused(&'static str),
    /// Another name of the flag named here.
    OldName(&'static str),
}

/// A group of features that this release lacks as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// Running as a proxy of a cluster instead of a member.
    Proxy,
    /// Going on with one member after a majority is lost for good.
    Recovery,
}

impl Family {
    /// What the family is called in a sentence.
    pub fn title(self) -> &'static str {
        match self {
            Self::Proxy => "the v2 proxy",
            Self::Recovery => "recovery from a lost majority in place",
        }
    }

    /// What ignoring the flag would have led to, and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Proxy => {
                "ignoring it would start a member that holds data. Run a TCP or HTTP proxy beside the client instead"
            }
            Self::Recovery => {
                "ignoring it would start a member that waits for a quorum for ever. Read the keys of the member that is left \
                 (plain reads need no quorum) and write them into a new cluster; the page on a lost quorum has the commands"
            }
        }
    }
}

/// Flags that belong together.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// One sentence below it.
    pub about: &'static str,
    /// The flags, in the order they are shown.
    pub flags: &'static [Flag],
}

/// The whole table.
pub const SECTIONS: &[Section] = &[
    member::SECTION,
    clustering::SECTION,
    security::SECTION,
    observability::SECTION,
    general::SECTION,
    inert::SECTION,
    legacy::SECTION,
];

/// Every flag, section by section.
pub fn all() -> impl Iterator<Item = &'static Flag> {
    SECTIONS.iter().flat_map(|section| section.flags)
}

/// The flag of exactly this name.
pub fn find(name: &str) -> Option<&'static Flag> {
    all().find(|flag| flag.name == name)
}

impl Flag {
    /// The flag whose value this one sets: itself, unless it is an old name of another.
    pub fn canonical(&'static self) -> &'static Self {
        match self.meaning {
            Meaning::OldName(of) => find(of).unwrap_or(self),
            _ => self,
        }
    }

    /// The name of its environment variable without the prefix: `DATA_DIR` for `data-dir`.
    pub fn variable_stem(&self) -> String {
        self.name.to_ascii_uppercase().replace('-', "_")
    }

    /// Whether a file can set it: `None` if not, else the block it stands in (if any) and its key.
    pub fn file_key(&self) -> Option<(Option<&'static str>, &'static str)> {
        if self.meaning == Meaning::Action || self.name == "config-file" {
            return None;
        }
        Some(
            security::file_block(self.name)
                .map_or((None, self.name), |(block, key)| (Some(block), key)),
        )
    }

    /// Whether the value has any effect on a running member.
    pub fn is_used(&self) -> bool {
        self.meaning == Meaning::Used
    }
}

const fn used(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag { name, kind, default, meaning: Meaning::Used, help }
}

const fn action(name: &'static str, help: &'static str) -> Flag {
    Flag { name, kind: Kind::Bool, default: "false", meaning: Meaning::Action, help }
}

const fn ignored(name: &'static str, kind: Kind, default: &'static str, why: &'static str) -> Flag {
    Flag { name, kind, default, meaning: Meaning::Ignored(why), help: "" }
}

const fn fixed(
    name: &'static str,
    default: &'static str,
    value: &'static str,
    why: &'static str,
) -> Flag {
    Flag { name, kind: Kind::Bool, default, meaning: Meaning::Fixed { value, why }, help: "" }
}

const fn not_yet(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    family: Family,
    help: &'static str,
) -> Flag {
    Flag { name, kind, default, meaning: Meaning::NotYet(family), help }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_reference_is_known() {
        let mut names = BTreeSet::new();
        for flag in all() {
            assert!(names.insert(flag.name), "--{} stands in the table twice", flag.name);
            if let Meaning::OldName(of) = flag.meaning {
                assert!(find(of).is_some(), "--{} is an old name of nothing", flag.name);
            }
        }
    }

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for flag in all().filter(|flag| !flag.default.is_empty()) {
            assert_eq!(flag.kind.check(flag.default), Ok(()), "--{}", flag.name);
        }
    }

    #[test]
    fn every_flag_that_is_shown_is_explained() {
        for flag in all().filter(|flag| matches!(flag.meaning, Meaning::Used | Meaning::Action)) {
            assert!(flag.help.ends_with('.'), "--{} has no help", flag.name);
        }
    }
}
