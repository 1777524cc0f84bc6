//! Users at the servers: one made on a cluster that was launched for it, and the certainty that requests are really checked.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::control;
use crate::wire::Login;

/// A password takes its time to be hashed, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who may do everything; without him users cannot be made to count.
const ROOT: &str = "root";

/// Makes the user, who may do everything, and makes users count. Guests may still do everything as well.
///
/// # Errors
/// When the servers refuse.
pub(super) fn establish(endpoints: &[SocketAddr], login: &Login) -> anyhow::Result<()> {
    let Some(&endpoint) = endpoints.first() else { anyhow::bail!("there is no server") };
    let Login { name, password } = login;
    let ask = |path: &str, body: &str| -> anyhow::Result<()> {
        let answer = control::put_json(endpoint, path, body, login, PATIENCE);
        let answer = answer.with_context(|| format!("no answer to PUT {path}"))?;
        ensure!(matches!(answer.status, 200 | 201), "status {} for PUT {path}", answer.status);
        Ok(())
    };
    let user = |name: &str, roles: &str| {
        let body = format!("{{\"user\":\"{name}\",\"password\":\"{password}\"{roles}}}");
        ask(&format!("/v2/auth/users/{name}"), &body)
    };
    user(ROOT, "")?;
    if name != ROOT {
        user(name, ",\"roles\":[\"root\"]")?;
    }
    ask("/v2/auth/enable", "")
}

/// Makes sure that each server checks users, and lets this one in.
///
/// # Errors
/// When one does not: then nothing is to be learned about it.
pub(super) fn assert_checked(endpoints: &[SocketAddr], login: &Login) -> anyhow::Result<()> {
    for &endpoint in endpoints {
        let enabled = control::get(endpoint, "/v2/auth/enable", PATIENCE);
        let enabled =
            enabled.with_context(|| format!("{endpoint} does not say whether users count"))?;
        let says = String::from_utf8_lossy(&enabled.body).into_owned();
        ensure!(
            says.contains("true"),
            "users do not count at {endpoint}: it would check nobody ({says})"
        );
        let stranger = Login { name: login.name.clone(), password: format!("{}-", login.password) };
        let status = |login: &Login| {
            let answer = control::get_as(endpoint, "/v2/keys/no-such-key", login, PATIENCE);
            answer.map(|answer| answer.status).context("no answer")
        };
        let (right, wrong) = (status(login)?, status(&stranger)?);
        ensure!(
            matches!(right, 200 | 404) && wrong == 401,
            "{endpoint} answers {right} to {} and {wrong} to a wrong password",
            login.name
        );
    }
    Ok(())
}
