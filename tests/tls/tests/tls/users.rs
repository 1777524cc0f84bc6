//! A client's certificate names its user: by its own common name alone, and only where that was asked for.

use quorate_harness::Order;
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
