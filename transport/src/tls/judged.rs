//! What the certificates of open connections were found to be, so that a fleet that shares one has it verified once for each
//! change of the files, and not once for each connection: whoever verifies looks through the whole revocation list.
//!
//! It belongs to what was read from the files and goes with it. Invariant: what is known is told of the same chain and the same
//! name only; of a good one only for moments between two that it was verified for; a revoked one stays revoked.

use std::collections::HashMap;

use blake2::{Blake2s256, Digest as _};
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error};

/// Chains that are remembered, at some hundred bytes each; any beyond are verified whenever somebody asks. Fleets with a
/// certificate for each program have fewer, and who shows many chains for one certificate gains nothing.
const CHAINS_MAX: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Judged {
    chains: Mutex<HashMap<ChainId, Known>>,
}

/// Stands for a chain and for the name, if any, that it must be valid for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct ChainId([u8; 32]);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Known {
    /// Good at both moments, in seconds since 1970, and so at those in between.
    Good {
        from: u64,
        to: u64,
    },
    Revoked,
}

impl ChainId {
    pub(super) fn of(
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: Option<&ServerName<'_>>,
    ) -> Self {
        let name = name.map(ServerName::to_str).unwrap_or_default();
        let mut digest = Blake2s256::new();
        // Each of one length, so that no two chains run together to the same bytes.
        digest.update(Blake2s256::digest(name.as_bytes()));
        digest.update(Blake2s256::digest(leaf));
        above.iter().for_each(|certificate| digest.update(Blake2s256::digest(certificate)));
        Self(digest.finalize().into())
    }
}

impl Judged {
    /// What `verify` says of this chain as of the moment `at`, by itself or from what it has said before.
    pub(super) fn ask(
        &self,
        chain: ChainId,
        at: UnixTime,
        verify: impl Fn(UnixTime) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let known = self.chains.lock().get(&chain).copied();
        let from = at.as_secs();
        match known {
            Some(Known::Revoked) => return Err(CertificateError::Revoked.into()),
            Some(Known::Good { from: first, to }) if (first..=to).contains(&from) => return Ok(()),
            Some(Known::Good { .. }) | None => {}
        }
        // Nobody else waits meanwhile: a few verify the same at worst.
        let found = verify(at);
        match &found {
            Ok(()) => {
                let now = UnixTime::now();
                // If it is good now, too, this answers for all that have connected since.
                let is_good_now = known.is_none() && now > at && verify(now).is_ok();
                let to = if is_good_now { now.as_secs() } else { from };
                self.learn(chain, Known::Good { from, to });
            }
            Err(Error::InvalidCertificate(CertificateError::Revoked)) => {
                self.learn(chain, Known::Revoked);
            }
            // It may be good for who connected at another time.
            Err(_) => {}
        }
        found
    }

    fn learn(&self, chain: ChainId, found: Known) {
        let mut chains = self.chains.lock();
        let known = match (chains.get(&chain), found) {
            (None, _) if chains.len() >= CHAINS_MAX => return,
            (Some(Known::Revoked), _) => Known::Revoked,
            (Some(&Known::Good { from, to }), Known::Good { from: other_from, to: other_to }) => {
                Known::Good { from: from.min(other_from), to: to.max(other_to) }
            }
            (_, found) => found,
        };
        chains.insert(chain, known);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    fn chain(number: usize) -> ChainId {
        ChainId::of(&CertificateDer::from(number.to_be_bytes().to_vec()), &[], None)
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn revoked() -> Error {
        CertificateError::Revoked.into()
    }

    #[test]
    fn a_fleet_with_one_certificate_is_verified_once() {
        let (judged, verified) = (Judged::default(), Cell::new(0));
        let ask = |moment| {
            judged.ask(chain(1), moment, |_| {
                verified.set(verified.get() + 1);
                Ok(())
            })
        };
        for second in 1000..2000 {
            assert_eq!(ask(at(second)), Ok(()));
        }
        assert_eq!(verified.get(), 2, "as of then and as of now");
        assert_eq!(ask(at(900)), Ok(()));
        assert_eq!(ask(at(950)), Ok(()));
        assert_eq!(
            verified.get(),
            3,
            "who connected before is verified, and answers for those between"
        );
    }

    #[test]
    fn what_is_good_at_one_time_is_not_at_another() {
        let judged = Judged::default();
        let until_1500 = |moment: UnixTime| {
            if moment <= at(1500) { Ok(()) } else { Err(CertificateError::Expired.into()) }
        };
        let ask = |second| judged.ask(chain(1), at(second), until_1500);
        assert_eq!(ask(1000), Ok(()));
        assert_eq!(ask(1501), Err(CertificateError::Expired.into()));
        assert_eq!(ask(1400), Ok(()));
    }

    #[test]
    fn revoked_is_revoked_for_all_and_no_other_chain_is() {
        let judged = Judged::default();
        assert_eq!(judged.ask(chain(1), at(1000), |_| Err(revoked())), Err(revoked()));
        assert_eq!(judged.ask(chain(1), at(5), |_| Ok(())), Err(revoked()));
        assert_eq!(judged.ask(chain(2), at(5), |_| Ok(())), Ok(()));
    }

    #[test]
    fn names_and_each_certificate_of_a_chain_count() {
        let [one, two] = [1u8, 2].map(|byte| CertificateDer::from(vec![byte; 9]));
        let name = ServerName::try_from("db.example").unwrap();
        let other = ServerName::try_from("db2.example").unwrap();
        let above = std::slice::from_ref(&two);
        let ids = [
            ChainId::of(&one, &[], None),
            ChainId::of(&two, &[], None),
            ChainId::of(&one, above, None),
            ChainId::of(&one, &[], Some(&name)),
            ChainId::of(&one, &[], Some(&other)),
        ];
        let different: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(different.len(), ids.len());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let judged = Judged::default();
        for number in 0..CHAINS_MAX + 1 {
            judged.ask(chain(number), at(5), |_| Err(revoked())).unwrap_err();
        }
        assert_eq!(judged.ask(chain(0), at(5), |_| Ok(())), Err(revoked()));
        assert_eq!(judged.ask(chain(CHAINS_MAX), at(5), |_| Ok(())), Ok(()), "verified anew");
        assert_eq!(judged.chains.lock().len(), CHAINS_MAX);
    }
}
