//! A network of one's own: each member in a network namespace, joined by a bridge, and rules that lose what they shall.
//!
//! Clients (the test) reach every member all the time; only what members say to each other is cut or lost. Needs root, `ip`,
//! `nft` and a kernel that allows it, else [`Network::new`] says why there is none. Left out: delays, which need `tc netem`.
//!
//! Invariant: what is made is removed again on drop, or by the next network if the test was killed.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::NamedTempFile;

/// Names begin so, then comes the id of the process they belong to.
const PREFIX: &str = "quorate-";
/// The first half of the addresses: a range that is set aside for tests of networks (RFC 2544).
const RANGE: [u8; 2] = [198, 18];
/// The last number of the test's own address.
const HUB: u8 = 254;
/// Ports of every member: each has an address of its own.
pub(crate) const CLIENT_PORT: u16 = 2379;
/// See [`CLIENT_PORT`].
pub(crate) const PEER_PORT: u16 = 2380;

static NETWORKS: AtomicU8 = AtomicU8::new(0);

/// See the module.
#[derive(Debug)]
pub struct Network {
    /// What names in this network begin with.
    name: String,
    /// The third number of the addresses.
    number: u8,
    members: usize,
    /// What the members' programs find as `/etc/resolv.conf`, if not this machine's.
    resolver: Option<NamedTempFile>,
}

