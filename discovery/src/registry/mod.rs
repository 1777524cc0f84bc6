//! What a token is, and every decision about it: pure functions of a record, a request and a time.
//!
//! Nothing here reads a clock, chance, a store or a socket; all three are handed in. A decision answers with what to tell and, when
//! something changes, with the whole record to be stored in place of the one it was made on. The caller stores it by
//! compare-and-swap and decides anew when somebody else was quicker, so each rule holds with any number of replicas.

pub mod capability;
pub mod claim;
pub mod joined;
pub mod membership;
pub mod moment;
pub mod news;
pub mod poll;
pub mod refusal;
pub mod report;
pub mod size;
pub mod status;
pub mod token;

pub use capability::{Capability, Digest, Grants, Secret, TokenId};
pub use claim::{Claim, ClaimError, MemberKey};
pub use joined::Joined;
pub use membership::{Membership, Present, Published};
pub use moment::Moment;
pub use news::News;
pub use poll::{Scope, Waits};
pub use refusal::Refusal;
pub use report::Report;
pub use size::ClusterSize;
pub use status::Status;
pub use token::{Entry, Registration, Rules, Stage, Token};
