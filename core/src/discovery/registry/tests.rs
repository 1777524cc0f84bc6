//! Registries as a service lists them: complete, incomplete, contradictory; and the same list from any order.

use proptest::prelude::*;

use super::*;

const TOKEN: &str = "http://d.example/v2/keys/_etcd/registry/t";

fn own(n: u8) -> Listed {
    member(&format!("n{n}"), vec![format!("http://192.0.2.{n}:2380")], TOKEN)
}

fn registered(n: u8, created: u64) -> Registration {
    let own = own(n);
    Registration { key: own.id.to_string(), value: value_of(&own), created }
}

fn at(key: &str, value: &str, created: u64) -> Registration {
    Registration { key: key.to_owned(), value: value.to_owned(), created }
}

#[test]
fn sizes_are_whole_numbers_of_members() {
    assert_eq!(size("1"), Ok(1));
    assert_eq!(size("99"), Ok(99));
    for bad in ["", "0", "-1", "+3", " 3", "3.0", "abc", "100", "99999999999999999999"] {
        let error = size(bad).expect_err(bad).to_string();
        assert!(error.starts_with("discovery: size key is bad"), "{error}");
    }
}

#[test]
fn a_member_registers_waits_and_is_complete() {
    let judge = |found: &[Registration]| judge(&own(1), TOKEN, 3, found).expect("a good registry");
    assert_eq!(judge(&[]), Standing::Open);
    assert_eq!(judge(&[registered(2, 5), at("_config", "x", 1)]), Standing::Open);
    let waiting = Standing::Waiting { registered: vec!["n2".into(), "n1".into()], missing: 1 };
    assert_eq!(judge(&[registered(1, 9), registered(2, 5)]), waiting);
    let complete = judge(&[registered(1, 9), registered(3, 7), registered(2, 5)]);
    let listed = vec![own(1), own(2), own(3)];
    assert_eq!(
        complete,
        Standing::Complete(Learned { own: own(1), listed, token: TOKEN.to_owned() })
    );
}

#[test]
fn who_comes_too_late_is_told_who_is_in() {
    let full = [registered(2, 1), registered(3, 2)];
    let members = vec![own(2), own(3)];
    assert_eq!(judge(&own(1), TOKEN, 2, &full), Ok(Standing::Full { members: members.clone() }));
    // It lost a race: registered, but behind the last place.
    let late = [registered(1, 3), registered(2, 1), registered(3, 2)];
    assert_eq!(judge(&own(1), TOKEN, 2, &late), Ok(Standing::Full { members }));
}

#[test]
fn nonsense_behind_the_last_place_is_in_nobodys_way() {
    let found = [registered(1, 1), at("x", "nonsense", 2)];
    assert!(matches!(judge(&own(1), TOKEN, 1, &found), Ok(Standing::Complete(_))));
    assert!(matches!(judge(&own(1), TOKEN, 2, &found), Err(RegistryError::Malformed { .. })));
}

#[test]
fn contradictions_name_both_sides() {
    let cases = [
        (at("a", "n1=http://192.0.2.9:1", 2), "found duplicate name \"n1\""),
        (at("a", "n9=http://192.0.2.1:2380", 2), "found duplicate URL http://192.0.2.1:2380"),
        (at("a", "n9", 2), "there is no ="),
        (at("a", "=http://a:1", 2), "the name is empty"),
        (at("a", "a=http://a:1,b=http://b:1", 2), "two names"),
        (at("a", "n9=ftp://a:1", 2), "scheme must be"),
        (at("a", "n9=http://a:1/x", 2), "must not contain a path"),
    ];
    for (found, text) in cases {
        let error = judge(&own(1), TOKEN, 3, &[registered(1, 1), found.clone()]).unwrap_err();
        assert!(error.to_string().contains(text), "{found:?}: {error}");
    }
    let mut taken = registered(1, 1);
    taken.value = "other=http://192.0.2.1:2380".to_owned();
    let error = judge(&own(1), TOKEN, 3, &[taken]).unwrap_err();
    assert!(error.to_string().contains("found duplicate id"), "{error}");
}

#[test]
fn a_name_that_cannot_be_read_back_is_not_registered() {
    for name in ["a=b", "a,b", ""] {
        let own = member(name, vec!["http://192.0.2.1:1".to_owned()], TOKEN);
        assert!(matches!(judge(&own, TOKEN, 3, &[]), Err(RegistryError::Malformed { .. })));
    }
}

#[test]
fn several_urls_are_one_member_in_any_order() {
    let urls = vec!["http://192.0.2.1:2380".to_owned(), "http://192.0.2.1:1".to_owned()];
    let own = member("n1", urls, TOKEN);
    assert_eq!(value_of(&own), "n1=http://192.0.2.1:1,n1=http://192.0.2.1:2380");
    let found = at(&own.id.to_string(), "n1=http://192.0.2.1:2380,n1=http://192.0.2.1:1", 4);
    let Ok(Standing::Complete(learned)) = judge(&own, TOKEN, 1, &[found]) else {
        panic!("it should be complete")
    };
    assert_eq!(learned.listed, [own]);
}

proptest! {
    /// Every member of the first `size`, asking in any order, makes the same list; every other one is told that it is full.
    #[test]
    fn all_members_make_the_same_list(
        order in Just((1_u8..9).collect::<Vec<_>>()).prop_shuffle(),
        listing in Just((0_usize..8).collect::<Vec<_>>()).prop_shuffle(),
        size in 1_usize..9,
    ) {
        let found: Vec<Registration> =
            order.iter().zip(10..).map(|(n, created)| registered(*n, created)).collect();
        let listed: Vec<Registration> = listing.iter().map(|at| found[*at].clone()).collect();
        let mut lists = BTreeSet::new();
        for (place, n) in order.iter().enumerate() {
            match judge(&own(*n), TOKEN, size, &listed).expect("a good registry") {
                Standing::Complete(learned) => {
                    prop_assert!(place < size);
                    prop_assert_eq!(&learned.own, &own(*n));
                    prop_assert!(learned.listed.contains(&learned.own));
                    let names: Vec<String> =
                        learned.listed.iter().map(|member| member.name.clone()).collect();
                    lists.insert(names);
                }
                Standing::Full { members } => {
                    prop_assert!(place >= size);
                    prop_assert_eq!(members.len(), size);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(lists.len(), 1);
    }

    /// Whatever is registered, judging it ends with a word and not with a panic.
    #[test]
    fn anything_can_be_registered(
        found in proptest::collection::vec(("[0-9a-f_]{0,4}", ".{0,12}|n=http://a:1", 0_u64..5), 0..6),
        size in 0_usize..5,
    ) {
        let found: Vec<Registration> =
            found.iter().map(|(key, value, created)| at(key, value, *created)).collect();
        let _ = judge(&own(1), TOKEN, size, &found);
    }
}
