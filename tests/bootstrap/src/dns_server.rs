//! A real DNS server, dnsmasq, answering for `example.test` alone: on a loopback port of its own, or at port 53 of a place
//! in a network of its own.
//!
//! Invariant: it reads nothing of the machine (no hosts file, no resolver configuration) and asks nobody.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use quorate_harness::{Network, Owned, Port, wait_until};
use tempfile::TempDir;

/// It starts in milliseconds; a busy machine takes longer.
const UP_WITHIN: Duration = Duration::from_secs(20);
/// One question; asked again until it is answered.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);
/// Where resolvers that are told an address alone ask.
const DNS_PORT: u16 = 53;

/// See the module.
pub struct DnsServer {
    folder: TempDir,
    address: SocketAddr,
    /// Keeps the port while the server is down.
    _port: Option<Port>,
    /// A program and its arguments that start it; none to start it directly.
    launcher: Vec<String>,
    process: Option<Owned>,
}

/// Whether a test that needs dnsmasq must be left out because it is not installed; says so. Panics in that case when
/// `QUORATE_REQUIRE_INTEROP` is set.
pub fn skip_without_dnsmasq() -> bool {
    if binary().is_some() {
        return false;
    }
    assert!(
        std::env::var_os("QUORATE_REQUIRE_INTEROP").is_none(),
        "QUORATE_REQUIRE_INTEROP is set, but dnsmasq is not installed"
    );
    eprintln!("skipped: dnsmasq is not installed (Debian: dnsmasq-base)");
    true
}

fn binary() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    // A folder of root's, which PATH may lack.
    let candidates = std::env::split_paths(&folders).chain([PathBuf::from("/usr/sbin")]);
    candidates.map(|folder| folder.join("dnsmasq")).find(|candidate| candidate.is_file())
}

impl DnsServer {
    /// Starts it with these lines of its configuration, such as `srv-host=_etcd-server._tcp.example.test,localhost,2380`.
    #[track_caller]
    pub fn start(lines: &[String]) -> Self {
        let port = Port::free().expect("a port");
        Self::prepare(port.address(), Some(port), Vec::new()).started(lines)
    }

    /// Starts it with these lines at the place of a member in `network`, counted from 0, where no member is.
    #[track_caller]
    pub fn start_in(network: &Network, place: usize, lines: &[String]) -> Self {
        let address = SocketAddr::new(network.address(place), DNS_PORT);
        Self::prepare(address, None, network.launcher(place)).started(lines)
    }

    fn prepare(address: SocketAddr, port: Option<Port>, launcher: Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, address, _port: port, launcher, process: None }
    }

    #[track_caller]
    fn started(mut self, lines: &[String]) -> Self {
        self.change(lines);
        self
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets it answer with other records from now on. It is gone for a moment, as servers are.
    #[track_caller]
    pub fn change(&mut self, lines: &[String]) {
        self.stop();
        let conf = self.folder.path().join("dnsmasq.conf");
        let head = format!(
            "no-resolv\nno-hosts\nno-daemon\nport={}\nlisten-address={}\nbind-interfaces\nlocal=/test/\n",
            self.address.port(),
            self.address.ip()
        );
        fs::write(&conf, head + &lines.join("\n") + "\n").expect("a file");
        let log = File::create(self.folder.path().join("log")).expect("a file");
        let binary = binary().expect("dnsmasq is installed");
        let mut command = match self.launcher.split_first() {
            Some((launcher, arguments)) => {
                let mut command = Command::new(launcher);
                command.args(arguments).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command
            .arg(format!("--conf-file={}", conf.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.process = Some(Owned::start(&mut command).expect("dnsmasq starts"));
        wait_until("dnsmasq answers", UP_WITHIN, || {
            self.answers() || {
                let ended = self.process.as_mut().and_then(Owned::ended);
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                assert!(ended.is_none(), "dnsmasq ended: {log}");
                false
            }
        });
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Whether a question for the A record of `test` is answered, with whatever.
    fn answers(&self) -> bool {
        let question =
            *b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04test\x00\x00\x01\x00\x01";
        let asked = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
            socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            socket.send_to(&question, self.address())?;
            socket.recv(&mut [0; 512])
        });
        asked.is_ok_and(|length| length > 0)
    }
}
