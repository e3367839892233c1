//! Sets of pages.

use std::iter;
use std::ops::Range;

/// A set of pages of a slot, by index from the start of its image: a bit for each.
#[derive(Debug)]
pub(crate) struct PageSet {
    words: Vec<u64>,
    pages: usize,
}

impl PageSet {
    /// The empty set of a slot of `pages` pages.
    pub(crate) fn new(pages: usize) -> PageSet {
        PageSet { words: vec![0; pages.div_ceil(64)], pages }
    }

    /// Puts a page in, if the slot has it.
    #[inline]
    pub(crate) fn insert(&mut self, page: usize) {
        if page < self.pages {
            self.words[page / 64] |= 1 << (page % 64);
        }
    }

    /// Whether a page is in the set.
    #[inline]
    pub(crate) fn contains(&self, page: usize) -> bool {
        self.words.get(page / 64).is_some_and(|word| word & 1 << (page % 64) != 0)
    }

    /// The pages in the set, ascending.
    pub(crate) fn into_pages(self) -> impl Iterator<Item = usize> {
        self.words.into_iter().enumerate().flat_map(|(index, word)| bits(index * 64, word))
    }
}

/// The pages from `first` on for which a word has bits.
fn bits(first: usize, word: u64) -> impl Iterator<Item = usize> {
    let rest = |word: &u64| Some(word & (word - 1)).filter(|rest| *rest != 0);
    let words = iter::successors(Some(word).filter(|word| *word != 0), rest);
    words.map(move |word| first + word.trailing_zeros() as usize)
}

/// The runs of neighbours among pages, which are ascending.
pub(crate) fn runs(pages: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for page in pages {
        match runs.last_mut() {
            Some(run) if run.end == page => run.end += 1,
            _ => runs.push(page..page + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_in_order_and_others_are_ignored() {
        let mut set = PageSet::new(130);
        [129, 0, 64, 63, 0, 130, 1 << 40].into_iter().for_each(|page| set.insert(page));
        assert!(set.contains(64) && !set.contains(65) && !set.contains(130));
        assert_eq!(set.into_pages().collect::<Vec<_>>(), [0, 63, 64, 129]);
    }
}
