//! Each way to start, and each refusal, from facts made up.

use super::*;

fn listed(n: u64) -> Listed {
    Listed {
        id: MemberId(n),
        name: format!("n{n}"),
        peer_urls: vec![format!("http://127.0.0.1:{n}")],
    }
}

fn facts(size: u64) -> Facts {
    Facts {
        intent: Intent::Form,
        disk: Disk::Fresh,
        own: listed(1),
        incarnation: Incarnation(101),
        bound: None,
        listed: (1..=size).map(listed).collect(),
        token: "t".to_owned(),
        answers: BTreeMap::new(),
        places: Places::default(),
    }
}

fn forming(facts: &Facts, n: u64, bound: Option<BTreeMap<MemberId, Incarnation>>) -> Answer {
    let formation = FormationHash::of(&facts.listed, &facts.token);
    Answer::Forming { formation, incarnation: Incarnation(100 + n), bound }
}

fn known(n: u64, incarnation: Option<u64>) -> Known {
    let Listed { id, name, peer_urls } = listed(n);
    Known { id, name, peer_urls, incarnation: incarnation.map(Incarnation) }
}

fn formed(members: Vec<Known>) -> Answer {
    formed_at(5, members)
}

fn formed_at(applied: u64, members: Vec<Known>) -> Answer {
    Answer::Formed { cluster: ClusterId(9), members, removed: vec![MemberId(7)], applied }
}

fn all(size: u64) -> BTreeMap<MemberId, Incarnation> {
    (1..=size).map(|n| (MemberId(n), Incarnation(100 + n))).collect()
}

fn reason(start: Start) -> String {
    match start {
        Start::Wait { reason } | Start::Refuse { reason } => reason,
        other => panic!("expected a reason, got {other:?}"),
    }
}

#[test]
fn a_single_member_binds_then_forms() {
    let mut facts = facts(1);
    assert_eq!(decide(&facts), Start::Bind(all(1)));
    facts.bound = Some(all(1));
    assert_eq!(decide(&facts), Start::Form);
}

#[test]
fn three_members_wait_for_each_other_then_bind_then_form() {
    let mut facts = facts(3);
    assert!(reason(decide(&facts)).contains("not heard from yet: n2 (http://127.0.0.1:2); n3"));
    facts.answers.insert(MemberId(2), forming(&facts, 2, None));
    assert!(reason(decide(&facts)).contains("not heard from yet: n3"));
    facts.answers.insert(MemberId(3), forming(&facts, 3, None));
    assert_eq!(decide(&facts), Start::Bind(all(3)));
    facts.bound = Some(all(3));
    assert!(matches!(decide(&facts), Start::Wait { .. }));
    facts.answers.insert(MemberId(2), forming(&facts, 2, Some(all(3))));
    facts.answers.insert(MemberId(3), forming(&facts, 3, Some(all(3))));
    assert_eq!(decide(&facts), Start::Form);
}

#[test]
fn a_member_bound_to_another_incarnation_is_waited_for() {
    let mut facts = facts(2);
    facts.bound = Some(all(2));
    let mut other = all(2);
    other.insert(MemberId(1), Incarnation(999));
    facts.answers.insert(MemberId(2), forming(&facts, 2, Some(other)));
    assert!(matches!(decide(&facts), Start::Wait { .. }));
}

#[test]
fn different_lists_never_form() {
    let mut facts = facts(2);
    let formation = FormationHash::of(&facts.listed, "another token");
    let answer = Answer::Forming { formation, incarnation: Incarnation(102), bound: None };
    facts.answers.insert(MemberId(2), answer);
    assert!(reason(decide(&facts)).contains("another member list or token"));
}

#[test]
fn a_wiped_member_is_refused_by_any_one_survivor() {
    for intent in [Intent::Form, Intent::Join, Intent::Auto] {
        let mut facts = facts(3);
        facts.intent = intent;
        facts.answers.insert(MemberId(2), forming(&facts, 2, None));
        facts.answers.insert(
            MemberId(3),
            formed(vec![known(1, Some(5)), known(2, Some(6)), known(3, Some(7))]),
        );
        assert!(reason(decide(&facts)).contains("has already been bootstrapped"), "{intent:?}");
    }
}

#[test]
fn a_member_that_crashed_while_forming_finishes() {
    let mut facts = facts(3);
    facts.bound = Some(all(3));
    let members = vec![known(1, Some(101)), known(2, Some(102)), known(3, Some(103))];
    let ids: Vec<MemberId> = facts.listed.iter().map(|listed| listed.id).collect();
    let cluster = identity::cluster_id(&ids);
    let answer = Answer::Formed { cluster, members, removed: Vec::new(), applied: 1 };
    facts.answers.insert(MemberId(2), answer);
    assert_eq!(decide(&facts), Start::Form);
}

