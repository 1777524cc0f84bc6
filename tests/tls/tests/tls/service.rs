//! The discovery service behind client certificates: who is let in, in which version of HTTP, and members that show theirs.

use quorate_harness::{
    Cluster, FAR_AWAY, Member, Order, Papers, Port, Program, Request, eventually,
};
use quorate_tls_tests::{Attempts, Curl, SOON, Site, metric, set_flags};

use crate::attempts::{Bad, bad_papers, refusal};
use crate::skip_without_openssl;

/// A service that demands certificates of a site's authority at one URL, and tells its metrics at another.
struct Service {
    _cluster: Cluster,
    process: std::sync::Arc<Member>,
    url: String,
    plain: Port,
}

impl Service {
    /// Starts it and waits until it lets a good certificate in.
    #[track_caller]
    fn start(site: &Site, flags: &[String]) -> Self {
        let cluster = Cluster::builder(Program::Discovery).prepare();
        let process = cluster.member(0);
        let plain = Port::free().expect("a port");
        let url = process.client_url().replace("http://", "https://");
        let file = |path: &std::path::Path| path.display().to_string();
        let mut own = vec![
            format!("--listen-url={url},{}", plain.url()),
            format!("--data-dir={}", process.data_dir().display()),
            format!("--cert-file={}", file(&site.member.certificate)),
            format!("--key-file={}", file(&site.member.key)),
            format!("--trusted-ca-file={}", file(&site.authority.certificate)),
        ];
        own.extend_from_slice(flags);
        process.set_flags(own);
        process.start();
        let service = Self { _cluster: cluster, process, url, plain };
        let is_ready =
            eventually(SOON, || service.curl(site, "/readyz").showing(&site.alice).run().code == 0);
        assert!(is_ready, "{}", service.process.log_tail());
        service
    }

    /// A request that shows no certificate.
    fn curl(&self, site: &Site, path: &str) -> Curl {
        Curl::get(&format!("{}{path}", self.url)).trusting(&site.authority.certificate)
    }

    fn counted(&self, reason: &str) -> f64 {
        let series = format!("quorate_discovery_tls_handshake_failures{{reason=\"{reason}\"}}");
        metric(&self.plain, &series).unwrap_or_default()
    }
}

/// The rows of the table that are the service's.
pub(crate) fn visitors(attempts: &mut Attempts) {
    attempts.heading(
        "Clients, of the discovery service with `--client-cert-auth --trusted-ca-file --client-crl-file`",
    );
    let site = Site::new();
    let bad = bad_papers(&site, "clientAuth");
    let list = site.authority.revocations("list.pem", FAR_AWAY);
    let list = format!("--client-crl-file={}", list.display());
    let service = Service::start(&site, &["--client-cert-auth".to_owned(), list]);
    // Nobody learns a token, makes one or looks at a page without a certificate.
    let refused = |reason: &str, papers: Option<&Papers>| {
        for path in ["/new?size=3", "/metrics"] {
            let before = service.counted(reason);
            let curl = service.curl(&site, path);
            let ran = papers.into_iter().fold(curl, Curl::showing).run();
            assert!(ran.code != 0 && ran.body.is_empty(), "{reason} gets {path}: {ran:?}");
            let is_counted = eventually(SOON, || service.counted(reason) > before);
            assert!(is_counted, "nothing was counted as {reason}");
        }
        refusal(reason)
    };
    for version in ["1.1", "2"] {
        let made = service.curl(&site, "/new?size=3").showing(&site.alice);
        let made = made.args(&[&format!("--http{version}"), "--write-out", " %{http_version}"]);
        let ran = made.run();
        assert!(ran.body.starts_with(&service.url), "{ran:?}");
        assert!(ran.body.ends_with(&format!(" {version}")), "{ran:?}");
    }
    attempts.row("certificate of a trusted authority, for clients; HTTP/1.1 and HTTP/2", "let in");
    attempts.row("no certificate", &refused("no_certificate", None));
    for Bad { tried, reason, papers } in &bad {
        attempts.row(&format!("certificate {tried}"), &refused(reason, Some(papers)));
    }
    // What was said about the other URL is true, too.
    let log = service.process.log_text();
    assert!(log.contains("let in without a certificate"), "{log}");
    let open = quorate_harness::Http::new(service.plain.address()).send(&Request::get("/livez"));
    assert_eq!(open.expect("an answer").status, 200);
}

#[test]
fn members_form_through_it_by_showing_a_certificate() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let service = Service::start(&site, &[]);
    let made = service.curl(&site, "/new?size=3").showing(&site.alice).run();
    assert!(made.body.starts_with(&service.url), "{made:?}");
    let cluster = Cluster::builder(Program::Quorate).members(3).prepare();
    let client = |file: &str| {
        site.authority
            .sign(file, &Order { subject: "/CN=m", usage: "clientAuth", ..Order::default() })
    };
    let papers = client("shown-to-the-service");
    for member in cluster.members() {
        let mut flags = member.flags();
        flags.retain(|flag| !flag.starts_with("--initial-cluster"));
        let trusted = site.authority.certificate.display();
        flags.push(format!("--discovery={}", made.body));
        flags.push(format!("--discovery-cacert={trusted}"));
        member.set_flags(flags);
    }
    // Without a certificate it gets nowhere, and says why.
    let first = cluster.member(0);
    first.start();
    let is_refused = eventually(SOON, || service.counted("no_certificate") > 0.0);
    assert!(is_refused, "{}", first.log_tail());
    let is_told = eventually(SOON, || first.log_text().contains("does not answer"));
    assert!(is_told, "{}", first.log_tail());
    first.kill9();
    for member in cluster.members() {
        set_flags(
            &member,
            &[
                format!("--discovery-cert={}", papers.certificate.display()),
                format!("--discovery-key={}", papers.key.display()),
            ],
        );
    }
    cluster.start();
    cluster.wait_ready();
    let list = cluster.http().send(&Request::get("/v2/members")).expect("an answer").json();
    assert_eq!(list["members"].as_array().map(Vec::len), Some(3), "{list}");
}
