//! The kernel's memory: blocks at addresses from a counter, in bytes of the host's.
//!
//! ```text
//! 0        64            addresses
//! | never  | block | gap | block | gap | ...   a gap stands for the record of its block
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

/// The first address of a block: 0 is none.
const START: u64 = 64;

/// Bytes between two blocks, as many as their records take: the limit counts those too.
const GAP: u64 = 64;

/// Most bytes that are made zero or copied at once: more takes long enough that others should have their turns.
pub(super) const PIECE: usize = 256 << 10;

/// The memory.
#[derive(Debug)]
pub(super) struct Arena {
    /// Zeros from `used` on. Beyond a piece there are as many as the limit, which the kernel makes when
    /// they are touched.
    bytes: Vec<u8>,
    /// Bytes of all blocks there have been, with their gaps.
    used: usize,
    /// Blocks by their address, in a tree: it grows evenly, whereas a table would move all its entries.
    blocks: BTreeMap<u64, Block>,
    /// Addresses of blocks that were given back, by their capacity.
    free: BTreeMap<u64, Vec<u64>>,
    limit: u64,
}

/// A new block.
pub(super) struct Allocated {
    pub(super) address: u64,
    /// The range of its bytes that are of a block before.
    pub(super) stale: Range<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    len: u64,
    capacity: u64,
}

impl Arena {
    /// An empty one that may have so many bytes.
    pub(super) fn new(limit: u64) -> Arena {
        Arena { bytes: Vec::new(), used: 0, blocks: BTreeMap::new(), free: BTreeMap::new(), limit }
    }

    /// The address of a new block of zeros; `None` if it is empty, or there is no room.
    pub(super) fn alloc(&mut self, len: u64) -> Option<u64> {
        let Allocated { address, stale } = self.begin_alloc(len)?;
        self.clear(stale);
        Some(address)
    }

    /// A new block, and those of its bytes that are not zero yet.
    pub(super) fn begin_alloc(&mut self, len: u64) -> Option<Allocated> {
        if len == 0 || len > self.limit {
            return None;
        }
        let capacity = len.next_multiple_of(8);
        let (address, capacity, is_new) = match self.reuse(capacity) {
            Some((address, capacity)) => (address, capacity, false),
            None => (self.extend(capacity)?, capacity, true),
        };
        self.blocks.insert(address, Block { len, capacity });
        let start = address as usize;
        let stale = if is_new { start..start } else { start..start + len as usize };
        Some(Allocated { address, stale })
    }

    /// Makes bytes zero.
    pub(super) fn clear(&mut self, stale: Range<usize>) {
        self.bytes[stale].fill(0);
    }

    /// A block that was given back and is large enough, unless it is out of proportion.
    fn reuse(&mut self, capacity: u64) -> Option<(u64, u64)> {
        let (found, addresses) = self.free.range_mut(capacity..=capacity * 2).next()?;
        let found = *found;
        let address = addresses.pop();
        if addresses.is_empty() {
            self.free.remove(&found);
        }
        address.map(|address| (address, found))
    }

    fn extend(&mut self, capacity: u64) -> Option<u64> {
        let address = (self.used as u64).max(START);
        let end = address + capacity + GAP;
        if end - START > self.limit {
            return None;
        }
        let end = end as usize;
        if end > self.bytes.len() {
            self.grow(end);
        }
        self.used = end;
        Some(address)
    }

    /// Has at least `end` bytes.
    fn grow(&mut self, end: usize) {
        if end <= PIECE {
            return self.bytes.resize(end.next_power_of_two(), 0);
        }
        // Zeros of a fresh mapping, none of which is there yet.
        let mut bytes = vec![0; (self.limit + START) as usize];
        bytes[..self.used].copy_from_slice(&self.bytes[..self.used]);
        self.bytes = bytes;
    }

