//! The part of the status page that is made of what members said of themselves: when, their clocks, their certificates, who
//! reaches whom, and in sentences what somebody has to look at.
//!
//! Invariant: what a member said is escaped, and shown as what it said: a report that is old is marked as old.

use std::time::Duration;

use super::{escape, push, time};
use crate::registry::report::{Progress, Reach, Report};
use crate::registry::status::Reporter;
use crate::registry::{MemberKey, Moment, News, Status};

/// A clock that is off by more than this is worth a word.
const CLOCK_OFFSET_MS_MAX: u64 = 1000;
/// A member that waits reports every few seconds.
const SILENT_WAITING: Duration = Duration::from_secs(30);
/// One that runs does every four minutes, and pauses as long after this service was away.
const SILENT_RUNNING: Duration = Duration::from_secs(600);
/// Milliseconds of a second.
const MS_PER_S: f64 = 1000.0;

/// The cells of a member that reports: when and what it is, its clock, its certificates.
pub(super) fn cells(out: &mut String, report: &Report, now: Moment) {
    let progress = match report.sent.progress {
        Progress::Waiting => "waits",
        Progress::Starting => "starts",
        Progress::Started => "has started",
    };
    let silent = silence(report, now).map_or_else(String::new, |silence| {
        format!(" <span class=\"wait\">silent for {}</span>", span(silence))
    });
    push(
        out,
        format_args!(
            "<td>{progress}{silent}<br><small>{} {}</small></td><td>{}</td><td>{}</td>",
            time(&report.at.to_string()),
            escape(&report.sent.program),
            clock(report),
            certificates(report)
        ),
    );
}

/// Who reaches whom: a line for each member that has tried, a column for each that was tried.
pub(super) fn reach(out: &mut String, status: &Status) {
    let has_tried =
        |member: &Reporter<'_>| member.report.is_some_and(|report| !report.sent.reach.is_empty());
    let tried: Vec<Reporter<'_>> = status.reporters().filter(has_tried).collect();
    if tried.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Who reaches whom</h2><div class=\"scroll\"><table class=\"matrix\"><thead><tr><th>from \\ to</th>",
    );
    for to in status.reporters() {
        push(out, format_args!("<th>{}</th>", escape(to.name)));
    }
    out.push_str("</tr></thead><tbody>");
    for from in tried {
        push(out, format_args!("<tr><th>{}</th>", escape(from.name)));
        for to in status.reporters() {
            push(out, format_args!("<td>{}</td>", cell(from, to)));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}

/// Everything that somebody has to look at, in sentences. Of who has left the cluster nothing is to be done.
pub(super) fn problems(out: &mut String, status: &Status) {
    let mut found = Vec::new();
    for member in status.reporters() {
        if let Some(report) = member.report {
            problems_of(&mut found, member.name, report, status);
        }
    }
    if !found.is_empty() {
        push(
            out,
            format_args!(
                "<h2>Problems</h2><ul class=\"bad\"><li>{}</li></ul>",
                found.join("</li><li>")
            ),
        );
    }
}

/// How many have started, and whether what is told of the cluster is old.
pub(super) fn news(out: &mut String, status: &Status) {
    if let Some((started, all)) = status.started() {
        push(out, format_args!("<p>{started} of {all} have started.</p>"));
    }
    if status.news == Some(News::Stale) {
        let since = status.last_report.as_deref().map(time).unwrap_or_default();
        push(
            out,
            format_args!(
                "<p class=\"verdict bad\">No member has reported since {since}. Who is in the cluster, here, in DNS and in the feed for \
                 Prometheus, is what was known then. Members that do not reach this service say so in their log.</p>"
            ),
        );
    }
}

fn problems_of(found: &mut Vec<String>, name: &str, report: &Report, status: &Status) {
    let name = escape(name);
    let certificates = &report.sent.certificate_problems;
    for reach in report.sent.reach.iter().filter(|reach| !reach.ok) {
        let to = name_of(&reach.member, status);
        let detail = escape(&reach.detail);
        found.push(format!("<b>{name}</b> does not reach <b>{}</b>: {detail}", escape(to)));
    }
    // What keeps it from reaching another has been said by now.
    let is_said = |problem: &String| report.sent.reach.iter().any(|reach| reach.detail == *problem);
    for problem in certificates.iter().filter(|problem| !is_said(problem)) {
        found.push(format!("<b>{name}</b>, certificates: {}", escape(problem)));
    }
    if let Some(offset) = offset(report).filter(|it| it.unsigned_abs() > CLOCK_OFFSET_MS_MAX) {
        let (seconds, way) = (offset.unsigned_abs() as f64 / MS_PER_S, ahead(offset));
        found.push(format!(
            "The clock of <b>{name}</b> is {seconds:.1} s {way} of this service's. Let both be set by NTP"
        ));
    }
    if let Some(silence) = silence(report, status.at) {
        found.push(format!(
            "<b>{name}</b> has been silent for {}: it is down, or does not reach this service",
            span(silence)
        ));
    }
}

/// Members that joined later have a name in the cluster's list alone.
fn name_of<'a>(member: &'a MemberKey, status: &'a Status) -> &'a str {
    let registered = status.members.iter().map(|known| (&known.id, &known.name));
    let listed = status.membership.iter().flat_map(|it| &it.members);
    let mut named = registered.chain(listed.map(|listed| (&listed.id, &listed.name)));
    let found = named.find(|(id, name)| *id == member && !name.is_empty());
    found.map_or(member.as_str(), |(_, name)| name)
}

fn cell(from: Reporter<'_>, to: Reporter<'_>) -> String {
    if from.id == to.id {
        return "<span class=\"quiet\">-</span>".to_owned();
    }
    let reaches = from.report.iter().flat_map(|report| &report.sent.reach);
    match reaches.into_iter().find(|reach| reach.member == *to.id) {
        None => "<span class=\"quiet\">not tried yet</span>".to_owned(),
        Some(Reach { ok: false, detail, .. }) => {
            format!("<span class=\"bad\" title=\"{}\">no</span>", escape(detail))
        }
        Some(Reach { rtt_ms: None, .. }) => "<span class=\"good\">yes</span>".to_owned(),
        Some(Reach { rtt_ms: Some(0), .. }) => {
            "<span class=\"good\">yes</span> <small>&lt; 1 ms</small>".to_owned()
        }
        Some(Reach { rtt_ms: Some(rtt), .. }) => {
            format!("<span class=\"good\">yes</span> <small>{rtt} ms</small>")
        }
    }
}

fn clock(report: &Report) -> String {
    match offset(report) {
        None => "not told".to_owned(),
        Some(offset) => {
            let class = if offset.unsigned_abs() > CLOCK_OFFSET_MS_MAX { "bad" } else { "good" };
            format!("<span class=\"{class}\">{offset:+} ms</span>")
        }
    }
}

fn offset(report: &Report) -> Option<i64> {
    report.clock_offset_ms
}

fn ahead(offset: i64) -> &'static str {
    if offset < 0 { "behind" } else { "ahead" }
}

