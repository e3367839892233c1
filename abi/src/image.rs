//! Images: the bytes of state and linear memories, with zero pages left out. The places of memories
//! after the first are in [`memories`](crate::memories).

use crate::layout::PAGE;
use std::collections::BTreeMap;

/// An image under construction: pages that are not all zero, by their index from the start of the
/// image (`BASE - state_bytes`). Positions are given as offsets from BASE, negative for state.
#[derive(Debug, Clone)]
pub struct SparseImage {
    state_bytes: usize,
    pages: BTreeMap<u32, Box<[u8; PAGE]>>,
}

/// Consecutive stored pages of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Index of the first page, from the start of the image.
    pub first: u32,
    /// Number of pages.
    pub pages: u32,
}

impl SparseImage {
    /// An image of zeros with this much state, a multiple of the host page.
    pub fn new(state_bytes: usize) -> Self {
        SparseImage { state_bytes, pages: BTreeMap::new() }
    }

    /// Bytes of state before linear memory.
    pub fn state_bytes(&self) -> usize {
        self.state_bytes
    }

    /// Writes `bytes` at `at` bytes from BASE. Zeros are written too, over what was there, but
    /// never make a page of their own.
    ///
    /// # Panics
    /// If `at` is before the state, or beyond what the memories can hold.
    pub fn write(&mut self, at: i64, bytes: &[u8]) {
        let start = usize::try_from(at + self.state_bytes as i64).expect("inside the image");
        let mut done = 0;
        while done < bytes.len() {
            let (page, offset) = ((start + done) / PAGE, (start + done) % PAGE);
            let len = (PAGE - offset).min(bytes.len() - done);
            let chunk = &bytes[done..done + len];
            let page = u32::try_from(page).expect("inside the image");
            if chunk.iter().any(|byte| *byte != 0) || self.pages.contains_key(&page) {
                let target = self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE]));
                target[offset..offset + len].copy_from_slice(chunk);
            }
            done += len;
        }
    }

    /// The number in the eight bytes at `at` bytes from BASE, which lie in one page. Zero outside.
    pub fn read_u64(&self, at: i64) -> u64 {
        let Ok(start) = usize::try_from(at + self.state_bytes as i64) else { return 0 };
        let page = u32::try_from(start / PAGE).ok().and_then(|page| self.pages.get(&page));
        let bytes = page.and_then(|page| page[start % PAGE..].first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Number of pages that `len` bytes at `at` bytes from BASE lie in and that are not stored.
    ///
    /// # Panics
    /// As [`write`](Self::write).
    pub fn missing(&self, at: i64, len: usize) -> usize {
        let start = usize::try_from(at + self.state_bytes as i64).expect("inside the image");
        let pages = start / PAGE..(start + len).div_ceil(PAGE);
        if len == 0 {
            return 0;
        }
        let index = |page: usize| u32::try_from(page).expect("inside the image");
        pages.len() - self.pages.range(index(pages.start)..index(pages.end)).count()
    }

    /// The bytes of page `index`, or `None` where the image is zero.
    pub fn page(&self, index: u32) -> Option<&[u8; PAGE]> {
        self.pages.get(&index).map(|page| &**page)
    }

    /// The stored pages as runs, ascending. Between two runs there is at least one zero page.
    pub fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for index in self.stored().map(|(index, _)| index) {
            match runs.last_mut() {
                Some(run) if run.first + run.pages == index => run.pages += 1,
                _ => runs.push(Run { first: index, pages: 1 }),
            }
        }
        runs
    }

    /// The stored pages with their index, ascending: the order in which they are kept in files.
    pub fn stored(&self) -> impl Iterator<Item = (u32, &[u8; PAGE])> {
        self.pages
            .iter()
            .filter(|(_, page)| page.iter().any(|byte| *byte != 0))
            .map(|(index, page)| (*index, &**page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_zeros_are_not_stored() {
        let mut image = SparseImage::new(PAGE);
        image.write(-8, &[1; 16]);
        image.write(3 * PAGE as i64, &[0; 100]);
        image.write(5 * PAGE as i64, &[7]);
        image.write(5 * PAGE as i64, &[0]);
        assert_eq!(image.runs(), [Run { first: 0, pages: 2 }]);
        assert_eq!(image.page(0).unwrap()[PAGE - 8..], [1; 8]);
        assert_eq!(image.page(1).unwrap()[..9], [1, 1, 1, 1, 1, 1, 1, 1, 0]);
        assert_eq!(image.page(2), None);
    }

    #[test]
    fn pages_that_are_stored_are_not_missing() {
        let mut image = SparseImage::new(PAGE);
        image.write(0, &[1]);
        assert_eq!(image.missing(PAGE as i64 - 1, 0), 0);
        assert_eq!(image.missing(10, 100), 0);
        assert_eq!(image.missing(10, PAGE), 1);
        assert_eq!(image.missing(-1, 1), 1);
        assert_eq!(image.missing(-1, 2 * PAGE + 2), 3);
    }
}
