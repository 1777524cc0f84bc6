//! `--initial-cluster`: the members of a cluster that is about to be formed or joined, and whether this member is
//! described in it as it describes itself.
//!
//! Invariant: every name has at least one URL, and names and URLs keep a fixed order.
//! The checks are for a first start only: a member that has data ignores the initial flags, as in etcd.
//! Left out: asking other members anything, and judging the data directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

use quorate_transport::dns::{self, Dns};

use super::model::Config;
use super::urls::{self, AdvertiseUrl, UrlError};
use super::value;

/// Names of members and the peer URLs of each, as given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InitialCluster(BTreeMap<String, Vec<AdvertiseUrl>>);

/// Why an initial cluster cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClusterError {
    /// An item is not `name=url`.
    #[error("{0:?} is not of the form NAME=PEER-URL")]
    Form(String),
    /// A name without URL.
    #[error("empty URL given for {0:?}; write its peer URL after =")]
    EmptyUrl(String),
    /// A URL that cannot be used.
    #[error("member {name:?}: {cause}")]
    Url {
        /// The member.
        name: String,
        /// Why.
        cause: UrlError,
    },
    /// This member is not in the list.
    #[error(
        "couldn't find local name {name:?} in the initial cluster configuration; \
         add {name}={urls} to --initial-cluster, or set --name to one of the names there: {listed}"
    )]
    LocalNameMissing {
        /// The name of this member.
        name: String,
        /// Its peer URLs.
        urls: String,
        /// The names in the list.
        listed: String,
    },
    /// Two members, or one twice, have the same URL.
    #[error(
        "initial cluster {cluster} has duplicate url {url}; give each member URLs of its own, each once"
    )]
    DuplicateUrl {
        /// The whole list.
        cluster: String,
        /// The URL.
        url: String,
    },
    /// The list has a URL of this member that the member does not advertise.
    #[error(
        "--initial-cluster has {name}={url} but missing from --initial-advertise-peer-urls={advertised}; \
         give both flags the same URLs for this member"
    )]
    NotAdvertised {
        /// The name of this member.
        name: String,
        /// The URL.
        url: String,
        /// What the member advertises.
        advertised: String,
    },
    /// The member advertises a URL that the list does not have.
    #[error(
        "--initial-advertise-peer-urls has {url} but missing from --initial-cluster={cluster}; \
         give both flags the same URLs for this member"
    )]
    NotListed {
        /// The URL.
        url: String,
        /// The whole list.
        cluster: String,
    },
}

/// How the addresses of a URL are found, so that two spellings of one address can be told to be one.
pub type Resolver<'a> = dyn Fn(&AdvertiseUrl) -> Vec<SocketAddr> + 'a;

/// Looks the addresses of a URL up, blocking; none when there is no answer.
pub fn resolve_in(dns: &Dns, url: &AdvertiseUrl) -> Vec<SocketAddr> {
    match (url.host(), url.port()) {
        (Some(host), Some(port)) => dns::addresses_blocking(dns, host, port),
        _ => Vec::new(),
    }
}

impl InitialCluster {
    /// Reads `name=url` items separated by commas. The same name may appear several times. Spaces and line breaks
    /// around items are ignored.
    pub fn parse(text: &str) -> Result<Self, ClusterError> {
        let mut members: BTreeMap<String, Vec<AdvertiseUrl>> = BTreeMap::new();
        for item in value::items(text) {
            let (name, url) =
                item.split_once('=').ok_or_else(|| ClusterError::Form(item.to_owned()))?;
            if name.is_empty() {
                return Err(ClusterError::Form(item.to_owned()));
            }
            if url.is_empty() {
                return Err(ClusterError::EmptyUrl(name.to_owned()));
            }
            let url = AdvertiseUrl::parse(url)
                .map_err(|cause| ClusterError::Url { name: name.to_owned(), cause })?;
            members.entry(name.to_owned()).or_default().push(url);
        }
        Ok(Self(members))
    }

