//! A process whose disk is slow: each of its calls of `fdatasync` and `fsync` returns late, by `strace`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::member::Member;
use crate::program::{MissingProgram, from_variable_or_path};

/// Slow until dropped.
#[derive(Debug)]
pub struct SlowDisk(Child);

impl SlowDisk {
    /// Lets each sync of `member` take `delay` longer, from very soon on. Panics if the system does not let it be traced.
    pub fn of(member: &Member, delay: Duration) -> Self {
        let strace = strace().unwrap_or_else(|missing| panic!("{missing}"));
        let pid = member.pid().expect("only a running member has a disk").to_string();
        let inject = format!("inject=fdatasync,fsync:delay_exit={}", delay.as_micros());
        let tracer = Command::new(strace)
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", &inject])
            .args(["-p", &pid])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("strace: {error}"));
        Self(tracer)
    }

    /// Whether it still is.
    pub fn is_slow(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // A tracer that is killed lets go of whom it traces.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a test that needs `strace` must be left out because it is not installed; says so. Panics in that case when
/// `QUORATE_REQUIRE_INTEROP` is set.
pub fn skip_without_strace() -> bool {
    let Err(missing) = strace() else { return false };
    assert!(
        std::env::var_os("QUORATE_REQUIRE_INTEROP").is_none(),
        "QUORATE_REQUIRE_INTEROP is set, but {missing}"
    );
    eprintln!("skipped: {missing}");
    true
}

fn strace() -> Result<PathBuf, MissingProgram> {
    from_variable_or_path("STRACE_BIN", "strace", "install it (Debian: strace)")
}
