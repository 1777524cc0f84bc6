//! The engine end to end, against the in-process responder: counts add up, and no stall can hide.

use std::time::Duration;

use quorate_bench::drive::{self, KeyOrder, Mix, Pace, Plan, Tally};
use quorate_bench::responder::{Responder, Stall};
use quorate_bench::servers::Processes;

fn plan(responder: &Responder) -> Plan {
    Plan {
        endpoints: vec![responder.address()],
        connections: 8,
        mix: Mix {
            read_percent: 50,
            quorum: false,
            value_bytes: 256,
            keys: 100,
            order: KeyOrder::Random,
            prefix: "bench".to_owned(),
            login: None,
        },
        pace: Pace::Closed,
        warmup: Duration::ZERO,
        duration: Duration::from_secs(30),
        requests_max: 2_000,
        request_timeout: Duration::from_secs(10),
        seed: 7,
    }
}

fn run(plan: &Plan) -> Tally {
    let own = Processes::new(vec![std::process::id()]);
    drive::run(plan, &own).expect("the load runs")
}

#[test]
fn a_counted_load_is_served_to_the_last_request() {
    let responder = Responder::start(None, || ()).expect("a responder");
    let tally = run(&plan(&responder));
    assert_eq!(tally.invalid(), None);
    assert_eq!(tally.errors.total(), 0, "{}", tally.errors);
    assert_eq!(tally.reads.count() + tally.writes.count(), 2_000);
    assert_eq!(responder.served(), 2_000);
    assert!(
        tally.reads.count() > 800 && tally.writes.count() > 800,
        "half of 2000 each, by seed 7"
    );
    assert!(tally.rate() > 0.0 && tally.own_cpu > Duration::ZERO);
    assert!(tally.server_cpu.is_some(), "the process was named");
}

#[test]
fn values_larger_than_the_socket_takes_at_once_arrive_whole() {
    let responder = Responder::start(None, || ()).expect("a responder");
    let mut plan = plan(&responder);
    plan.mix.read_percent = 0;
    plan.mix.value_bytes = 40_000;
    plan.requests_max = 200;
    let tally = run(&plan);
    assert_eq!((tally.writes.count(), tally.errors.total()), (200, 0), "{}", tally.errors);
}

/// 2000 requests due in 2 s, the server asleep for 0.5 s of them: a quarter is late by up to that.
#[test]
fn a_stall_shows_in_the_tail_of_an_open_loop() {
    let stall = Stall { after_requests: 500, span: Duration::from_millis(500) };
    let responder = Responder::start(Some(stall), || ()).expect("a responder");
    let mut plan = plan(&responder);
    plan.pace = Pace::Open { rate: 1_000.0 };
    plan.duration = Duration::from_secs(2);
    let open = run(&plan).all();
    assert_eq!(open.count(), 2_000);
    assert!(open.quantile_ms(0.99) >= 400.0, "p99 {} ms hides the stall", open.quantile_ms(0.99));
    assert!(open.quantile_ms(0.85) >= 100.0, "p85 {} ms hides the stall", open.quantile_ms(0.85));
}

/// The same stall in a closed loop: only the eight requests in flight see it. This is why the open loop exists.
#[test]
fn the_same_stall_hides_in_a_closed_loop() {
    let stall = Stall { after_requests: 500, span: Duration::from_millis(500) };
    let responder = Responder::start(Some(stall), || ()).expect("a responder");
    let closed = run(&plan(&responder)).all();
    assert_eq!(closed.count(), 2_000);
    assert!(closed.max_ms() >= 500.0, "longest {} ms: the stall did not happen", closed.max_ms());
    assert!(closed.quantile_ms(0.99) < 400.0, "p99 {} ms", closed.quantile_ms(0.99));
}

#[test]
fn a_server_slower_than_the_patience_makes_the_run_invalid() {
    let stall = Stall { after_requests: 100, span: Duration::from_millis(800) };
    let responder = Responder::start(Some(stall), || ()).expect("a responder");
    let mut plan = plan(&responder);
    plan.request_timeout = Duration::from_millis(200);
    let tally = run(&plan);
    assert!(tally.errors.timeout >= 8, "{}", tally.errors);
    assert!(tally.invalid().is_some_and(|why| why.contains("timed out")), "{:?}", tally.invalid());
}

#[test]
fn nobody_there_is_an_error_that_names_the_endpoint() {
    let responder = Responder::start(None, || ()).expect("a responder");
    let plan = plan(&responder);
    drop(responder);
    let error = drive::run(&plan, &Processes::default()).expect_err("nobody listens");
    assert!(format!("{error:#}").contains(&plan.endpoints[0].to_string()), "{error:#}");
}
