//! What a member says at its start about files that it can't use, and certificates of its own making.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use quorate_harness::{Exit, Order, eventually};
use quorate_tls_tests::{Curl, SOON, Secured, Site, set_flags};

use crate::skip_without_openssl;

#[test]
fn a_member_that_cannot_use_a_file_says_which_and_what_to_do() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let sign = |file: &str, usage| {
        site.authority
            .sign(file, &Order { usage, ..Order::default() })
            .certificate
            .display()
            .to_string()
    };
    let (client, server) = (sign("client", "clientAuth"), sign("server", "serverAuth"));
    let nothing = site.folder().join("nothing").display().to_string();
    let empty = site.folder().join("empty").display().to_string();
    fs::write(&empty, "").expect("a file");
    let open = site.folder().join("open.key");
    fs::copy(&site.member.key, &open).expect("a copy");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).expect("permissions");
    let open = open.display().to_string();
    let cases = [
        ("cert-file", &nothing, "it cannot be read: No such file or directory", "check the path"),
        ("cert-file", &empty, "it holds no certificate", "it must be PEM"),
        ("cert-file", &client, "its extended key usage lacks serverAuth", "have it signed anew"),
        (
            "peer-cert-file",
            &server,
            "its extended key usage lacks clientAuth",
            "have it signed anew",
        ),
        ("key-file", &empty, "it holds no key", "-----BEGIN PRIVATE KEY-----"),
        ("key-file", &open, "every user of this machine may replace it", "chmod o-rwx"),
        ("trusted-ca-file", &empty, "it holds no certificate", "it must be PEM"),
        ("client-crl-file", &empty, "it must be PEM", "-----BEGIN X509 CRL-----"),
        ("peer-crl-file", &nothing, "it cannot be read", "check the path"),
    ];
    let (cluster, _) = site.cluster(1, Secured::Both);
    let member = cluster.member(0);
    let good = member.flags();
    for (flag, file, what, advice) in cases {
        member.set_flags(good.clone());
        set_flags(&member, &[format!("--{flag}={file}")]);
        member.start();
        assert_eq!(member.wait_exit(SOON), Exit::Code(1), "{what}");
        let said = member.log_text();
        let line = said.lines().rev().find(|line| line.contains(what)).unwrap_or_default();
        assert!(line.contains(file) && line.contains(advice), "{flag} {what}: {said}");
    }
    // A key that others can read is so common where secrets are mounted that it is only told of.
    fs::set_permissions(&site.member.key, fs::Permissions::from_mode(0o644)).expect("permissions");
    member.set_flags(good);
    member.start();
    site.wait_ready(&cluster.members());
    assert!(member.log_text().contains("every user of this machine may read this key"));
}

#[test]
fn self_made_certificates_are_kept_and_hide_the_traffic() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let (cluster, _) = site.cluster(3, Secured::Both);
    for member in cluster.members() {
        let is_certificate = |flag: &String| {
            ["cert-file", "key-file", "trusted-ca-file", "client-cert-auth"]
                .iter()
                .any(|name| flag.contains(name))
        };
        let mut flags: Vec<String> =
            member.flags().into_iter().filter(|flag| !is_certificate(flag)).collect();
        flags.extend(["--auto-tls".to_owned(), "--peer-auto-tls".to_owned()]);
        member.set_flags(flags);
    }
    cluster.start();
    let member = cluster.member(0);
    let made = member.data_dir().join("fixtures/client/cert.pem");
    let get = || {
        let url = format!("https://{}/health", member.client_address());
        Curl::get(&url).trusting(&made).run()
    };
    assert!(
        eventually(SOON, || get().body.contains("\"true\"")),
        "{:?} {}",
        get(),
        member.log_tail()
    );
    let first = fs::read(&made).expect("a certificate");
    let key = member.data_dir().join("fixtures/client/key.pem");
    let mode = fs::metadata(key).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    member.restart();
    assert!(eventually(SOON, || get().body.contains("\"true\"")), "{}", member.log_tail());
    assert_eq!(fs::read(&made).expect("a certificate"), first, "a restart keeps it");
}
