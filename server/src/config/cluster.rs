//! `--initial-cluster`: the members of a cluster that is about to be formed or joined.
//!
//! Invariant: every name has at least one URL, and names and URLs keep a fixed order.
//! Left out: asking other members anything, and judging the data directory.

use std::collections::BTreeMap;
use std::fmt;

use super::urls::AdvertiseUrl;

/// Names of members and the peer URLs of each, as given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InitialCluster(BTreeMap<String, Vec<AdvertiseUrl>>);

impl InitialCluster {
    /// The members in order of their names.
    pub fn members(&self) -> impl Iterator<Item = (&str, &[AdvertiseUrl])> {
        self.0.iter().map(|(name, urls)| (name.as_str(), urls.as_slice()))
    }
}

impl fmt::Display for InitialCluster {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, url)) in self
            .0
            .iter()
            .flat_map(|(name, urls)| urls.iter().map(move |url| (name, url)))
            .enumerate()
        {
            let comma = if position == 0 { "" } else { "," };
            write!(out, "{comma}{name}={url}")?;
        }
        Ok(())
    }
}
