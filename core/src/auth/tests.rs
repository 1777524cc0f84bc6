//! The rules as etcd 3.4.23 was observed to keep them, and that they survive disk and wire.

use super::*;
use crate::{Batch, Command, Machine, MemberId, Proposal, Stamp, snapshot::Restore};

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn hash(text: &str) -> Option<PasswordHash> {
    Some(PasswordHash(text.to_owned()))
}

fn user(name: &str) -> UserPut {
    UserPut { name: name.to_owned(), ..UserPut::default() }
}

fn role(name: &str, read: &[&str], write: &[&str]) -> Request {
    let permissions = Permissions { read: Some(strings(read)), write: Some(strings(write)) };
    Request::PutRole(RolePut { name: name.to_owned(), permissions, ..RolePut::default() })
}

fn grant(name: &str, read: &[&str]) -> RolePut {
    let grant = Permissions { read: Some(strings(read)), write: None };
    RolePut { name: name.to_owned(), grant, ..RolePut::default() }
}

/// Carries a request out; what it is answered, and by how much the index moves.
fn done(auth: &mut Auth, request: Request) -> Result<(Answer, u64), AuthError> {
    let decided = auth.decide(&request)?;
    let moves = auth.apply(decided.revision, &decided.edits).expect("nobody else changes it");
    Ok((decided.answer, moves))
}

fn put_user(auth: &mut Auth, put: UserPut) -> Result<(Answer, u64), AuthError> {
    done(auth, Request::PutUser(put))
}

fn refusal(auth: &mut Auth, request: Request) -> (u16, String) {
    let error = done(auth, request).expect_err("it is refused");
    (error.http_status(), error.to_string())
}

/// root, alice with role app, checks on.
fn enabled() -> Auth {
    let mut auth = Auth::default();
    put_user(&mut auth, UserPut { password_hash: hash("r"), ..user(ROOT) }).unwrap();
    done(&mut auth, role("app", &["/app/*", "/exact"], &["/app/own*"])).unwrap();
    let roles = Some(strings(&["app"]));
    put_user(&mut auth, UserPut { password_hash: hash("a"), roles, ..user("alice") }).unwrap();
    done(&mut auth, Request::Enable).unwrap();
    auth
}

#[test]
fn users_are_made_and_changed_as_etcd_does() {
    let mut auth = Auth::default();
    let put = |roles: Option<&[&str]>| UserPut {
        password_hash: hash("1"),
        roles: roles.map(strings),
        ..user("b")
    };
    let refused = refusal(&mut auth, Request::PutUser(user("b")));
    assert_eq!(refused, (400, "auth: Cannot create user b with an empty password".into()));
    let (answer, moves) = put_user(&mut auth, put(Some(&["q", "p", "p"]))).unwrap();
    let as_given = Some(strings(&["q", "p", "p"]));
    assert_eq!(answer, Answer::User { name: "b".into(), roles: as_given, created: false });
    assert_eq!(moves, 5, "the first edit prepares etcd's hidden directory");
    let refused = refusal(&mut auth, Request::PutUser(put(Some(&["q"]))));
    assert_eq!(refused, (409, "auth: User b already exists.".into()));
    let (answer, moves) = put_user(&mut auth, user("b")).unwrap();
    let sorted = Some(strings(&["p", "q"]));
    assert_eq!(
        (answer, moves),
        (Answer::User { name: "b".into(), roles: sorted, created: false }, 1)
    );
    let refused = refusal(&mut auth, Request::PutUser(user("b")));
    assert_eq!(refused.0, 400, "nothing to change: {}", refused.1);
    let both = UserPut { revoke: strings(&["q"]), ..put(Some(&["x"])) };
    let refused = refusal(&mut auth, Request::PutUser(both));
    assert_eq!(refused, (400, "User JSON contains both roles and grant/revoke".into()));
    let again = UserPut { grant: strings(&["q"]), ..user("b") };
    let refused = refusal(&mut auth, Request::PutUser(again));
    assert_eq!(refused, (409, "auth: Granting duplicate role q for user b".into()));
    let never = UserPut { revoke: strings(&["zz"]), ..user("b") };
    let refused = refusal(&mut auth, Request::PutUser(never));
    assert_eq!(refused, (409, "auth: Revoking ungranted role zz for user b".into()));
    let nobody = UserPut { grant: strings(&["q"]), ..user("nn") };
    assert_eq!(refusal(&mut auth, Request::PutUser(nobody)).0, 404);
    done(&mut auth, Request::DeleteUser("b".into())).unwrap();
    let refused = refusal(&mut auth, Request::DeleteUser("b".into()));
    assert_eq!(refused, (404, "auth: User b does not exist".into()));
}

#[test]
fn root_always_has_its_role_and_stays_while_it_is_needed() {
    let mut auth = enabled();
    let revoke = UserPut { revoke: strings(&["root"]), grant: strings(&["app"]), ..user(ROOT) };
    put_user(&mut auth, revoke).unwrap();
    assert_eq!(auth.roles_of(ROOT), Some(strings(&["app", "root"])));
    assert!(auth.is_root(Caller::User(ROOT)) && !auth.is_root(Caller::User("alice")));
    assert!(!auth.is_root(Caller::Guest));
    assert_eq!(refusal(&mut auth, Request::DeleteUser(ROOT.into())).0, 403);
    assert_eq!(refusal(&mut auth, role(ROOT, &["/"], &[])).0, 403);
    assert_eq!(refusal(&mut auth, Request::DeleteRole(ROOT.into())).0, 403);
    done(&mut auth, Request::Disable).unwrap();
    assert_eq!(refusal(&mut auth, Request::Disable).1, "auth: already disabled");
    done(&mut auth, Request::DeleteUser(ROOT.into())).unwrap();
    let refused = refusal(&mut auth, Request::Enable);
    assert_eq!(refused, (409, "auth: No root user available, please create one".into()));
}

