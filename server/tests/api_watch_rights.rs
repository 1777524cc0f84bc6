//! Watches and the right to read: who may begin one, whose ends when users and roles change, and whose goes on.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use quorate_core::auth::{Edit, PasswordHash, Role, User};
use quorate_core::{Command, Key, Machine, Stamp, Ttl, Value, WatchSpec};
use quorate_server::watch::{
    Next, Proof, Reader, Subscription, WatchEnd, WatchError, WatchHub, WatchMode,
};

#[derive(Default)]
struct Store {
    machine: Machine,
    hub: WatchHub,
}

impl Store {
    fn change(&mut self, edits: Vec<Edit>) {
        let before = Arc::clone(self.machine.auth());
        let command = Command::ChangeAuth { revision: before.revision(), edits };
        self.machine.apply(Stamp(1), &command);
        self.hub.rights_changed(&before, self.machine.auth(), &mut self.hub.wakes());
    }

    fn set(&mut self, key: &str) {
        let (key, value) = (Key::parse(key.as_bytes()).unwrap(), Value::from("v"));
        let set = Command::Set { key, value, dir: false, ttl: Ttl::Permanent, refresh: false };
        for event in self.machine.apply(Stamp(1), &set).events() {
            self.hub.notify(event, &mut self.hub.wakes());
        }
    }

    fn try_watch(&self, key: &str, reader: Reader) -> Result<Subscription, WatchError> {
        let spec =
            WatchSpec { key: Key::parse(key.as_bytes()).unwrap(), recursive: true, since: 0 };
        self.hub.subscribe(&self.machine, spec, WatchMode::Stream, reader)
    }

    #[track_caller]
    fn watch(&self, key: &str, reader: Reader) -> Subscription {
        self.try_watch(key, reader).unwrap()
    }
}

fn user(hash: &str, roles: &[&str]) -> User {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    User { password_hash: PasswordHash(hash.to_owned()), roles: Some(roles) }
}

fn reads(pattern: &str) -> Role {
    Role { read: Some(vec![pattern.to_owned()]), write: None }
}

/// A store where root, alice and bob may read `/app/*`, guests may read `/open*`, and users count.
fn store() -> Store {
    let mut store = Store::default();
    store.change(vec![
        Edit::PutUser("root".to_owned(), user("r", &["root"])),
        Edit::PutUser("alice".to_owned(), user("a", &["app"])),
        Edit::PutUser("bob".to_owned(), user("b", &["app"])),
        Edit::PutRole("app".to_owned(), reads("/app/*")),
        Edit::PutRole("guest".to_owned(), reads("/open*")),
        Edit::SetEnabled(true),
    ]);
    store
}

fn by_password(name: &str, hash: &str) -> Reader {
    Reader::by_password(name, Proof::of(&PasswordHash(hash.to_owned())))
}

fn next(subscription: &mut Subscription) -> Option<Next> {
    match subscription.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(next) => Some(next),
        Poll::Pending => None,
    }
}

#[track_caller]
fn assert_ended(subscription: &mut Subscription) {
    let next = next(subscription);
    assert!(matches!(next, Some(Next::End(WatchEnd::Forbidden))), "{next:?}");
}

#[track_caller]
fn assert_told(subscription: &mut Subscription) {
    let next = next(subscription);
    assert!(matches!(next, Some(Next::Event(_))), "{next:?}");
}

#[test]
fn nobody_begins_a_watch_of_what_he_may_not_read() {
    let store = store();
    let refused = |key: &str, reader: Reader| {
        matches!(store.try_watch(key, reader), Err(WatchError::Forbidden))
    };
    assert!(refused("/app/x", Reader::guest()));
    assert!(refused("/", Reader::guest()));
    assert!(refused("/", by_password("alice", "a")));
    assert!(refused("/app/x", by_password("nobody", "n")));
    assert!(refused("/app/x", Reader::by_certificate("nobody")), "a guest");
    assert!(refused("/app", by_password("alice", "a")), "the pattern has a slash");
    assert!(!refused("/app", by_password("alice", "a").spelled(true)));
    assert!(!refused("/app/x", Reader::by_certificate("alice")));
    assert!(!refused("/open", Reader::by_certificate("nobody")));
    assert!(!refused("/", by_password("root", "r")));
}

