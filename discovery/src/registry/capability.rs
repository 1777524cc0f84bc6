//! Who may do what with a token: three secrets, of which only hashes are kept, and the token's ID, which is no secret.
//!
//! Invariant: a [`Secret`] is shown by [`Secret::reveal`] alone, when it is handed out; it has no `Debug`, `Display` or
//! `Serialize`. Hashes are compared in constant time. Making secrets takes randomness as an argument.

use std::fmt::{self, Write as _};
use std::hint::black_box;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Bytes of a secret: too many to be guessed, few enough to be the 32 digits that scripts expect of a token.
pub const SECRET_BYTES: usize = 16;
/// Bytes of a token's ID: two of a million tokens meet with a chance of one in 10^17.
const ID_BYTES: usize = 12;

/// What the holder of a secret may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Capability {
    /// Everything: revoke, reopen, remove entries, and all below.
    Admin,
    /// Register a member and see the others; the discovery URL that machines are given.
    Join,
    /// See who registered.
    Read,
}

impl Capability {
    /// The name, also in front of the secrets of those that are not in a URL that etcd takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Join => "join",
            Self::Read => "read",
        }
    }

    /// Whether a holder of this may do what asks for `needed`.
    #[must_use]
    pub fn covers(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Join => needed != Self::Admin,
            Self::Read => needed == Self::Read,
        }
    }
}

/// A secret as its holder knows it.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret {
    capability: Capability,
    bytes: [u8; SECRET_BYTES],
}

impl Secret {
    /// A new secret of random bytes.
    #[must_use]
    pub fn new(capability: Capability, entropy: [u8; SECRET_BYTES]) -> Self {
        Self { capability, bytes: entropy }
    }

    /// Reads a secret: 32 hex digits to join, `read-` or `admin-` and 32 hex digits otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (capability, digits) = match text.split_once('-') {
            None => (Capability::Join, text),
            Some(("read", digits)) => (Capability::Read, digits),
            Some(("admin", digits)) => (Capability::Admin, digits),
            Some(_) => return None,
        };
        Some(Self { capability, bytes: from_hex(digits)? })
    }

    /// What it allows, if it belongs to the token.
    #[must_use]
    pub fn capability(&self) -> Capability {
        self.capability
    }

    /// The text to be given to its holder, and to nobody else: not to a log, not to the store.
    #[must_use]
    pub fn reveal(&self) -> String {
        let digits = to_hex(&self.bytes);
        match self.capability {
            Capability::Join => digits,
            other => format!("{}-{digits}", other.name()),
        }
    }

    /// What is stored of it. Each capability hashes differently, so that none can stand for another.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(hash(self.capability.name(), &self.bytes))
    }

    /// The ID of the token that this secret opens for joining; `None` for the other secrets, which do not lead to it.
    #[must_use]
    pub fn token_id(&self) -> Option<TokenId> {
        (self.capability == Capability::Join).then(|| {
            let hash = hash("id", &self.bytes);
            TokenId(to_hex(hash.get(..ID_BYTES).unwrap_or_default()))
        })
    }
}

/// The hash of a secret.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl PartialEq for Digest {
    /// Takes the same time wherever they differ.
    fn eq(&self, other: &Self) -> bool {
        let differences =
            self.0.iter().zip(other.0.iter()).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
        differences == 0
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_hex(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not a SHA-256 hash in hex"))
    }
}

/// The hashes of a token's three secrets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Grants {
    admin: Digest,
    join: Digest,
    read: Digest,
}

impl Grants {
    /// The hashes of these secrets.
    #[must_use]
    pub fn of(admin: &Secret, join: &Secret, read: &Secret) -> Self {
        Self { admin: admin.digest(), join: join.digest(), read: read.digest() }
    }

    /// What `secret` allows; `None` if it is not one of this token's.
    #[must_use]
    pub fn check(&self, secret: &Secret) -> Option<Capability> {
        let expected = match secret.capability {
            Capability::Admin => &self.admin,
            Capability::Join => &self.join,
            Capability::Read => &self.read,
        };
        (secret.digest() == *expected).then_some(secret.capability)
    }
}

/// The name of a token in the store, in logs and on pages. Whoever knows it can do nothing with it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TokenId(String);

impl TokenId {
    /// Reads an ID; `None` for a text that cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_hex::<ID_BYTES>(text).map(|_| Self(text.to_owned()))
    }

    /// Its text: 24 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hash(purpose: &str, bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"quorate-discovery/1\0");
    hasher.update(purpose.as_bytes());
    hasher.update([0]);
    hasher.update(bytes);
    hasher.finalize().into()
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Lower-case digits only: one secret has one spelling.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (slot, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *slot = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(capability: Capability, byte: u8) -> Secret {
        Secret::new(capability, [byte; SECRET_BYTES])
    }

    #[test]
    fn secrets_read_back_and_stand_for_one_thing() {
        use Capability::{Admin, Join, Read};
        for capability in [Admin, Join, Read] {
            let secret = secret(capability, 7);
            assert!(Secret::parse(&secret.reveal()).is_some_and(|read| read == secret));
        }
        let grants = Grants::of(&secret(Admin, 1), &secret(Join, 2), &secret(Read, 3));
        assert_eq!(grants.check(&secret(Join, 2)), Some(Join));
        // The bytes of one are no use as another.
        for wrong in [secret(Admin, 2), secret(Read, 2), secret(Join, 1), secret(Admin, 3)] {
            assert_eq!(grants.check(&wrong), None);
        }
        for text in [
            "",
            "7",
            "ADMIN-",
            "join-00",
            &"0".repeat(31),
            &"0".repeat(33),
            &"A".repeat(32),
            &"é".repeat(16),
        ] {
            assert!(Secret::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn capabilities_cover_what_they_should() {
        use Capability::{Admin, Join, Read};
        let table = [
            (Admin, Admin, true),
            (Admin, Join, true),
            (Admin, Read, true),
            (Join, Admin, false),
            (Join, Join, true),
            (Join, Read, true),
            (Read, Admin, false),
            (Read, Join, false),
            (Read, Read, true),
        ];
        for (held, needed, covers) in table {
            assert_eq!(held.covers(needed), covers, "{held:?} {needed:?}");
        }
    }

    #[test]
    fn the_stored_form_tells_nothing() {
        let secret = secret(Capability::Join, 9);
        let stored = serde_json::to_string(&secret.digest()).unwrap();
        assert!(!stored.contains(&secret.reveal()));
        assert_eq!(serde_json::from_str::<Digest>(&stored).unwrap(), secret.digest());
        let id = secret.token_id().unwrap();
        assert_ne!(id.as_str(), &secret.reveal()[..24]);
        assert_eq!(TokenId::parse(id.as_str()), Some(id));
        assert!(TokenId::parse("../../x").is_none());
        assert!(Secret::new(Capability::Read, [1; 16]).token_id().is_none());
    }
}
