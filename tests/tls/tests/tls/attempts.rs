//! Attempts to get in, with certificates good and bad: the table in `docs/security.md`.

use std::sync::Arc;

use quorate_harness::{
    Authority, Cluster, FAR_AWAY, LONG_AGO, Member, NOT_SO_LONG_AGO, Order, Papers, Port, etcdctl,
    eventually,
};
use quorate_tls_tests::{Attempts, Curl, SOON, Secured, Site, counted, metric, set_flags};

use crate::protocols::s_client;
use crate::service;
use crate::skip_without_openssl;

#[test]
fn the_table_of_attempts_is_true() {
    if skip_without_openssl() {
        return;
    }
    let mut attempts = Attempts::default();
    clients(&mut attempts);
    chosen_clients(&mut attempts);
    servers(&mut attempts);
    members(&mut attempts);
    service::visitors(&mut attempts);
    attempts.compare();
}

/// The papers that get nobody in, made by a site's authority or by another one.
pub(crate) struct Bad {
    pub(crate) tried: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) papers: Papers,
}

pub(crate) fn bad_papers(site: &Site, usage_needed: &'static str) -> Vec<Bad> {
    let stranger = Authority::found(site.folder(), "strangers");
    let usage = if usage_needed == "both" { "serverAuth,clientAuth" } else { "clientAuth" };
    let order = Order { subject: "/CN=eve", usage, ..Order::default() };
    let revoked = site.authority.sign("revoked", &order);
    site.authority.revoke(&revoked);
    // Its subject is the good authority's: only the signature tells the two apart.
    let namesake = Authority::found(&site.folder().join("strangers"), "good-authority");
    let wrong_usage = Order { usage: "serverAuth", ..order.clone() };
    let expired = Order { from: LONG_AGO, until: NOT_SO_LONG_AGO, ..order.clone() };
    let early = Order { from: "20480101000000Z", until: FAR_AWAY, ..order.clone() };
    let bad = |tried, reason, papers| Bad { tried, reason, papers };
    vec![
        bad("signed by another authority", "unknown_authority", stranger.sign("eve", &order)),
        bad(
            "signed by an authority of the same name",
            "bad_certificate",
            namesake.sign("eve", &order),
        ),
        bad(
            "for servers alone (`serverAuth`)",
            "wrong_usage",
            site.authority.sign("usage", &wrong_usage),
        ),
        bad("expired", "expired", site.authority.sign("expired", &expired)),
        bad("not valid yet", "expired", site.authority.sign("early", &early)),
        bad("revoked", "revoked", revoked),
    ]
}

pub(crate) fn refusal(reason: &str) -> String {
    format!("refused in the handshake: `{reason}`")
}

/// Runs an attempt that must fail in the handshake, for this reason alone, and gives what is to be written down.
#[track_caller]
fn refused(metrics: &Port, side: &str, reason: &str, attempt: impl FnOnce() -> bool) -> String {
    let before = counted(metrics, side, reason);
    assert!(!attempt(), "somebody got in who is {reason}");
    let is_counted = eventually(SOON, || counted(metrics, side, reason) > before);
    assert!(is_counted, "nothing was counted as {reason}");
    refusal(reason)
}