#[test]
fn a_watch_ends_with_the_right_and_with_nothing_told_that_was_not_read() {
    let mut store = store();
    let mut alice = store.watch("/app/x", by_password("alice", "a"));
    let mut bob = store.watch("/app/x", Reader::by_certificate("bob"));
    let mut guest = store.watch("/open", Reader::guest());
    let mut root = store.watch("/", by_password("root", "r"));
    store.set("/app/x");
    store.change(vec![Edit::PutUser("alice".to_owned(), user("a", &[]))]);
    store.set("/app/x");
    assert_ended(&mut alice);
    for _ in 0..2 {
        assert_told(&mut bob);
        assert_told(&mut root);
    }
    store.change(vec![Edit::DeleteRole("app".to_owned())]);
    assert_ended(&mut bob);
    store.change(vec![Edit::PutRole("guest".to_owned(), reads("/other*"))]);
    assert_ended(&mut guest);
    store.set("/app/x");
    assert_told(&mut root);
    store.change(vec![Edit::DeleteUser("root".to_owned())]);
    assert_ended(&mut root);
    assert_eq!(store.hub.watchers(), 0);
}

#[test]
fn another_password_ends_what_the_old_one_began() {
    let mut store = store();
    let mut old = store.watch("/app/x", by_password("alice", "a"));
    let mut by_certificate = store.watch("/app/x", Reader::by_certificate("alice"));
    let mut bob = store.watch("/app/x", by_password("bob", "b"));
    store.change(vec![Edit::PutUser("alice".to_owned(), user("new", &["app"]))]);
    store.set("/app/x");
    assert_ended(&mut old);
    assert_told(&mut by_certificate);
    assert_told(&mut bob);
    // A certificate whose user is gone is a guest's.
    store.change(vec![Edit::DeleteUser("alice".to_owned())]);
    assert_ended(&mut by_certificate);
    assert!(next(&mut bob).is_none());
}

#[test]
fn users_that_begin_to_count_end_the_watches_of_guests_and_no_others() {
    let mut store = store();
    store.change(vec![Edit::SetEnabled(false)]);
    let mut anyone = store.watch("/app/x", Reader::guest());
    let mut open = store.watch("/open", Reader::guest());
    let mut bob = store.watch("/app/x", Reader::by_certificate("bob"));
    store.change(vec![Edit::PutUser("alice".to_owned(), user("new", &[]))]);
    assert!(next(&mut anyone).is_none(), "users do not count yet");
    store.change(vec![Edit::SetEnabled(true)]);
    assert_ended(&mut anyone);
    assert!(next(&mut open).is_none());
    assert!(next(&mut bob).is_none());
    drop(bob);
    assert_eq!(store.hub.watchers(), 1);
}

#[test]
fn a_password_that_changed_while_it_was_compared_begins_nothing() {
    let mut store = store();
    let compared = by_password("alice", "a");
    store.change(vec![Edit::PutUser("alice".to_owned(), user("new", &["app"]))]);
    let begun = store.try_watch("/app/x", compared.clone());
    assert!(matches!(begun, Err(WatchError::Forbidden)), "{begun:?}");
    store.watch("/app/x", by_password("alice", "new"));
    store.change(vec![Edit::DeleteUser("alice".to_owned())]);
    store.change(vec![Edit::PutUser("alice".to_owned(), user("another", &["app"]))]);
    for old in [compared, by_password("alice", "new")] {
        let begun = store.try_watch("/app/x", old);
        assert!(matches!(begun, Err(WatchError::Forbidden)), "{begun:?}");
    }
}

#[test]
fn a_password_that_changed_while_users_did_not_count_ends_what_the_old_one_began() {
    let mut store = store();
    let mut alice = store.watch("/app/x", by_password("alice", "a"));
    let mut bob = store.watch("/app/x", by_password("bob", "b"));
    store.change(vec![Edit::SetEnabled(false)]);
    store.change(vec![Edit::PutUser("alice".to_owned(), user("new", &["app"]))]);
    store.set("/app/x");
    assert_told(&mut alice);
    assert_told(&mut bob);
    store.change(vec![Edit::SetEnabled(true)]);
    store.set("/app/x");
    assert_ended(&mut alice);
    assert_told(&mut bob);
    assert_eq!(store.hub.watchers(), 1);
}

#[test]
fn what_changes_no_right_ends_nothing() {
    let mut store = store();
    let mut alice = store.watch("/app/x", by_password("alice", "a"));
    store.change(vec![]);
    store.change(vec![Edit::PutUser("alice".to_owned(), user("a", &["app"]))]);
    store.change(vec![Edit::SetEnabled(true)]);
    store.set("/app/x");
    assert_told(&mut alice);
    assert!(next(&mut alice).is_none());
}
