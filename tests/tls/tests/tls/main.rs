//! TLS as clients and members meet it: who is let in and who isn't, what is spoken, and certificates that change.

mod attempts;
mod forming;
mod moving;
mod protocols;
mod rotation;
mod service;
mod starting;
mod users;
mod withdrawn;

use quorate_harness::skip_without_openssl;
