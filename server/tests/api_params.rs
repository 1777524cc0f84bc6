//! Requests for keys, parsed: never a panic, the first failing check in etcd's order, and what each combination becomes.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use proptest::prelude::*;
use quorate_core::{Command, ErrorCode, Key, Ttl, Value, WatchSpec};
use quorate_server::client_api::params::{KeysMethod, Operation, parse};
use quorate_server::watch::WatchMode;

/// Broken fields in the order in which they are found, with what is said of them.
const CHECKS: [(&str, ErrorCode, &str); 13] = [
    ("prevIndex=x", ErrorCode::IndexNaN, r#"invalid value for "prevIndex""#),
    ("waitIndex=", ErrorCode::IndexNaN, r#"invalid value for "waitIndex""#),
    ("recursive=", ErrorCode::InvalidField, r#"invalid value for "recursive""#),
    ("sorted=x", ErrorCode::InvalidField, r#"invalid value for "sorted""#),
    ("wait=2", ErrorCode::InvalidField, r#"invalid value for "wait""#),
    ("dir", ErrorCode::InvalidField, r#"invalid value for "dir""#),
    ("quorum=yes", ErrorCode::InvalidField, r#"invalid value for "quorum""#),
    ("stream=x", ErrorCode::InvalidField, r#"invalid value for "stream""#),
    ("prevValue=", ErrorCode::PrevValueRequired, r#""prevValue" cannot be empty"#),
    ("noValueOnSuccess=x", ErrorCode::InvalidField, r#"invalid value for "noValueOnSuccess""#),
    ("ttl=x", ErrorCode::TtlNaN, r#"invalid value for "ttl""#),
    ("prevExist=x", ErrorCode::InvalidField, "invalid value for prevExist"),
    ("refresh=x", ErrorCode::InvalidField, "invalid value for refresh"),
];

fn method() -> impl Strategy<Value = KeysMethod> {
    prop::sample::select(vec![
        KeysMethod::Get,
        KeysMethod::Head,
        KeysMethod::Put,
        KeysMethod::Post,
        KeysMethod::Delete,
    ])
}

/// Bytes that are likely to mean something to the parser.
fn form_like() -> impl Strategy<Value = Vec<u8>> {
    let names = "(value|ttl|dir|prev(Exist|Value|Index)|wait(Index)?|refresh|stream|x|%7[0-9a-g])";
    let values = "(true|1|0|f|[0-9]{1,21}|%[0-9a-gA-F]{0,2}|[a-z+;=]{0,4})?";
    prop_oneof![
        proptest::string::string_regex(&format!("({names}={values}&){{0,6}}"))
            .unwrap()
            .prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..64),
    ]
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(
        method in method(),
        path in prop::collection::vec(any::<u8>(), 0..32),
        query in form_like(),
        form in form_like(),
    ) {
        let _ = parse(method, &path, &query, &form);
    }

    #[test]
    fn the_first_failing_check_is_reported(
        broken in prop::sample::subsequence(CHECKS.to_vec(), 1..=CHECKS.len()),
        shuffled in Just(()).prop_perturb(|(), mut rng| rng.next_u64()),
        in_form in any::<bool>(),
        method in method(),
    ) {
        let mut pairs: Vec<&str> = broken.iter().map(|(pair, ..)| *pair).collect();
        let turn = usize::try_from(shuffled % 64).unwrap() % pairs.len();
        pairs.rotate_left(turn);
        let text = pairs.join("&");
        let (query, form) = if in_form { ("", text.as_str()) } else { (text.as_str(), "") };
        let error = parse(method, b"/a", query.as_bytes(), form.as_bytes()).unwrap_err();
        let (_, code, cause) = broken[0];
        prop_assert_eq!((error.code, error.cause.as_slice(), error.index.0), (code, cause.as_bytes(), 0));
    }

    #[test]
    fn an_encoded_value_arrives_as_it_was(value in prop::collection::vec(any::<u8>(), 0..64)) {
        let encoded: String = value.iter().map(|byte| format!("%{byte:02x}")).collect();
        let request = parse(KeysMethod::Put, b"/a", b"", format!("value={encoded}").as_bytes()).unwrap();
        let Operation::Write(Command::Set { value: arrived, .. }) = request.operation else { panic!() };
        prop_assert_eq!(arrived.as_ref(), value.as_slice());
    }
}

fn write(method: KeysMethod, query: &str) -> Command {
    match parse(method, b"/a", query.as_bytes(), b"").unwrap().operation {
        Operation::Write(command) => command,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_write_becomes() {
    let key = Key::parse(b"/a").unwrap();
    let (empty, ttl) = (Value::default(), Ttl::Permanent);
    let swap = |prev_value: Option<&str>, prev_index| Command::CompareAndSwap {
        key: key.clone(),
        prev_value: prev_value.map(Value::from),
        prev_index,
        value: empty.clone(),
        ttl,
        refresh: false,
    };
    let create = Command::Create { key: key.clone(), value: empty.clone(), dir: false, ttl };
    let update = Command::Update { key: key.clone(), value: empty.clone(), ttl, refresh: false };
    let set =
        Command::Set { key: key.clone(), value: empty.clone(), dir: false, ttl, refresh: false };
    let puts = [
        ("", set.clone()),
        ("prevIndex=0", set),
        ("prevExist=true", update.clone()),
        ("prevExist=true&prevIndex=0", update),
        ("prevExist=true&prevIndex=3", swap(None, 3)),
        ("prevExist=1&prevValue=x", swap(Some("x"), 0)),
        ("prevExist=false", create.clone()),
        ("prevExist=false&prevIndex=3&prevValue=x", create),
        ("prevIndex=3", swap(None, 3)),
        ("prevValue=x&prevIndex=3", swap(Some("x"), 3)),
        ("prevValue=x&dir=true", swap(Some("x"), 0)),
    ];
    for (query, command) in puts {
        assert_eq!(write(KeysMethod::Put, query), command, "{query}");
    }
    let deletes = [
        ("", Command::Delete { key: key.clone(), dir: false, recursive: false }),
        ("recursive=true", Command::Delete { key: key.clone(), dir: false, recursive: true }),
        (
            "dir=1&prevExist=false",
            Command::Delete { key: key.clone(), dir: true, recursive: false },
        ),
        (
            "prevIndex=3",
            Command::CompareAndDelete { key: key.clone(), prev_value: None, prev_index: 3 },
        ),
    ];
    for (query, command) in deletes {
        assert_eq!(write(KeysMethod::Delete, query), command, "{query}");
    }
    let post =
        Command::CreateInOrder { key, value: Value::from("v"), dir: true, ttl: Ttl::Seconds(0) };
    assert_eq!(write(KeysMethod::Post, "value=v&dir=true&ttl=0&prevExist=true"), post);
}

#[test]
fn what_a_get_becomes() {
    let key = Key::parse(b"/a").unwrap();
    let read = |recursive, quorum| Operation::Read { key: key.clone(), recursive, quorum };
    let watch = |recursive, since, mode| {
        Operation::Watch(WatchSpec { key: key.clone(), recursive, since }, mode)
    };
    let gets = [
        ("quorum=false&recursive=false&sorted=false", read(false, false)),
        ("quorum=true&sorted=true", read(false, true)),
        ("wait=true&quorum=true&recursive=true", read(true, true)),
        ("wait=true", watch(false, 0, WatchMode::Once)),
        ("wait=true&waitIndex=7&stream=true&recursive=true", watch(true, 7, WatchMode::Stream)),
        ("stream=true", read(false, false)),
    ];
    for (query, operation) in gets {
        let request = parse(KeysMethod::Get, b"/a", query.as_bytes(), b"").unwrap();
        assert_eq!(request.operation, operation, "{query}");
    }
    let head = parse(KeysMethod::Head, b"/a", b"quorum=true", b"").unwrap();
    assert_eq!(head.operation, read(false, false));
}

#[test]
fn a_key_too_deep_is_refused() {
    let error = parse(KeysMethod::Get, "/a".repeat(2000).as_bytes(), b"", b"").unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidForm);
}
