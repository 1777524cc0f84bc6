//! The member as its peer port shows it.

use std::sync::Arc;

use bytes::Bytes;
use quorate_core::bootstrap::Known;
use quorate_core::{ClusterId, Member, MemberId};

use super::Node;
use crate::client_api::version_body;
use crate::peer_api::http::Peer;
use crate::peer_api::link::PeerEndpoint;

impl Peer for Node {
    fn member(&self) -> MemberId {
        self.0.own.member
    }

    fn cluster(&self) -> ClusterId {
        self.0.own.cluster
    }

    fn incarnation(&self) -> u64 {
        self.0.own.incarnation
    }

    fn known(&self) -> Vec<Known> {
        self.known_members()
    }

    fn members(&self) -> Vec<Member> {
        self.0.replica.view(|machine, _| machine.members().iter().cloned().collect())
    }

    fn applied(&self) -> u64 {
        self.0.replica.applied_index()
    }

    fn removed(&self) -> Vec<MemberId> {
        self.0.replica.view(|machine, _| machine.members().removed().collect())
    }

    fn version(&self) -> Bytes {
        self.0.replica.view(|machine, _| version_body(machine.members().cluster_version()))
    }

    fn links(&self) -> Arc<PeerEndpoint> {
        Arc::clone(&self.0.endpoint)
    }
}