fn clients(attempts: &mut Attempts) {
    attempts.heading(
        "Clients, of a member with `--client-cert-auth --trusted-ca-file --client-crl-file`",
    );
    let site = Site::new();
    let (cluster, metrics) = site.cluster(1, Secured::Clients);
    let (member, metrics) = (cluster.member(0), &metrics[0]);
    let bad = bad_papers(&site, "clientAuth");
    let list = site.authority.revocations("list.pem", FAR_AWAY);
    set_flags(&member, &[format!("--client-crl-file={}", list.display())]);
    cluster.start();
    site.wait_ready(&cluster.members());
    let url = format!("https://{}/v2/keys/?recursive=true", member.client_address());
    let anonymous = || Curl::get(&url).trusting(&site.authority.certificate);

    let good = site.curl(&member, "/v2/keys/").run();
    assert!(good.body.contains("\"action\":\"get\""), "{good:?}");
    attempts.row("certificate of a trusted authority, for clients", "let in");
    let ran = refused(metrics, "client", "no_certificate", || anonymous().run().code == 0);
    attempts.row("no certificate", &ran);
    for Bad { tried, reason, papers } in &bad {
        let ran =
            refused(metrics, "client", reason, || anonymous().showing(papers).run().code == 0);
        attempts.row(&format!("certificate {tried}"), &ran);
    }
    let stolen =
        Papers { certificate: site.alice.certificate.clone(), key: site.member.key.clone() };
    let ran = anonymous().showing(&stolen).run();
    assert_ne!(ran.code, 0, "{ran:?}");
    attempts.row("somebody else's certificate, without its key", "`curl` itself refuses to try");
    let old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    let ran = refused(metrics, "client", "incompatible", || {
        s_client(&site, &member, &old).contains("Protocol version")
    });
    attempts.row("TLS 1.1", &ran);
    let plain = url.replace("https://", "http://");
    let ran = refused(metrics, "client", "plain_http", || {
        let ran = Curl::get(&plain).args(&["--write-out", "%{http_code}"]).run();
        assert!(
            ran.body.contains("Client sent an HTTP request to an HTTPS server.\n400"),
            "{ran:?}"
        );
        false
    });
    attempts.row("plain HTTP", &format!("status 400 and nothing else; {ran}"));
    let peers = member.peer_url().replace("http://", "https://");
    let ran = Curl::get(&format!("{peers}/members")).showing(&site.alice).args(&["-k"]).run();
    assert_ne!(ran.code, 0, "{ran:?}");
    attempts.row(
        "TLS to a port that speaks plain HTTP",
        "status 400, which no TLS client takes for an answer",
    );
    with_etcdctl(&site, &member, &bad);
    attempts.row("all these certificates, with `etcdctl` (v2)", "the same");
}

/// The client that people have.
fn with_etcdctl(site: &Site, member: &Member, bad: &[Bad]) {
    let Ok(program) = etcdctl() else {
        let must = std::env::var_os("QUORATE_REQUIRE_INTEROP").is_some();
        assert!(!must, "QUORATE_REQUIRE_INTEROP is set, but etcdctl is not there");
        return eprintln!("skipped: etcdctl is not installed (Debian: etcd-client)");
    };
    let run = |papers: &Papers| {
        let output = std::process::Command::new(&program)
            .env("ETCDCTL_API", "2")
            .args(["--endpoints", &format!("https://{}", member.client_address())])
            .arg(format!("--ca-file={}", site.authority.certificate.display()))
            .arg(format!("--cert-file={}", papers.certificate.display()))
            .arg(format!("--key-file={}", papers.key.display()))
            .args(["set", "/from-etcdctl", "1"])
            .output()
            .expect("etcdctl can be started");
        output.status.success()
    };
    assert!(run(&site.alice), "etcdctl gets in");
    for Bad { tried, papers, .. } in bad {
        assert!(!run(papers), "etcdctl gets in with a certificate {tried}");
    }
}