    /// A new block with these bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<u64> {
        let address = self.begin_alloc(bytes.len() as u64)?.address;
        self.fill(address, bytes);
        Some(address)
    }

    /// Writes bytes within a block.
    pub(super) fn fill(&mut self, address: u64, bytes: &[u8]) {
        self.bytes[address as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Gives a block back. An address of none is ignored.
    pub(super) fn free(&mut self, address: u64) {
        if let Some(block) = self.blocks.remove(&address) {
            self.free.entry(block.capacity).or_default().push(address);
        }
    }

    /// Bytes of the block at an address; 0 if there is none.
    pub(super) fn len(&self, address: u64) -> u64 {
        self.blocks.get(&address).map_or(0, |block| block.len)
    }

    /// The block at an address.
    pub(super) fn block(&self, address: u64) -> Option<&[u8]> {
        self.range(address, self.blocks.get(&address)?.len)
    }

    /// Bytes anywhere; `None` if they are outside.
    pub(super) fn range(&self, address: u64, len: u64) -> Option<&[u8]> {
        let start = usize::try_from(address).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        self.bytes[..self.used].get(start..end)
    }

    /// `N` bytes; zeros outside, as the kernel has it.
    pub(super) fn load<const N: usize>(&self, address: u64) -> [u8; N] {
        let bytes = self.range(address, N as u64).and_then(<[u8]>::first_chunk);
        bytes.copied().unwrap_or([0; N])
    }

    /// Writes bytes; those outside are dropped, as the kernel has it.
    pub(super) fn store<const N: usize>(&mut self, address: u64, bytes: [u8; N]) {
        let Ok(start) = usize::try_from(address) else { return };
        let place = self.bytes[..self.used].get_mut(start..).and_then(<[u8]>::first_chunk_mut);
        if let Some(place) = place.filter(|_| address >= START) {
            *place = bytes;
        }
    }

    /// Bytes of all blocks there have been.
    pub(super) fn size(&self) -> u64 {
        self.used as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_and_zero() {
        let mut arena = Arena::new(1 << 20);
        let (one, other) = (arena.put(b"hello").unwrap(), arena.alloc(3).unwrap());
        assert_eq!(arena.block(one), Some(&b"hello"[..]));
        assert_eq!((arena.len(one), arena.len(other), arena.len(one + 1)), (5, 3, 0));
        arena.store(one, [0xff; 8]);
        arena.free(one);
        assert_eq!(arena.block(one), None);
        assert_eq!(arena.alloc(7), Some(one), "it is used again");
        assert_eq!(arena.block(one), Some(&[0; 7][..]));
        arena.free(99);
        arena.free(one);
        arena.free(one);
        assert_eq!(arena.alloc(8), Some(one));
        assert_ne!(arena.alloc(8), Some(one), "it was given back once");
    }

    #[test]
    fn nothing_is_outside() {
        let mut arena = Arena::new(1 << 20);
        arena.alloc(8).unwrap();
        let size = arena.size();
        for address in [size, size - 4, u64::MAX, u64::MAX - 7] {
            arena.store(address, [1; 8]);
            assert_eq!(arena.load::<8>(address), [0; 8]);
            assert_eq!(arena.range(address, 8), None);
        }
        arena.store(0, [1; 8]);
        assert_eq!(arena.load::<8>(0), [0; 8], "nothing is at 0");
        assert_eq!(arena.range(64, u64::MAX), None);
    }

    #[test]
    fn large_blocks_are_zero_however_they_came() {
        let mut arena = Arena::new(64 << 20);
        let small = arena.put(b"small").unwrap();
        let large = arena.alloc(40 << 20).unwrap();
        assert_eq!(arena.block(small), Some(&b"small"[..]), "it moved");
        assert_eq!(arena.load::<8>(large), [0; 8]);
        assert!(!arena.block(large).unwrap().iter().any(|byte| *byte != 0));
        arena.store(large + (30 << 20), [7; 8]);
        arena.free(large);
        let Allocated { address, stale } = arena.begin_alloc(39 << 20).unwrap();
        assert_eq!((address, stale.len()), (large, 39 << 20));
        arena.clear(stale);
        assert_eq!(arena.load::<8>(large + (30 << 20)), [0; 8]);
        assert_eq!(arena.alloc(40 << 20), None, "there is no room for one more");
        assert_eq!(arena.range(arena.size(), 1), None, "bytes behind the last block are nobody's");
    }

    #[test]
    fn the_limit_counts_small_blocks_too() {
        let mut arena = Arena::new(10_000);
        assert_eq!(arena.alloc(10_001), None);
        assert_eq!(arena.alloc(u64::MAX), None);
        assert_eq!(arena.alloc(0), None);
        let blocks = std::iter::from_fn(|| arena.alloc(1)).count();
        assert_eq!(blocks, 10_000 / (8 + 64));
        assert!(arena.size() <= 10_000 + 64);
    }
}
