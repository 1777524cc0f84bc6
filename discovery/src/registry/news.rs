//! How new what is told of a formed cluster is: whether any of its members still reports.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::claim::MemberKey;
use super::membership::last_word;
use super::moment::Moment;
use super::report::Report;
use super::token::Token;

/// News is old when nobody has reported for so long: members do every four minutes, and after trouble within five more.
const OLD_AFTER: Duration = Duration::from_secs(20 * 60);

/// See the module.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum News {
    /// A member has reported lately.
    Fresh,
    /// Members have reported, and none has for long: they are down, do not reach the service, or are members that it does not know.
    Stale,
    /// No running member has ever reported; etcd's own never do.
    None,
}

impl News {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fresh, Self::Stale, Self::None];

    /// Of a sealed token's cluster.
    #[must_use]
    pub fn of(token: &Token, reports: &BTreeMap<MemberKey, Report>, now: Moment) -> Self {
        match last_word(token, reports) {
            Some(at) if now.since(at) < OLD_AFTER => Self::Fresh,
            Some(_) => Self::Stale,
            None => Self::None,
        }
    }

    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::capability::SECRET_BYTES;
    use crate::registry::report::{Progress, Sent};
    use crate::registry::{Capability, Claim, ClusterSize, Grants, Rules, Secret};

    #[test]
    fn news_is_as_new_as_the_newest_report_of_a_running_member() {
        let (start, hour) = (Moment(1_800_000_000_000), Duration::from_secs(3600));
        let rules = Rules { token_ttl: hour, seal_grace: hour, sealed_ttl: hour, memory: hour };
        let secret = |capability| Secret::new(capability, [1; SECRET_BYTES]);
        let join = secret(Capability::Join);
        let grants = Grants::of(&secret(Capability::Admin), &join, &secret(Capability::Read));
        let size = ClusterSize::new(1).unwrap();
        let token = Token::new(join.token_id().unwrap(), size, grants, start, hour);
        let key = |text: &str| MemberKey::parse(text).unwrap();
        let claim = Claim::from_value(key("a"), "one=http://10.0.0.1:2380").unwrap();
        let token = token.register(&claim, start, &rules).unwrap().change.unwrap();
        let mut reports = BTreeMap::new();
        let mut news = |id: &str, progress: Progress, minutes: u64| {
            let sent = Sent { progress, ..Sent::default() };
            let report = Report { at: start, clock_offset_ms: None, sent };
            reports.insert(key(id), report);
            News::of(&token, &reports, start.after(Duration::from_secs(minutes * 60)))
        };
        assert_eq!(news("a", Progress::Waiting, 1), News::None);
        assert_eq!(news("b", Progress::Started, 1), News::None, "nobody knows b");
        assert_eq!(news("a", Progress::Started, 19), News::Fresh);
        assert_eq!(news("a", Progress::Started, 20), News::Stale);
    }
}
