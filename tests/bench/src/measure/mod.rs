//! The scenarios, and running a list of them against each subject in turn.

mod fanout;
mod load;
mod record;
mod suite;
mod takeover;
mod users;
mod watchers;

pub use fanout::FanoutSpec;
pub use load::{LoadSpec, Spread};
pub use record::{Better, Metric, Record, median};
pub use suite::{Group, Scenario, Suite, Target};
pub use takeover::{Blow, TakeoverSpec};
pub use watchers::work as watch_worker;
