//! A link that is down and hears of its peer does not wait for its next attempt, and whoever waits for the peer is told.

use std::time::Duration;

use super::peer::{ECHO, Peer, connect_with};
use super::{SOON, echo};
use crate::peer_api::link::{Class, LinkError, LinkLimits, Refusal, RefusalCode};

/// Longer than the test may take: only word of the peer ends it.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn word_of_the_peer_ends_the_wait_for_it() {
    let peer = Peer::start().await;
    let limits = LinkLimits {
        backoff_min: FOR_EVER,
        backoff_max: FOR_EVER,
        ..LinkLimits::of(Class::Heartbeat)
    };
    let link = connect_with(&peer, Class::Heartbeat, limits, Default::default());
    assert_eq!(echo(&link, "one").await.unwrap(), "one");
    let endpoint = peer.stop().await;
    while echo(&link, "down").await != Err(LinkError::Unreachable) {}
    let _again = Peer::start_at(&endpoint).await;
    assert_eq!(echo(&link, "still down").await, Err(LinkError::Unreachable));
    link.heard_of_peer();
    let begun = tokio::time::Instant::now();
    while echo(&link, "two").await.is_err() {
        assert!(begun.elapsed() < SOON, "it waits on");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_return_is_told_and_a_new_connection_to_one_who_never_left_is_not() {
    let peer = Peer::start().await;
    let limits = LinkLimits::of(Class::Snapshot);
    let link = connect_with(&peer, Class::Snapshot, limits, Default::default());
    let mut returns = link.returns();
    assert_eq!(echo(&link, "one").await.unwrap(), "one");
    peer.drop_links();
    while echo(&link, "anew").await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!returns.has_changed().unwrap(), "it never left");
    let endpoint = peer.stop().await;
    while echo(&link, "down").await != Err(LinkError::Unreachable) {}
    let _again = Peer::start_at(&endpoint).await;
    tokio::time::timeout(SOON, returns.changed()).await.expect("told").unwrap();
    assert_eq!(echo(&link, "two").await.unwrap(), "two");
}

#[tokio::test]
async fn a_call_for_one_who_is_not_ready_is_made_again_when_it_is_and_fails_in_time_if_it_never_is()
{
    let peer = Peer::start().await;
    let refusal = Refusal::new(RefusalCode::NotReady, "it is starting".to_owned());
    *peer.gate.refusal.lock() = Some(refusal.clone());
    let limits = LinkLimits::of(Class::Heartbeat);
    let link = connect_with(&peer, Class::Heartbeat, limits, Default::default());
    while echo(&link, "refused").await != Err(LinkError::Refused(refusal.clone())) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let short = Duration::from_millis(20);
    let called = link.call_when_back(ECHO, "never".into(), short).await;
    assert_eq!(called, Err(LinkError::Refused(refusal)));
    let mut waiting = std::pin::pin!(link.call_when_back(ECHO, "vote".into(), SOON));
    assert!(futures_util::poll!(&mut waiting).is_pending(), "it waits for the peer");
    *peer.gate.refusal.lock() = None;
    assert_eq!(waiting.await.unwrap(), "vote");
}
