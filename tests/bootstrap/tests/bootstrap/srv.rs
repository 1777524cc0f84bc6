//! Members that find each other by SRV records of a real DNS server: complete, incomplete, wrong and corrected.

use quorate_bootstrap_tests::{DnsServer, skip_without_dnsmasq};
use quorate_client::client_services;
use quorate_harness::{Cluster, Member, Program, Request};
use quorate_transport::dns::Dns;

use crate::{assert_one_cluster, finding, refusal, set_flag, wait_for_log};

/// The record that names a member, under its own host name.
fn record(member: &Member) -> String {
    let port = member.peer_address().port();
    format!("srv-host=_etcd-server._tcp.example.test,{}.example.test,{port}", member.name())
}

fn records(cluster: &Cluster) -> Vec<String> {
    cluster.members().iter().map(|member| record(member)).collect()
}

/// The addresses of all host names.
fn hosts(cluster: &Cluster) -> Vec<String> {
    let members = cluster.members();
    members.iter().map(|it| format!("host-record={}.example.test,127.0.0.1", it.name())).collect()
}

fn srv_flags(dns: &DnsServer) -> Vec<String> {
    vec!["--discovery-srv=example.test".to_owned(), format!("--dns-server={}", dns.address())]
}

/// Three members, and a server that knows `lines` of them.
fn three(lines: impl Fn(&Cluster) -> Vec<String>, flags: &[&str]) -> (Cluster, DnsServer) {
    let cluster = finding(3, &[]);
    let dns = DnsServer::start(&lines(&cluster));
    for member in cluster.members() {
        let mut own = member.flags();
        own.extend(srv_flags(&dns));
        own.extend(flags.iter().map(|flag| (*flag).to_owned()));
        member.set_flags(own);
    }
    (cluster, dns)
}

#[test]
fn three_members_form_and_live_on_without_the_server() {
    if skip_without_dnsmasq() {
        return;
    }
    let (cluster, mut dns) = three(|it| [records(it), hosts(it)].concat(), &[]);
    cluster.start();
    assert_one_cluster(&cluster);
    // A member that has a log looks no member up. (Hosts are still looked up to connect to.)
    dns.change(&hosts(&cluster));
    for member in cluster.members() {
        member.restart();
    }
    assert_one_cluster(&cluster);
}

#[test]
fn members_may_advertise_the_names_of_the_records() {
    if skip_without_dnsmasq() {
        return;
    }
    let (cluster, _dns) =
        three(|it| [records(it), hosts(it)].concat(), &["--discovery-srv-expect=3"]);
    for member in cluster.members() {
        let url = format!("http://{}.example.test:{}", member.name(), member.peer_address().port());
        set_flag(&member, "initial-advertise-peer-urls", &url);
    }
    cluster.start();
    assert_one_cluster(&cluster);
}

#[test]
fn a_name_may_be_added_to_the_service() {
    if skip_without_dnsmasq() {
        return;
    }
    let named = |it: &Cluster| -> Vec<String> {
        let records =
            records(it).into_iter().map(|line| line.replace("server._tcp", "server-prod._tcp"));
        records.chain(hosts(it)).collect()
    };
    let (cluster, _dns) = three(named, &["--discovery-srv-expect=3", "--discovery-srv-name=prod"]);
    cluster.start();
    assert_one_cluster(&cluster);
}

#[test]
fn records_that_are_missing_at_first_are_waited_for() {
    if skip_without_dnsmasq() {
        return;
    }
    let (cluster, mut dns) = three(hosts, &["--discovery-srv-expect=3"]);
    cluster.start();
    let first = cluster.member(0);
    wait_for_log(&first, "there are no SRV records");
    dns.stop();
    wait_for_log(&first, "cannot look up _etcd-server");
    dns.change(&[records(&cluster)[..2].to_vec(), hosts(&cluster)].concat());
    wait_for_log(&first, "2 SRV records were found and 3 are expected");
    dns.change(&[records(&cluster), hosts(&cluster)].concat());
    assert_one_cluster(&cluster);
}

#[test]
fn a_list_that_grows_before_the_cluster_has_formed_is_taken_up() {
    if skip_without_dnsmasq() {
        return;
    }
    // Nobody says how many there are, and the third record comes when two have settled on two.
    let (cluster, mut dns) = three(|it| [records(it)[..2].to_vec(), hosts(it)].concat(), &[]);
    let first = cluster.member(0);
    first.start();
    wait_for_log(&first, "the members are known");
    dns.change(&[records(&cluster), hosts(&cluster)].concat());
    wait_for_log(&first, "the list of members has changed");
    cluster.start();
    assert_one_cluster(&cluster);
}

#[test]
fn a_target_without_address_is_never_left_out() {
    if skip_without_dnsmasq() {
        return;
    }
    let (cluster, mut dns) = three(|it| [records(it), hosts(it)[..2].to_vec()].concat(), &[]);
    cluster.start();
    for member in cluster.members() {
        wait_for_log(&member, "the target m3.example.test");
        assert!(!member.log_text().contains("the members are known"));
    }
    dns.change(&[records(&cluster), hosts(&cluster)].concat());
    assert_one_cluster(&cluster);
}

#[test]
fn a_member_that_is_in_no_record_says_what_it_looked_for() {
    if skip_without_dnsmasq() {
        return;
    }
    let wrong = |it: &Cluster| -> Vec<String> {
        let port = it.member(0).peer_address().port();
        let wrong = records(it).into_iter().map(|line| line.replace(&format!(",{port}"), ",1"));
        wrong.chain(hosts(it)).collect()
    };
    let (cluster, _dns) = three(wrong, &["--discovery-srv-expect=3", "--discovery-timeout=3s"]);
    let member = cluster.member(0);
    member.start();
    let said = refusal(&member);
    assert!(said.contains("cannot find local etcd member in SRV records"), "{said}");
    assert!(said.contains(&format!("looked for {} (127.0.0.1)", member.peer_url())), "{said}");
    assert!(said.contains("found http://m1.example.test:1 (127.0.0.1)"), "{said}");
}

