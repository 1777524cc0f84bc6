//! Thousands of random requests, the same to both programs, compared one by one.
//!
//! `QUORATE_SEED` repeats a run; `QUORATE_REQUESTS` changes its length.

use quorate_harness::Seeded;
use quorate_interop_tests::compare;
use quorate_interop_tests::requests::Requests;

/// Enough for the event history to overflow once; takes about eight seconds.
const REQUESTS: u64 = 5000;
/// After this many differences the two have diverged, and the rest says nothing new.
const DIFFERENCES_MAX: usize = 5;

#[test]
fn random_requests_are_answered_alike() {
    let count = match std::env::var("QUORATE_REQUESTS") {
        Ok(text) => text.parse().expect("QUORATE_REQUESTS is a number"),
        Err(_) => REQUESTS,
    };
    compare(|pair| {
        // A TTL was given a moment earlier on one side than on the other, and is rounded up to whole seconds.
        pair.ttl_tolerance = 1;
        pair.exact_head_length = false;
        let mut requests = Requests::new(Seeded::from_environment("random requests"));
        let mut statuses = std::collections::BTreeMap::<u16, u64>::new();
        for _ in 0..count {
            let request = requests.invent();
            let both = pair.send(&request);
            *statuses.entry(both.reference.status).or_default() += 1;
            requests.learn(&request, &both.reference);
            if pair.differences().len() >= DIFFERENCES_MAX {
                break;
            }
        }
        eprintln!("answers by status: {statuses:?}");
        if count >= REQUESTS && pair.differences().is_empty() {
            for status in [200, 201, 400, 403, 404, 405, 412] {
                let seen = statuses.get(&status).copied().unwrap_or_default();
                assert!(
                    seen >= 5,
                    "status {status} was seen {seen} times only: the requests are not varied enough"
                );
            }
        }
    });
}
