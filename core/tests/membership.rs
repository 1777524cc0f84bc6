//! Membership changes: every small cluster in every state of health, and the reason for each refusal.

use quorate_core::membership::{Change, Health, Refused, check, quorum};
use quorate_core::{Command, Machine, MemberId, Members, Roster, RosterMember, Stamp};
use std::collections::BTreeSet;

const NEW: MemberId = MemberId(99);

fn url(id: u64) -> String {
    format!("http://m{id}:2380")
}

/// Members 1.. with the given votes; those in `unstarted` have not published.
fn machine(learner_flags: &[bool], unstarted: &[u64]) -> Machine {
    let mut machine = Machine::new();
    let members = (1..).zip(learner_flags).map(|(id, &is_learner)| RosterMember {
        id: MemberId(id),
        peer_urls: vec![url(id)],
        is_learner,
    });
    machine.apply_roster(&Roster { members: members.collect() });
    for id in (1..=learner_flags.len() as u64).filter(|id| !unstarted.contains(id)) {
        let (member, client_urls) = (MemberId(id), vec!["http://c:1".to_owned()]);
        machine.apply(
            Stamp(1),
            &Command::Publish { member, name: format!("m{id}"), client_urls, incarnation: 1 },
        );
    }
    machine
}

fn members(voters: usize, learners: usize) -> Machine {
    machine(&[vec![false; voters], vec![true; learners]].concat(), &[])
}

fn health(reachable: impl IntoIterator<Item = u64>) -> Health {
    Health { reachable: reachable.into_iter().map(MemberId).collect(), change_in_progress: false }
}

fn add(is_learner: bool) -> Change {
    Change::Add { id: NEW, peer_urls: vec![url(99)], is_learner }
}

/// Voters and healthy voters if the change were made now; a new member is not healthy yet.
fn after(change: &Change, roster: &Members, reachable: &BTreeSet<MemberId>) -> (usize, usize) {
    let mut voters: BTreeSet<MemberId> = roster.voters().map(|member| member.id).collect();
    match change {
        Change::Add { id, is_learner: false, .. } | Change::Promote { id } => {
            voters.insert(*id);
        }
        Change::Remove { id } => {
            voters.remove(id);
        }
        Change::Add { .. } | Change::Update { .. } => {}
    }
    let started =
        |id: &&MemberId| roster.member(**id).is_some_and(|member| member.incarnation.is_some());
    (voters.len(), voters.iter().filter(|id| reachable.contains(id)).filter(started).count())
}

#[test]
fn no_allowed_change_leaves_fewer_healthy_voters_than_the_quorum() {
    let (mut allowed, mut refused) = (0, 0);
    for voters in 1..=5_usize {
        for learners in 0..=2 {
            let count = (voters + learners) as u64;
            for unstarted in std::iter::once(vec![]).chain((1..=count).map(|id| vec![id])) {
                let flags = [vec![false; voters], vec![true; learners]].concat();
                let machine = machine(&flags, &unstarted);
                let roster = machine.members();
                for mask in 0..1_u64 << count {
                    let health = health((1..=count).filter(|id| mask >> (id - 1) & 1 == 1));
                    let on_each = (1..=count).map(MemberId).flat_map(|id| {
                        let peer_urls = vec!["http://moved:1".to_owned()];
                        [
                            Change::Remove { id },
                            Change::Promote { id },
                            Change::Update { id, peer_urls },
                        ]
                    });
                    for change in on_each.chain([add(false), add(true)]) {
                        if check(&change, roster, &health).is_err() {
                            refused += 1;
                            continue;
                        }
                        allowed += 1;
                        let (voters_after, healthy_after) =
                            after(&change, roster, &health.reachable);
                        assert!(
                            voters_after > 0 && healthy_after >= quorum(voters_after),
                            "{change:?} with {health:?}"
                        );
                    }
                }
            }
        }
    }
    // Refusing everything would be safe as well.
    assert!(allowed > 1000 && refused > 1000, "{allowed} allowed, {refused} refused");
}

#[test]
fn a_healthy_cluster_grows_and_shrinks_step_by_step() {
    for voters in 1..=7_usize {
        let all = 1..=voters as u64 + 1;
        let machine_now = members(voters, 1);
        assert_eq!(
            check(&add(true), machine_now.members(), &health(all.clone())),
            Ok(()),
            "{voters}"
        );
        let promote = Change::Promote { id: MemberId(voters as u64 + 1) };
        assert_eq!(
            check(&promote, machine_now.members(), &health(all.clone())),
            Ok(()),
            "{voters}"
        );
        let remove = Change::Remove { id: MemberId(1) };
        let expected = if voters == 1 { Err(Refused::LastVoter(MemberId(1))) } else { Ok(()) };
        assert_eq!(check(&remove, machine_now.members(), &health(all)), expected, "{voters}");
    }
}

