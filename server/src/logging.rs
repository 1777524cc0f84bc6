//! The server's own log: what is written, in which form, where to, and how the level is changed while it runs.
//!
//! Invariant: exactly one subscriber is installed per process. A line that cannot be written never stops the server.
//! Left out: what to log, which is each module's own business; rotation, which is the system's (files are appended
//! to, so that they can be copied and truncated).

mod line;
mod tee;

use std::io;
use std::path::PathBuf;

use parking_lot::Mutex;
use std::sync::Arc;
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use self::line::Line;
use self::tee::Tee;

/// What is logged, how and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogSettings {
    /// The level at start.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
    /// Where lines go; every line goes to each.
    pub outputs: Vec<LogOutput>,
}

impl LogSettings {
    /// The settings that the words of the flags stand for. Words that stand for nothing mean the default.
    pub fn from_words(level: &str, logger: &str, outputs: &[&str]) -> Self {
        let mut chosen = Vec::new();
        for output in outputs {
            let output = LogOutput::from_word(output);
            if !chosen.contains(&output) {
                chosen.push(output);
            }
        }
        if chosen.is_empty() {
            chosen.push(LogOutput::Stderr);
        }
        let format =
            if matches!(logger, "zap" | "json") { LogFormat::Json } else { LogFormat::Text };
        Self {
            level: LogLevel::from_word(level).unwrap_or(LogLevel::Info),
            format,
            outputs: chosen,
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LogLevel {
    /// Everything, for those who look for a fault.
    Debug,
    /// What an operator wants to know.
    Info,
    /// What may need attention.
    Warn,
    /// What went wrong.
    Error,
}

impl LogLevel {
    /// The level of this name, in any case, by the words of either of etcd's loggers; `None` for other words.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "trace" | "debug" => Self::Debug,
            "info" | "notice" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" | "critical" | "dpanic" | "panic" | "fatal" => Self::Error,
            _ => return None,
        })
    }

    /// The level by any of the names that etcd takes at run time (`PUT /config/local/log`).
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "CRITICAL" | "C" | "ERROR" | "0" | "E" => Self::Error,
            "WARNING" | "1" | "W" => Self::Warn,
            "NOTICE" | "2" | "N" | "INFO" | "3" | "I" => Self::Info,
            "DEBUG" | "4" | "D" | "TRACE" | "5" | "T" => Self::Debug,
            _ => return None,
        })
    }

    /// The level as written on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The raft library tells every step it takes; the story it makes is told by our own lines, so that its own are wanted
    /// only by those who look for a fault.
    fn filter(self) -> Targets {
        let (ours, library) = match self {
            Self::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
            Self::Info => (LevelFilter::INFO, LevelFilter::ERROR),
            Self::Warn => (LevelFilter::WARN, LevelFilter::ERROR),
            Self::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        };
        Targets::new().with_default(ours).with_target("openraft", library)
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line, with the keys etcd's zap logger uses.
    Json,
}

/// Where log lines go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogOutput {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

impl LogOutput {
    /// The output a word of `--log-outputs` stands for. The journal reads standard error of what systemd runs.
    fn from_word(word: &str) -> Self {
        match word {
            "default" | "stderr" | "systemd/journal" => Self::Stderr,
            "stdout" => Self::Stdout,
            path => Self::File(PathBuf::from(path)),
        }
    }
}

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file cannot be opened.
    #[error("cannot open the log file {}: {cause}; check --log-outputs and the permissions of its directory", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Another subscriber is installed already.
    #[error("the log is set up already")]
    Installed,
}

/// Changes and tells the level of the running log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<Targets, Registry>,
    level: Arc<Mutex<LogLevel>>,
}

impl LogHandle {
    /// A handle on no log, for a member inside of a program that does its own logging.
    #[must_use]
    pub fn idle() -> Self {
        let (_, filter) = reload::Layer::new(LogLevel::Info.filter());
        Self { filter, level: Arc::new(Mutex::new(LogLevel::Info)) }
    }

    /// Logs from `level` up, from now on.
    pub fn set_level(&self, level: LogLevel) {
        *self.level.lock() = level;
        // It can fail only after the subscriber is gone, when there is no log to change.
        drop(self.filter.reload(level.filter()));
    }

    /// What is logged at present.
    pub fn level(&self) -> LogLevel {
        *self.level.lock()
    }
}

/// Opens the outputs and installs the log for the whole process.
pub fn install(settings: &LogSettings) -> Result<LogHandle, LogError> {
    let (subscriber, handle) = subscriber(settings)?;
    subscriber.try_init().map_err(|_| LogError::Installed)?;
    Ok(handle)
}