#[test]
fn a_member_whose_learned_list_changed_after_the_founding_joins_what_was_founded() {
    let mut facts = facts(3);
    facts.bound = Some(all(3));
    // Founded of two, under another ID than a cluster of these three would have.
    let members = vec![known(1, Some(101)), known(2, Some(102))];
    facts.answers.insert(MemberId(2), formed(members.clone()));
    let join = Start::Join { cluster: ClusterId(9), member: MemberId(1), members };
    assert_eq!(decide(&facts), join);
}

#[test]
fn a_member_that_does_not_know_its_cluster_yet_is_waited_for() {
    for intent in [Intent::Form, Intent::Join, Intent::Auto] {
        let mut facts = facts(2);
        facts.intent = intent;
        facts.answers.insert(MemberId(2), formed(Vec::new()));
        assert!(matches!(decide(&facts), Start::Wait { .. }), "{intent:?}");
    }
}

#[test]
fn an_added_member_joins_only_when_it_says_so() {
    let mut facts = facts(2);
    let members = vec![known(1, None), known(2, Some(6))];
    facts.answers.insert(MemberId(2), formed(members.clone()));
    assert!(reason(decide(&facts)).contains("--initial-cluster-state=existing"));
    for intent in [Intent::Join, Intent::Auto] {
        facts.intent = intent;
        let join =
            Start::Join { cluster: ClusterId(9), member: MemberId(1), members: members.clone() };
        assert_eq!(decide(&facts), join);
    }
}

#[test]
fn a_joining_member_must_list_the_cluster_as_it_is() {
    let mut facts = facts(2);
    facts.intent = Intent::Join;
    facts
        .answers
        .insert(MemberId(2), formed(vec![known(1, None), known(2, Some(6)), known(3, Some(8))]));
    assert!(reason(decide(&facts)).contains("member count is unequal"));
    facts.answers.insert(MemberId(2), formed(vec![known(1, None), known(4, Some(6))]));
    assert!(reason(decide(&facts)).contains("which is no member"));
}

#[test]
fn a_stranger_and_a_removed_member_are_refused() {
    let mut facts = facts(2);
    facts.intent = Intent::Auto;
    facts.answers.insert(MemberId(2), formed(vec![known(2, Some(6))]));
    assert!(reason(decide(&facts)).contains("has no member with the peer URLs"));
    facts.own.id = MemberId(7);
    assert!(reason(decide(&facts)).contains("permanently removed"));
    facts.disk = Disk::Removed;
    assert!(reason(decide(&facts)).contains("permanently removed"));
}

#[test]
fn a_log_on_the_disk_is_all_that_counts() {
    let mut facts = facts(3);
    facts.disk = Disk::Log;
    facts.intent = Intent::Join;
    assert_eq!(decide(&facts), Start::Restart);
}

#[test]
fn the_hash_ignores_order_and_sees_everything_else() {
    let members: Vec<Listed> = (1..=3).map(listed).collect();
    let hash = FormationHash::of(&members, "t");
    let mut reversed = members.clone();
    reversed.reverse();
    assert_eq!(hash, FormationHash::of(&reversed, "t"));
    assert_ne!(hash, FormationHash::of(&members, "u"));
    assert_ne!(hash, FormationHash::of(&members[..2], "t"));
    let mut renamed = members.clone();
    renamed[0].name.push('x');
    assert_ne!(hash, FormationHash::of(&renamed, "t"));
    let mut moved = members;
    moved[0].peer_urls = vec!["http://127.0.0.1:9".to_owned()];
    assert_ne!(hash, FormationHash::of(&moved, "t"));
}

#[test]
fn whoever_knows_most_of_the_cluster_is_believed() {
    let mut facts = facts(3);
    facts.intent = Intent::Join;
    let before = vec![known(2, Some(102)), known(3, Some(103))];
    let added = [before.clone(), vec![known(1, None)]].concat();
    let lived = [before.clone(), vec![known(1, Some(999))]].concat();
    let mut decision = |second: (u64, &Vec<Known>), third: (u64, &Vec<Known>)| {
        let said = |(applied, members): (u64, &Vec<Known>)| formed_at(applied, members.clone());
        facts.answers = BTreeMap::from([(MemberId(2), said(second)), (MemberId(3), said(third))]);
        decide(&facts)
    };
    // One that has not heard of the addition yet does not turn this member away, whichever is asked first.
    for start in [decision((10, &before), (11, &added)), decision((11, &added), (10, &before))] {
        assert!(matches!(start, Start::Join { member: MemberId(1), .. }), "{start:?}");
    }
    // One that has not heard that it has lived does not let it in.
    for start in [decision((11, &added), (12, &lived)), decision((12, &lived), (11, &added))] {
        assert!(reason(start).contains("already been bootstrapped"));
    }
}