#[test]
fn roles_are_made_and_changed_as_etcd_does() {
    let mut auth = Auth::default();
    let (answer, _) = done(&mut auth, role("y", &["/b", "/a", "/a"], &[])).unwrap();
    let Answer::Role { role: as_given, created: true, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(as_given.read, Some(strings(&["/b", "/a", "/a"])));
    assert_eq!(refusal(&mut auth, role("y", &[], &[])).1, "auth: Role y already exists.");
    let (answer, _) = done(&mut auth, Request::PutRole(grant("y", &["/c"]))).unwrap();
    let Answer::Role { role: sorted, created: false, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(sorted.read, Some(strings(&["/a", "/b", "/c"])));
    let refused = refusal(&mut auth, Request::PutRole(grant("y", &["/c"])));
    assert_eq!(refused, (409, "auth: Granting duplicate read permission /c".into()));
    let revoke = Permissions { read: Some(strings(&["/never"])), write: None };
    let revoke = RolePut { name: "y".into(), revoke, ..RolePut::default() };
    let refused = refusal(&mut auth, Request::PutRole(revoke));
    let text = "auth: Role not updated. Use grant/revoke to update the role.";
    assert_eq!(refused, (400, text.into()));
    let refused = refusal(&mut auth, Request::PutRole(grant("nope", &["/c"])));
    assert_eq!(refused, (404, "auth: Role nope does not exist.".into()));
    let refused = refusal(&mut auth, Request::DeleteRole("nope".into()));
    assert_eq!(refused, (404, "auth: Role nope doesn't exist.".into()));
}

#[test]
fn enabling_makes_the_guest_role_once() {
    let mut auth = enabled();
    assert_eq!(auth.role(GUEST), Some(Role::everything()));
    assert_eq!(refusal(&mut auth, Request::Enable).1, "auth: already enabled");
    done(&mut auth, Request::Disable).unwrap();
    done(&mut auth, Request::DeleteRole(GUEST.into())).unwrap();
    done(&mut auth, role(GUEST, &["/public*"], &[])).unwrap();
    assert_eq!(done(&mut auth, Request::Enable).unwrap().1, 1);
    let read = |key: &'static [u8]| Access { key, recursive: false, write: false };
    assert!(auth.allows(Caller::Guest, read(b"/public/x")));
    assert!(!auth.allows(Caller::Guest, read(b"/private")));
}

#[test]
fn patterns_cover_what_they_say() {
    let auth = enabled();
    let cases = [
        ("/app/x", false, false, true),
        ("/app", false, false, false),
        ("/app/x", true, false, true),
        ("/exact", false, false, true),
        ("/exact", true, false, false),
        ("/exact/x", false, false, false),
        ("/app/own", false, true, true),
        ("/app/x", false, true, false),
        ("/", false, false, false),
    ];
    for (key, recursive, write, allowed) in cases {
        let access = Access { key: key.as_bytes(), recursive, write };
        assert_eq!(auth.allows(Caller::User("alice"), access), allowed, "{access:?}");
        assert!(auth.allows(Caller::User(ROOT), access));
        assert!(!auth.allows(Caller::User("nobody"), access));
    }
    let root = Access { key: b"/", recursive: true, write: false };
    assert!(auth.allows(Caller::Guest, root), "/* covers the root");
}

#[test]
fn a_state_that_has_changed_since_takes_no_edit() {
    let mut auth = enabled();
    let decided = auth.decide(&Request::Disable).unwrap();
    put_user(&mut auth, UserPut { password_hash: hash("n"), ..user("new") }).unwrap();
    let before = auth.clone();
    assert_eq!(auth.apply(decided.revision, &decided.edits), Err(Outdated));
    assert_eq!(auth, before);
}

#[test]
fn the_log_and_snapshots_carry_it_whole() {
    let mut machine = Machine::new();
    let requests = [
        Request::PutUser(UserPut { password_hash: hash("r"), ..user(ROOT) }),
        role("app", &["/a*"], &[]),
        Request::PutRole(RolePut { name: "empty".into(), ..RolePut::default() }),
        Request::Enable,
        Request::DeleteRole("empty".into()),
    ];
    for request in requests {
        let decided = machine.auth().decide(&request).unwrap();
        let command = Command::ChangeAuth { revision: decided.revision, edits: decided.edits };
        let proposal = Proposal { origin: MemberId(1), request: 2, command };
        let batch = Batch { stamp: Stamp(3), proposals: vec![proposal] };
        assert_eq!(Batch::decode(batch.encode()).unwrap(), batch);
        machine.apply(batch.stamp, &batch.proposals[0].command).outcome.unwrap();
    }
    assert_eq!(machine.index().0, 4 + 6);
    let mut restore = Restore::new();
    machine.snapshot().try_for_each(|chunk| restore.feed(&chunk)).unwrap();
    let restored = restore.finish().unwrap();
    assert_eq!(restored.auth(), machine.auth());
    assert!(restored.auth().is_enabled());
    let stale = Command::ChangeAuth { revision: 1, edits: vec![Edit::SetEnabled(false)] };
    assert!(machine.apply(Stamp(4), &stale).outcome.is_err());
    assert!(machine.auth().is_enabled());
}

#[test]
fn no_hash_is_ever_printed() {
    let put = UserPut { password_hash: hash("$secret$"), ..user("u") };
    let edits = Auth::default().decide(&Request::PutUser(put.clone())).unwrap().edits;
    let command = Command::ChangeAuth { revision: 0, edits: edits.clone() };
    let wire = wire::ChangeAuth::new(0, &edits);
    assert!(!format!("{put:?}{command:?}{wire:?}").contains("secret"));
}
