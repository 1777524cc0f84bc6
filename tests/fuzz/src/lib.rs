//! The functions that fuzzing calls with arbitrary bytes, one for each decoder of bytes from outside.
//!
//! Each of them panics when a promise is broken and returns otherwise. They live here, apart from the fuzzer, so that
//! `tests/fuzz/tests/replay.rs` can call them with the recorded inputs on any toolchain. How to fuzz: `docs/fuzzing.md`.
//!
//! | module | feeds |
//! |---|---|
//! | [`client`] | the client API: whole requests, parameters alone |
//! | [`peer`] | the peer link: handshake, frames, messages; the announcement of starting members |
//! | [`state`] | batches, the machine, its snapshots |
//! | [`disk`] | the data directory: log, snapshot files, identity |
//! | [`configuration`] | the configuration file and the command line |
//! | [`names`] | the DNS of the discovery service |
//! | [`choices`] | bytes read as decisions |

pub mod choices;
pub mod client;
pub mod configuration;
pub mod disk;
pub mod names;
pub mod peer;
pub mod state;

/// A function for fuzzing.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also that of the folder with its recorded inputs.
    pub name: &'static str,
    /// Tries one input.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 16] = [
    Target { name: "announcement", run: peer::announcement::run },
    Target { name: "batch", run: state::batch::run },
    Target { name: "client_params", run: client::params::run },
    Target { name: "client_request", run: client::request::run },
    Target { name: "config_argv", run: configuration::argv },
    Target { name: "config_file", run: configuration::file },
    Target { name: "data_dir", run: disk::data_dir::run },
    Target { name: "dns_message", run: names::run },
    Target { name: "log_damage", run: disk::log_damage::run },
    Target { name: "log_records", run: disk::log_records::run },
    Target { name: "machine", run: state::machine::run },
    Target { name: "peer_frames", run: peer::frames::run },
    Target { name: "peer_handshake", run: peer::handshake::run },
    Target { name: "peer_messages", run: peer::messages::run },
    Target { name: "snapshot_file", run: disk::snapshot_file::run },
    Target { name: "snapshot_restore", run: state::snapshot_restore::run },
];

/// Runs the target called `name`.
///
/// # Panics
/// When there is none, or when the target does.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("the fuzz binaries name listed targets").run)(input);
}
