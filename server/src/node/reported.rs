//! The member as it is reported to the discovery service, and its questions to the others where they report.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use prost::Message as _;
use quorate_core::MemberId;

use super::Node;
use crate::peer_api::messages::{Kind, ReportTarget};
use crate::reports::{MemberLine, Membership, Peers, Running};

/// A member that is there answers at once; nobody waits for the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

impl Peers for Node {
    fn ask(&self) -> BoxFuture<'_, Option<ReportTarget>> {
        let ids =
            |machine: &quorate_core::Machine| machine.members().iter().map(|it| it.id).collect();
        let all: Vec<MemberId> = self.0.replica.view(|machine, _| ids(machine));
        let others = all.into_iter().filter(|id| *id != self.0.own.member);
        let mut asked: FuturesUnordered<_> = others
            .map(|id| self.0.links.call(id, Kind::Reporting, Bytes::new(), ANSWER_TIMEOUT))
            .collect();
        Box::pin(async move {
            while let Some(answer) = asked.next().await {
                // A release that does not know the question answers with an error.
                let said = answer.ok().and_then(|body| ReportTarget::decode(body).ok());
                if let Some(said) = said.filter(|said| !said.secret.is_empty()) {
                    return Some(said);
                }
            }
            None
        })
    }
}

impl Running for Node {
    fn id(&self) -> MemberId {
        self.0.own.member
    }

    fn has_started(&self) -> bool {
        self.may_serve()
    }

    /// What the members were when the log was applied so far. Who publishes another name or URL changes the list, too, and no membership in
    /// the log; so it stands under the index at which it was seen: of the same index there is one list, and a change has a higher one.
    fn membership(&self) -> Option<Membership> {
        self.0.replica.view_at(|machine, index| {
            let lines = machine.members().iter().map(|member| MemberLine {
                id: member.id,
                name: member.name.clone(),
                peer_urls: member.peer_urls.clone(),
                client_urls: member.client_urls.clone(),
            });
            let members: Vec<MemberLine> = lines.collect();
            (!members.is_empty()).then_some(Membership { index, members })
        })
    }
}
