//! A discovery service behind TLS that asks for a certificate: what an unmodified etcd node cannot be told to show.

use quorate_harness::{
    Authority, Cluster, Order, Port, Program, skip_without_etcd, skip_without_openssl,
};

use crate::{assert_one_cluster, finding, refusal, set_flag, wait_for_log};

#[test]
fn members_verify_the_service_and_show_it_a_certificate() {
    if skip_without_etcd() || skip_without_openssl() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::found(folder.path(), "authority");
    let service = authority.sign("service", &Order { subject: "/CN=service", ..Order::default() });
    let member = Order { subject: "/CN=member", usage: "clientAuth", ..Order::default() };
    let member = authority.sign("member", &member);

    // The key is written in the open; members are told the other address.
    let port = Port::free().expect("a port");
    let https = port.url().replace("http:", "https:");
    let etcd = Cluster::builder(Program::Etcd).prepare();
    let node = etcd.member(0);
    set_flag(&node, "listen-client-urls", &format!("{},{https}", node.client_url()));
    for (flag, file) in [
        ("cert-file", &service.certificate),
        ("key-file", &service.key),
        ("trusted-ca-file", &authority.certificate),
    ] {
        set_flag(&node, flag, &file.display().to_string());
    }
    set_flag(&node, "client-cert-auth", "true");
    etcd.start();
    etcd.wait_ready();
    let made = etcd.keys().put("/_etcd/registry/token/_config/size", "1");
    assert!(made.expect("an answer").is_ok());

    let cluster = finding(1, &[format!("--discovery={https}/v2/keys/_etcd/registry/token")]);
    let first = cluster.member(0);
    first.start();
    // The system's authorities do not know this one.
    wait_for_log(&first, "still looking for the members: the discovery service does not answer");
    first.kill9();
    set_flag(&first, "discovery-cacert", &authority.certificate.display().to_string());
    set_flag(&first, "discovery-cert", &member.certificate.display().to_string());
    first.start();
    let said = refusal(&first);
    assert!(said.contains("--discovery-cert is given without --discovery-key"), "{said}");
    set_flag(&first, "discovery-key", &member.key.display().to_string());
    first.start();
    assert_one_cluster(&cluster);
}
