//! Certificates, authorities and revocation lists that change while a member serves.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quorate_harness::{Authority, FAR_AWAY, Order, Papers, Port, eventually};
use quorate_tls_tests::{
    Curl, SOON, Secured, Site, counted, metric, reloads, replace, set_flags, wait_reload,
};

use crate::skip_without_openssl;

fn failures(metrics: &Port) -> f64 {
    metric(metrics, "quorate_tls_reload_failures_total{side=\"client\"}").unwrap_or_default()
}

#[test]
fn everything_is_read_again_without_a_restart_and_without_a_request_lost() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let other = Authority::found(site.folder(), "new-authority");
    let order = Order { subject: "/CN=member", ..Order::default() };
    let new_member = other.sign("member", &Order { until: "20400101000000Z", ..order });
    let new_alice = other
        .sign("alice", &Order { subject: "/CN=alice", usage: "clientAuth", ..Order::default() });
    let (cluster, metrics, list) = site.serving_with_list();
    let (member, metrics) = (cluster.member(0), &metrics);
    let both = site.folder().join("both.pem");
    let bundles =
        [&site.authority.certificate, &other.certificate].map(|it| fs::read(it).expect("PEM"));
    fs::write(&both, bundles.concat()).expect("a bundle");
    let get = |trusted: &Path, papers: &Papers| {
        let url = format!("https://{}/health", member.client_address());
        Curl::get(&url).trusting(trusted).showing(papers).run()
    };
    let expiry = || {
        metric(
            metrics,
            "quorate_tls_expiry_timestamp_seconds{side=\"client\",what=\"certificate\"}",
        )
    };
    let (is_over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // A connection that lives through it all, one that does not, and new ones all the time.
        let load = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let ran = get(&both, &site.alice);
                assert_eq!(ran.code, 0, "{ran:?}");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        let watch = |papers: &Papers| {
            let url = format!("https://{}/v2/keys/end?wait=true", member.client_address());
            Curl::get(&url).trusting(&both).showing(papers).args(&["--max-time", "300"])
        };
        let her_watch = watch(&site.alice);
        let her_watch = scope.spawn(|| her_watch.run());

        assert_ne!(get(&both, &new_alice).code, 0, "its authority is not trusted yet");
        let before = reloads(metrics, "client");
        replace(&site.authority.certificate, &both);
        wait_reload(metrics, "client", before);
        let watch = watch(&new_alice);
        let watch = scope.spawn(|| watch.run());
        let series = "etcd_debugging_store_watchers";
        let watchers = || metric(metrics, series).unwrap_or_default();
        assert!(eventually(SOON, || watchers() >= 2.0), "both watch");
        assert_eq!(get(&both, &new_alice).code, 0, "its authority is trusted now");

        let (before, old_expiry) = (reloads(metrics, "client"), expiry());
        replace(&site.member.key, &new_member.key);
        replace(&site.member.certificate, &new_member.certificate);
        wait_reload(metrics, "client", before);
        assert!(expiry() < old_expiry, "{:?} {old_expiry:?}", expiry());
        assert_eq!(expiry(), Some(2_208_988_800.0));
        let ran = get(&other.certificate, &site.alice);
        assert_eq!(ran.code, 0, "the new certificate is shown: {ran:?}");

        let so_far = answered.load(Ordering::Relaxed);
        assert!(eventually(SOON, || answered.load(Ordering::Relaxed) > so_far + 2));
        is_over.store(true, Ordering::Relaxed);
        load.join().expect("no request was lost");

        let before = reloads(metrics, "client");
        site.authority.revoke(&site.alice);
        let newer = site.authority.revocations("newer.pem", FAR_AWAY);
        replace(&list, &newer);
        wait_reload(metrics, "client", before);
        let before = counted(metrics, "client", "revoked");
        assert_ne!(get(&both, &site.alice).code, 0, "alice is revoked");
        assert_eq!(counted(metrics, "client", "revoked"), before + 1.0);
        let url = format!("https://{}/v2/keys/end", member.client_address());
        let put = Curl::get(&url).trusting(&both).showing(&new_alice).args(&["-XPUT", "-dvalue=1"]);
        assert_eq!(put.run().code, 0);
        let watched = watch.join().expect("curl ran");
        assert!(watched.body.contains("\"action\":\"set\""), "{watched:?}");
        let watched = her_watch.join().expect("curl ran");
        assert!(watched.code != 0 && watched.body.is_empty(), "alice is revoked: {watched:?}");
    });
}

