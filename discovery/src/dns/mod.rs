//! Answers DNS for the clusters of sealed tokens: SRV, A and AAAA, on a port of its own, read-only.
//!
//! | module | owns |
//! |---|---|
//! | [`zone`] | the zone: its own records, and which name belongs to which cluster |
//! | [`records`] | pure: the records of one cluster |
//! | [`answer`] | pure: from a message and what is known of the cluster to the answer |
//! | [`cache`], [`desk`] | reads clusters from the store, and goes on with what it last read when that fails |
//! | [`server`] | sockets |
//!
//! Invariant: a question creates nothing, and only names of sealed tokens, by their public IDs, have answers. Nothing here is recursive.

pub mod answer;
pub mod cache;
pub mod desk;
pub mod records;
pub mod server;
pub mod zone;

pub use answer::{Known, Reply, Transport};
pub use zone::{Zone, ZoneError};