fn chosen_clients(attempts: &mut Attempts) {
    attempts
        .heading("Clients, of a member with `--client-cert-allowed-hostname app.example` as well");
    let site = Site::new();
    let (cluster, metrics) = site.cluster(1, Secured::Clients);
    let (member, metrics) = (cluster.member(0), &metrics[0]);
    let sign = |file: &str, subject, names| {
        let order = Order { subject, names, usage: "clientAuth", ..Order::default() };
        site.authority.sign(file, &order)
    };
    let chosen = sign("chosen", "/CN=any", "DNS:other.example,DNS:app.example");
    let others = [
        ("certificate for another host", sign("other", "/CN=any", "DNS:other.example")),
        ("certificate with the name as its subject alone", sign("subject", "/CN=app.example", "")),
    ];
    set_flags(&member, &["--client-cert-allowed-hostname=app.example".to_owned()]);
    cluster.start();
    let get = |papers: &Papers| {
        let url = format!("https://{}/health", member.client_address());
        Curl::get(&url).trusting(&site.authority.certificate).showing(papers).run().code == 0
    };
    assert!(eventually(SOON, || get(&chosen)), "{}", member.log_tail());
    attempts.row("certificate for that host", "let in");
    for (tried, papers) in others {
        attempts.row(tried, &refused(metrics, "client", "wrong_name", || get(&papers)));
    }

    attempts.heading("Clients, when things at the member are out of date");
    let old = Authority::found_until(site.folder(), "old-authority", NOT_SO_LONG_AGO);
    let signed_by_it = Order { subject: "/CN=any", names: "DNS:app.example", ..Order::default() };
    let signed_by_it = old.sign("late", &signed_by_it);
    let both = site.folder().join("both.pem");
    let bundles = [&site.authority.certificate, &old.certificate];
    let bundles = bundles.map(|it| std::fs::read(it).expect("PEM"));
    std::fs::write(&both, bundles.concat()).expect("a bundle");
    set_flags(&member, &[format!("--trusted-ca-file={}", both.display())]);
    member.restart();
    assert!(eventually(SOON, || get(&chosen)), "{}", member.log_tail());
    let ran = refused(metrics, "client", "unknown_authority", || get(&signed_by_it));
    attempts.row("certificate of a trusted authority that has expired itself", &ran);

    let overdue = site.authority.revocations("overdue.pem", NOT_SO_LONG_AGO);
    let list = format!("--client-crl-file={}", overdue.display());
    set_flags(&member, &[list, "--client-cert-allowed-hostname=".to_owned()]);
    member.restart();
    assert!(eventually(SOON, || metric(metrics, "etcd_server_has_leader") == Some(1.0)));
    let ran = refused(metrics, "client", "revocations_overdue", || get(&chosen));
    attempts.row("good certificate, overdue revocation list", &ran);
}

/// Servers that a member, as who connects, must not believe: the same code opens every connection of ours.
fn servers(attempts: &mut Attempts) {
    attempts.heading("Servers, as a member that connects to another one meets them");
    let site = Site::new();
    let order = Order { subject: "/CN=member", ..Order::default() };
    let elsewhere = Order { names: "DNS:elsewhere.example", ..order.clone() };
    let nameless = Order { names: "", subject: "/CN=127.0.0.1", ..order.clone() };
    let cases = [
        (
            "certificate for another host",
            "wrong_name",
            site.authority.sign("elsewhere", &elsewhere),
        ),
        (
            "certificate with the host as its subject alone",
            "wrong_name",
            site.authority.sign("cn", &nameless),
        ),
    ];
    let (cluster, metrics) = site.cluster(1, Secured::Peers);
    cluster.start();
    cluster.wait_ready();
    let joiner = join(&site, &cluster);
    for (tried, reason, papers) in cases {
        let happened = stays_out(&joiner, &metrics[0], reason, &papers);
        attempts.row(tried, &happened);
    }
    lets_in(&site, &joiner);
    attempts.row("certificate for the host in the URL", "believed");
}

