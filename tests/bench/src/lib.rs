//! Quorate's load generator: measures any server that speaks the v2 HTTP API, or two of them side by side.
//!
//! The map: `commands` is the command line; it builds a list of `measure` scenarios and has `measure::suite` run
//! them against servers that `servers` launches (or that were given). `drive` is the load engine, `wire` the bytes it
//! sends and reads, `clock` its time. `report` turns the records into a table, Markdown and JSON.
//!
//! The generator shares the machine with the servers it measures, so the engine is one thread, allocates nothing per
//! request and reads of an answer only what says where it ends.

pub mod clock;
pub mod commands;
pub mod control;
pub mod drive;
pub mod interrupt;
pub mod measure;
pub mod report;
pub mod responder;
pub mod servers;
pub mod wire;
