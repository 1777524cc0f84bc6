//! The headers of the answers about keys: made once, copied for each answer, and its three numbers written in.
//!
//! To put eight headers into an empty map costs more than to find the key. Names are in the order in which etcd sends them.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use quorate_core::StoreIndex;

use super::access::Access;
use super::reply::{APPLICATION_JSON, X_ETCD_CLUSTER_ID, X_ETCD_INDEX, X_RAFT_INDEX, X_RAFT_TERM};

/// See the module.
#[derive(Debug)]
pub(super) struct KeyHeaders(HeaderMap);

impl KeyHeaders {
    /// For a cluster, with what `access` lets browsers know in every case.
    pub(super) fn new(cluster_id: HeaderValue, access: &Access) -> Self {
        let unset = HeaderValue::from_static("0");
        let mut headers = HeaderMap::new();
        access.cors(&HeaderMap::new()).add_to(&mut headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(APPLICATION_JSON));
        headers.insert(X_ETCD_CLUSTER_ID, cluster_id);
        headers.insert(X_ETCD_INDEX, unset.clone());
        headers.insert(X_RAFT_INDEX, unset.clone());
        headers.insert(X_RAFT_TERM, unset);
        Self(headers)
    }

    /// For an answer that is true for a store index, at a place in the log.
    pub(super) fn at(&self, index: StoreIndex, raft_index: u64, term: u64) -> HeaderMap {
        let mut headers = self.0.clone();
        let numbers = [(X_ETCD_INDEX, index.0), (X_RAFT_INDEX, raft_index), (X_RAFT_TERM, term)];
        for (name, value) in &mut headers {
            if let Some((_, number)) = numbers.iter().find(|(numbered, _)| numbered == name) {
                *value = (*number).into();
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_own_numbers_and_what_all_have() {
        let access = Access { origins: Some(vec!["http://a".into()]), hosts: None };
        for (access, about_browsers) in [(Access::default(), 3), (access, 0)] {
            let template = KeyHeaders::new(HeaderValue::from_static("c0ffee"), &access);
            template.at(StoreIndex(1), 2, 3);
            let headers = template.at(StoreIndex(7), 8, 9);
            let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            assert_eq!(text("x-etcd-index"), Some("7"));
            assert_eq!(text("x-raft-index"), Some("8"));
            assert_eq!(text("x-raft-term"), Some("9"));
            assert_eq!(text("x-etcd-cluster-id"), Some("c0ffee"));
            assert_eq!(text("content-type"), Some("application/json"));
            assert_eq!(headers.len(), 5 + about_browsers);
        }
    }
}
