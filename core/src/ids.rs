//! The numbers that have a meaning: member and cluster IDs, the store index, and the leader's time stamps.
//!
//! Each prints as people and etcd's wire format write it. No clock is read here: a [`Stamp`] is always handed in.

use std::fmt;

/// The identity of a member, used once for ever: a removed ID never comes back.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    /// Lower-case hex without padding, as etcd prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The identity of a cluster, fixed when it is formed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClusterId(pub u64);

impl fmt::Display for ClusterId {
    /// Lower-case hex without padding, as etcd prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// How many changes the store has seen since the cluster was formed (`X-Etcd-Index`).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StoreIndex(pub u64);

impl StoreIndex {
    /// The index of the next change.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for StoreIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Nanoseconds since the Unix epoch, by the leader's clock, as written in a log entry.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Stamp(pub u64);

/// Nanoseconds in a second.
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// Seconds in a day; Unix time knows no leap seconds.
const SECONDS_PER_DAY: u64 = 86_400;

impl Stamp {
    /// 2500-01-01T00:00:00Z: the latest time at which anything expires. Longer TTLs end here rather than becoming
    /// permanent by overflow; `u64` nanoseconds reach only to 2554.
    pub const FAR_FUTURE: Self = Self(16_725_225_600 * NANOS_PER_SECOND);

    /// The time `seconds` after this one, at most [`Stamp::FAR_FUTURE`].
    #[must_use]
    pub fn after_seconds(self, seconds: u64) -> Self {
        let nanos = seconds.saturating_mul(NANOS_PER_SECOND);
        Self(self.0.saturating_add(nanos)).min(Self::FAR_FUTURE)
    }

    /// Whole seconds from `now` until this time, rounded up; zero or negative once it has passed.
    #[must_use]
    pub fn seconds_left(self, now: Self) -> i64 {
        // Both quotients are below 2^35, so the casts are exact.
        if self >= now {
            (self.0 - now.0).div_ceil(NANOS_PER_SECOND).cast_signed()
        } else {
            -((now.0 - self.0) / NANOS_PER_SECOND).cast_signed()
        }
    }

    /// UTC in RFC 3339 with as many fraction digits as needed (none to nine), like Go's `time.RFC3339Nano`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let seconds = self.0 / NANOS_PER_SECOND;
        let nanos = self.0 % NANOS_PER_SECOND;
        let (year, month, day) = civil_date(seconds / SECONDS_PER_DAY);
        let of_day = seconds % SECONDS_PER_DAY;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if nanos > 0 {
            let fraction = format!(".{nanos:09}");
            text.push_str(fraction.trim_end_matches('0'));
        }
        text.push('Z');
        text
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counting years from March puts the leap day last, and 400 years have the same 146,097 days each time.
fn civil_date(days_since_epoch: u64) -> (u64, u64, u64) {
    const DAYS_FROM_YEAR_0_MARCH: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days_since_epoch + DAYS_FROM_YEAR_0_MARCH;
    let era = days / DAYS_PER_ERA;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_print_as_go_prints_them() {
        let second = NANOS_PER_SECOND;
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400 * second, "2000-02-29T00:00:00Z"),
            (1_703_980_799 * second + 120_000_000, "2023-12-30T23:59:59.12Z"),
            (4_107_542_399 * second + 1, "2100-02-28T23:59:59.000000001Z"),
            (4_107_542_400 * second, "2100-03-01T00:00:00Z"),
            (Stamp::FAR_FUTURE.0, "2500-01-01T00:00:00Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ];
        for (nanos, text) in cases {
            assert_eq!(Stamp(nanos).rfc3339(), text);
        }
    }

    #[test]
    fn seconds_left_round_up_and_go_negative_only_after_a_whole_second() {
        let at = Stamp(10 * NANOS_PER_SECOND);
        let cases = [
            (9_999_999_999, 1),
            (10_000_000_000, 0),
            (10_999_999_999, 0),
            (11_000_000_000, -1),
            (8_000_000_000, 2),
            (0, 10),
        ];
        for (now, left) in cases {
            assert_eq!(at.seconds_left(Stamp(now)), left, "now {now}");
        }
    }

    #[test]
    fn a_ttl_too_big_to_represent_ends_in_the_far_future() {
        assert_eq!(Stamp(5).after_seconds(2), Stamp(2_000_000_005));
        assert_eq!(Stamp(5).after_seconds(u64::MAX), Stamp::FAR_FUTURE);
        assert_eq!(Stamp(5).after_seconds(99_999_999_999), Stamp::FAR_FUTURE);
    }

    #[test]
    fn ids_print_in_unpadded_hex() {
        assert_eq!(MemberId(0x3a_a193_eb76_16b5).to_string(), "3aa193eb7616b5");
        assert_eq!(ClusterId(0xcdf8_1819_4e3a_8c32).to_string(), "cdf818194e3a8c32");
        assert_eq!(StoreIndex(35).to_string(), "35");
    }
}
