//! The pages of a slot that may hold anything but zeros, found without a look at the others: the first
//! look at a page takes page tables, and memory too if a file is mapped there.
//!
//! They are those that the image stores, and those that the process has touched since: the kernel
//! lists these in `/proc/self/pagemap` (its documentation: `admin-guide/mm/pagemap.rst`).

use crate::PAGE;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// A page's entry in the map.
type Entry = [u8; 8];

/// Bits of an entry: the page is in memory, or in swap space.
const TOUCHED: u64 = 1 << 63 | 1 << 62;

/// Bits of an entry: the page is a file's, or is protected by userfaultfd and so was not written to since.
const CLEAN: u64 = 1 << 61 | 1 << 57;

/// Entries that are read at once.
const AT_ONCE: usize = 1 << 13;

/// Ranges of these addresses with pages that were touched, ascending. Both ends are multiples of
/// [`PAGE`].
pub(crate) fn touched(addresses: Range<usize>) -> io::Result<Vec<Range<usize>>> {
    chosen(addresses, |entry| entry & TOUCHED != 0)
}

/// Ranges of these addresses, of private mappings, with pages that may have been written to, as
/// [`touched`].
pub(crate) fn private(addresses: Range<usize>) -> io::Result<Vec<Range<usize>>> {
    chosen(addresses, |entry| entry & TOUCHED != 0 && entry & CLEAN == 0)
}

/// Ranges of these addresses with pages whose entries are chosen.
fn chosen(addresses: Range<usize>, choose: impl Fn(u64) -> bool) -> io::Result<Vec<Range<usize>>> {
    let map = File::open("/proc/self/pagemap")?;
    let mut buffer = vec![0; AT_ONCE * size_of::<Entry>()];
    let mut ranges = Vec::new();
    for first in addresses.clone().step_by(AT_ONCE * PAGE) {
        let pages = ((addresses.end - first) / PAGE).min(AT_ONCE);
        let entries = &mut buffer[..pages * size_of::<Entry>()];
        map.read_exact_at(entries, (first / PAGE * size_of::<Entry>()) as u64)?;
        for (entry, at) in entries.as_chunks().0.iter().zip((first..).step_by(PAGE)) {
            if choose(u64::from_le_bytes(*entry)) {
                append(&mut ranges, at..at + PAGE);
            }
        }
    }
    Ok(ranges)
}

/// The union of ranges in any order: ascending, and with a gap between each two.
pub(crate) fn union(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut union = Vec::new();
    ranges.into_iter().for_each(|range| append(&mut union, range));
    union
}

/// Appends a range that starts no earlier than the last one.
fn append(ranges: &mut Vec<Range<usize>>, range: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Binding, Geometry, Growth, ImageMemory, Slot, Tracking, image::Extent};
    use std::sync::Arc;

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        assert_eq!(union(vec![5..7, 0..1, 1..2, 6..9, 8..9]), [0..2, 5..9]);
    }

    #[test]
    fn what_is_stored_or_was_written_is_found_and_nothing_else_is_touched() {
        let (memory, pages) = (ImageMemory::new(1 << 30).unwrap(), 1000);
        let extents: Vec<Extent> = (0..50)
            .map(|index| Extent { at: index * 20 * PAGE, file: (index * PAGE) as u64, bytes: PAGE })
            .collect();
        let image = memory.image(pages * PAGE, 0, &extents, &vec![1; 50 * PAGE]).unwrap();
        let geometry = Geometry { below: 4 * PAGE, above: pages * PAGE, align: PAGE };
        let (tracking, growth) = (Tracking::Discard, Growth::Protect);
        let binding = Binding { image: Arc::new(image), lead: 4 * PAGE, head: 0, tracking, growth };
        let mut slot = Slot::reserve(geometry).unwrap().bind(binding).unwrap();
        let stored: Vec<Range<isize>> = (0..50)
            .map(|index| (index * 20 - 4) * PAGE as isize)
            .map(|at| at..at + PAGE as isize)
            .collect();
        assert_eq!(slot.contents(), stored);
        slot.bytes_mut(7 * PAGE as isize, 1).unwrap()[0] = 9;
        let found = slot.contents();
        assert!(found.iter().any(|range| range.contains(&(7 * PAGE as isize))), "{found:?}");
        assert!(stored.iter().all(|stored| {
            found.iter().any(|range| range.start <= stored.start && stored.end <= range.end)
        }));
        let bytes: isize = found.iter().map(|range| range.end - range.start).sum();
        assert!(bytes <= 51 * 16 * PAGE as isize, "the kernel may map some pages around: {bytes}");
    }
}
