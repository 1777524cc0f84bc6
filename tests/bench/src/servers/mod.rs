//! The servers under measurement: launching three of a kind, finding their leader, and what the kernel says of them.
//!
//! Leaves out everything a test harness does (faults, networks): only start, kill, restart.

mod cluster;
mod member;
mod processes;
mod subject;

pub use cluster::{Cluster, Formation, leader_of};
pub use member::Member;
pub use processes::{Processes, raise_file_limit};
pub use subject::{DataRoot, Subject, Timing};