#[test]
fn a_single_peer_that_may_lag_lets_nobody_in() {
    let mut facts = facts(3);
    facts.intent = Intent::Join;
    let members = vec![known(1, None), known(2, Some(102)), known(3, Some(103))];
    facts.answers.insert(MemberId(2), formed(members.clone()));
    let Start::Wait { reason } = decide(&facts) else { panic!("one of two others is no quorum") };
    assert!(reason.contains("only 1 of the 2 other members"), "{reason}");
    facts.answers.insert(MemberId(3), Answer::Silent);
    assert!(matches!(decide(&facts), Start::Wait { .. }));
    facts.answers.insert(MemberId(3), formed(members));
    assert!(matches!(decide(&facts), Start::Join { member: MemberId(1), .. }));
}

/// A cluster of members 1 and 2 by address, which member 3 is to join, and a list of it by name.
fn joins_by_name() -> Facts {
    let mut facts = facts(3);
    facts.intent = Intent::Join;
    for listed in &mut facts.listed {
        listed.peer_urls = vec![format!("http://{}.example:{}", listed.name, listed.id.0)];
    }
    facts.own = facts.listed[2].clone();
    let running = formed(vec![known(1, Some(101)), known(2, Some(102)), known(3, None)]);
    facts.answers.insert(MemberId(1), running.clone());
    facts.answers.insert(MemberId(2), running);
    for name in ["n1.example", "n2.example", "N3.example"] {
        facts.places.note(name, vec!["127.0.0.1".parse().unwrap()]);
    }
    facts
}

#[test]
fn a_list_by_name_is_that_of_a_cluster_by_address() {
    let facts = joins_by_name();
    assert!(matches!(decide(&facts), Start::Join { member: MemberId(3), .. }));
    // Of a name with several addresses one is enough, and another scheme is another place.
    let mut more = facts.clone();
    more.places
        .note("n2.example", ["192.0.2.9", "127.0.0.1"].map(|it| it.parse().unwrap()).to_vec());
    assert!(matches!(decide(&more), Start::Join { .. }));
    // IPv6's spelling of an IPv4 address is that address, in a URL and as a name's.
    let mut mapped = facts.clone();
    mapped.listed[0].peer_urls = vec!["http://[::ffff:127.0.0.1]:1".to_owned()];
    mapped.places.note("n2.example", vec!["::ffff:127.0.0.1".parse().unwrap()]);
    assert!(matches!(decide(&mapped), Start::Join { .. }));
    let mut other = facts;
    other.listed[1].peer_urls = vec!["https://n2.example:2".to_owned()];
    assert!(reason(decide(&other)).contains("lists n2=https://n2.example:2, which is no member"));
}

#[test]
fn a_name_without_address_is_waited_for_and_one_that_leads_to_two_is_refused() {
    let mut facts = joins_by_name();
    facts.places.note("n2.example", Vec::new());
    let Start::Wait { reason: said } = decide(&facts) else { panic!("it may pass") };
    assert!(
        said.contains("cannot compare http://n2.example:2 (no address) with the members"),
        "{said}"
    );
    assert!(said.ends_with("no address is known of http://n2.example:2"), "{said}");
    // Two members with one port, and a name for both.
    let mut facts = joins_by_name();
    let at = |address: &str| vec![format!("http://{address}:5")];
    let mut members = vec![known(1, Some(101)), known(2, Some(102)), known(3, None)];
    members[0].peer_urls = at("192.0.2.1");
    members[1].peer_urls = at("192.0.2.2");
    facts.listed[0].peer_urls = at("all.example");
    facts
        .places
        .note("all.example", ["192.0.2.1", "192.0.2.2"].map(|it| it.parse().unwrap()).to_vec());
    facts.answers.insert(MemberId(1), formed(members.clone()));
    facts.answers.insert(MemberId(2), formed(members));
    let Start::Refuse { reason: said } = decide(&facts) else {
        panic!("nobody knows which is meant")
    };
    let expected = "http://all.example:5 (192.0.2.1 192.0.2.2) leads to several members of the cluster: \
                    http://192.0.2.1:5; http://192.0.2.2:5";
    assert!(said.contains(expected), "{said}");
}

/// As on Debian, where a machine's own name leads to 127.0.1.1: whoever reads the refusal has to see it.
#[test]
fn a_stranger_is_told_where_its_name_led() {
    let mut facts = joins_by_name();
    facts.places.note("n3.example", vec!["127.0.1.1".parse().unwrap()]);
    let said = reason(decide(&facts));
    let expected = "has no member with the peer URLs http://n3.example:3 (127.0.1.1): it has http://127.0.0.1:1; \
                    http://127.0.0.1:2; http://127.0.0.1:3. Add it first";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn two_of_a_list_that_are_one_member_are_not_two() {
    let mut facts = joins_by_name();
    facts.listed[0].peer_urls = vec!["http://again.example:2".to_owned()];
    facts.places.note("again.example", vec!["127.0.0.1".parse().unwrap()]);
    assert!(reason(decide(&facts)).contains("member count is unequal"));
}
