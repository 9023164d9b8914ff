//! Splits an input into values, for targets that need more than one. Beyond the end, all bytes are
//! zero.

/// The rest of the input.
pub struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    /// Starts at the first byte.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether the input is consumed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        // Small numbers and those near the bounds are the most likely to fail.
        match self.byte() {
            small @ 0..200 => u64::from(small),
            near @ 200..228 => u64::MAX - u64::from(near - 200),
            bit @ 228.. => {
                let noise = u64::from(u32::from_le_bytes(self.array()));
                (noise << 32 | noise) >> (bit - 228)
            }
        }
    }

    /// The next slice; one byte holds its length.
    pub fn part(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        let (part, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        part
    }

    /// All remaining bytes.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let length = N.min(self.0.len());
        let (first, rest) = self.0.split_at(length);
        taken[..length].copy_from_slice(first);
        self.0 = rest;
        taken
    }
}
