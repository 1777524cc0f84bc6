//! Bytes read as decisions, for targets whose inputs have a structure.
//!
//! Invariant: every input is some sequence of decisions; when the bytes are used up all further ones are zero, so loops
//! over [`Choices::is_done`] end.

/// Numbers at which arithmetic goes wrong.
const EDGES: [u64; 8] =
    [0, 1, 2, u32::MAX as u64, i64::MAX as u64, u64::MAX - 2, u64::MAX - 1, u64::MAX];

/// The decisions left.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// The decisions in `input`.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// Whether all bytes are used up.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `bound`, which must not be 0; 0 for bounds that two bytes can't reach into.
    pub fn below(&mut self, bound: usize) -> usize {
        let byte = usize::from(self.byte());
        if bound <= 256 { byte % bound } else { (byte << 8 | usize::from(self.byte())) % bound }
    }

    /// One of `all`, which must not be empty.
    pub fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    /// A small number, mostly; sometimes one at the edge of what 64 bits hold.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..224 => u64::from(small),
            edge => EDGES[usize::from(edge) % EDGES.len()],
        }
    }

    /// Up to 255 of the bytes themselves.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// All bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
