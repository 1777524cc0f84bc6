//! What clients send: whole HTTP requests, and the parameters of `/v2/keys` alone.

#[expect(clippy::unwrap_used, reason = "shared with the server's own tests, where it is usual")]
#[path = "../../../../server/tests/api_fake/mod.rs"]
mod api_fake;
pub mod params;
pub mod request;
