//! Working sets: the pages that guests are expected to write to.

use crate::page_set::runs;
use crate::{Error, PAGE, cost};
use std::ops::Range;

/// The pages that requests wrote to, and the bytes by which they grew the memory. New slots start
/// with it as their learned set. Nothing relies on it but speed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkingSet {
    /// Indices of pages from the start of the image, ascending and disjoint. Pages behind the
    /// image are of memory that grew.
    pub pages: Vec<Range<usize>>,
    /// Pages of the image.
    pub image: usize,
    /// Bytes after the image that the memory grows by, a multiple of [`PAGE`].
    pub grown: usize,
}

impl WorkingSet {
    /// Number of pages.
    pub fn len(&self) -> usize {
        self.pages.iter().map(|range| range.len()).sum()
    }

    /// Whether there is no page in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of pages that are behind the image.
    pub fn grown_pages(&self) -> usize {
        let behind = |range: &Range<usize>| range.end - range.start.max(self.image).min(range.end);
        self.pages.iter().map(behind).sum()
    }

    /// Number of granules, of `pages` pages each, that the pages of the image are in.
    pub fn granules(&self, pages: usize) -> usize {
        let (mut count, mut next) = (0, 0);
        for range in &self.pages {
            let end = range.end.min(self.image);
            if range.start >= end {
                continue;
            }
            let first = (range.start / pages).max(next);
            let last = end.div_ceil(pages);
            count += last.saturating_sub(first);
            next = next.max(last);
        }
        count
    }

    /// The set of these pages of an image of `image` pages, ascending.
    pub(crate) fn of_pages(
        indices: impl Iterator<Item = usize>,
        image: usize,
        grown: usize,
    ) -> WorkingSet {
        WorkingSet { pages: runs(indices), image, grown }
    }

    /// Checks that the set is one of an image with `bytes` bytes.
    pub(crate) fn check(&self, bytes: usize) -> Result<(), Error> {
        let end = self.pages.iter().try_fold(0, |end, range| {
            (range.start >= end && range.start < range.end).then_some(range.end)
        });
        let all = bytes.checked_add(self.grown).map(|all| all / PAGE);
        if end.is_none() || end > all || !self.grown.is_multiple_of(PAGE) {
            return Err(Error::WorkingSet("its pages overlap or are not of its image"));
        }
        if self.image != bytes / PAGE || self.len() > cost::MAX_PAGES {
            return Err(Error::WorkingSet("it is too large, or of another image"));
        }
        Ok(())
    }
}