fn members(attempts: &mut Attempts) {
    attempts.heading("Machines that pose as a member, with `--peer-trusted-ca-file --peer-crl-file --peer-cert-allowed-cn`");
    let site = Site::new();
    let bad = bad_papers(&site, "both");
    let order = Order { subject: "/CN=somebody", ..Order::default() };
    let client_only = Order { subject: "/CN=member", usage: "clientAuth", ..Order::default() };
    let other_name = site.authority.sign("somebody", &order);
    let client_only = site.authority.sign("client-only", &client_only);
    let list = site.authority.revocations("list.pem", FAR_AWAY);
    let (cluster, metrics) = site.cluster(1, Secured::Peers);
    let flags =
        [format!("--peer-crl-file={}", list.display()), "--peer-cert-allowed-cn=member".to_owned()];
    set_flags(&cluster.member(0), &flags);
    cluster.start();
    cluster.wait_ready();
    let url = cluster.member(0).peer_url().replace("http://", "https://");
    let ask = |papers: &Papers| {
        let asked = Curl::get(&format!("{url}/members")).trusting(&site.authority.certificate);
        asked.showing(papers).run().code == 0
    };
    let joiner = join(&site, &cluster);
    assert!(ask(&site.member), "a good certificate gets a look at the members");
    let anonymous = || Curl::get(&url).trusting(&site.authority.certificate).run().code == 0;
    attempts.row("no certificate", &refused(&metrics[0], "peer", "no_certificate", anonymous));
    for Bad { tried, reason, papers } in &bad {
        let asked = refused(&metrics[0], "peer", reason, || ask(papers));
        // Those that no member would start with are tried by `curl` alone.
        if *reason != "wrong_usage" {
            assert_eq!(asked, stays_out(&joiner, &metrics[0], reason, papers));
        }
        attempts.row(&format!("certificate {tried}"), &asked);
    }
    let asked = refused(&metrics[0], "peer", "wrong_name", || ask(&other_name));
    assert_eq!(asked, stays_out(&joiner, &metrics[0], "wrong_name", &other_name));
    attempts.row("certificate of another common name", &asked);
    show(&joiner, &client_only);
    joiner.start();
    joiner.wait_exit(SOON);
    assert!(
        joiner.log_text().contains("its extended key usage lacks serverAuth"),
        "{}",
        joiner.log_tail()
    );
    attempts.row(
        "member's own certificate for clients alone (`clientAuth`)",
        "the member does not start, and says what is lacking",
    );
    lets_in(&site, &joiner);
    attempts.row("certificate of a trusted authority, of that name, for both usages", "let in");
}

/// A member that the cluster expects, over TLS.
fn join(site: &Site, cluster: &Cluster) -> Arc<Member> {
    let joiner = cluster.prepare_joiner(&[]);
    let _metrics = site.secure(&joiner, Secured::Peers);
    let flags: Vec<String> = joiner
        .flags()
        .into_iter()
        .filter(|flag| !flag.starts_with("--listen-metrics-urls"))
        .collect();
    joiner.set_flags(flags);
    let url = joiner.peer_url().replace("http://", "https://");
    let body = format!("{{\"peerURLs\":[\"{url}\"]}}");
    let added = Curl::get(&format!("http://{}/v2/members", cluster.address()))
        .args(&["-H", "Content-Type: application/json", "-d", &body])
        .run();
    assert!(added.body.contains("peerURLs"), "{added:?}");
    joiner
}

fn show(member: &Member, papers: &Papers) {
    let certificate = format!("--peer-cert-file={}", papers.certificate.display());
    set_flags(member, &[certificate, format!("--peer-key-file={}", papers.key.display())]);
}

/// Starts a member with papers that must not get it in.
#[track_caller]
fn stays_out(member: &Member, metrics: &Port, reason: &str, papers: &Papers) -> String {
    show(member, papers);
    let happened = refused(metrics, "peer", reason, || {
        let before = counted(metrics, "peer", reason);
        member.start();
        let is_counted = eventually(SOON, || counted(metrics, "peer", reason) > before + 1.0);
        assert!(is_counted, "{reason}: {}", member.log_tail());
        member.is_ready()
    });
    if reason != "wrong_name" || papers.certificate.ends_with("somebody.pem") {
        // Who is refused is told so, too: under TLS 1.3 only after its own handshake is done.
        let is_told = eventually(SOON, || member.log_text().contains("refused_by_far_end"));
        assert!(is_told, "{reason}: {}", member.log_tail());
    }
    member.kill9();
    happened
}

/// Starts it with papers that must.
#[track_caller]
fn lets_in(site: &Site, member: &Member) {
    show(member, &site.member);
    member.start();
    member.wait_ready(SOON);
}
