//! The flags about metrics and the log.

use super::super::value::Kind;
use super::{Flag, Meaning, Section, ignored, used};

pub(super) const SECTION: Section = Section {
    title: "Monitoring and logging",
    about: "What the member tells about itself. The level can be changed while it runs.",
    flags: FLAGS,
};

/// Names etcd takes for levels; those above `error` log no less than `error` does.
const LEVELS: &[&str] = &["debug", "info", "warn", "error", "dpanic", "panic", "fatal"];

const FLAGS: &[Flag] = &[
    Flag {
        name: "metrics",
        kind: Kind::Choice(&["basic", "extensive"]),
        default: "basic",
        meaning: Meaning::Fixed {
            value: "basic",
            why: "what it adds in etcd is about gRPC; all there is to tell is always told",
        },
        help: "",
    },
    used(
        "listen-metrics-urls",
        Kind::Urls,
        "",
        "More URLs to serve /metrics and /health on, separated by commas. Clients' URLs serve them in any case.",
    ),
    used(
        "log-level",
        Kind::Choice(LEVELS),
        "info",
        "Least level logged. dpanic, panic and fatal mean error.",
    ),
    used(
        "logger",
        Kind::Choice(&["zap", "json", "capnslog", "text"]),
        "capnslog",
        "Form of a log line: zap or json is a JSON object with etcd's keys, capnslog or text is a line for people.",
    ),
    used(
        "log-outputs",
        Kind::List,
        "default",
        "Where the log goes, separated by commas: stderr, stdout, or paths of files to append to. default is stderr.",
    ),
    used("debug", Kind::Bool, "false", "The same as --log-level=debug."),
    Flag {
        name: "log-output",
        kind: Kind::List,
        default: "",
        meaning: Meaning::OldName("log-outputs"),
        help: "",
    },
    ignored(
        "log-package-levels",
        Kind::Text,
        "",
        "levels cannot be set for each package; use --log-level",
    ),
    ignored("enable-pprof", Kind::Bool, "false", "profiles in Go's format do not exist here"),
];
