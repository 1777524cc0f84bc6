//! `announcement`: what members that start tell each other.
//!
//! The input is the body of an answer. Promises: it is understood or refused with a reason; a decision from whatever it
//! says comes without a panic, and one line's worth of strange answer never makes a member form a cluster.

use std::collections::BTreeMap;

use quorate_core::MemberId;
use quorate_core::bootstrap::{
    Answer, Disk, Facts, FormationHash, Incarnation, Intent, Listed, Places, Start, decide,
};
use quorate_server::peer_api::formation::Announcement;

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let answer = match Announcement::parse(input) {
        Ok(answer) => answer,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(Announcement::parse(input).expect("it was understood before"), answer);
    for intent in [Intent::Form, Intent::Join, Intent::Auto] {
        let facts = facts(intent, answer.clone());
        match decide(&facts) {
            // The third member is silent, so nothing that the second says is enough.
            start @ (Start::Bind(_) | Start::Restart) => panic!("{start:?} for {facts:?}"),
            Start::Form => assert!(facts.bound.is_some(), "formed without having been bound"),
            Start::Wait { reason } | Start::Refuse { reason } => assert!(!reason.is_empty()),
            Start::Join { member, members, .. } => {
                assert!(members.iter().any(|known| known.id == member), "joined as a stranger");
            }
        }
    }
}

/// A member of three with an empty disk that has heard from one other.
fn facts(intent: Intent, answer: Answer) -> Facts {
    let listed: Vec<Listed> = (1..=3)
        .map(|n| Listed {
            id: MemberId(n),
            name: format!("n{n}"),
            peer_urls: vec![format!("http://127.0.0.1:{n}")],
        })
        .collect();
    let mut answers = BTreeMap::from([(MemberId(2), answer)]);
    answers.insert(MemberId(3), Answer::Silent);
    Facts {
        intent,
        disk: Disk::Fresh,
        own: listed[0].clone(),
        incarnation: Incarnation(101),
        bound: None,
        listed,
        token: "t".to_owned(),
        answers,
        places: Places::default(),
    }
}

/// The hash that the members of `facts` announce, for whoever writes an input by hand.
#[must_use]
pub fn own_hash() -> FormationHash {
    let facts = facts(Intent::Form, Answer::Silent);
    FormationHash::of(&facts.listed, &facts.token)
}
