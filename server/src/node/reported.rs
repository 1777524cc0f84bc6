//! The member as it is reported to the discovery service.

use quorate_core::MemberId;

use super::Node;
use crate::raft::figures::Figures;
use crate::reports::{MemberLine, Membership, Running};

impl Running for Node {
    fn id(&self) -> MemberId {
        self.0.own.member
    }

    fn has_started(&self) -> bool {
        self.may_serve()
    }

    fn membership(&self) -> Option<Membership> {
        // Read first: the members may be newer than the index says, and are then told again under the next one.
        let index = Figures::membership_index(&self.0.raft)?;
        let members = self.0.replica.view(|machine, _| {
            let lines = machine.members().iter().map(|member| MemberLine {
                id: member.id,
                name: member.name.clone(),
                peer_urls: member.peer_urls.clone(),
                client_urls: member.client_urls.clone(),
            });
            lines.collect::<Vec<_>>()
        });
        (!members.is_empty()).then_some(Membership { index, members })
    }
}
