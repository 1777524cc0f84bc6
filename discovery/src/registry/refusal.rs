//! Why a request is refused, in the words of who has to do something about it, with a code for programs and the HTTP status and v2
//! error code that etcd's nodes read.
//!
//! Invariant: nothing passing is refused with a status from 400 to 499, which ends an etcd node for good; and nothing final with one
//! from 500, which makes it ask for ever. No text holds a secret.

use super::capability::Capability;
use super::claim::{ClaimError, MemberKey};
use super::moment::Moment;
use super::size::{ClusterSize, SIZE_MAX};
use super::token::Entry;

/// A refusal.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such token.
    #[error(
        "there is no such token: it was never made here, or is forgotten. Check the URL; make a new token with /new?size=N"
    )]
    Unknown,
    /// The token's time was over.
    #[error("the token {} at {at}. Make a new one with /new?size=N; an administrator may reopen this one", if *.was_sealed { "served its purpose and was retired" } else { "expired before all members had registered," })]
    Expired {
        /// When.
        at: Moment,
        /// Whether its cluster had been formed.
        was_sealed: bool,
    },
    /// The token was ended.
    #[error("the token was revoked at {at}. Make a new one with /new?size=N")]
    Revoked {
        /// When.
        at: Moment,
    },
    /// The capability is missing or does not suffice.
    #[error("this needs the {} capability of the token. Give it as `Authorization: Bearer SECRET`", .0.name())]
    Forbidden(Capability),
    /// The member is registered with another value.
    #[error("member {} registered at {} as {}, which is not what this request says. A machine must come back with the --name and --initial-advertise-peer-urls it registered with; or have the token's administrator remove the entry", by.member, by.at, by.value())]
    TakenId {
        /// Who and when.
        by: Box<Entry>,
    },
    /// Another member has the name.
    #[error("the name {:?} is taken by member {}, which registered at {} as {}. Give this machine another --name; or, if it is the same machine with other URLs, have the token's administrator remove the entry", by.name, by.member, by.at, by.value())]
    TakenName {
        /// Who and when.
        by: Box<Entry>,
    },
    /// Another member has the URL.
    #[error("the peer URL {url} is taken by member {} ({}), which registered at {}. Each machine needs URLs of its own: set --initial-advertise-peer-urls", by.member, by.name, by.at)]
    TakenUrl {
        /// Which.
        url: String,
        /// Who and when.
        by: Box<Entry>,
    },
    /// One is reachable from its own machine only, the other is not.
    #[error("{}. Members on several machines need addresses that the others can reach: set --initial-advertise-peer-urls", match local { Some(name) => format!("member {name} advertises a loopback address and this one does not"), None => "this member advertises a loopback address and the others do not".to_owned() })]
    Unreachable {
        /// The local one, if it is not the one that asks.
        local: Option<String>,
    },
    /// All places are taken.
    #[error("the cluster is full: its {} members were there at {since}. Add this machine to the running cluster as a new member (member add), and start it with --initial-cluster-state=existing and without --discovery", size.count())]
    Full {
        /// Of how many.
        size: ClusterSize,
        /// Since when.
        since: Moment,
    },
    /// The member has lived, or may have.
    #[error("member {} ({}) registered at {} and its cluster has been formed since {since}: a machine that asks again has lost its data, and must not come back under the old ID. Remove member {} from the cluster, add it as a new member, and start it with an empty data directory, --initial-cluster-state=existing and without --discovery. Only if no member of it ever started, have the token's administrator reopen it", entry.member, entry.name, entry.at, entry.member)]
    Lived {
        /// Since when the cluster has been formed.
        since: Moment,
        /// Which member.
        entry: Box<Entry>,
    },
    /// The set is complete and not to be changed.
    #[error(
        "all members have registered at {since}, and the set is sealed. Change the running cluster instead (member remove, member add); reopen the token only if no cluster was formed"
    )]
    Sealed {
        /// Since when.
        since: Moment,
    },
    /// Reopening could make a second cluster.
    #[error("the token is sealed and {}. Reopening lets the same machines form a second, empty cluster. If none of them runs any more, say so with \"force\": true", if started.is_empty() { "its members may be running".to_owned() } else { format!("{} reported to have started", started.join(", ")) })]
    MayRun {
        /// Those that said so.
        started: Vec<String>,
    },
    /// The poll has seen a set that was taken back.
    #[error(
        "the token's administrator removed an entry or reopened the token, so what this machine has seen of it no longer holds. Start it again: it will register anew"
    )]
    StartOver,
    /// No such entry.
    #[error("no member {0} is registered")]
    NoSuchMember(MemberKey),
    /// The size cannot be.
    #[error(
        "the size {0:?} is not a number from 1 to {SIZE_MAX}. Three members outlive the loss of one, five that of two"
    )]
    BadSize(String),
    /// The lifetime cannot be.
    #[error("a token may live from {min_s} to {max_s} seconds")]
    BadTtl {
        /// The shortest.
        min_s: u64,
        /// The longest.
        max_s: u64,
    },
    /// The claim cannot be.
    #[error(transparent)]
    BadClaim(#[from] ClaimError),
    /// A parameter or a body cannot be read.
    #[error("{0}")]
    BadRequest(String),
    /// The body is too large.
    #[error("the body is larger than {max} bytes")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// No such path, or not with this method.
    #[error("{0}")]
    NoRoute(&'static str),
    /// Too much at once; passes by itself.
    #[error("{what}. Try again in {after_s}s")]
    Busy {
        /// Of what.
        what: &'static str,
        /// When it is worth while.
        after_s: u64,
    },
    /// The store does not answer; passes when it does.
    #[error("the tokens cannot be reached at the moment: {0}. Try again")]
    Unavailable(String),
}

impl Refusal {
    /// A stable name for programs and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_token",
            Self::Expired { .. } => "expired",
            Self::Revoked { .. } => "revoked",
            Self::Forbidden(_) => "forbidden",
            Self::TakenId { .. } => "member_id_taken",
            Self::TakenName { .. } => "name_taken",
            Self::TakenUrl { .. } => "peer_url_taken",
            Self::Unreachable { .. } => "loopback_mixed",
            Self::Full { .. } => "full",
            Self::Lived { .. } => "rejoin_as_new_member",
            Self::Sealed { .. } => "sealed",
            Self::MayRun { .. } => "members_may_run",
            Self::StartOver => "start_over",
            Self::NoSuchMember(_) => "no_such_member",
            Self::BadSize(_) => "bad_size",
            Self::BadTtl { .. } => "bad_ttl",
            Self::BadClaim(_) => "bad_claim",
            Self::BadRequest(_) => "bad_request",
            Self::TooLarge { .. } => "too_large",
            Self::NoRoute(_) => "no_route",
            Self::Busy { .. } => "busy",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// Every code, for metrics that begin at zero.
    pub const CODES: [&'static str; 22] = [
        "unknown_token",
        "expired",
        "revoked",
        "forbidden",
        "member_id_taken",
        "name_taken",
        "peer_url_taken",
        "loopback_mixed",
        "full",
        "rejoin_as_new_member",
        "sealed",
        "members_may_run",
        "start_over",
        "no_such_member",
        "bad_size",
        "bad_ttl",
        "bad_claim",
        "bad_request",
        "too_large",
        "no_route",
        "busy",
        "unavailable",
    ];

    /// Whether it passes by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unavailable(_))
    }

    /// The status on the native API.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Unknown | Self::NoRoute(_) | Self::NoSuchMember(_) => 404,
            Self::Expired { .. } | Self::Revoked { .. } => 410,
            Self::Forbidden(_) => 403,
            Self::TakenId { .. }
            | Self::TakenName { .. }
            | Self::TakenUrl { .. }
            | Self::Full { .. }
            | Self::Lived { .. }
            | Self::Sealed { .. }
            | Self::MayRun { .. }
            | Self::StartOver => 409,
            Self::Unreachable { .. }
            | Self::BadSize(_)
            | Self::BadTtl { .. }
            | Self::BadClaim(_)
            | Self::BadRequest(_) => 400,
            Self::TooLarge { .. } => 413,
            Self::Busy { .. } => 429,
            Self::Unavailable(_) => 503,
        }
    }

    /// Status, error code and message on the routes that etcd's nodes use.
    #[must_use]
    pub fn v2(&self) -> (u16, u16, &'static str) {
        match self {
            Self::Unknown
            | Self::Expired { .. }
            | Self::Revoked { .. }
            | Self::NoRoute(_)
            | Self::NoSuchMember(_) => (404, 100, "Key not found"),
            Self::TakenId { .. } | Self::TakenName { .. } | Self::TakenUrl { .. } => {
                (412, 105, "Key already exists")
            }
            // An old code of etcd's own, which its nodes print with the cause. For 105 they print advice of their own instead,
            // to use a new token: the last thing that the owner of a wiped machine should do.
            Self::Full { .. } | Self::Lived { .. } => {
                (403, 103, "Reached the max number of peers in the cluster")
            }
            Self::Forbidden(_) => (401, 110, "The request requires user authentication"),
            Self::Sealed { .. } | Self::MayRun { .. } | Self::StartOver => {
                (403, 101, "Compare failed")
            }
            Self::Unreachable { .. }
            | Self::BadClaim(_)
            | Self::BadSize(_)
            | Self::BadTtl { .. } => (400, 209, "Invalid field"),
            Self::BadRequest(_) => (400, 210, "Invalid POST form"),
            Self::TooLarge { .. } => (413, 210, "Invalid POST form"),
            Self::Busy { .. } | Self::Unavailable(_) => (503, 300, "Raft Internal Error"),
        }
    }
}