#[test]
fn a_dead_member_is_removed_before_another_is_added() {
    let machine = members(3, 0);
    let one_dead = health([1, 2]);
    assert_eq!(check(&Change::Remove { id: MemberId(3) }, machine.members(), &one_dead), Ok(()));
    let error = check(&add(true), machine.members(), &one_dead).unwrap_err().to_string();
    assert_eq!(
        error,
        "the changed cluster would have 2 healthy voters and needs 3; bring back the voters that do not answer, or remove \
         them before adding"
    );
    let error = check(&Change::Remove { id: MemberId(1) }, machine.members(), &one_dead)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the changed cluster would have 1 healthy voters and needs 2; bring back or remove the voters that do not answer first"
    );
    // Of five, one may be down while a sixth joins: four are a quorum of six.
    assert_eq!(check(&add(false), members(5, 0).members(), &health(1..=4)), Ok(()));
}

#[test]
fn refused_additions_say_what_why_and_what_to_do() {
    let add_to =
        |id, url: &str| Change::Add { id, peer_urls: vec![url.to_owned()], is_learner: true };
    let cases = [
        (
            add(false),
            members(1, 0),
            "the changed cluster would have 1 healthy voters and needs 2; add the member as a learner, and promote it when it has \
             caught up",
        ),
        (
            add(true),
            machine(&[false, false, true], &[3]),
            "member 3 was added and has not started, and until it has, another addition could cost the quorum; start it, or remove \
             it",
        ),
        (
            add_to(NEW, "http://m2:2380"),
            members(3, 1),
            "the peer URL http://m2:2380 belongs to member 2; use another URL, or remove that member first",
        ),
        (
            add_to(MemberId(1), "http://new:1"),
            members(3, 1),
            "the ID 1 belongs to a member already; try again to get another ID",
        ),
        (
            add_to(NEW, "http://new"),
            members(3, 1),
            "URL address does not have the form \"host:port\": http://new",
        ),
    ];
    for (change, machine, text) in cases {
        assert_eq!(
            check(&change, machine.members(), &health(1..=4)).unwrap_err().to_string(),
            text,
            "{change:?}"
        );
    }
}

#[test]
fn other_refusals_say_what_why_and_what_to_do() {
    let (all, id, learner) = (health(1..=4), MemberId(1), MemberId(4));
    let busy = Health { change_in_progress: true, ..all.clone() };
    let cases = [
        (
            Change::Remove { id },
            health([1]),
            "1 of 3 voters are healthy and 2 are needed to decide anything; bring back a voter first",
        ),
        (
            Change::Remove { id: NEW },
            all.clone(),
            "no member has the ID 63; list the members and check the ID",
        ),
        (
            Change::Update { id, peer_urls: vec![url(2)] },
            all.clone(),
            "the peer URL http://m2:2380 belongs to member 2; use another URL, or remove that member first",
        ),
        (Change::Promote { id }, all, "member 1 has a vote already; there is nothing to do"),
        (
            Change::Promote { id: learner },
            health(1..=3),
            "learner 4 does not answer and a vote it cannot cast would weaken the cluster; start it and let it catch up",
        ),
        (
            Change::Remove { id: learner },
            busy,
            "another membership change is in progress and only one may be at a time; try again when it is done",
        ),
    ];
    let machine = members(3, 1);
    for (change, health, text) in cases {
        assert_eq!(
            check(&change, machine.members(), &health).unwrap_err().to_string(),
            text,
            "{change:?}"
        );
    }
}

#[test]
fn a_removed_member_never_comes_back() {
    let mut machine = members(3, 0);
    let roster = |ids: &[u64]| Roster {
        members: ids
            .iter()
            .map(|&id| RosterMember {
                id: MemberId(id),
                peer_urls: vec![url(id)],
                is_learner: false,
            })
            .collect(),
    };
    machine.apply_roster(&roster(&[1, 2]));
    let removed = Refused::Removed(MemberId(3));
    for change in [
        Change::Add { id: MemberId(3), peer_urls: vec![url(3)], is_learner: true },
        Change::Remove { id: MemberId(3) },
        Change::Update { id: MemberId(3), peer_urls: vec![url(3)] },
    ] {
        assert_eq!(
            check(&change, machine.members(), &health([1, 2])),
            Err(removed.clone()),
            "{change:?}"
        );
    }
    machine.apply_roster(&roster(&[1, 2, 3]));
    assert_eq!(machine.members().len(), 2);
}
