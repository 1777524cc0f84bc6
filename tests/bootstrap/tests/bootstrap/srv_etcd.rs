//! The same SRV records for unmodified etcd 3.4 nodes and for members of ours, all of which ask the resolver of their
//! machine: each in a network namespace, dnsmasq in another. Left out, with a line, where namespaces are not allowed.
//!
//! etcd 3.4 reads the records for https alone, and ends at once when something is missing; whoever supervises it starts it
//! again. Ours waits.

use std::sync::Arc;

use quorate_bootstrap_tests::{DnsServer, skip_without_dnsmasq};
use quorate_harness::{
    Authority, Cluster, Exit, Network, Order, Program, skip_without_etcd, skip_without_openssl,
};

use crate::{SOON, assert_one_cluster, set_flag, wait_for_log};

/// The place of the DNS server; members are at those before it.
const SERVER: usize = 3;

/// Three members in a network of their own with certificates for their names, and what else they need.
struct Laboratory {
    cluster: Cluster,
    dns: DnsServer,
    _folder: tempfile::TempDir,
    network: Arc<Network>,
}

impl Laboratory {
    /// None where that is not possible, after a line that says why.
    fn new(program: Program) -> Option<Self> {
        let made = Network::new(SERVER + 1).and_then(|mut network| {
            network.resolve_at(SERVER)?;
            Ok(Arc::new(network))
        });
        let network = match made {
            Ok(network) => network,
            Err(reason) => {
                eprintln!("skipped: no network namespaces here: {reason}");
                return None;
            }
        };
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::found(folder.path(), "authority");
        let cluster = Cluster::builder(program).members(SERVER).network(&network).prepare();
        for member in cluster.members() {
            let address = member.peer_address();
            let names = format!("DNS:{}.example.test,IP:{}", member.name(), address.ip());
            let order = Order { subject: "/CN=member", names: &names, ..Order::default() };
            let papers = authority.sign(member.name(), &order);
            let mut flags = member.flags();
            flags.retain(|flag| !flag.starts_with("--initial-cluster"));
            flags.push("--peer-client-cert-auth".to_owned());
            member.set_flags(flags);
            let url = format!("https://{address}");
            set_flag(&member, "listen-peer-urls", &url);
            set_flag(&member, "initial-advertise-peer-urls", &url);
            set_flag(&member, "peer-cert-file", &papers.certificate.display().to_string());
            set_flag(&member, "peer-key-file", &papers.key.display().to_string());
            let trusted = authority.certificate.display().to_string();
            set_flag(&member, "peer-trusted-ca-file", &trusted);
            set_flag(&member, "discovery-srv", "example.test");
        }
        let dns = DnsServer::start_in(&network, SERVER, &[]);
        Some(Self { cluster, dns, _folder: folder, network })
    }

    /// A record for each member.
    fn records(&self, service: &str) -> Vec<String> {
        let members = self.cluster.members();
        let record = |name: &str, port: u16| {
            format!("srv-host=_{service}._tcp.example.test,{name}.example.test,{port}")
        };
        members.iter().map(|it| record(it.name(), it.peer_address().port())).collect()
    }

    /// The address of each member's name.
    fn hosts(&self) -> Vec<String> {
        let members = self.cluster.members();
        let host = |(at, name): (usize, &str)| {
            format!("host-record={name}.example.test,{}", self.network.address(at))
        };
        members.iter().enumerate().map(|(at, it)| host((at, it.name()))).collect()
    }
}

#[test]
fn three_etcd_nodes_form_by_the_records_of_the_manual() {
    if skip_without_dnsmasq() || skip_without_etcd() || skip_without_openssl() {
        return;
    }
    let Some(mut laboratory) = Laboratory::new(Program::Etcd) else { return };
    let (right, hosts) = (laboratory.records("etcd-server-ssl"), laboratory.hosts());
    let first = laboratory.cluster.member(0);
    let wrong: Vec<String> = right.iter().map(|line| line.replace(",2380", ",1")).collect();
    let plain = laboratory.records("etcd-server");
    // What keeps it from forming, and what it says.
    for (records, said) in [
        (vec![], "error querying DNS SRV records for _etcd-server-ssl"),
        ([&plain[..], &hosts].concat(), "error querying DNS SRV records for _etcd-server-ssl"),
        ([&wrong[..], &hosts].concat(), "cannot find local etcd member"),
        ([&right[..], &hosts[1..]].concat(), "cannot find local etcd member"),
    ] {
        laboratory.dns.change(&records);
        let before = first.log_text().len();
        first.start();
        assert_eq!(first.wait_exit(SOON), Exit::Code(1), "{records:?}");
        let log = first.log_text();
        assert!(log[before..].contains(said), "{records:?}: {}", first.log_tail());
        first.wipe();
    }
    laboratory.dns.change(&[right, hosts].concat());
    laboratory.cluster.start();
    assert_one_cluster(&laboratory.cluster);
}

#[test]
fn three_of_ours_form_by_the_same_records_and_the_same_resolver() {
    if skip_without_dnsmasq() || skip_without_openssl() {
        return;
    }
    let Some(mut laboratory) = Laboratory::new(Program::Quorate) else { return };
    let (right, hosts) = (laboratory.records("etcd-server-ssl"), laboratory.hosts());
    let first = laboratory.cluster.member(0);
    laboratory.cluster.start();
    wait_for_log(&first, "there are no SRV records");
    laboratory.dns.change(&[right, hosts].concat());
    assert_one_cluster(&laboratory.cluster);
}

#[test]
fn three_of_ours_form_without_tls_by_records_that_etcd_does_not_read() {
    if skip_without_dnsmasq() || skip_without_openssl() {
        return;
    }
    let Some(mut laboratory) = Laboratory::new(Program::Quorate) else { return };
    for member in laboratory.cluster.members() {
        let mut flags = member.flags();
        flags.retain(|flag| {
            !["--peer-client-cert-auth", "--peer-cert", "--peer-key", "--peer-trusted"]
                .iter()
                .any(|prefix| flag.starts_with(prefix))
        });
        member.set_flags(flags.iter().map(|flag| flag.replace("https:", "http:")).collect());
        set_flag(&member, "discovery-srv-expect", "3");
    }
    let (right, hosts) = (laboratory.records("etcd-server"), laboratory.hosts());
    laboratory.dns.change(&[right, hosts].concat());
    laboratory.cluster.start();
    assert_one_cluster(&laboratory.cluster);
}
