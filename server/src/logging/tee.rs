//! Where log lines go: every line to each of the outputs, as one write.
//!
//! Invariant: an output that fails loses its line and nothing else, because a full disk must not stop a member
//! that could still serve.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use tracing_subscriber::fmt::MakeWriter;

use super::{LogError, LogOutput};

/// All outputs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tee(Arc<[Sink]>);

enum Sink {
    Stderr,
    Stdout,
    File(File),
}

impl Tee {
    pub(super) fn open(outputs: &[LogOutput]) -> Result<Self, LogError> {
        outputs
            .iter()
            .map(Sink::open)
            .collect::<Result<Vec<_>, _>>()
            .map(|sinks| Self(sinks.into()))
    }

    /// Whether every output is a terminal and nobody asked for none (<https://no-color.org>).
    pub(super) fn takes_colour(&self) -> bool {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        !unwanted && self.0.iter().all(Sink::is_terminal)
    }
}

impl Sink {
    fn open(output: &LogOutput) -> Result<Self, LogError> {
        match output {
            LogOutput::Stderr => Ok(Self::Stderr),
            LogOutput::Stdout => Ok(Self::Stdout),
            LogOutput::File(path) => OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map(Self::File)
                .map_err(|cause| LogError::Open { path: path.clone(), cause }),
        }
    }

    fn is_terminal(&self) -> bool {
        match self {
            Self::Stderr => io::stderr().is_terminal(),
            Self::Stdout => io::stdout().is_terminal(),
            Self::File(_) => false,
        }
    }

    fn write_line(&self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(line),
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(line)?;
                out.flush()
            }
            // Appends of one call each do not tear each other apart, so no lock is needed.
            Self::File(file) => (&*file).write_all(line),
        }
    }
}

/// Takes one whole line; the formatter writes each line with one call.
pub(super) struct Lines<'a>(&'a [Sink]);

impl Write for Lines<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for sink in self.0 {
            drop(sink.write_line(line));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Tee {
    type Writer = Lines<'a>;

    fn make_writer(&'a self) -> Lines<'a> {
        Lines(&self.0)
    }
}
