//! The flags about DNS.

use std::net::{IpAddr, SocketAddr};

use super::{Given, SettingsError};
use crate::dns::Zone;

/// Where DNS is answered, and for what.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// Where questions are taken, over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// The zone.
    pub zone: Zone,
    /// Queries per second and address; 0 is no limit.
    pub queries_per_second: u32,
}

impl Given<'_> {
    pub(super) fn dns(&self) -> Result<Option<DnsSettings>, SettingsError> {
        let queries_per_second = self.small("dns-max-queries-per-second")?;
        let text = self.text("dns-listen");
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let parse = |word: &str| {
            let reason = "give addresses with ports: 192.0.2.10:53 or [2001:db8::10]:53";
            word.parse().map_err(|_| self.wrong("dns-listen", reason.to_owned()))
        };
        let listen: Vec<SocketAddr> = words.map(parse).collect::<Result<_, _>>()?;
        let zone = self.text("dns-zone");
        match (listen.is_empty(), zone.is_empty()) {
            (true, true) => return Ok(None),
            (true, false) => {
                return Err(self.wrong("dns-zone", "it needs --dns-listen as well".to_owned()));
            }
            (false, true) => {
                return Err(self.wrong("dns-listen", "it needs --dns-zone as well".to_owned()));
            }
            (false, false) => {}
        }
        let mut addresses = self.addresses("dns-address")?;
        if addresses.is_empty() {
            let own = listen.iter().map(SocketAddr::ip);
            addresses = own.filter(|address| !address.is_unspecified()).collect();
            // Nobody else reaches this machine by those; alone, they are for trying it out here.
            if !addresses.iter().all(IpAddr::is_loopback) {
                addresses.retain(|address| !address.is_loopback());
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        let zone = Zone::new(&zone, &addresses)
            .map_err(|error| self.wrong("dns-zone", error.to_string()))?;
        Ok(Some(DnsSettings { listen, zone, queries_per_second }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::load_with;

    #[test]
    fn dns_is_off_until_it_is_told_where_and_for_what() {
        assert!(load_with(&[], &[]).unwrap().dns.is_none());
        let dns = load_with(&["--dns-listen=0.0.0.0:53,[::1]:5353", "--dns-zone=q.example"], &[]);
        let dns = dns.unwrap().dns.unwrap();
        assert_eq!(dns.listen.len(), 2);
        // SOA, NS, and the one address that others can use.
        assert_eq!(dns.zone.own().len(), 3);
        let own = |listen: &str, more: &[&str]| {
            let flags = [&[listen, "--dns-zone=q.example"], more].concat();
            let zone = load_with(&flags, &[]).unwrap().dns.unwrap().zone;
            assert_eq!(zone.has_address(), zone.own().len() > 2);
            zone.own().iter().skip(2).map(|it| it.data.to_string()).collect::<Vec<_>>()
        };
        // Nobody outside reaches a loopback address, and each address is told once.
        let listen = "--dns-listen=192.0.2.2:53,127.0.0.1:53,192.0.2.1:53,192.0.2.2:5353";
        assert_eq!(own(listen, &[]), ["192.0.2.1", "192.0.2.2"]);
        assert!(own("--dns-listen=0.0.0.0:53", &[]).is_empty());
        let given = own("--dns-listen=0.0.0.0:53", &["--dns-address=192.0.2.9,192.0.2.9"]);
        assert_eq!(given, ["192.0.2.9"]);
        let cases = [
            (vec!["--dns-listen=127.0.0.1:53"], "--dns-zone"),
            (vec!["--dns-zone=q.example"], "--dns-listen"),
            (vec!["--dns-listen=localhost:53", "--dns-zone=q"], "with ports"),
            (vec!["--dns-listen=127.0.0.1:53", "--dns-zone=a..b"], "give a domain"),
            (vec!["--dns-listen=127.0.0.1:53", "--dns-zone=q", "--dns-address=x"], "IP addresses"),
        ];
        for (flags, expected) in cases {
            let error = load_with(&flags, &[]).unwrap_err();
            assert!(error.contains(expected), "{flags:?}: {error}");
        }
    }
}
