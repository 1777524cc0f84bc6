//! The status page of a token: made here, readable without a script; with one it is kept up to date.
//!
//! Invariant: whatever a member said of itself is escaped. The page holds no secret but the one it was asked with, which is in its own
//! address, and the discovery URL only for those who came by it.

mod reports;

use std::fmt::Write as _;

use http::StatusCode;

use super::answer;
use super::body::ServiceBody;
use super::route::RegistryPath;
use super::{Answer, Asked, Edge, native};
use crate::registry::membership::Listed;
use crate::registry::status::{JoinedStatus, MemberStatus};
use crate::registry::{Capability, Moment, Refusal, Secret, Status, TokenId};
use crate::store::Store;

/// The page by the address that was handed out with the token.
pub(super) async fn answer<S: Store>(
    edge: &Edge<S>,
    asked: &Asked,
    token: &str,
    secret: &str,
    events: bool,
) -> Result<Answer, Refusal> {
    let id = TokenId::parse(token).ok_or(Refusal::Unknown)?;
    let secret = Secret::parse(secret).ok_or(Refusal::Unknown)?;
    if events {
        return native::events(edge, asked, Some(id), secret, true).await;
    }
    let can_join = secret.capability() == Capability::Join;
    let url = can_join.then(|| format!("{}/{}", edge.base_url(asked), secret.reveal()));
    show(edge, Some(&id), &secret, url).await
}

/// The page for a browser that opens a discovery URL.
pub(super) async fn of_join<S: Store>(
    edge: &Edge<S>,
    asked: &Asked,
    path: &RegistryPath<'_>,
) -> Result<Answer, Refusal> {
    let secret = Secret::parse(path.secret).ok_or(Refusal::Unknown)?;
    let url = format!("{}/{}", edge.base_url(asked), secret.reveal());
    show(edge, None, &secret, Some(url)).await
}

async fn show<S: Store>(
    edge: &Edge<S>,
    id: Option<&TokenId>,
    secret: &Secret,
    url: Option<String>,
) -> Result<Answer, Refusal> {
    let token = edge.service().open(id, secret, Capability::Read).await?;
    let status = edge.service().status(&token).await?;
    let events = format!("/t/{}/{}/events", status.id, secret.reveal());
    let page = render(&status, url.as_deref(), &events);
    Ok(answer::with(StatusCode::OK, "text/html; charset=utf-8", ServiceBody::full(page)))
}

/// A refusal for people.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    let body = format!(
        "<main><h1>No such page</h1><p class=\"bad\">{}</p></main>",
        escape(&refusal.to_string())
    );
    let page = document("Not here", "", &body);
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    answer::with(status, "text/html; charset=utf-8", ServiceBody::full(page))
}

/// The page. `url` is the discovery URL, for those who know it.
#[must_use]
pub fn render(status: &Status, url: Option<&str>, events: &str) -> String {
    let mut body = String::from("<main id=\"status\">");
    head(&mut body, status);
    members(&mut body, status);
    reports::reach(&mut body, status);
    reports::problems(&mut body, status);
    next_step(&mut body, status, url.unwrap_or("DISCOVERY_URL"));
    body.push_str("</main>");
    let registered = status.members.len();
    let title = format!("{registered} of {} - {}", status.size, status.state);
    document(&title, events, &body)
}

fn document(title: &str, events: &str, body: &str) -> String {
    let live = if events.is_empty() {
        String::new()
    } else {
        format!(
            "<script src=\"/assets/status.js\" data-events=\"{}\" defer></script>",
            escape(events)
        )
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\">\
         <title>{} - Quorate discovery</title><link rel=\"stylesheet\" href=\"/assets/status.css\">{live}</head>\
         <body>{body}<footer>Quorate discovery<span id=\"live\"></span></footer></body></html>\n",
        escape(title)
    )
}