impl Network {
    /// Makes a network with room for `members` members.
    ///
    /// # Errors
    /// Why there can be none here, in words.
    pub fn new(members: usize) -> Result<Self, String> {
        remove_orphans();
        let count = NETWORKS.fetch_add(1, Ordering::Relaxed);
        // Two test programs side by side must not take the same addresses; a clash is an error, not a mix-up.
        let number = (process::id() as u8).wrapping_add(count.wrapping_mul(67));
        let name = format!("{PREFIX}{}-{count}", process::id());
        let network = Self { name, number, members, resolver: None };
        let (hub, bridge) = (network.hub(), network.link("b"));
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "add", &bridge, "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", &bridge, "up"])?;
        let (outer, inner) = (network.link("o"), network.link("i"));
        ip(&["link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &hub])?;
        ip(&["-n", &hub, "link", "set", &inner, "master", &bridge, "up"])?;
        ip(&["address", "add", &format!("{}/24", network.address_of(HUB)), "dev", &outer])?;
        ip(&["link", "set", &outer, "up"])?;
        for member in 1..=members {
            network.add(member)?;
        }
        Ok(network)
    }

    /// Cuts `from` off `to`: nothing that `from` sends arrives there. The other way stays open.
    #[track_caller]
    pub fn cut(&self, from: &[usize], to: &[usize]) {
        self.drop_packets(from, to, "drop");
    }

    /// Cuts two sides off each other.
    #[track_caller]
    pub fn part(&self, one: &[usize], other: &[usize]) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Loses `percent` of the packets between all members.
    #[track_caller]
    pub fn lose(&self, percent: u8) {
        let all: Vec<usize> = (0..self.members).collect();
        self.drop_packets(&all, &all, &format!("numgen random mod 100 < {percent} drop"));
    }

    /// Takes back all that was cut and lost.
    #[track_caller]
    pub fn heal(&self) {
        for member in 1..=self.members {
            self.rules(member, "flush chain inet quorate input\n");
        }
    }

    /// Lets the programs of all members, whatever they are written in, ask the name server at the place of member `server`,
    /// counted from 0. For clusters that are laid out afterwards. No file of this machine is touched.
    ///
    /// # Errors
    /// Why that is not possible here, in words.
    pub fn resolve_at(&mut self, server: usize) -> Result<(), String> {
        let written = NamedTempFile::new().and_then(|mut file| {
            writeln!(file, "nameserver {}", self.address(server))?;
            Ok(file)
        });
        self.resolver = Some(written.map_err(|error| format!("a resolver's file: {error}"))?);
        let launcher = self.launcher(server);
        let (program, arguments) = launcher.split_first().ok_or("there is no launcher")?;
        run(Command::new(program).args(arguments).arg("true"), "")
    }

    /// How a program is started at the place of a member, counted from 0: a program and its arguments, to which the
    /// program's own are added, and which becomes it.
    pub fn launcher(&self, member: usize) -> Vec<String> {
        let place = format!("--net=/run/netns/{}", self.place(member + 1));
        let mut launcher = vec!["nsenter".to_owned(), place, "--".to_owned()];
        if let Some(resolver) = &self.resolver {
            // In a view of the files that nobody else has, and that ends with the program.
            let script = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;
            launcher.extend(["unshare", "--mount", "--", "sh", "-c", script].map(str::to_owned));
            launcher.push(resolver.path().display().to_string());
        }
        launcher
    }

    /// The address of a member, counted from 0.
    pub fn address(&self, member: usize) -> IpAddr {
        self.address_of(member as u8 + 1)
    }

    fn add(&self, member: usize) -> Result<(), String> {
        let (place, hub) = (self.place(member), self.hub());
        let (near, far) = (self.link(&format!("n{member}")), self.link(&format!("f{member}")));
        ip(&["netns", "add", &place])?;
        ip(&[
            "-n", &hub, "link", "add", &far, "type", "veth", "peer", "name", &near, "netns", &place,
        ])?;
        ip(&["-n", &hub, "link", "set", &far, "master", &self.link("b"), "up"])?;
        let address = format!("{}/24", self.address_of(member as u8));
        ip(&["-n", &place, "address", "add", &address, "dev", &near])?;
        ip(&["-n", &place, "link", "set", &near, "up"])?;
        ip(&["-n", &place, "link", "set", "lo", "up"])?;
        let table = "add table inet quorate\n\
             add chain inet quorate input { type filter hook input priority 0; policy accept; }\n";
        nft(&place, table)
    }

    #[track_caller]
    fn drop_packets(&self, from: &[usize], to: &[usize], how: &str) {
        for receiver in to {
            let rules: String = (from.iter().filter(|sender| *sender != receiver))
                .map(|sender| {
                    format!(
                        "add rule inet quorate input ip saddr {} {how}\n",
                        self.address(*sender)
                    )
                })
                .collect();
            self.rules(receiver + 1, &rules);
        }
    }

    #[track_caller]
    fn rules(&self, member: usize, rules: &str) {
        nft(&self.place(member), rules).unwrap_or_else(|error| panic!("{error}"));
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn place(&self, member: usize) -> String {
        format!("{}-m{member}", self.name)
    }

    /// The name of a link; the kernel allows 15 bytes.
    fn link(&self, suffix: &str) -> String {
        format!("q{:x}.{suffix}", u32::from(self.number) | process::id() << 8)
    }

    fn address_of(&self, last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(RANGE[0], RANGE[1], self.number, last))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for place in (1..=self.members).map(|member| self.place(member)).chain([self.hub()]) {
            // It may have got no further than that.
            let _ = ip(&["netns", "delete", &place]);
        }
    }
}

/// Removes what killed tests have left behind. Their links go with their namespaces.
fn remove_orphans() {
    let Ok(places) = fs::read_dir("/run/netns") else { return };
    for name in places.flatten().filter_map(|place| place.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = ip(&["netns", "delete", &name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    run(Command::new("ip").args(arguments), "")
}

fn nft(place: &str, rules: &str) -> Result<(), String> {
    run(Command::new("ip").args(["netns", "exec", place, "nft", "-f", "-"]), rules)
}

fn run(command: &mut Command, input: &str) -> Result<(), String> {
    let shown = format!("{command:?}");
    let failed = |error: &dyn std::fmt::Display| format!("{shown} failed: {error}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(|error| failed(&error))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(&String::from_utf8_lossy(&output.stderr).trim()))
}
