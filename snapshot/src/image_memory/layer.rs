//! Layers: images that share the ranges of another one, but for those in which they differ.
//!
//! ```text
//!   the image below  | extent                               |
//!   the layer        | below | own | below | own | below    |
//! ```
//!
//! Each range is a mapping in every slot, so a layer has few: near ones are one, with the pages between them.

use super::{ImageMemory, Layout, Region};
use crate::image::{Backing, Extent, joined};
use crate::{Error, Image, PAGE, sys};
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

/// Most ranges of a layer's own.
const MAX_RANGES: usize = 12;

/// Ranges are joined over as many bytes, at least.
const SMALLEST_GAP: usize = 4 * PAGE;

/// A layer over an image, as far as it is made.
struct Plan<'b> {
    below: &'b Arc<Image>,
    bytes: usize,
    head: usize,
    /// Offset and length of each own range, ascending.
    own: Vec<(usize, usize)>,
}

impl ImageMemory {
    /// An image of `bytes` bytes as `below` is, and zero behind it, but for the pages `changed`: index and contents,
    /// ascending. `None` if a layer would save nothing: `below` is another layer, is in no memory of images, cannot be read, or is not
    /// much more than the pages. `head` is as in [`ImageMemory::image`].
    ///
    /// # Errors
    /// [`Error::Image`] if the image would be shorter, or a page is outside; otherwise as [`ImageMemory::image`].
    pub fn layer(
        &self,
        below: &Arc<Image>,
        (bytes, head): (usize, usize),
        changed: &[(usize, &[u8; PAGE])],
    ) -> Result<Option<Image>, Error> {
        let inside = changed.iter().all(|(page, _)| *page < bytes / PAGE);
        let ascending = changed.is_sorted_by(|(page, _), (next, _)| page < next);
        let aligned = bytes.is_multiple_of(PAGE) && head.is_multiple_of(PAGE);
        if bytes < below.len() || !inside || !ascending || !aligned {
            return Err(Error::Image("a layer does not fit the image below"));
        }
        let Backing::Region(region) = below.backing() else { return Ok(None) };
        // Pages between changed ones are copied from there.
        if !below.prepare_view() {
            return Ok(None);
        }
        if !Arc::ptr_eq(&region.memory, &self.0) {
            return Ok(None);
        }
        let own = ranges(changed, bytes);
        let own_bytes = own.iter().map(|(_, bytes)| *bytes as u64).sum::<u64>();
        if changed.is_empty() || own_bytes > below.stored_bytes() / 2 {
            return Ok(None);
        }
        let plan = Plan { below, bytes, head, own };
        plan.make(self, changed).map(Some)
    }
}

/// The ranges around pages, ascending: few, and with few pages between them.
fn ranges(changed: &[(usize, &[u8; PAGE])], bytes: usize) -> Vec<(usize, usize)> {
    let pages: Vec<(usize, usize)> = changed.iter().map(|(page, _)| (page * PAGE, PAGE)).collect();
    let mut gap = SMALLEST_GAP;
    loop {
        let ranges = joined(&pages, bytes, gap);
        if ranges.len() <= MAX_RANGES || gap > bytes {
            return ranges.into_iter().map(|range| (range.start, range.len())).collect();
        }
        gap *= 2;
    }
}

impl Plan<'_> {
    fn make(&self, memory: &ImageMemory, changed: &[(usize, &[u8; PAGE])]) -> Result<Image, Error> {
        let Plan { below, bytes, head, own } = self;
        let inner = &memory.0;
        // A head is before the first range of the file, if that is at the start of the image.
        let own_head = if own[0].0 == 0 { *head as u64 } else { 0 };
        let region_bytes = own_head + own.iter().map(|(_, bytes)| *bytes as u64).sum::<u64>();
        let at = inner.take(region_bytes)?;
        let mut file = at + own_head;
        let extents: Vec<Extent> = own
            .iter()
            .map(|(at, bytes)| {
                let extent = Extent { at: *at, file, bytes: *bytes };
                file += *bytes as u64;
                extent
            })
            .collect();
        let layout = Layout { bytes: *bytes, head: *head, stored: own.clone() };
        let region = Region {
            memory: inner.clone(),
            at,
            bytes: region_bytes,
            // Nobody looks for it.
            fingerprint: inner.hashes.hash_one(at),
            layout,
            extents,
            view: OnceLock::new(),
        };
        self.fill(&region, changed).map_err(Error::os("copying a layer to memory"))?;
        let head_room = if own[0].0 == 0 { *head } else { below.head_room() };
        let extents = over(below.extents(), &region.extents);
        let backing = Backing::Layer { below: Arc::clone(below), own: Arc::new(region) };
        Ok(Image::new(backing, *bytes, extents, head_room))
    }

    /// Writes the own ranges: pages that have changed, and those of the image below between them.
    fn fill(&self, region: &Region, changed: &[(usize, &[u8; PAGE])]) -> std::io::Result<()> {
        for extent in &region.extents {
            let pages = extent.at / PAGE..(extent.at + extent.bytes) / PAGE;
            let mut range = Vec::with_capacity(extent.bytes);
            for page in pages {
                let known = changed.binary_search_by_key(&page, |(page, _)| *page);
                range.extend_from_slice(match known {
                    Ok(index) => changed[index].1,
                    Err(_) => self.below.pristine(page * PAGE),
                });
            }
            sys::write_all_at(&region.memory.file, &range, extent.file)?;
        }
        Ok(())
    }
}

