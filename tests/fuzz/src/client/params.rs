//! `client_params`: the parameters of a request for `/v2/keys`, without HTTP around them.
//!
//! The input is a byte for the method, then path, query and form, each after a line feed. Promises: what is refused is
//! refused with a client's error and a body that is JSON; a command that is taken survives the log's encoding, so no
//! client can write an entry that a member cannot read back.

use bytes::Bytes;
use quorate_core::{Batch, MemberId, Proposal, Stamp};
use quorate_server::client_api::params::{self, KeysMethod, Operation};

const METHODS: [KeysMethod; 5] =
    [KeysMethod::Get, KeysMethod::Head, KeysMethod::Put, KeysMethod::Post, KeysMethod::Delete];

/// Tries one input.
///
/// # Panics
/// When a promise is broken.
pub fn run(input: &[u8]) {
    let Some((method, rest)) = input.split_first() else { return };
    let method = METHODS[usize::from(*method) % METHODS.len()];
    let mut parts = rest.splitn(3, |&byte| byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (path, query, form) = (part(), part(), part());
    match params::parse(method, path, query, form) {
        Ok(request) => {
            assert_eq!(Ok(&request), params::parse(method, path, query, form).as_ref());
            if let Operation::Write(command) = request.operation {
                let proposal = Proposal { origin: MemberId(1), request: 1, command };
                let bytes: Bytes = Batch::encode_proposal(&proposal);
                let read = Batch::decode(bytes).expect("a member reads what a client wrote");
                assert_eq!(read, Batch { stamp: Stamp(0), proposals: vec![proposal] });
            }
        }
        Err(error) => {
            assert_eq!((error.index.0, error.code.http_status()), (0, 400), "{error:?}");
            let mut body = Vec::new();
            error.write_json(&mut body);
            let body: serde_json::Value = serde_json::from_slice(&body).expect("an error is JSON");
            assert_eq!(body["errorCode"], error.code.number());
        }
    }
}
