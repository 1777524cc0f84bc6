//! TLS on both ends of a connection: what to show and whom to trust, read from files and kept as the files are.
//!
//! [`TlsSettings`] say what is wanted, [`Credentials`] hold it, [`TlsAcceptor`] and [`TlsConnector`] use it. Rules beyond
//! the library's: a name counts only on the leaf, never on an authority; revocation lists are checked in both directions and
//! an overdue one lets nobody in; an authority that has expired vouches for nobody; no name is ever looked up in DNS. An open connection ends once files that are
//! read again would not let its other end in ([`Session`]).

mod acceptor;
mod certificate;
mod connector;
mod credentials;
mod error;
mod failures;
mod files;
mod judged;
mod loaded;
mod maker;
mod self_made;
mod session;
mod settings;
pub mod suites;
mod verifier;
mod words;

pub use acceptor::TlsAcceptor;
pub use connector::TlsConnector;
pub use credentials::{CredentialFigures, Credentials};
pub use error::TlsError;
pub use failures::{FailureKind, Failures};
pub use loaded::Expiry;
pub use session::Session;
pub use settings::{
    AllowedName, KeyPairFiles, Protocol, Suite, TlsSettings, Trust, Version, Versions,
};
pub use words::{CertificateFault, rough_span, span};
