//! Is this member well? `/health` as etcd answers it, `/livez` and `/readyz` for supervisors.
//!
//! `/health` asks for a quorum, so all members of a cluster without one fail it; `/livez` never does, since restarting them would not help.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::timeout;

use super::Shared;
use super::body::ApiBody;
use super::reply::{self, Reply};
use crate::member::{Check, Member};

/// How long the linearizable read behind `/health` may take; etcd's time.
const HEALTH_DEADLINE: Duration = Duration::from_secs(1);

/// `/health`: a leader is known, the cluster knows this member, and a quorum answers.
pub(super) async fn health<M: Member>(shared: &Shared<M>, method: &Method) -> Reply {
    if *method != Method::GET {
        return reply::method_not_allowed(Some("GET"));
    }
    let reason = if shared.member.status().leader.is_none() {
        "no leader is known".to_owned()
    } else if !shared.member.has_joined() {
        "this member has not joined its cluster yet".to_owned()
    } else {
        match timeout(HEALTH_DEADLINE, shared.member.read_barrier()).await {
            Ok(Ok(())) => {
                shared.metrics.health(true);
                let body = ApiBody::full_static(b"{\"health\":\"true\"}");
                return reply::typed(StatusCode::OK, reply::TEXT_PLAIN, body);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no quorum answered within 1 s".to_owned(),
        }
    };
    shared.metrics.health(false);
    tracing::debug!(reason, "not healthy");
    let body = ApiBody::full_static(b"{\"health\":\"false\"}\n");
    reply::error_text(StatusCode::SERVICE_UNAVAILABLE, body)
}

/// `/livez` and `/readyz`: `ok`, or which of the checks failed; `?verbose` lists all, `?exclude=name` leaves one out.
pub(super) fn checks(method: &Method, query: &str, checks: &[Check]) -> Reply {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return reply::method_not_allowed(Some("GET,HEAD"));
    }
    let pairs = || query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let verbose = pairs().any(|(name, _)| name == "verbose");
    let excluded = |check: &Check| pairs().any(|pair| pair == ("exclude", check.name));
    let mut list = String::new();
    let mut failed = false;
    for check in checks {
        match &check.result {
            _ if excluded(check) => list.push_str(&format!("[+]{} excluded: ok\n", check.name)),
            Ok(()) => list.push_str(&format!("[+]{} ok\n", check.name)),
            Err(reason) => {
                failed = true;
                list.push_str(&format!("[-]{} failed: {reason}\n", check.name));
            }
        }
    }
    if failed {
        tracing::debug!(checks = list.trim_end(), "a check failed");
        return reply::error_text(StatusCode::SERVICE_UNAVAILABLE, ApiBody::full(list));
    }
    list = if verbose { list } else { String::new() };
    list.push_str("ok\n");
    reply::typed(StatusCode::OK, reply::TEXT_PLAIN, ApiBody::full(list))
}