#[test]
fn files_that_cannot_be_used_change_nothing_and_are_told_of() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let expired = Order { subject: "/CN=member", until: "20210101000000Z", ..Order::default() };
    let expired = site.authority.sign("expired", &expired);
    let another = site.authority.sign("another", &Order::default());
    let (cluster, metrics, list) = site.serving_with_list();
    let (member, metrics) = (cluster.member(0), &metrics);
    let good = site.folder().join("good");
    fs::create_dir(&good).expect("a folder");
    let keep = |file: &Path| {
        let kept = good.join(file.file_name().expect("a name"));
        fs::copy(file, &kept).expect("a copy");
        kept
    };
    let nonsense = site.folder().join("nonsense");
    fs::write(&nonsense, "-----BEGIN NONSENSE-----\nsecret\n").expect("a file");
    let trusted = keep(&site.authority.certificate);
    let cases = [
        (&site.member.certificate, &nonsense, "a section of it has no -----END line"),
        (&site.member.certificate, &expired.certificate, "it has expired"),
        (&site.member.certificate, &another.certificate, "it does not belong to the certificate"),
        (&site.member.key, &site.member.certificate, "it holds no key"),
        (&site.authority.certificate, &site.member.key, "it holds no certificate"),
        (&list, &nonsense, "a section of it has no -----END line"),
    ];
    for (place, bad, told) in cases {
        let kept = keep(place);
        let before = failures(metrics);
        replace(place, bad);
        assert!(eventually(SOON, || failures(metrics) > before), "{told}");
        assert!(member.log_text().contains(told), "{told}: {}", member.log_tail());
        let url = format!("https://{}/health", member.client_address());
        let ran = Curl::get(&url).trusting(&trusted).showing(&site.alice).run();
        assert_eq!(ran.code, 0, "{told}: {ran:?}");
        // What is put right is taken at once.
        let before = reloads(metrics, "client");
        replace(place, &kept);
        wait_reload(metrics, "client", before);
    }
    assert!(!member.log_text().contains("secret"), "{}", member.log_text());
}

#[test]
fn a_cluster_gets_new_certificates_and_authorities_member_by_member() {
    if skip_without_openssl() {
        return;
    }
    let site = Site::new();
    let other = Authority::found(site.folder(), "new-authority");
    let (cluster, metrics) = site.cluster(3, Secured::Peers);
    let members = cluster.members();
    let folders: Vec<_> = members.iter().map(|it| site.folder().join(it.name())).collect();
    for (member, folder) in members.iter().zip(&folders) {
        fs::create_dir(folder).expect("a folder");
        let own = |from: &Path, name: &str| {
            fs::copy(from, folder.join(name)).expect("a copy");
            folder.join(name).display().to_string()
        };
        set_flags(
            member,
            &[
                format!("--peer-cert-file={}", own(&site.member.certificate, "cert.pem")),
                format!("--peer-key-file={}", own(&site.member.key, "key.pem")),
                format!("--peer-trusted-ca-file={}", own(&site.authority.certificate, "ca.pem")),
            ],
        );
    }
    cluster.start();
    cluster.wait_ready();
    let put_all = |file: &str, from: &Path| {
        for (position, folder) in folders.iter().enumerate() {
            let before = reloads(&metrics[position], "peer");
            replace(&folder.join(file), from);
            wait_reload(&metrics[position], "peer", before);
        }
    };
    let both = site.folder().join("both.pem");
    let bundles =
        [&site.authority.certificate, &other.certificate].map(|it| fs::read(it).expect("PEM"));
    fs::write(&both, bundles.concat()).expect("a bundle");
    put_all("ca.pem", &both);
    let fresh = other.sign("member", &Order { subject: "/CN=member", ..Order::default() });
    for (position, folder) in folders.iter().enumerate() {
        let before = reloads(&metrics[position], "peer");
        replace(&folder.join("key.pem"), &fresh.key);
        replace(&folder.join("cert.pem"), &fresh.certificate);
        wait_reload(&metrics[position], "peer", before);
    }
    put_all("ca.pem", &other.certificate);
    // Every link anew, and all by the new authority.
    for member in &members {
        member.restart();
        member.wait_ready(SOON);
    }
    let put = members[0].keys().put("/a", "1");
    assert!(put.is_ok(), "{put:?}");
}
