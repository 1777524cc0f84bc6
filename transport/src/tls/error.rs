//! Why TLS can't be set up: which file, what is wrong with it, and what to do.

use std::path::Path;

/// A file, or a setting, that TLS can't be set up from. Never holds anything that was in a key's file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{subject}: {cause}; {advice}")]
pub struct TlsError {
    subject: String,
    cause: String,
    advice: String,
}

impl TlsError {
    pub(super) fn new(
        subject: impl Into<String>,
        cause: impl ToString,
        advice: impl Into<String>,
    ) -> Self {
        Self { subject: subject.into(), cause: cause.to_string(), advice: advice.into() }
    }

    /// Something is wrong with the file at `path`, which was to be `what`.
    pub(super) fn file(
        what: &str,
        path: &Path,
        cause: impl ToString,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(format!("{what} {}", path.display()), cause, advice)
    }
}
