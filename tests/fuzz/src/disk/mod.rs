//! What is on the disk: the log, snapshot files, the data directory's identity.

pub mod data_dir;
pub mod log_damage;
pub mod log_records;
pub mod scratch;
pub mod snapshot_file;
