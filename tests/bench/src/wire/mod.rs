//! The bytes on the wire: prebuilt HTTP/1.1 requests and the least parsing that finds the end of an answer.

mod login;
mod request;
mod response;

pub use login::Login;
pub use request::{KEY_DIGITS, Template};
pub use response::{Malformed, ResponseParser};