    /// A cluster of one member.
    pub fn of_one(name: &str, urls: &[AdvertiseUrl]) -> Self {
        Self(BTreeMap::from([(name.to_owned(), urls.to_vec())]))
    }

    /// The members in order of their names.
    pub fn members(&self) -> impl Iterator<Item = (&str, &[AdvertiseUrl])> {
        self.0.iter().map(|(name, urls)| (name.as_str(), urls.as_slice()))
    }

    /// The URLs of one member; `None` if it is not listed.
    pub fn urls_of(&self, name: &str) -> Option<&[AdvertiseUrl]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// How many members are listed.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no member is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    fn duplicate(&self) -> Option<&AdvertiseUrl> {
        let mut seen = BTreeSet::new();
        self.0.values().flatten().find(|url| !seen.insert(*url))
    }
}

impl Config {
    /// Checks what must hold before this member forms a new cluster: it is listed, no URL appears twice, and the
    /// URLs listed for it are those it advertises, by text or else by address.
    pub fn verify_forming(&self, resolve: &Resolver<'_>) -> Result<(), ClusterError> {
        let listed = self.verify_joining()?;
        let advertised = &self.initial_advertise_peer_urls;
        if let Some(url) = listed.iter().find(|url| !contains(advertised, url, resolve)) {
            return Err(ClusterError::NotAdvertised {
                name: self.name.clone(),
                url: url.to_string(),
                advertised: urls::join(advertised),
            });
        }
        match advertised.iter().find(|url| !contains(listed, url, resolve)) {
            Some(url) => Err(ClusterError::NotListed {
                url: url.to_string(),
                cluster: self.initial_cluster.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Checks what must hold before this member joins a cluster that exists, and gives the URLs it is listed with:
    /// it is listed, and no URL appears twice. What it advertises is judged by the cluster.
    pub fn verify_joining(&self) -> Result<&[AdvertiseUrl], ClusterError> {
        if let Some(url) = self.initial_cluster.duplicate() {
            let cluster = self.initial_cluster.to_string();
            return Err(ClusterError::DuplicateUrl { cluster, url: url.to_string() });
        }
        self.initial_cluster.urls_of(&self.name).ok_or_else(|| ClusterError::LocalNameMissing {
            name: self.name.clone(),
            urls: urls::join(&self.initial_advertise_peer_urls),
            listed: self.initial_cluster.names(),
        })
    }
}

impl fmt::Display for InitialCluster {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.0.iter().flat_map(|(name, urls)| urls.iter().map(move |url| (name, url)));
        for (position, (name, url)) in pairs.enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(out, "{comma}{name}={url}")?;
        }
        Ok(())
    }
}

fn contains(among: &[AdvertiseUrl], wanted: &AdvertiseUrl, resolve: &Resolver<'_>) -> bool {
    among.contains(wanted) || {
        let addresses = resolve(wanted);
        among
            .iter()
            .filter(|url| url.scheme() == wanted.scheme())
            .any(|url| resolve(url).iter().any(|address| addresses.contains(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_list_several_urls_and_order_is_fixed() {
        let cluster = InitialCluster::parse("b=http://b:1, a=http://a:2,\n a=http://a:1,")
            .expect("a good list");
        assert_eq!(cluster.to_string(), "a=http://a:2,a=http://a:1,b=http://b:1");
        assert_eq!(cluster.len(), 2);
    }

    #[test]
    fn items_that_are_not_members_are_refused() {
        let cases = [
            ("a", "\"a\" is not of the form NAME=PEER-URL"),
            ("=http://a:1", "\"=http://a:1\" is not of the form NAME=PEER-URL"),
            ("a=", "empty URL given for \"a\""),
            ("a=a:1", "member \"a\": URL scheme must be http, https or unix: a:1"),
        ];
        for (text, message) in cases {
            let error = InitialCluster::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
