//! The command line that starts a member. The same for both programs: that is part of what is tested.

use std::path::Path;

use crate::ports::Port;

/// What a member needs to know besides its own flags.
pub(crate) struct Launch<'a> {
    pub(crate) name: &'a str,
    pub(crate) data_dir: &'a Path,
    pub(crate) client: &'a Port,
    pub(crate) peer: &'a Port,
    pub(crate) initial_cluster: &'a str,
    pub(crate) state: &'a str,
    pub(crate) token: &'a str,
}

impl Launch<'_> {
    pub(crate) fn flags(&self) -> Vec<String> {
        let pairs: [(&str, String); 10] = [
            ("name", self.name.to_owned()),
            ("data-dir", self.data_dir.display().to_string()),
            ("listen-client-urls", self.client.url()),
            ("advertise-client-urls", self.client.url()),
            ("listen-peer-urls", self.peer.url()),
            ("initial-advertise-peer-urls", self.peer.url()),
            ("initial-cluster", self.initial_cluster.to_owned()),
            ("initial-cluster-state", self.state.to_owned()),
            ("initial-cluster-token", self.token.to_owned()),
            // etcd serves the v2 API only when told to.
            ("enable-v2", "true".to_owned()),
        ];
        pairs.into_iter().map(|(flag, value)| format!("--{flag}={value}")).collect()
    }
}
