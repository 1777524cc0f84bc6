//! Points in time and spans between them, in whole milliseconds. No clock is read here.

use std::fmt;
use std::time::Duration;

use quorate_core::Stamp;
use serde::{Deserialize, Serialize};

/// Nanoseconds in a millisecond.
const NANOS: u64 = 1_000_000;

/// Milliseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; nothing if it is before it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Moment {
    /// UTC in RFC 3339, in whole seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 - self.0 % 1000;
        f.write_str(&Stamp(whole.saturating_mul(NANOS)).rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_print_in_seconds_and_never_overflow() {
        assert_eq!(Moment(1_700_000_000_999).to_string(), "2023-11-14T22:13:20Z");
        assert_eq!(Moment(u64::MAX).after(Duration::MAX), Moment(u64::MAX));
        assert!(!Moment(u64::MAX).to_string().is_empty());
        assert_eq!(Moment(5).since(Moment(7)), Duration::ZERO);
    }
}
