//! Everything a member keeps on disk.
//!
//! - [`data_dir`]: the directory itself: lock, identity, layout.
//! - [`record`]: what the raft log's records mean, as prost messages with fixed tags.
//! - [`log`]: the segmented write-ahead log that holds those records.
//! - [`snapshot`]: snapshot files.
//! - [`disk`]: the few file operations whose failure tests must be able to script.
//!
//! Invariants: what was acknowledged is on the device; nothing damaged is ever served; a failed
//! fsync stops the process; a full disk does not. This folder knows nothing of the raft library,
//! of the network or of what a proposal means.

pub mod data_dir;
pub mod disk;
pub mod log;
pub mod record;
pub mod snapshot;
