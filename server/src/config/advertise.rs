//! What a member tells others to dial, when that is not said: etcd's rules, and warnings where they lead astray.
//!
//! Invariant: a URL given is taken as it is. Only a default is ever replaced, and only when every address of the
//! machine is listened on, so that the address on its default route is one of them.

use std::net::IpAddr;

use super::build::{given_explicitly, url_error};
use super::error::ConfigError;
use super::settings::Settings;
use super::urls::{self, AdvertiseUrl, ListenUrl, Scheme};
use super::{DefaultRoute, flags, value};

const ROUTE: &str = "from the default route";

/// The peer URLs to advertise.
pub(super) fn peer(
    settings: &mut Settings,
    listeners: &[ListenUrl],
    default_route: DefaultRoute<'_>,
) -> Result<Vec<AdvertiseUrl>, ConfigError> {
    let flag = "initial-advertise-peer-urls";
    let urls = advertised(settings, flag, "listen-peer-urls", listeners, default_route)?;
    for url in &urls {
        judge_peer_url(flag, url)?;
    }
    Ok(urls)
}

/// The client URLs to advertise. An https:// one is taken: something in front of the member may speak TLS.
pub(super) fn client(
    settings: &mut Settings,
    listeners: &[ListenUrl],
    default_route: DefaultRoute<'_>,
) -> Result<Vec<AdvertiseUrl>, ConfigError> {
    let (flag, listen_flag) = ("advertise-client-urls", "listen-client-urls");
    // As in etcd, a file may give the one without the other.
    if given_explicitly(settings, listen_flag) && settings.given(flag).is_none() {
        let example = listeners.iter().map(example).collect::<Vec<_>>().join(",");
        return Err(ConfigError::AdvertiseClientUrls { example });
    }
    advertised(settings, flag, listen_flag, listeners, default_route)
}

/// Members dial each other over TCP.
pub(super) fn judge_peer_url(flag: &'static str, url: &AdvertiseUrl) -> Result<(), ConfigError> {
    match url.scheme() {
        Scheme::Http | Scheme::Https => Ok(()),
        Scheme::Unix => Err(ConfigError::UnixPeerUrl { flag, url: url.to_string() }),
    }
}

fn advertised(
    settings: &mut Settings,
    flag: &'static str,
    listen_flag: &'static str,
    listeners: &[ListenUrl],
    default_route: DefaultRoute<'_>,
) -> Result<Vec<AdvertiseUrl>, ConfigError> {
    let is_default = flags::find(flag).is_some_and(|known| settings.text(flag) == known.default);
    let mut advertised = parse(settings, flag)?;
    if !is_default {
        warn_of_wildcards(settings, flag, &advertised);
        return Ok(advertised);
    }
    let wildcard_port = listeners
        .iter()
        .find(|url| url.is_wildcard())
        .and_then(ListenUrl::port)
        .filter(|port| *port != 0);
    let reachable = wildcard_port.zip(default_route());
    match (reachable, advertised.first_mut()) {
        (Some((port, ip)), Some(url)) => {
            *url = url.with_host(ip).with_port(port);
            settings.derive(flag, urls::join(&advertised), ROUTE);
        }
        _ => warn_of_mismatch(settings, flag, listen_flag, listeners, &advertised),
    }
    Ok(advertised)
}

fn parse(settings: &Settings, flag: &'static str) -> Result<Vec<AdvertiseUrl>, ConfigError> {
    let mut advertised = Vec::new();
    for text in value::items(settings.text(flag)) {
        let url = AdvertiseUrl::parse(text).map_err(|cause| url_error(settings, flag, cause))?;
        if !advertised.contains(&url) {
            advertised.push(url);
        }
    }
    Ok(advertised)
}

fn warn_of_wildcards(settings: &mut Settings, flag: &str, advertised: &[AdvertiseUrl]) {
    let is_wildcard = |url: &&AdvertiseUrl| {
        url.host().and_then(|host| host.parse().ok()).is_some_and(|ip: IpAddr| ip.is_unspecified())
    };
    if let Some(url) = advertised.iter().find(is_wildcard) {
        settings.warn(format!(
            "--{flag} advertises {url}, which no other machine can reach; advertise an address of this machine"
        ));
    }
}

fn warn_of_mismatch(
    settings: &mut Settings,
    flag: &str,
    listen_flag: &str,
    listeners: &[ListenUrl],
    advertised: &[AdvertiseUrl],
) {
    let serves = |url: &AdvertiseUrl, listener: &ListenUrl| {
        let hosts_meet = listener.is_wildcard()
            || matches!(listener.host(), Some("localhost" | "127.0.0.1" | "::1"));
        hosts_meet && listener.port() == url.port()
    };
    if let Some(url) =
        advertised.iter().find(|url| !listeners.iter().any(|listener| serves(url, listener)))
    {
        settings.warn(format!(
            "--{flag} is not given and advertises {url}, but --{listen_flag} listens on {}; set --{flag} to where \
             others can reach this member",
            urls::join(listeners)
        ));
    }
}

fn example(listener: &ListenUrl) -> String {
    match (listener.host(), listener.port()) {
        (Some(_), Some(port)) if listener.is_wildcard() => {
            format!("{}://ADDRESS:{port}", listener.scheme().as_str())
        }
        _ => listener.to_string(),
    }
}
