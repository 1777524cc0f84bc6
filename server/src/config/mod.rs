//! The configuration of a member: flags, environment and file made one typed value.
//!
//! ```text
//! argv ------+
//! environment +--> settings (text, origin) --> build (+ advertise) --> model::Config
//! file ------+          |
//!                       +--> report (--print-config)      flags: the table all of them are driven by
//! ```
//!
//! Invariant: the command line wins over the environment, `QUORATE_` over `ETCD_`, the environment over the file,
//! the file over defaults; nothing is dropped without a word. Nothing here touches the data directory or a socket.

mod advertise;
mod argv;
mod build;
pub mod cluster;
pub mod discovery;
mod environment;
mod error;
mod file;
pub mod flags;
pub mod manual;
pub mod model;
mod nearest;
mod report;
mod settings;
pub mod tls;
pub mod urls;
pub mod value;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

pub use argv::PROGRAM;
pub use cluster::{ClusterError, InitialCluster, resolve_in};
pub use discovery::{Discovery, DiscoveryToken, DiscoveryUrl, Fallback, MemberSource, SrvNames};
pub use error::ConfigError;
pub use model::{Allowed, Config, InitialClusterState, Retention};
pub use settings::{Origin, Settings};
pub use tls::{TlsConfig, TlsConfigError};
pub use urls::{AdvertiseUrl, BindTarget, ListenUrl, Scheme, UrlError};

use argv::CommandLine;
use settings::Given;

/// The version of etcd whose API this server speaks, for scripts that ask.
pub const ETCD_VERSION: &str = "3.4.23";

/// Columns of the help when nobody says otherwise: what reads well and fits two windows side by side.
const HELP_WIDTH: usize = 100;

/// Finds this machine's address on its default route; `None` if it has no such route.
pub type DefaultRoute<'a> = &'a dyn Fn() -> Option<IpAddr>;

/// Everything the configuration is made from.
pub struct Process<'a> {
    /// The arguments, without the program's name.
    pub args: Vec<OsString>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// How the machine's address is found when it is needed.
    pub default_route: DefaultRoute<'a>,
}

impl Process<'static> {
    /// This process.
    pub fn current() -> Self {
        Self {
            args: std::env::args_os().skip(1).collect(),
            environment: std::env::vars_os().collect(),
            default_route: &default_route_by_system,
        }
    }
}

/// What the process is asked to do.
#[derive(Debug)]
pub enum Request {
    /// To run with this configuration.
    Run(Box<Loaded>),
    /// To print this text on standard output and these warnings on standard error, and end with 0.
    Print {
        /// What was asked for, ending with a line break.
        text: String,
        /// What should be known besides, one line each.
        warnings: Vec<String>,
    },
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Each value as text, where it came from, and the warnings to be logged once the log is there.
    pub settings: Settings,
}

/// Reads the configuration. Touches nothing but the file it names.
pub fn load(process: &Process<'_>) -> Result<Request, ConfigError> {
    let flags = match argv::read(&process.args, HELP_WIDTH)? {
        CommandLine::Help(text) => return Ok(Request::Print { text, warnings: Vec::new() }),
        CommandLine::Flags(flags) => flags,
    };
    let (actions, flags): (Vec<Given>, Vec<Given>) =
        flags.into_iter().partition(|given| given.flag.meaning == flags::Meaning::Action);
    let actions = Settings::merge(vec![actions])?;
    let asked = |action: &str| value::boolean(actions.text(action)) == Some(true);
    if asked("version") {
        return Ok(Request::Print { text: version(), warnings: Vec::new() });
    }
    let loaded = load_layers(process, flags)?;
    if asked("print-config") {
        let text = report::render(&loaded.settings);
        return Ok(Request::Print { text, warnings: loaded.settings.warnings().to_vec() });
    }
    Ok(Request::Run(Box::new(loaded)))
}

/// What `--version` prints: our name and version, then the line that scripts written for etcd look for.
pub fn version() -> String {
    format!("{PROGRAM} {}\netcd Version: {ETCD_VERSION}\n", env!("CARGO_PKG_VERSION"))
}

fn load_layers(process: &Process<'_>, flags: Vec<Given>) -> Result<Loaded, ConfigError> {
    let (variables, warnings) = environment::read(&process.environment)?;
    let mut layers = vec![flags];
    layers.extend(variables);
    let file = layers
        .iter()
        .flatten()
        .find(|given| given.flag.name == "config-file" && !given.text.is_empty());
    if let Some(named) = file {
        let lines = file::read(Path::new(&named.text), named.origin.clone())?;
        layers.push(lines);
    }
    let mut settings = Settings::merge(layers)?;
    for warning in warnings {
        settings.warn(warning);
    }
    let config = build::config(&mut settings, process.default_route)?;
    Ok(Loaded { config, settings })
}

/// The source address the system would choose for a distant destination. Connecting a UDP socket only looks up the
/// route: no packet is sent. The destination is an address reserved for documentation, so a nearer route is unlikely.
fn default_route_by_system() -> Option<IpAddr> {
    const DISTANT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(DISTANT).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}
