//! BIND's `dig`: asks the service's DNS as any resolver would.

use std::net::SocketAddr;
use std::process::Command;

/// Whether a test that needs dig must be left out because it is not installed; says so. Panics in that case when
/// `QUORATE_REQUIRE_INTEROP` is set.
#[must_use]
pub fn skip_without_dig() -> bool {
    skip_without("dig", "-v", "bind9-dnsutils")
}

/// The same for any program: `version` is an argument with which it ends at once.
#[must_use]
pub fn skip_without(program: &str, version: &str, package: &str) -> bool {
    if Command::new(program).arg(version).output().is_ok() {
        return false;
    }
    let is_required = std::env::var_os("QUORATE_REQUIRE_INTEROP").is_some();
    assert!(!is_required, "QUORATE_REQUIRE_INTEROP is set, but {program} is not installed");
    eprintln!("skipped: {program} is not installed (Debian: {package})");
    true
}

/// What dig prints for these words: names, types and its options.
#[track_caller]
#[must_use]
pub fn dig(server: SocketAddr, words: &[&str]) -> String {
    let output = Command::new("dig")
        .args([&format!("@{}", server.ip()), "-p", &server.port().to_string()])
        // A busy machine is slow.
        .args(["+time=5", "+tries=4"])
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("dig starts: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The data of the answer, one record a line, sorted: their order says nothing.
#[track_caller]
#[must_use]
pub fn dig_short(server: SocketAddr, name: &str, kind: &str) -> Vec<String> {
    let text = dig(server, &["+short", name, kind]);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The status of the answer, as dig calls it.
#[track_caller]
#[must_use]
pub fn dig_status(server: SocketAddr, words: &[&str]) -> String {
    let text = dig(server, words);
    let status = text.split("status: ").nth(1).and_then(|rest| rest.split(',').next());
    status.unwrap_or(&text).to_owned()
}