/// The log as a subscriber that is not installed yet, and its handle.
fn subscriber(
    settings: &LogSettings,
) -> Result<(impl Subscriber + Send + Sync + 'static, LogHandle), LogError> {
    let tee = Tee::open(&settings.outputs)?;
    let (filter, handle) = reload::Layer::new(settings.level.filter());
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(tee.takes_colour())
        .event_format(Line { format: settings.format })
        .with_writer(tee);
    Ok((
        tracing_subscriber::registry().with(filter).with(layer),
        LogHandle { filter: handle, level: Arc::new(Mutex::new(settings.level)) },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(settings: &LogSettings, write: impl FnOnce(&LogHandle)) {
        let (subscriber, handle) = subscriber(settings).expect("the outputs can be opened");
        tracing::subscriber::with_default(subscriber, || write(&handle));
    }

    fn to_file(format: LogFormat, level: LogLevel) -> (tempfile::TempDir, PathBuf, LogSettings) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("server.log");
        let settings = LogSettings { level, format, outputs: vec![LogOutput::File(path.clone())] };
        (dir, path, settings)
    }

    #[test]
    fn json_lines_have_the_keys_of_etcds_zap_logger() {
        let (_dir, path, settings) = to_file(LogFormat::Json, LogLevel::Info);
        logged(&settings, |_| {
            tracing::warn!(member = "8e9e05c52164694d", level = "mine", lag = 3, "slow \"disk\"\n");
        });
        let text = std::fs::read_to_string(path).expect("a log");
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
        assert_eq!(line["level"], "warn");
        assert_eq!(line["msg"], "slow \"disk\"\n");
        assert_eq!(line["member"], "8e9e05c52164694d");
        assert_eq!(line["lag"], 3);
        assert!(
            line["ts"].as_str().is_some_and(|ts| ts.len() == 27 && ts.ends_with('Z')),
            "{text}"
        );
        assert!(
            line["caller"].as_str().is_some_and(|caller| caller.starts_with("src/logging.rs:")),
            "{text}"
        );
    }

    #[test]
    fn text_lines_stay_one_line_whatever_is_in_them() {
        let (_dir, path, settings) = to_file(LogFormat::Text, LogLevel::Info);
        logged(&settings, |_| {
            tracing::info!(path = "a b", term = 7, "ready to serve\nclient requests\u{1b}[31m");
        });
        let text = std::fs::read_to_string(path).expect("a log");
        let (stamp, rest) = text.split_once(' ').expect("a time stamp");
        assert!(stamp.ends_with('Z') && stamp.contains('T'), "{text}");
        assert_eq!(
            rest,
            "INFO  logging::tests: ready to serve\\nclient requests\\u{1b}[31m path=\"a b\" term=7\n"
        );
    }

    #[test]
    fn the_level_can_be_changed_while_it_runs() {
        let (_dir, path, settings) = to_file(LogFormat::Text, LogLevel::Warn);
        logged(&settings, |handle| {
            tracing::info!("one");
            assert_eq!(handle.level(), LogLevel::Warn);
            handle.set_level(LogLevel::Debug);
            assert_eq!(handle.level(), LogLevel::Debug);
            tracing::debug!("two");
            handle.set_level(LogLevel::Error);
            tracing::warn!("three");
        });
        let text = std::fs::read_to_string(path).expect("a log");
        assert_eq!(text.lines().count(), 1);
        assert!(text.ends_with("two\n"), "{text}");
    }

    #[test]
    fn a_file_is_appended_to_and_several_outputs_get_every_line() {
        let (dir, path, mut settings) = to_file(LogFormat::Text, LogLevel::Info);
        let second = dir.path().join("second.log");
        settings.outputs.push(LogOutput::File(second.clone()));
        for _ in 0..2 {
            logged(&settings, |_| tracing::info!("line"));
        }
        for path in [path, second] {
            assert_eq!(std::fs::read_to_string(path).expect("a log").lines().count(), 2);
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let outputs = vec![LogOutput::File(PathBuf::from("/nonexistent/dir/log"))];
        let settings = LogSettings { level: LogLevel::Info, format: LogFormat::Text, outputs };
        let error = subscriber(&settings).err().expect("no such directory").to_string();
        assert!(error.starts_with("cannot open the log file /nonexistent/dir/log: "), "{error}");
    }

    #[test]
    fn words_of_both_loggers_name_levels() {
        let words =
            [("DEBUG", LogLevel::Debug), ("NOTICE", LogLevel::Info), ("WARNING", LogLevel::Warn)];
        for (word, level) in
            words.into_iter().chain([("fatal", LogLevel::Error), ("CRITICAL", LogLevel::Error)])
        {
            assert_eq!(LogLevel::from_word(word), Some(level));
        }
        assert_eq!(LogLevel::from_word("loud"), None);
    }
}