fn certificates(report: &Report) -> String {
    match report.sent.certificate_problems.len() {
        0 => "<span class=\"quiet\">no problem told</span>".to_owned(),
        1 => "<span class=\"bad\">1 problem</span>".to_owned(),
        count => format!("<span class=\"bad\">{count} problems</span>"),
    }
}

/// For how long a member has said nothing, if that is longer than members do.
fn silence(report: &Report, now: Moment) -> Option<Duration> {
    let most = match report.sent.progress {
        Progress::Started => SILENT_RUNNING,
        Progress::Waiting | Progress::Starting => SILENT_WAITING,
    };
    Some(now.since(report.at)).filter(|silence| *silence > most)
}

fn span(length: Duration) -> String {
    match length.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds if seconds < 48 * 3600 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / (24 * 3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::report::Sent;
    use crate::registry::status::MemberStatus;

    const NOW: Moment = Moment(1_800_000_000_000);

    fn member(id: &str, name: &str, sent: Sent, ago: Duration, offset: i64) -> MemberStatus {
        let at = Moment(NOW.0 - u64::try_from(ago.as_millis()).unwrap());
        MemberStatus {
            id: MemberKey::parse(id).unwrap(),
            name: name.to_owned(),
            peer_urls: Vec::new(),
            index: 2,
            registered: NOW.to_string(),
            started: None,
            left: false,
            report: Some(Report { at, clock_offset_ms: Some(offset), sent }),
        }
    }

    fn status(members: Vec<MemberStatus>) -> Status {
        Status {
            id: "0".to_owned(),
            state: "forming",
            size: 3,
            missing: 1,
            index: 3,
            created: NOW.to_string(),
            expires: NOW.to_string(),
            sealed: None,
            reopened: None,
            now: NOW.to_string(),
            at: NOW,
            members,
            initial_cluster: None,
            membership: None,
            joined: Vec::new(),
            news: None,
            last_report: None,
        }
    }

    #[test]
    fn old_news_is_called_old_and_who_has_left_is_no_problem() {
        let gone = member("a", "one", Sent::default(), Duration::from_secs(900), 0);
        let mut shown = status(vec![MemberStatus { left: true, ..gone }]);
        let page = |shown: &Status| {
            let mut page = String::new();
            news(&mut page, shown);
            problems(&mut page, shown);
            page
        };
        assert_eq!(page(&shown), "");
        shown.news = Some(News::Stale);
        shown.last_report = Some("then".to_owned());
        assert!(page(&shown).contains("No member has reported since <time datetime=\"then\""));
        shown.members[0].left = false;
        assert!(page(&shown).contains("<b>one</b> has been silent for 15 min"));
    }

    #[test]
    fn what_keeps_a_member_from_another_is_said_once_and_old_news_is_marked() {
        let reach = |to: &str, ok, detail: &str| Reach {
            member: MemberKey::parse(to).unwrap(),
            ok,
            detail: detail.to_owned(),
            rtt_ms: ok.then_some(0),
        };
        let expired = "two's certificate expired 3 days ago <https://b:1>";
        let one = Sent {
            reach: vec![reach("b", false, expired)],
            certificate_problems: vec![expired.to_owned(), "its own expires in 2 days".to_owned()],
            ..Sent::default()
        };
        let two = Sent { reach: vec![reach("a", true, "")], ..Sent::default() };
        let shown = status(vec![
            member("a", "one", one, Duration::from_secs(3), 0),
            member("b", "two", two, Duration::from_secs(660), -4200),
        ]);
        let mut page = String::new();
        reports_of(&mut page, &shown);
        assert_eq!(page.matches("expired 3 days ago &lt;https").count(), 2, "{page}");
        assert_eq!(page.matches("<li>").count(), 4, "{page}");
        for expected in [
            "<b>one</b> does not reach <b>two</b>: two&#39;s certificate expired",
            "<b>one</b>, certificates: its own expires in 2 days",
            "The clock of <b>two</b> is 4.2 s behind",
            "<b>two</b> has been silent for 11 min",
            "yes</span> <small>&lt; 1 ms",
            "silent for 11 min</span>",
            "2 problems",
        ] {
            assert!(page.contains(expected), "{expected:?} is not in\n{page}");
        }
    }

    fn reports_of(page: &mut String, shown: &Status) {
        for member in &shown.members {
            cells(page, member.report.as_ref().unwrap(), NOW);
        }
        reach(page, shown);
        problems(page, shown);
    }
}
