//! Choices made by bytes.

use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes that choose; zeros when they are used up.
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Source<'a> {
        Source { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    pub(crate) fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// A number below `most`, which is at most 256.
    pub(crate) fn below(&mut self, most: usize) -> usize {
        usize::from(self.byte()) % most
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(crate) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// Bytes from a number.
pub(crate) struct Seeds;

impl Seeds {
    /// Bytes of a source.
    const BYTES: u64 = 3000;

    /// The bytes of a seed: the same ones each time (splitmix64, by Vigna).
    pub(crate) fn bytes(seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let next = |_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ mixed >> 31).to_le_bytes()
        };
        (0..Seeds::BYTES / 8).flat_map(next).collect()
    }

    /// A seed that nobody has tried.
    pub(crate) fn fresh() -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |since| since.as_millis() as u64 * 1000)
    }
}
