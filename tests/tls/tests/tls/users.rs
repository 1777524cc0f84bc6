//! A client's certificate names its user: by its own common name alone, and only where that was asked for.

use std::path::PathBuf;
use std::process::Command;

use quorate_harness::{Member, Order, Papers, etcdctl, skip_without_etcd};
use quorate_tls_tests::{Secured, Site};

use crate::skip_without_openssl;

#[test]
fn a_certificate_is_its_users_and_an_authority_is_nobodys() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let client = |file: &str, subject| {
        let order = Order { subject, usage: "clientAuth", ..Order::default() };
        site.authority.sign(file, &order)
    };
    let stranger = client("stranger", "/CN=stranger");
    let (cluster, _) = site.cluster(1, Secured::Clients);
    let member = cluster.member(0);
    cluster.start();
    site.wait_ready(&cluster.members());
    let change = |path: &str, body: &str| {
        let ran = site
            .curl(&member, path)
            .args(&[
                "-XPUT",
                "-u",
                "root:secret",
                "-H",
                "Content-Type: application/json",
                "-d",
                body,
            ])
            .args(&["--fail-with-body"])
            .run();
        assert_eq!(ran.code, 0, "{path}: {ran:?}");
    };
    let all = r#"{"kv":{"read":["/*"],"write":["/*"]}}"#;
    change("/v2/auth/users/root", r#"{"user":"root","password":"secret"}"#);
    change("/v2/auth/roles/all", &format!(r#"{{"role":"all","permissions":{all}}}"#));
    change("/v2/auth/users/alice", r#"{"user":"alice","password":"x","roles":["all"]}"#);
    // etcd lets every name in the chain be a user: whoever made this one would have let everybody in.
    change(
        "/v2/auth/users/good-authority",
        r#"{"user":"good-authority","password":"x","roles":["root"]}"#,
    );
    change("/v2/auth/enable", "");
    change("/v2/auth/roles/guest", &format!(r#"{{"role":"guest","revoke":{all}}}"#));

    let status = |curl: quorate_tls_tests::Curl| {
        let ran = curl.args(&["--output", "/dev/null", "--write-out", "%{http_code}"]).run();
        ran.body
    };
    let as_stranger = || {
        let url = format!("https://{}/v2/keys/", member.client_address());
        quorate_tls_tests::Curl::get(&url).trusting(&site.authority.certificate).showing(&stranger)
    };
    for protocol in ["--http1.1", "--http2"] {
        let own = site.curl(&member, "/v2/keys/").args(&[protocol]);
        assert_eq!(status(own), "200", "alice's certificate is hers");
        assert_eq!(status(as_stranger().args(&[protocol])), "401", "a stranger is a guest");
        let both = as_stranger().args(&[protocol, "-u", "alice:wrong"]);
        assert_eq!(status(both), "401", "a wrong password is no certificate's business");
    }
    // Without --client-cert-auth the certificate is demanded all the same, and names nobody.
    let flags: Vec<String> =
        member.flags().into_iter().filter(|flag| flag != "--client-cert-auth").collect();
    member.set_flags(flags);
    member.restart();
    site.wait_ready(&cluster.members());
    assert_eq!(status(site.curl(&member, "/v2/keys/")), "401", "a name that was not asked for");
}

/// The unmodified client, at one member.
struct Etcdctl<'a> {
    program: PathBuf,
    site: &'a Site,
    member: &'a Member,
}

impl Etcdctl<'_> {
    /// Runs it with somebody's certificate and, unless `user` is empty, a user's name and password; gives whether it went
    /// well, and what it said.
    fn run(&self, papers: &Papers, user: &str, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(&self.program);
        command
            .env("ETCDCTL_API", "2")
            .args(["--endpoints", &format!("https://{}", self.member.client_address())])
            .arg(format!("--ca-file={}", self.site.authority.certificate.display()))
            .arg(format!("--cert-file={}", papers.certificate.display()))
            .arg(format!("--key-file={}", papers.key.display()));
        if !user.is_empty() {
            command.args(["--username", user]);
        }
        let output = command.args(arguments).output().expect("etcdctl can be started");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    #[track_caller]
    fn must(&self, papers: &Papers, user: &str, arguments: &[&str]) -> String {
        let (went_well, said) = self.run(papers, user, arguments);
        assert!(went_well, "{user:?} {arguments:?}: {said}");
        said
    }

    #[track_caller]
    fn must_not(&self, papers: &Papers, user: &str, arguments: &[&str]) {
        let (went_well, said) = self.run(papers, user, arguments);
        assert!(!went_well, "{user:?} {arguments:?}: {said}");
        assert!(said.contains("Insufficient credentials"), "{user:?} {arguments:?}: {said}");
    }
}

#[test]
fn etcdctl_is_the_user_of_its_certificate_or_of_its_password() {
    if skip_without_openssl() || skip_without_etcd() {
        return;
    }
    let site = Site::new();
    let order = Order { subject: "/CN=stranger", usage: "clientAuth", ..Order::default() };
    let stranger = site.authority.sign("stranger", &order);
    let (cluster, _) = site.cluster(3, Secured::Both);
    cluster.start();
    site.wait_ready(&cluster.members());
    let program = etcdctl().expect("etcdctl");
    let members = cluster.members();
    let at =
        |member: usize| Etcdctl { program: program.clone(), site: &site, member: &members[member] };
    let (first, second) = (at(0), at(1));
    let (alice, root) = (&site.alice, "root:secret");
    // As the manual of etcd has it.
    for arguments in [
        &["user", "add", "root:secret"][..],
        &["auth", "enable"],
        &["role", "revoke", "guest", "--path", "/*", "--readwrite"],
        &["role", "add", "app"],
        &["role", "grant", "app", "--path", "/app/*", "--readwrite"],
        &["user", "add", "alice:pw"],
        &["user", "grant", "alice", "--roles", "app"],
        &["user", "add", "bob:pw"],
    ] {
        first.must(&stranger, root, arguments);
    }
    // By the certificate.
    first.must(alice, "", &["set", "/app/x", "1"]);
    assert_eq!(second.must(alice, "", &["get", "--quorum", "/app/x"]).trim(), "1");
    first.must_not(alice, "", &["set", "/other", "1"]);
    first.must_not(alice, "", &["user", "list"]);
    first.must_not(&stranger, "", &["get", "/app/x"]);
    // By the password, which goes before the certificate.
    assert_eq!(first.must(&stranger, "alice:pw", &["get", "/app/x"]).trim(), "1");
    first.must_not(&stranger, "alice:wrong", &["get", "/app/x"]);
    first.must_not(alice, "bob:pw", &["get", "/app/x"]);
    first.must_not(alice, "alice:wrong", &["get", "/app/x"]);
    assert!(first.must(alice, root, &["user", "list"]).contains("bob"));
    assert!(first.must(&stranger, "", &["member", "list"]).contains("isLeader=true"));
    first.must(&stranger, root, &["user", "remove", "alice"]);
    first.must_not(alice, "", &["get", "/app/x"]);
}