#[test]
fn one_record_alone_is_no_cluster_unless_it_is_meant() {
    if skip_without_dnsmasq() {
        return;
    }
    let (cluster, _dns) = three(|it| [records(it)[..1].to_vec(), hosts(it)].concat(), &[]);
    let member = cluster.member(0);
    member.start();
    wait_for_log(&member, "For a cluster of one say so with --discovery-srv-expect=1");
    member.kill9();
    set_flag(&member, "discovery-srv-expect", "1");
    member.start();
    member.wait_ready(crate::SOON);
}

#[test]
fn members_that_speak_tls_to_each_other_form_by_the_records_for_it() {
    if skip_without_dnsmasq() {
        return;
    }
    let protected = |it: &Cluster| -> Vec<String> {
        let records =
            records(it).into_iter().map(|line| line.replace("server._tcp", "server-ssl._tcp"));
        records.chain(hosts(it)).collect()
    };
    let (cluster, _dns) = three(protected, &["--discovery-srv-expect=3", "--peer-auto-tls"]);
    for member in cluster.members() {
        let url = member.peer_url().replace("http:", "https:");
        set_flag(&member, "listen-peer-urls", &url);
        set_flag(&member, "initial-advertise-peer-urls", &url);
    }
    cluster.start();
    assert_one_cluster(&cluster);
    let list = cluster.http().send(&Request::get("/v2/members")).expect("an answer").json();
    let port = cluster.member(0).peer_address().port();
    let url = format!("https://m1.example.test:{port}");
    assert!(list.to_string().contains(&url), "{url}: {list}");
}

#[tokio::test]
async fn clients_find_the_cluster_by_their_own_records() {
    if skip_without_dnsmasq() {
        return;
    }
    let line = |service: &str, host: &str, priority: u16| {
        format!("srv-host=_{service}._tcp.example.test,{host}.example.test,2379,{priority}")
    };
    let lines = [
        line("etcd-client", "n2", 20),
        line("etcd-client", "n1", 10),
        line("etcd-client-ssl", "n3", 10),
        line("etcd-client-prod", "p1", 10),
    ];
    let mut server = DnsServer::start(&lines);
    let dns = Dns::Server(server.address());
    let found = client_services(&dns, "example.test.", None).await.expect("an answer");
    let urls: Vec<String> = found.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(
        urls,
        [
            "https://n3.example.test:2379",
            "http://n1.example.test:2379",
            "http://n2.example.test:2379"
        ]
    );
    let named = client_services(&dns, "example.test", Some("prod")).await.expect("an answer");
    let urls: Vec<String> = named.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["http://p1.example.test:2379"]);
    let none = client_services(&dns, "other.test", None).await.expect("an answer");
    assert!(none.endpoints.is_empty() && none.failures.is_empty());
    server.stop();
    let error = client_services(&dns, "example.test", None).await.expect_err("no server");
    assert!(error.to_string().contains("cannot look up _etcd-client"), "{error}");
}

/// A running cluster that knows itself by addresses, and one more member that is listed by names, `names` of the last of them.
fn joins_by_names(names: &str) -> (Cluster, DnsServer, std::sync::Arc<Member>) {
    let cluster = Cluster::builder(Program::Quorate).members(2).start();
    let joiner = cluster.prepare_joiner(&[]);
    let lines =
        hosts(&cluster).into_iter().filter(|line| !line.contains("=m3.")).chain([names.to_owned()]);
    let dns = DnsServer::start(&lines.collect::<Vec<_>>());
    let body = format!("{{\"peerURLs\":[\"{}\"]}}", joiner.peer_url());
    let add = Request::new("POST", "/v2/members").body("application/json", body);
    assert_eq!(cluster.http().send(&add).expect("an answer").status, 201);
    let url = |it: &std::sync::Arc<Member>| {
        format!("{0}=http://{0}.example.test:{1}", it.name(), it.peer_address().port())
    };
    let list: Vec<String> = cluster.members().iter().map(url).collect();
    set_flag(&joiner, "initial-cluster", &list.join(","));
    set_flag(&joiner, "dns-server", &dns.address().to_string());
    let own = format!("http://m3.example.test:{}", joiner.peer_address().port());
    set_flag(&joiner, "initial-advertise-peer-urls", &own);
    (cluster, dns, joiner)
}

#[test]
fn a_list_of_names_is_compared_with_a_cluster_of_addresses_by_the_server_in_use() {
    if skip_without_dnsmasq() {
        return;
    }
    let (cluster, _dns, joiner) = joins_by_names("host-record=m3.example.test,127.0.0.1");
    joiner.start();
    assert_one_cluster(&cluster);
}

#[test]
fn a_name_that_nobody_knows_is_told_with_what_it_was_compared_to() {
    if skip_without_dnsmasq() {
        return;
    }
    let (cluster, mut dns, joiner) = joins_by_names("host-record=other.example.test,127.0.0.1");
    joiner.start();
    let port = joiner.peer_address().port();
    wait_for_log(&joiner, &format!("cannot compare http://m3.example.test:{port} (no address)"));
    wait_for_log(&joiner, &format!("no address is known of http://m3.example.test:{port}"));
    dns.change(&hosts(&cluster));
    assert_one_cluster(&cluster);
}
