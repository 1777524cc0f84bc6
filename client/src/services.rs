//! Finding a cluster's client URLs in DNS: both services' SRV records, as etcd's clients look for them.
//!
//! Invariant: endpoints with TLS come first, each service's in order of priority. It is an error only if nothing was found and
//! something went wrong; a lookup that failed beside one that did not is told, not hidden.

use quorate_transport::dns::{Dns, DnsError, Service};
use quorate_transport::endpoint::{Address, Endpoint};

/// What was found.
#[derive(Debug)]
pub struct ClientServices {
    /// Where the members serve clients: those that speak TLS, then the others.
    pub endpoints: Vec<Endpoint>,
    /// Lookups that failed: the list may lack what they would have found.
    pub failures: Vec<DnsError>,
}

/// Looks up `_etcd-client-ssl._tcp` and `_etcd-client._tcp` below `domain` in `dns`. With a `suffix` the services are called
/// `etcd-client-ssl-SUFFIX` and `etcd-client-SUFFIX`. An empty answer is a list without endpoints.
///
/// # Errors
/// Both lookups failed, or one did and the other found nothing.
pub async fn client_services(
    dns: &Dns,
    domain: &str,
    suffix: Option<&str>,
) -> Result<ClientServices, DnsError> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let mut found = ClientServices { endpoints: Vec::new(), failures: Vec::new() };
    for (is_tls, service) in [(true, "etcd-client-ssl"), (false, "etcd-client")] {
        let name = match suffix {
            Some(suffix) => format!("_{service}-{suffix}._tcp.{domain}"),
            None => format!("_{service}._tcp.{domain}"),
        };
        match dns.services(&name).await {
            Ok(services) => {
                found.endpoints.extend(services.into_iter().map(|it| endpoint(is_tls, it)));
            }
            Err(error) => found.failures.push(error),
        }
    }
    match found.failures.pop() {
        Some(error) if found.endpoints.is_empty() => Err(error),
        last => {
            found.failures.extend(last);
            Ok(found)
        }
    }
}

fn endpoint(is_tls: bool, service: Service) -> Endpoint {
    let Service { host, port, .. } = service;
    Endpoint { is_tls, address: Address::Tcp { host, port } }
}
