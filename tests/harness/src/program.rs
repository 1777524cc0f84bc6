//! Where the servers under test are found.
//!
//! Never falls back to another program: a test that compares two servers must not silently compare one with itself.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A server the harness can run.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Program {
    /// The reference: etcd 3.4, from `ETCD_BIN` or the `PATH`.
    Etcd,
    /// The server of this workspace, from `QUORATE_SERVER_BIN` or beside the running test.
    Quorate,
    /// The discovery service of this workspace, from `QUORATE_DISCOVERY_BIN` or beside the running test. It is no member of
    /// anything: whoever starts it replaces its flags with [`crate::Member::set_flags`].
    Discovery,
}

/// A binary that is not there, with what to do about it.
#[derive(Clone, Debug, Error)]
#[error("{program} was not found ({looked_at}): {remedy}")]
pub struct MissingProgram {
    program: &'static str,
    looked_at: String,
    remedy: &'static str,
}

impl Program {
    /// The name of the binary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Quorate => "quorate-server",
            Self::Discovery => "quorate-discovery",
        }
    }

    /// The binary's path, or why there is none.
    pub fn binary(self) -> Result<PathBuf, MissingProgram> {
        match self {
            Self::Etcd => from_variable_or_path(
                "ETCD_BIN",
                "etcd",
                "install etcd 3.4 (Debian: etcd-server) or set ETCD_BIN to it",
            ),
            Self::Quorate => match env::var_os("QUORATE_SERVER_BIN") {
                Some(named) => existing(
                    PathBuf::from(named),
                    "quorate-server",
                    "QUORATE_SERVER_BIN names no file",
                ),
                None => existing(
                    beside_the_test("quorate-server"),
                    "quorate-server",
                    "run `cargo build -p quorate-server` first, or set QUORATE_SERVER_BIN to it",
                ),
            },
            Self::Discovery => {
                let named = env::var_os("QUORATE_DISCOVERY_BIN").map(PathBuf::from);
                existing(
                    named.unwrap_or_else(|| beside_the_test("quorate-discovery")),
                    "quorate-discovery",
                    "run `cargo build -p quorate-discovery` first, or set QUORATE_DISCOVERY_BIN to it",
                )
            }
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The v2 command line client of etcd 3.4, from `ETCDCTL_BIN` or the `PATH`.
pub fn etcdctl() -> Result<PathBuf, MissingProgram> {
    from_variable_or_path(
        "ETCDCTL_BIN",
        "etcdctl",
        "install etcdctl 3.4 (Debian: etcd-client) or set ETCDCTL_BIN to it",
    )
}

/// Whether a test that needs etcd 3.4 must be left out because it is not installed; says so. Panics in that case when
/// `QUORATE_REQUIRE_INTEROP` is set, so that a run which is meant to compare cannot pass without comparing.
pub fn skip_without_etcd() -> bool {
    let Err(missing) = Program::Etcd.binary().and_then(|_| etcdctl()) else { return false };
    assert!(
        env::var_os("QUORATE_REQUIRE_INTEROP").is_none(),
        "QUORATE_REQUIRE_INTEROP is set, but {missing}"
    );
    eprintln!("skipped: etcd 3.4 is not installed (Debian: etcd-server)");
    true
}

pub(crate) fn from_variable_or_path(
    variable: &str,
    program: &'static str,
    remedy: &'static str,
) -> Result<PathBuf, MissingProgram> {
    if let Some(named) = env::var_os(variable) {
        return existing(PathBuf::from(named), program, remedy);
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| MissingProgram {
            program,
            looked_at: "the folders of PATH".to_owned(),
            remedy,
        })
}

fn existing(
    path: PathBuf,
    program: &'static str,
    remedy: &'static str,
) -> Result<PathBuf, MissingProgram> {
    if path.is_file() {
        Ok(path)
    } else {
        Err(MissingProgram { program, looked_at: path.display().to_string(), remedy })
    }
}

/// Tests run from `target/<profile>/deps`, binaries are built into `target/<profile>`.
fn beside_the_test(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap_or_default();
    let folder = test.parent().unwrap_or(Path::new("."));
    let profile = if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    profile.join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_says_what_to_do() {
        let missing = existing(PathBuf::from("/nowhere/x"), "x", "build it").unwrap_err();
        assert_eq!(missing.to_string(), "x was not found (/nowhere/x): build it");
    }

    #[test]
    fn the_server_is_looked_for_one_level_above_deps() {
        let path = beside_the_test("quorate-server");
        assert!(!path.parent().unwrap().ends_with("deps"), "{}", path.display());
    }
}