fn head(out: &mut String, status: &Status) {
    let registered = status.members.len();
    let (class, verdict) = match status.state {
        "sealed" => (
            "good",
            "All members are there. The set is sealed: nobody can form with this token again."
                .to_owned(),
        ),
        "expired" => ("bad", "The token expired before all members were there.".to_owned()),
        "revoked" => ("bad", "The token was revoked.".to_owned()),
        _ => ("wait", format!("Waiting for {} more.", status.missing)),
    };
    push(
        out,
        format_args!(
            "<h1><span class=\"badge {class}\">{}</span> {registered} of {} registered</h1><p class=\"verdict {class}\">{verdict}</p>",
            status.state, status.size
        ),
    );
    push(
        out,
        format_args!(
            "<dl><dt>Token</dt><dd><code>{}</code></dd><dt>Made</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd>",
            status.id,
            time(&status.created),
            if status.sealed.is_some() { "Kept until" } else { "Expires" },
            time(&status.expires)
        ),
    );
    if let Some(sealed) = &status.sealed {
        push(out, format_args!("<dt>Sealed</dt><dd>{}</dd>", time(sealed)));
    }
    if let Some(reopened) = &status.reopened {
        push(out, format_args!("<dt>Reopened</dt><dd>{}</dd>", time(reopened)));
    }
    push(out, format_args!("<dt>As of</dt><dd>{}</dd></dl>", time(&status.now)));
    reports::news(out, status);
}

fn members(out: &mut String, status: &Status) {
    out.push_str(
        "<h2>Members</h2><div class=\"scroll\"><table><thead><tr><th>#</th><th>Name</th><th>Peer URLs</th><th>Registered</th>\
         <th>Last report</th><th>Clock</th><th>Certificates</th></tr></thead><tbody>",
    );
    for (position, member) in status.members.iter().enumerate() {
        row(out, position + 1, member, status.at);
    }
    for member in &status.joined {
        joined(out, member, status.at);
    }
    for position in status.members.len() + 1..=status.size {
        push(
            out,
            format_args!(
                "<tr class=\"missing\"><td>{position}</td><td colspan=\"6\">missing since {}</td></tr>",
                time(status.reopened.as_ref().unwrap_or(&status.created))
            ),
        );
    }
    out.push_str("</tbody></table></div>");
}

fn row(out: &mut String, position: usize, member: &MemberStatus, now: Moment) {
    push(
        out,
        format_args!(
            "<tr><td>{position}</td><td><b>{}</b><br><small>{}</small></td><td>{}</td><td>{}</td>",
            escape(&member.name),
            member.id,
            codes(&member.peer_urls),
            time(&member.registered)
        ),
    );
    match &member.report {
        _ if member.left => {
            out.push_str("<td colspan=\"3\" class=\"quiet\">has left the cluster</td>");
        }
        Some(report) => reports::cells(out, report, now),
        None => out.push_str(
            "<td colspan=\"3\" class=\"quiet\">does not report (etcd's own nodes do not)</td>",
        ),
    }
    out.push_str("</tr>");
}

fn joined(out: &mut String, member: &JoinedStatus, now: Moment) {
    push(
        out,
        format_args!(
            "<tr><td>+</td><td><b>{}</b><br><small>{}</small></td><td>{}</td><td>joined later<br><small>{}</small></td>",
            escape(&member.name),
            member.id,
            codes(&member.peer_urls),
            time(&member.since)
        ),
    );
    match &member.report {
        Some(report) => reports::cells(out, report, now),
        None => out.push_str("<td colspan=\"3\"></td>"),
    }
    out.push_str("</tr>");
}

fn codes(urls: &[String]) -> String {
    let shown: Vec<String> =
        urls.iter().map(|url| format!("<code>{}</code>", escape(url))).collect();
    shown.join("<br>")
}

/// What to run on a machine that is missing, or what to do instead.
fn next_step(out: &mut String, status: &Status, url: &str) {
    let url = escape(url);
    match status.state {
        "sealed" => {
            let list = escape(status.initial_cluster.as_deref().unwrap_or_default());
            push(
                out,
                format_args!(
                    "<h2>The cluster as it was formed</h2><pre>{list}</pre>{}<h2>A machine lost its data, or one more is wanted</h2>\
                 <p>It joins the running cluster; this token lets nobody in any more.</p>\
                 <pre>etcdctl member remove ID        # only for a machine that lost its data\n\
                 etcdctl member add NAME http://ADDRESS:2380\n\
                 quorate-server --name NAME --initial-cluster-state existing \\\n    --initial-cluster NAME=http://ADDRESS:2380,...</pre>",
                    present(status)
                ),
            );
        }
        "expired" | "revoked" => {
            out.push_str("<h2>What to do</h2><p>Make a new token and give its URL to all machines.</p><pre>curl 'https://THIS_HOST/new?size=3'</pre>");
        }
        _ => missing_machine(out, status, &url),
    }
}

