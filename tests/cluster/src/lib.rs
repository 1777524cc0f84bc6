//! What the cluster tests share: load, and the checks of what a cluster promised.
//!
//! - [`Load`]: clients that write through all members and keep account of every answer.
//! - [`Account`]: what was acknowledged, checked against what the members hold.
//! - [`agreed_store`]: waits until all members hold the same store.
//! - [`Follower`]: a watcher that moves between members and must miss nothing.
//! - [`Register`]: a number that only rises, and readers that check it.
//! - [`roster`]: the membership API.
//! - [`turn`]: keeps tests that measure time apart from the others.
//!
//! Invariant: nothing here knows the server's insides; all of it goes over the sockets a client has.

mod account;
mod follower;
mod load;
mod register;
pub mod roster;
mod store;
pub mod turn;

pub use account::{Account, Ack};
pub use follower::{Follower, Manner};
pub use load::{Load, Retry};
pub use register::Register;
pub use store::{Store, agreed_store, store_of};
