//! The command line: Go's way of writing flags, brought into the one form that clap reads.
//!
//! Invariant: clap sees only `--flag` and `--flag=value`, so it finds unknown flags and writes the help, while the
//! rules of Go's flag package (one dash or two, the next argument is the value whatever it begins with, a boolean
//! never takes the next argument, the last of several wins) hold. Values are checked with those of other layers.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::error::ConfigError;
use super::flags::{self, Flag, Meaning, SECTIONS};
use super::settings::{Given, Origin};
use super::value::Kind;

/// The name the program goes by in its messages.
pub const PROGRAM: &str = "quorate-server";

/// What the command line asks for.
pub(super) enum CommandLine {
    /// To print this text and end.
    Help(String),
    /// To go on with these flags.
    Flags(Vec<Given>),
}

/// Reads the arguments after the program's name.
pub(super) fn read(args: &[OsString], width: usize) -> Result<CommandLine, ConfigError> {
    let words = normalise(args)?;
    match command(width).try_get_matches_from(words) {
        Ok(matches) => Ok(CommandLine::Flags(collect(&matches))),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            Ok(CommandLine::Help(error.render().to_string()))
        }
        Err(error) => {
            let text = error.render().to_string();
            Err(ConfigError::Usage(text.trim_start_matches("error: ").trim_end().to_owned()))
        }
    }
}

/// Brings every argument into the form `--flag` or `--flag=value`.
fn normalise(args: &[OsString]) -> Result<Vec<String>, ConfigError> {
    let mut words = vec![PROGRAM.to_owned()];
    let mut args = args.iter().enumerate().map(|(index, argument)| {
        argument.to_str().ok_or_else(|| ConfigError::NotUtf8 {
            position: index + 1,
            lossy: argument.to_string_lossy().into_owned(),
        })
    });
    let mut last_switch: Option<&str> = None;
    while let Some(argument) = args.next().transpose()? {
        let Some(flag_text) = dashed(argument) else {
            if let Some(flag) = last_switch.filter(|_| super::value::boolean(argument).is_some()) {
                return Err(ConfigError::LooseBoolean {
                    flag: flag.to_owned(),
                    value: argument.to_owned(),
                });
            }
            words.push(argument.to_owned());
            continue;
        };
        last_switch = None;
        if flag_text == "h" {
            words.push("--help".to_owned());
            continue;
        }
        match flags::find(flag_text) {
            Some(flag) if flag.kind.stands_alone() => {
                last_switch = Some(flag_text);
                words.push(format!("--{flag_text}"));
            }
            Some(flag) => match args.next().transpose()? {
                Some(value) => words.push(format!("--{flag_text}={value}")),
                None => {
                    return Err(ConfigError::MissingValue {
                        flag: flag.name,
                        form: flag.kind.placeholder(),
                    });
                }
            },
            None => words.push(format!("--{flag_text}")),
        }
    }
    Ok(words)
}

/// What follows one or two dashes; `None` for an argument that is not a flag.
fn dashed(argument: &str) -> Option<&str> {
    let text = argument.strip_prefix('-')?;
    let text = text.strip_prefix('-').unwrap_or(text);
    (!text.is_empty() && !text.starts_with(['-', '='])).then_some(text)
}

fn collect(matches: &ArgMatches) -> Vec<Given> {
    flags::all()
        .filter_map(|flag| {
            let text = matches.get_one::<String>(flag.name)?.clone();
            Some(Given { flag, text, origin: Origin::CommandLine })
        })
        .collect()
}

fn command(width: usize) -> Command {
    let mut command = Command::new(PROGRAM)
        .about("A member of a Quorate cluster: a replicated key-value store that speaks etcd's v2 API.")
        .override_usage(format!("{PROGRAM} [FLAGS]"))
        .after_help(after_help())
        .disable_version_flag(true)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .args_override_self(true)
        .term_width(width)
        .next_line_help(true);
    for section in SECTIONS {
        command = command.next_help_heading(section.title);
        command = command.args(section.flags.iter().map(argument));
        if section.flags.iter().any(|flag| flag.name == "version") {
            let help = Arg::new("help").long("help").short('h').action(ArgAction::Help);
            command = command.arg(help.help("Print this help, and end."));
        }
    }
    command
}

fn argument(flag: &'static Flag) -> Arg {
    let shown = matches!(flag.meaning, Meaning::Used | Meaning::Action);
    let mut argument = Arg::new(flag.name)
        .long(flag.name)
        .action(ArgAction::Set)
        .value_name(flag.kind.placeholder())
        .help(help_text(flag))
        .hide(!shown)
        .require_equals(true);
    if flag.kind.stands_alone() {
        argument = argument.num_args(0..=1).default_missing_value("true");
    }
    argument
}

fn help_text(flag: &Flag) -> String {
    match flag.kind {
        Kind::Choice(words) => {
            format!("{} [{}; default: {}]", flag.help, words.join(", "), flag.default)
        }
        _ if flag.default.is_empty() || flag.meaning == Meaning::Action => flag.help.to_owned(),
        _ => format!("{} [default: {}]", flag.help, flag.default),
    }
}

fn after_help() -> String {
    let names = |wanted: fn(&Meaning) -> bool| {
        let chosen: Vec<String> = flags::all()
            .filter(|flag| wanted(&flag.meaning))
            .map(|flag| format!("--{}", flag.name))
            .collect();
        chosen.join(", ")
    };
    let refused = names(|meaning| matches!(meaning, Meaning::NotYet(_)));
    let idle = names(|meaning| matches!(meaning, Meaning::Ignored(_) | Meaning::Fixed { .. }));
    format!(
        "One dash is as good as two, a value follows = or stands in the next argument, and of a flag given more than \
         once the last counts. A boolean takes its value only after =; alone it means true.\n\n\
         Every flag is also read from the environment, as QUORATE_ or ETCD_ and its name in capitals with _ for -, \
         and from the file named by --config-file. The command line wins over the environment, QUORATE_ over ETCD_, \
         and the environment over the file.\n\n\
         Refused in this release, because leaving them out would not do what they ask for: {refused}.\n\n\
         Accepted for etcd's sake, with a warning that they have no effect: {idle}."
    )
}