/// The extents `below`, cut where there are `own` ones, and those: ascending.
fn over(below: &[Extent], own: &[Extent]) -> Vec<Extent> {
    let mut all = own.to_vec();
    for extent in below {
        let (mut at, end) = (extent.at, extent.at + extent.bytes);
        let mut keep = |at: usize, end: usize| {
            if at < end {
                let file = extent.file + (at - extent.at) as u64;
                all.push(Extent { at, file, bytes: end - at });
            }
        };
        for cut in own {
            keep(at, end.min(cut.at));
            at = at.max((cut.at + cut.bytes).min(end));
        }
        keep(at, end);
    }
    all.sort_unstable_by_key(|extent| extent.at);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(at: usize, file: u64, bytes: usize) -> Extent {
        Extent { at: at * PAGE, file: file * PAGE as u64, bytes: bytes * PAGE }
    }

    #[test]
    fn extents_are_cut_where_a_layer_has_its_own() {
        let below = [extent(0, 100, 10), extent(20, 110, 5)];
        let own = [extent(0, 0, 1), extent(4, 1, 2), extent(9, 3, 3), extent(24, 6, 4)];
        let expected = [
            extent(0, 0, 1),
            extent(1, 101, 3),
            extent(4, 1, 2),
            extent(6, 106, 3),
            extent(9, 3, 3),
            extent(20, 110, 4),
            extent(24, 6, 4),
        ];
        assert_eq!(over(&below, &own), expected);
        assert_eq!(over(&below, &[extent(0, 0, 30)]), [extent(0, 0, 30)]);
        assert_eq!(over(&[], &own), own);
    }

    #[test]
    fn a_layer_has_few_ranges() {
        let page = [1; PAGE];
        let far: Vec<_> = (0..200).map(|index| (index * 50, &page)).collect();
        let ranges = ranges(&far, 10_000 * PAGE);
        assert!(ranges.len() <= MAX_RANGES, "{}", ranges.len());
        let covered =
            |at: usize| ranges.iter().any(|(from, len)| (*from..from + len).contains(&at));
        assert!(far.iter().all(|(page, _)| covered(page * PAGE)));
    }

    #[test]
    fn a_layer_takes_its_own_pages_only_and_reads_as_a_whole() {
        let memory = ImageMemory::new(1 << 30).unwrap();
        let stored: Vec<u8> = (0..1000).flat_map(|page| [page as u8 | 1; PAGE]).collect();
        let below = memory.image(1000 * PAGE, PAGE, &[extent(0, 0, 1000)], &stored).unwrap();
        let (below, before) = (Arc::new(below), memory.bytes());
        let [first, second] = [[7; PAGE], [9; PAGE]];
        let changed = [(3, &first), (500, &second), (1005, &first)];
        let layer = memory.layer(&below, (1010 * PAGE, PAGE), &changed).unwrap().unwrap();
        assert!(layer.prepare_view());
        for page in 0..1010 {
            let expected = match changed.iter().find(|(at, _)| *at == page) {
                Some((_, bytes)) => **bytes,
                None if page < 1000 => [page as u8 | 1; PAGE],
                None => [0; PAGE],
            };
            assert!(*layer.pristine(page * PAGE) == expected, "page {page}");
        }
        let pages: Vec<usize> = layer.pages().unwrap().map(|(page, _)| page).collect();
        assert!(pages.is_sorted() && pages.contains(&1005) && pages.len() < 1010, "{pages:?}");
        let taken = memory.bytes() - before;
        assert!(taken <= 20 * PAGE as u64, "{taken}");
        let again = memory.layer(&Arc::new(layer), (1010 * PAGE, PAGE), &changed).unwrap();
        assert!(again.is_none(), "a layer over a layer");
        let all: Vec<_> = (0..1000).map(|page| (page, &first)).collect();
        assert!(memory.layer(&below, (1000 * PAGE, PAGE), &all).unwrap().is_none());
        assert!(memory.layer(&below, (999 * PAGE, PAGE), &changed[..1]).is_err());
        assert_eq!(memory.bytes(), before, "a layer gives back what it had");
    }
}
