//! The headers of the answers about keys: made once, copied for each answer, and its three numbers written in.
//!
//! To put eight headers into an empty map costs more than to find the key, and between two writes the numbers stay as they are.
//! Names are in the order in which etcd sends them.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use parking_lot::Mutex;
use quorate_core::StoreIndex;

use super::access::Access;
use super::reply::{APPLICATION_JSON, X_ETCD_CLUSTER_ID, X_ETCD_INDEX, X_RAFT_INDEX, X_RAFT_TERM};

/// See the module.
#[derive(Debug)]
pub(super) struct KeyHeaders(Mutex<Last>);

/// The headers of the last answer, and their numbers.
#[derive(Debug)]
struct Last {
    numbers: Numbers,
    headers: HeaderMap,
}

/// What an answer is true for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Numbers {
    /// The store index.
    pub(super) index: StoreIndex,
    /// The place in the log.
    pub(super) raft_index: u64,
    /// The term.
    pub(super) term: u64,
}

impl KeyHeaders {
    /// For a cluster, with what `access` lets browsers know in every case.
    pub(super) fn new(cluster_id: HeaderValue, access: &Access) -> Self {
        let mut headers = HeaderMap::new();
        access.cors(&HeaderMap::new()).add_to(&mut headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(APPLICATION_JSON));
        headers.insert(X_ETCD_CLUSTER_ID, cluster_id);
        let numbers = Numbers { index: StoreIndex(0), raft_index: 0, term: 0 };
        numbers.write_to(&mut headers);
        Self(Mutex::new(Last { numbers, headers }))
    }

    /// For an answer with these numbers.
    pub(super) fn with(&self, numbers: Numbers) -> HeaderMap {
        let mut last = self.0.lock();
        if last.numbers != numbers {
            last.numbers = numbers;
            numbers.write_to(&mut last.headers);
        }
        last.headers.clone()
    }
}

impl Numbers {
    fn write_to(self, headers: &mut HeaderMap) {
        headers.insert(X_ETCD_INDEX, self.index.0.into());
        headers.insert(X_RAFT_INDEX, self.raft_index.into());
        headers.insert(X_RAFT_TERM, self.term.into());
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
            template.with(Numbers { index: StoreIndex(1), raft_index: 2, term: 3 });
            let numbers = Numbers { index: StoreIndex(7), raft_index: 8, term: 9 };
            let headers = template.with(numbers);
            assert_eq!(headers, template.with(numbers));
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
