//! Members that speak TLS, for tests: real processes, certificates by `openssl`, attempts by `curl` and `openssl s_client`.
//!
//! [`Site`] is a folder with an authority and good certificates; [`Site::cluster`] lays out members that use them;
//! [`Site::serving`] starts one; [`Curl`] tries to get in; [`Attempts`] keeps what was tried and what happened, for `docs/security.md`.

mod attempts;
mod curl;
mod site;

pub use attempts::{Attempts, PAGE};
pub use curl::{Curl, Ran};
pub use site::{SOON, Secured, Site, counted, metric, reloads, replace, set_flags, wait_reload};