/// Who is in the cluster by the newest word of its members; nothing when they have said nothing.
fn present(status: &Status) -> String {
    let Some(membership) = &status.membership else { return String::new() };
    let line = |member: &Listed| {
        let urls = [member.peer_urls.join(" "), member.client_urls.join(" ")].join(" ");
        let name = if member.name.is_empty() { "(not started)" } else { &member.name };
        format!("{} {} {}", member.id, escape(name), escape(urls.trim()))
    };
    let lines: Vec<String> = membership.members.iter().map(line).collect();
    format!(
        "<h2>The cluster now</h2><p>As its members report it, from index {} on.</p><pre>{}</pre>",
        membership.index,
        lines.join("\n")
    )
}

/// The command for a machine that is missing: with TLS, if those that are there have it.
fn missing_machine(out: &mut String, status: &Status, url: &str) {
    let peer_urls = status.members.iter().flat_map(|member| &member.peer_urls);
    let is_tls = peer_urls.into_iter().any(|url| url.starts_with("https://"));
    let (scheme, files) = if is_tls {
        (
            "https",
            " \\\n    --peer-cert-file CERTIFICATE --peer-key-file KEY --peer-trusted-ca-file AUTHORITIES",
        )
    } else {
        ("http", "")
    };
    push(
        out,
        format_args!(
            "<h2>On a machine that is missing</h2><p>With a name of its own and an address that the others reach:</p>\
             <pre>quorate-server --name NAME \\\n    --initial-advertise-peer-urls {scheme}://ADDRESS:2380 \\\n    \
             --listen-peer-urls {scheme}://ADDRESS:2380 \\\n    --advertise-client-urls http://ADDRESS:2379 \\\n    \
             --listen-client-urls http://ADDRESS:2379{files} \\\n    --discovery {url}</pre>\
             <p><code>etcd</code> 2.x to 3.6 takes the same flags. All machines need exactly the same URL.</p>"
        ),
    );
}

fn time(text: &str) -> String {
    format!("<time datetime=\"{0}\">{0}</time>", escape(text))
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let _ = out.write_fmt(text);
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::registry::capability::SECRET_BYTES;
    use crate::registry::{ClusterSize, Grants, Membership, Token};

    #[test]
    fn the_page_has_the_command_for_who_is_missing() {
        let secret = |capability| Secret::new(capability, [1; SECRET_BYTES]);
        let join = secret(Capability::Join);
        let grants = Grants::of(&secret(Capability::Admin), &join, &secret(Capability::Read));
        let id = join.token_id().unwrap();
        let now = Moment(1_800_000_000_000);
        let mut token = Token::new(id, ClusterSize::DEFAULT, grants, now, Duration::from_secs(60));
        let shown = |token: &Token, url| render(&Status::of(token, &BTreeMap::new(), now), url, "");
        let page = shown(&token, Some("http://d/<>"));
        assert!(
            page.contains("--discovery http://d/&lt;&gt;") && page.contains(" http://ADDRESS:2380")
        );
        assert!(shown(&token, None).contains("--discovery DISCOVERY_URL"));
        token.entries.push(crate::registry::Entry {
            member: crate::registry::MemberKey::parse("1f").unwrap(),
            name: "one".to_owned(),
            peer_urls: vec!["https://10.0.0.1:2380".to_owned()],
            index: 2,
            at: now,
            started: None,
        });
        let page = shown(&token, None);
        assert!(page.contains("https://ADDRESS:2380") && page.contains("--peer-cert-file"));
        let mut status = Status::of(&token, &BTreeMap::new(), now);
        let listed = Listed {
            id: crate::registry::MemberKey::parse("2f").unwrap(),
            name: String::new(),
            peer_urls: vec!["http://<b>".to_owned()],
            client_urls: Vec::new(),
        };
        status.state = "sealed";
        status.membership = Some(Membership { index: 7, members: vec![listed] });
        let page = render(&status, None, "");
        assert!(page.contains("index 7 on") && page.contains("2f (not started) http://&lt;b&gt;"));
    }
}
