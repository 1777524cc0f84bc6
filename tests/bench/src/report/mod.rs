//! What people and programs get to see: a text table, the same as Markdown, and JSON of every record.

mod json;
mod machine;
mod table;

pub use json::to_json;
pub use machine::Machine;
pub use table::Table;
