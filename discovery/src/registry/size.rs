//! How many members a cluster is to have: checked once, when its token is made.

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// The largest cluster that a token is made for. etcd advises at most seven; every member more makes writes slower.
pub const SIZE_MAX: u8 = 9;

/// How many members a cluster is to have.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ClusterSize(u8);

impl ClusterSize {
    /// What is meant when nobody says.
    pub const DEFAULT: Self = Self(3);

    /// A size that a cluster can have.
    ///
    /// # Errors
    /// [`Refusal::BadSize`]: less than one or more than [`SIZE_MAX`].
    pub fn new(size: u64) -> Result<Self, Refusal> {
        match u8::try_from(size) {
            Ok(size) if (1..=SIZE_MAX).contains(&size) => Ok(Self(size)),
            _ => Err(Refusal::BadSize(size.to_string())),
        }
    }

    /// Reads a decimal number.
    ///
    /// # Errors
    /// [`Refusal::BadSize`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refuse = || Refusal::BadSize(text.chars().take(20).collect());
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(refuse());
        }
        text.parse().map_err(|_| refuse()).and_then(Self::new)
    }

    /// As a number.
    #[must_use]
    pub fn count(self) -> usize {
        usize::from(self.0)
    }

    /// Whether it outlives no more failures than a cluster of one member less.
    #[must_use]
    pub fn is_even(self) -> bool {
        self.0.is_multiple_of(2)
    }
}
