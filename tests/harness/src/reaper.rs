//! The promise that no started process outlives the test run, even one that is killed outright.
//!
//! A shell waits at the other end of a pipe. It is told of each process that starts and of each that was reaped; when
//! the pipe closes, for whatever reason, it kills those that are left and ends.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

const SCRIPT: &str = r#"
trap '' INT TERM HUP
alive=' '
while read -r change id; do
  case $change in
    +) alive="$alive$id " ;;
    -) alive="${alive%% $id *} ${alive#* $id }" ;;
  esac
done
for id in $alive; do kill -9 "$id" 2>/dev/null; done
"#;

static REAPER: OnceLock<Option<Mutex<Reaper>>> = OnceLock::new();

struct Reaper {
    orders: ChildStdin,
    _shell: Child,
}

/// Tells the reaper of a process that was just started.
pub(crate) fn started(id: u32) {
    tell('+', id);
}

/// Tells the reaper that a process has been waited for, so that its id may belong to a stranger from now on.
pub(crate) fn reaped(id: u32) {
    tell('-', id);
}

fn tell(change: char, id: u32) {
    if let Some(reaper) = REAPER.get_or_init(|| start().map(Mutex::new)) {
        let mut reaper = reaper.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a reaper the drop guards still end every process of a test that ends by itself.
        let _ = writeln!(reaper.orders, "{change} {id}");
    }
}

fn start() -> Option<Reaper> {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let orders = shell.stdin.take()?;
    Some(Reaper { orders, _shell: shell })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wait_until;

    #[test]
    fn kills_what_is_left_and_spares_what_was_reaped() {
        let mut reaper = start().expect("a shell starts");
        let sleeper = || Command::new("sleep").arg("60").spawn().unwrap();
        let (mut left, mut spared, mut last) = (sleeper(), sleeper(), sleeper());
        writeln!(
            reaper.orders,
            "+ {}\n+ {}\n+ {}\n- {}",
            left.id(),
            spared.id(),
            last.id(),
            spared.id()
        )
        .unwrap();
        drop(reaper.orders);
        wait_until("the two left are dead", Duration::from_secs(10), || {
            left.try_wait().unwrap().is_some() && last.try_wait().unwrap().is_some()
        });
        assert!(spared.try_wait().unwrap().is_none());
        spared.kill().unwrap();
        spared.wait().unwrap();
    }
}
