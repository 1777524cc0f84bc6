//! Whatever is asked of a token in whatever order: the invariants that its machines rely on.

#![expect(clippy::unwrap_used, reason = "a broken script or a value that cannot be fails the test")]

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use quorate_discovery::registry::capability::SECRET_BYTES;
use quorate_discovery::registry::{
    Capability, Claim, ClusterSize, Grants, MemberKey, Moment, Refusal, Rules, Scope, Secret,
    Stage, Token, Waits,
};

const RULES: Rules = Rules {
    token_ttl: Duration::from_secs(50),
    seal_grace: Duration::from_secs(5),
    sealed_ttl: Duration::from_secs(100),
    memory: Duration::from_secs(10),
};

#[derive(Clone, Debug)]
enum Step {
    Register { id: u8, name: u8, url: u8 },
    Remove(u8),
    Started(u8),
    Reopen { force: bool },
    Revoke,
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6_u8, 0..6_u8, 0..6_u8).prop_map(|(id, name, url)| Step::Register { id, name, url }),
        // Most machines are who they say they are.
        8 => (0..6_u8).prop_map(|n| Step::Register { id: n, name: n, url: n }),
        1 => (0..6_u8).prop_map(Step::Remove),
        1 => (0..6_u8).prop_map(Step::Started),
        1 => any::<bool>().prop_map(|force| Step::Reopen { force }),
        1 => Just(Step::Revoke),
        2 => (0..8_u8).prop_map(Step::Pass),
    ]
}

fn fresh(size: u64) -> Token {
    let secret = |capability| Secret::new(capability, [7; SECRET_BYTES]);
    let join = secret(Capability::Join);
    let grants = Grants::of(&secret(Capability::Admin), &join, &secret(Capability::Read));
    let size = ClusterSize::new(size).unwrap();
    Token::new(join.token_id().unwrap(), size, grants, Moment(1_000), RULES.token_ttl)
}

fn member(id: u8) -> MemberKey {
    MemberKey::parse(&format!("{:x}", id + 1)).unwrap()
}

fn claim(id: u8, name: u8, url: u8) -> Claim {
    Claim::new(member(id), &format!("n{name}"), vec![format!("http://10.0.0.{url}:2380")]).unwrap()
}

/// What a step makes of a token; `None` when it is refused or changes nothing.
fn take(token: &Token, step: &Step, now: Moment) -> Result<Option<Token>, Refusal> {
    match step {
        Step::Register { id, name, url } => {
            token.register(&claim(*id, *name, *url), now, &RULES).map(|done| done.change)
        }
        Step::Remove(id) => token.remove(&member(*id), now).map(Some),
        Step::Started(id) => token.started(&member(*id), now),
        Step::Reopen { force } => token.reopen(now, RULES.token_ttl, *force).map(Some),
        Step::Revoke => Ok(token.revoke(now)),
        Step::Pass(_) => Ok(None),
    }
}

/// A machine that waits as etcd's nodes do: it lists, then polls from the index after the list's, and adds up what it is told.
#[derive(Default)]
struct Machine {
    seen: Option<(BTreeSet<String>, u64)>,
}

impl Machine {
    fn look(&mut self, token: &Token, now: Moment) {
        let Some((set, next)) = &mut self.seen else {
            if token.alive(now).is_ok() {
                let set = token.entries.iter().map(|entry| entry.value()).collect();
                self.seen = Some((set, token.index + 1));
            }
            return;
        };
        loop {
            match token.poll(&Waits { scope: Scope::All, since: *next }, now) {
                Ok(Some(entry)) => {
                    set.insert(entry.value());
                    *next = entry.index + 1;
                }
                Ok(None) => return,
                // It ends with an error, and is started again.
                Err(_) => {
                    self.seen = None;
                    return;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_invariants_hold(size in 1..5_u64, steps in prop::collection::vec(step(), 1..60)) {
        let (mut token, mut now) = (fresh(size), Moment(1_000));
        let mut machines: Vec<Machine> = (0..4).map(|_| Machine::default()).collect();
        for (turn, step) in steps.iter().enumerate() {
            if let Step::Pass(seconds) = step {
                now = now.after(Duration::from_secs(u64::from(*seconds)));
            }
            let before = token.clone();
            let outcome = take(&token, step, now);
            if let Ok(Some(after)) = &outcome {
                token = after.clone();
            }
            // Names, IDs and URLs are unique, and there are never too many.
            let count = token.entries.len();
            let distinct = |of: &dyn Fn(usize) -> String| (0..count).map(of).collect::<BTreeSet<_>>().len();
            prop_assert!(count <= token.size.count());
            prop_assert_eq!(distinct(&|at| token.entries[at].name.clone()), count);
            prop_assert_eq!(distinct(&|at| token.entries[at].member.to_string()), count);
            prop_assert_eq!(distinct(&|at| token.entries[at].peer_urls.join(",")), count);
            // Indexes only grow, and an entry keeps its own.
            prop_assert!(token.index >= before.index && token.floor <= token.index);
            for entry in &token.entries {
                prop_assert!(entry.index <= token.index);
                if let Some(was) = before.entry(&entry.member) {
                    prop_assert_eq!(was.index, entry.index);
                }
            }
            // A sealed set moves for an administrator only.
            if before.stage(now) == Stage::Sealed && !matches!(step, Step::Reopen { .. }) {
                let values = |token: &Token| token.entries.iter().map(|it| it.value()).collect::<Vec<_>>();
                prop_assert_eq!(values(&before), values(&token));
            }
            prop_assert_eq!(token.sealed.is_some(), token.entries.len() == token.size.count());
            // A registration that was accepted is answered the same again.
            if let (Step::Register { id, name, url }, Ok(_)) = (step, &outcome) {
                let again = token.register(&claim(*id, *name, *url), now, &RULES).unwrap();
                prop_assert!(again.change.is_none());
            }
            // Some machines look now and then; what one has put together was the whole truth at some time.
            let machine = &mut machines[turn % 4];
            machine.look(&token, now);
            if let Some((set, _)) = &machine.seen {
                let truth: BTreeSet<String> = token.entries.iter().map(|it| it.value()).collect();
                prop_assert_eq!(set, &truth, "a machine mixes two sets");
            }
            // And it reads back from the store as it was.
            let text = serde_json::to_string(&token).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Token>(&text).unwrap(), &token);
        }
    }
}
