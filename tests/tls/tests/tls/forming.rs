//! Members form a cluster over TLS, and serve clients over it.

use quorate_tls_tests::{Secured, Site};

use crate::skip_without_openssl;

#[test]
fn three_members_form_over_https_and_replicate() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let (cluster, _metrics) = site.cluster(3, Secured::Both);
    cluster.start();
    let members = cluster.members();
    site.wait_ready(&members);
    let put = site.curl(&members[0], "/v2/keys/a").args(&["-XPUT", "-dvalue=1"]).run();
    assert!(put.body.contains("\"action\":\"set\""), "{put:?}");
    for member in &members {
        let got = site.curl(member, "/v2/keys/a?quorum=true").run();
        assert!(got.body.contains("\"value\":\"1\""), "{got:?}");
    }
    // A restart finds its way back over the same links.
    members[1].restart();
    site.wait_ready(&members);
    let got = site.curl(&members[1], "/v2/keys/a?quorum=true").run();
    assert!(got.body.contains("\"value\":\"1\""), "{got:?}");
}
