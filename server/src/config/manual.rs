//! The reference of all flags as a Markdown page, made from the table so that it cannot fall behind it.

use super::PROGRAM;
use super::flags::{Flag, Meaning, SECTIONS, Section};
use super::value::Kind;

/// The page, ending with a line break.
pub fn markdown() -> String {
    let mut page = intro();
    for section in SECTIONS {
        page.push_str(&render_section(section));
    }
    page
}

fn intro() -> String {
    format!(
        "# Configuration of `{PROGRAM}`

This page is made from the table of flags in `server/src/config/flags/`. Change it there, then run
`QUORATE_RECORD=1 cargo test -p quorate-server --test config_golden`.

A start script for etcd 3.4 works when only the program's name is changed, unless it asks for the proxy
or recovery in place: this release has none of them and refuses to start rather than leave them out. Flags, variables and files are
read as etcd reads them, with the differences below. `{PROGRAM} --print-config` with a script's flags shows what each
of them comes to, and ends without starting.

## How values are given

| where | how | wins over |
|---|---|---|
| command line | `-name x`, `-name=x`, `--name x`, `--name=x`; a boolean alone or with `=true`, `=false`; of several the last counts | all below |
| environment | `QUORATE_NAME=x`; an empty variable is as good as none | all below |
| environment | `ETCD_NAME=x` | all below |
| file | `name: x` in the YAML file of `--config-file` | defaults |

- Lists in a file are YAML lists or words separated by commas. Durations are `5s` or a number of nanoseconds.
- A flag, or a key of a file, that nobody knows is refused with the nearest name. An unknown variable is a warning.
- A flag of etcd's that has nothing to act on here is accepted with a warning. One whose absence would do something
  else than was asked for is refused.
- Exit code 2: the command line cannot be read. Exit code 1: what it says cannot be used.

## Differences from etcd

| what | etcd 3.4 | here | why |
|---|---|---|---|
| `--heartbeat-interval`, `--election-timeout` when not given | 100, 1000 | 50, 300 | meant for replacing a lost leader within half a second |
| only one of the two given | the other keeps its default | the other is made to fit: ten heartbeats to an election, or a sixth of a short election timeout | a slow network needs one flag, not two |
| variable besides the same flag | refuses to start | the flag wins, with a warning | what etcd's manual says |
| `--config-file` besides flags or variables | they are ignored | they win over the file | a file can be shared, and a value tried out |
| unknown key in a file | ignored | refused with its line | a misspelt key is a setting lost |
| empty `--initial-cluster=` or `--name=` | fails later, or not | refused | a variable that expanded to nothing must not form a cluster |
| `--initial-cluster` when not given | `default=http://localhost:2380`, or the name with the advertised URLs | always the name with the advertised URLs | it cannot contradict them |
| `--discovery-fallback` when not given | `proxy` | `exit` | a machine too many is a mistake to be seen, not a proxy nobody asked for |
| `--discovery` and `--discovery-srv` | stalls, and answers that are incomplete, end the start | are waited out, up to `--discovery-timeout` | machines that boot at the same time |
| members by `--discovery-srv` | are called `0`, `1`, .. by the others until they publish their name | by host and port | all members must agree on one list |
| `--initial-cluster-state` | `new`, `existing` | also `auto` | one script for the first start and for all others |
| `unix:///path` to listen on | refused | accepted for clients | local agents use it |

"
    )
}

fn render_section(section: &Section) -> String {
    let mut out = format!("## {}\n\n{}\n\n", section.title, section.about);
    out.push_str("| flag | default | meaning |\n|---|---|---|\n");
    for flag in section.flags {
        out.push_str(&format!(
            "| `--{}` {} | {} | {} |\n",
            flag.name,
            form(flag),
            default(flag),
            meaning(flag)
        ));
    }
    out.push('\n');
    out.push_str(&file_keys(section));
    out
}

fn form(flag: &Flag) -> String {
    match flag.kind {
        Kind::Choice(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Kind::Bool => String::new(),
        kind => kind.placeholder().to_owned(),
    }
}

fn default(flag: &Flag) -> String {
    if flag.default.is_empty() || flag.meaning == Meaning::Action {
        String::new()
    } else {
        format!("`{}`", flag.default)
    }
}

fn meaning(flag: &Flag) -> String {
    match flag.meaning {
        Meaning::Used | Meaning::Action => flag.help.to_owned(),
        Meaning::Fixed { value, why } => format!("Always `{value}`: {why}."),
        Meaning::Ignored(why) => format!("No effect: {why}."),
        Meaning::NotYet(family) => {
            format!("{} Refused: this release does not have {}.", flag.help, family.title())
        }
        Meaning::Refused(instead) => {
            format!("Refused, as in etcd 3.4. Use {}.", flag_list(instead))
        }
        Meaning::OldName(of) => format!("Old name of `--{of}`."),
    }
}

fn flag_list(text: &str) -> String {
    format!("`{text}`")
}

/// Says which flags of a section stand in a block of the file, if any.
fn file_keys(section: &Section) -> String {
    let mut out = String::new();
    for flag in section.flags {
        if let Some((Some(block), key)) = flag.file_key() {
            out.push_str(&format!("- `--{}` is `{key}` below `{block}` in a file.\n", flag.name));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}
