//! `/v2/stats`: what the member, the leader and the store have counted. Bodies end without a newline.

use http::{Method, StatusCode};
use quorate_core::stats::Tally;
use quorate_core::{Stamp, json};

use super::Shared;
use super::reply::{self, Reply};
use crate::member::{Follower, Member};

/// `/v2/stats/self`: this member and whom it follows.
pub(super) fn own<M: Member>(shared: &Shared<M>, method: &Method) -> Reply {
    if *method != Method::GET {
        return reply::method_not_allowed(Some("GET"));
    }
    let status = shared.member.status();
    let appends = shared.member.append_stats();
    let (name, now) = shared.member.view(|machine, now| {
        let own = machine.members().member(status.member);
        (own.map(|member| member.name.clone()).unwrap_or_default(), now)
    });
    let mut out = Vec::with_capacity(320);
    out.extend_from_slice(b"{\"name\":");
    json::write_string(&mut out, name.as_bytes());
    text_field(&mut out, ",\"id\":", &status.member.to_string());
    text_field(&mut out, ",\"state\":", status.role.as_str());
    text_field(&mut out, ",\"startTime\":", &status.started_at.rfc3339());
    let leader = status.leader.map(|id| id.to_string()).unwrap_or_default();
    text_field(&mut out, ",\"leaderInfo\":{\"leader\":", &leader);
    text_field(&mut out, ",\"uptime\":", &duration_since(status.leader_since, now));
    text_field(&mut out, ",\"startTime\":", &status.leader_since.rfc3339());
    out.extend_from_slice(b"},\"recvAppendRequestCnt\":");
    json::write_u64(&mut out, appends.received);
    out.extend_from_slice(b",\"sendAppendRequestCnt\":");
    json::write_u64(&mut out, appends.sent);
    out.push(b'}');
    reply::json(StatusCode::OK, out)
}

/// `/v2/stats/leader`: how the followers keep up; only the leader knows.
pub(super) fn leader<M: Member>(shared: &Shared<M>, method: &Method) -> Reply {
    if *method != Method::GET {
        return reply::method_not_allowed(Some("GET"));
    }
    let Some(followers) = shared.member.followers() else {
        return reply::message(StatusCode::FORBIDDEN, "not current leader");
    };
    let mut out = Vec::with_capacity(64 + 256 * followers.len());
    text_field(&mut out, "{\"leader\":", &shared.member.status().member.to_string());
    out.extend_from_slice(b",\"followers\":{");
    for (at, follower) in followers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_follower(&mut out, follower);
    }
    out.extend_from_slice(b"}}");
    reply::json(StatusCode::OK, out)
}

/// `/v2/stats/store`: operations on this member's store.
pub(super) fn store<M: Member>(shared: &Shared<M>, method: &Method) -> Reply {
    if *method != Method::GET {
        return reply::method_not_allowed(Some("GET"));
    }
    let mut out = Vec::with_capacity(320);
    out.push(b'{');
    shared.member.view(|machine, _| {
        let stats = machine.stats();
        write_tally(&mut out, "gets", &stats.gets);
        write_tally(&mut out, "sets", &stats.sets);
        write_tally(&mut out, "delete", &stats.deletes);
        write_tally(&mut out, "update", &stats.updates);
        write_tally(&mut out, "create", &stats.creates);
        write_tally(&mut out, "compareAndSwap", &stats.compare_and_swaps);
        write_tally(&mut out, "compareAndDelete", &stats.compare_and_deletes);
        out.extend_from_slice(b"\"expireCount\":");
        json::write_u64(&mut out, stats.expired.count());
    });
    out.extend_from_slice(b",\"watchers\":");
    // A count of things in memory fits 64 bits.
    json::write_u64(&mut out, shared.member.watchers() as u64);
    out.push(b'}');
    reply::json(StatusCode::OK, out)
}

fn write_tally(out: &mut Vec<u8>, name: &str, tally: &Tally) {
    for (suffix, counter) in [("Success", &tally.success), ("Fail", &tally.fail)] {
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(suffix.as_bytes());
        out.extend_from_slice(b"\":");
        json::write_u64(out, counter.count());
        out.push(b',');
    }
}

fn write_follower(out: &mut Vec<u8>, follower: &Follower) {
    let latency = &follower.latency;
    json::write_string(out, follower.id.to_string().as_bytes());
    out.extend_from_slice(b":{\"latency\":{");
    let times = [
        ("current", latency.current_ms),
        ("average", latency.average_ms),
        ("standardDeviation", latency.standard_deviation_ms),
        ("minimum", latency.minimum_ms),
        ("maximum", latency.maximum_ms),
    ];
    for (at, (name, milliseconds)) in times.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // JSON has no word for infinity, which is what a mean of nothing may come to.
        let milliseconds = if milliseconds.is_finite() { milliseconds } else { 0.0 };
        out.extend_from_slice(format!("{comma}\"{name}\":{milliseconds}").as_bytes());
    }
    out.extend_from_slice(b"},\"counts\":{\"fail\":");
    json::write_u64(out, follower.fail);
    out.extend_from_slice(b",\"success\":");
    json::write_u64(out, follower.success);
    out.extend_from_slice(b"}}");
}

fn text_field(out: &mut Vec<u8>, name: &str, text: &str) {
    out.extend_from_slice(name.as_bytes());
    json::write_string(out, text.as_bytes());
}

/// The time from `start` to `now` as Go prints a duration: `1h2m3.5s`, `12ms`, `0s`.
fn duration_since(start: Stamp, now: Stamp) -> String {
    const SECOND: u64 = 1_000_000_000;
    let nanos = now.0.saturating_sub(start.0);
    let fraction = |whole: u64, part: u64, digits: usize, unit: &str| {
        let part = format!(".{part:0digits$}");
        format!("{whole}{}{unit}", part.trim_end_matches('0').trim_end_matches('.'))
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(nanos / 1_000, nanos % 1_000, 3, "µs"),
        1_000_000..SECOND => fraction(nanos / 1_000_000, nanos % 1_000_000, 6, "ms"),
        _ => {
            let (seconds, minutes, hours) =
                (nanos / SECOND % 60, nanos / SECOND / 60 % 60, nanos / SECOND / 3600);
            let seconds = fraction(seconds, nanos % SECOND, 9, "s");
            match (hours, minutes) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_go_prints_them() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_146_285_396, "3.146285396s"),
            (60_000_000_000, "1m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (90_061_500_000_000, "25h1m1.5s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration_since(Stamp(5), Stamp(5 + nanos)), text);
        }
        assert_eq!(duration_since(Stamp(5), Stamp(0)), "0s");
    }
}
