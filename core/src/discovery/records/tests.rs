//! Records in any order and spelling, missing, wrong and doubled; who finds itself and who does not.

use proptest::prelude::*;

use super::*;

fn addresses(n: u8, port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::from(([192, 0, 2, n], port))]
}

fn record(n: u8) -> Record {
    let target = format!("n{n}.example.com.");
    Record { scheme: Scheme::Http, target, port: 2380, addresses: addresses(n, 2380) }
}

/// A member that advertises its address.
fn by_address(n: u8) -> Vec<Advertised> {
    let host = format!("192.0.2.{n}");
    vec![Advertised { scheme: Scheme::Http, host, port: 2380, addresses: addresses(n, 2380) }]
}

/// A member that advertises its name, which it cannot resolve.
fn by_name(n: u8) -> Vec<Advertised> {
    let host = format!("N{n}.example.COM");
    vec![Advertised { scheme: Scheme::Http, host, port: 2380, addresses: Vec::new() }]
}

fn three() -> Vec<Record> {
    (1..=3).map(record).collect()
}

#[test]
fn a_member_is_found_by_address_or_by_name() {
    for own in [by_address(2), by_name(2)] {
        let learned = judge(&three(), &own, Expected::Unknown, "t").expect("complete");
        assert_eq!(learned.own.name, "n2.example.com:2380");
        assert_eq!(learned.own.peer_urls, ["http://n2.example.com:2380"]);
        let names: Vec<&str> = learned.listed.iter().map(|member| &*member.name).collect();
        assert_eq!(names, ["n1.example.com:2380", "n2.example.com:2380", "n3.example.com:2380"]);
        assert!(learned.listed.contains(&learned.own));
    }
}

#[test]
fn both_services_count() {
    let mut records = three();
    records[0].scheme = Scheme::Https;
    let learned = judge(&records, &by_address(2), Expected::Exactly(3), "t").expect("complete");
    let urls: Vec<&str> =
        learned.listed.iter().flat_map(|member| &member.peer_urls).map(String::as_str).collect();
    assert!(urls.contains(&"https://n1.example.com:2380"), "{urls:?}");
    assert!(urls.contains(&"http://n2.example.com:2380"), "{urls:?}");
    // The scheme is part of who a member is.
    let error = judge(&records, &by_address(1), Expected::Exactly(3), "t").unwrap_err();
    assert!(matches!(error, Incomplete::NotLocal { .. }));
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    let judge = |records: &[Record], expected| {
        judge(records, &by_address(1), expected, "t").unwrap_err().to_string()
    };
    assert_eq!(judge(&[], Expected::Unknown), "there are no SRV records");
    let mut records = three();
    records[2].addresses.clear();
    assert!(
        judge(&records, Expected::Unknown).contains("n3.example.com:2380 of an SRV record has no")
    );
    let few = judge(&three()[..2], Expected::Exactly(3));
    assert!(few.contains("2 SRV records were found and 3 are expected: http://n1"), "{few}");
    assert!(judge(&three(), Expected::Exactly(2)).contains("3 SRV records were found and 2"));
    assert!(judge(&three()[..1], Expected::Unknown).contains("--discovery-srv-expect=1"));
    let mut records = three();
    records[0].port = 2381;
    records[0].addresses = addresses(1, 2381);
    let error = judge(&records, Expected::Unknown);
    assert!(error.contains("looked for http://192.0.2.1:2380 (192.0.2.1)"), "{error}");
    assert!(error.contains("found http://n1.example.com:2381 (192.0.2.1), http://n2"), "{error}");
}

#[test]
fn records_that_lead_to_one_place_are_refused() {
    let mut both = three();
    both.push(Record { scheme: Scheme::Https, ..record(2) });
    let error = judge(&both, &by_address(1), Expected::Unknown, "t").unwrap_err();
    assert!(matches!(error, Incomplete::Twice { .. }), "{error}");
    let mut alias = three();
    alias.push(Record { target: "alias.example.com".to_owned(), ..record(1) });
    let error = judge(&alias, &by_address(1), Expected::Unknown, "t").unwrap_err();
    assert!(matches!(error, Incomplete::Twice { .. }), "{error}");
    // Two addresses of this machine, a record for each.
    let own = [by_address(1), by_address(2)].concat();
    let error = judge(&three(), &own, Expected::Unknown, "t").unwrap_err();
    assert!(matches!(error, Incomplete::SeveralLocal(_)), "{error}");
}

#[test]
fn one_member_alone_has_to_be_meant() {
    let alone = judge(&three()[..1], &by_address(1), Expected::Exactly(1), "t").expect("complete");
    assert_eq!(alone.listed, [alone.own]);
}

proptest! {
    /// Every member makes the same list, whatever the order, the spelling and the doubles of its answer.
    #[test]
    fn all_members_make_the_same_list(
        size in 2_u8..8,
        order in Just((0_usize..8).collect::<Vec<_>>()).prop_shuffle(),
        upper in any::<[bool; 8]>(),
        dot in any::<[bool; 8]>(),
        doubled in any::<[bool; 8]>(),
    ) {
        let plain: Vec<Record> = (1..=size).map(record).collect();
        let reference = judge(&plain, &by_address(1), Expected::Unknown, "t").expect("complete");
        let mut answer = Vec::new();
        for at in order.into_iter().filter(|at| *at < plain.len()) {
            let mut spelt = plain[at].clone();
            if upper[at] { spelt.target = spelt.target.to_uppercase(); }
            if dot[at] { spelt.target = spelt.target.trim_end_matches('.').to_owned(); }
            if doubled[at] { answer.push(spelt.clone()); }
            answer.push(spelt);
        }
        for n in 1..=size {
            for own in [by_address(n), by_name(n)] {
                let learned = judge(&answer, &own, Expected::Exactly(size.into()), "t").expect("complete");
                prop_assert_eq!(&learned.listed, &reference.listed);
                prop_assert_eq!(&learned.own.peer_urls, &vec![format!("http://n{n}.example.com:2380")]);
            }
        }
    }
}
