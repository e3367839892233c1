//! Bytes of a file: pages of memory where something was written, zeros elsewhere.

use std::collections::BTreeMap;

/// Bytes of a page.
const PAGE: usize = 4096;

/// Bytes that a page counts as, with its place in the table.
const PAGE_COST: u64 = PAGE as u64 + 64;

/// Pages that are made before others have their turn: less than 200 µs with the faults of fresh memory.
const MADE_AT_ONCE: u64 = 128;

/// Pages that are given back before others have their turn.
pub(super) const FREED_AT_ONCE: usize = 512;

/// Bytes that the first `len` bytes of a file count as once they are written.
pub(super) fn cost_of(len: u64) -> u64 {
    len.div_ceil(PAGE as u64).saturating_mul(PAGE_COST)
}

/// The bytes of a file.
#[derive(Debug, Default)]
pub(super) struct Pages {
    size: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

/// Pieces of a range, each in one page: page, offset in it, bytes.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let start = (at % PAGE as u64) as usize;
        let bytes = (len - done).min(PAGE - start);
        done += bytes;
        (bytes > 0).then_some((at / PAGE as u64, start, bytes))
    })
}

impl Pages {
    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that the pages count as.
    pub(super) fn cost(&self) -> u64 {
        self.pages.len() as u64 * PAGE_COST
    }

    /// Reads from `offset` on; how many bytes.
    pub(super) fn read(&self, target: &mut [u8], offset: u64) -> usize {
        let rest = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = rest.min(target.len());
        let mut done = 0;
        for (page, start, bytes) in pieces(offset, count) {
            let target = &mut target[done..done + bytes];
            match self.pages.get(&page) {
                Some(page) => target.copy_from_slice(&page[start..start + bytes]),
                None => target.fill(0),
            }
            done += bytes;
        }
        count
    }

    /// Writes from `offset` on as long as there is room for new pages, which is taken; how many
    /// bytes. The end must be a number.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64, room: &mut u64) -> usize {
        let mut done = 0;
        for (page, start, count) in pieces(offset, bytes.len()) {
            if !self.make(page, room) {
                break;
            }
            if let Some(page) = self.pages.get_mut(&page) {
                page[start..start + count].copy_from_slice(&bytes[done..done + count]);
            }
            done += count;
        }
        if done > 0 {
            self.size = self.size.max(offset + done as u64);
        }
        done
    }

    /// Makes a page if it is not there; whether it is there then.
    fn make(&mut self, page: u64, room: &mut u64) -> bool {
        if self.pages.contains_key(&page) {
            return true;
        }
        let Some(left) = room.checked_sub(PAGE_COST) else { return false };
        *room = left;
        self.pages.insert(page, Box::new([0; PAGE]));
        true
    }

    /// Cuts the file, which gives room, or fills it up with zeros, which takes none. False if it is not cut
    /// yet, and more pages have to be given back.
    pub(super) fn set_size(&mut self, size: u64, room: &mut u64) -> bool {
        if size < self.size {
            if !self.cut(size.div_ceil(PAGE as u64), room) {
                return false;
            }
            if let Some(last) = self.pages.get_mut(&(size / PAGE as u64)) {
                last[(size % PAGE as u64) as usize..].fill(0);
            }
        }
        self.size = size;
        true
    }

    /// Gives back pages from number `first` on, the last ones first; whether none of them is left.
    fn cut(&mut self, first: u64, room: &mut u64) -> bool {
        for _ in 0..FREED_AT_ONCE {
            match self.pages.last_entry() {
                Some(last) if *last.key() >= first => drop(last.remove()),
                _ => return true,
            }
            *room += PAGE_COST;
        }
        self.pages.last_key_value().is_none_or(|(last, _)| *last < first)
    }

    /// Makes the first pages of a range; how many of its bytes they hold. `None` if there is no room for the
    /// whole range, as far as that is known without a look at all pages, or for these.
    pub(super) fn allocate(&mut self, offset: u64, len: u64, room: &mut u64) -> Option<u64> {
        let (first, last) = (offset / PAGE as u64, (offset + len).div_ceil(PAGE as u64));
        let end = last.min(first + MADE_AT_ONCE);
        let there = self.pages.range(first..end).count() as u64;
        let least = (last - first).saturating_sub(self.pages.len() as u64);
        let new = least.max(end - first - there);
        if new.saturating_mul(PAGE_COST) > *room {
            return None;
        }
        (first..end).all(|page| self.make(page, room));
        let done = len.min(end * PAGE as u64 - offset);
        self.size = self.size.max(offset + done);
        Some(done)
    }

    /// Drops pages, at most so many; how many more it might have been.
    pub(super) fn shed(&mut self, most: usize) -> usize {
        (0..most).find(|_| self.pages.pop_first().is_none()).map_or(0, |shed| most - shed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_read_as_zeros_and_take_no_room() {
        let (mut pages, mut room) = (Pages::default(), 2 * PAGE_COST);
        assert_eq!(pages.write(b"end", 1 << 40, &mut room), 3);
        assert_eq!((pages.size(), room), ((1 << 40) + 3, PAGE_COST));
        let mut target = [7; 10];
        assert_eq!(pages.read(&mut target, (1 << 40) - 4), 7);
        assert_eq!(target, *b"\0\0\0\0end\x07\x07\x07");
        pages.set_size(5, &mut room);
        assert_eq!((pages.size(), room, pages.cost()), (5, 2 * PAGE_COST, 0));
    }

    #[test]
    fn a_cut_file_is_zeros_when_it_grows_again() {
        let (mut pages, mut room) = (Pages::default(), u64::MAX / 2);
        pages.write(&[1; 5000], 0, &mut room);
        pages.set_size(4500, &mut room);
        pages.set_size(9000, &mut room);
        let mut target = vec![7; 9000];
        assert_eq!(pages.read(&mut target, 0), 9000);
        assert_eq!(target, [vec![1; 4500], vec![0; 4500]].concat());
    }

    #[test]
    fn a_write_ends_where_the_room_does() {
        let (mut pages, mut room) = (Pages::default(), PAGE_COST + 1);
        assert_eq!(pages.write(&[1; 10_000], 4000, &mut room), 96);
        assert_eq!((pages.size(), room), (4096, 1));
        assert_eq!(pages.write(&[1], 4096, &mut room), 0);
        assert_eq!(pages.size(), 4096);
        assert_eq!(pages.allocate(0, 4097, &mut room), None);
        assert_eq!(pages.allocate(5, 100, &mut room), Some(100));
        assert_eq!(pages.allocate(0, i64::MAX as u64, &mut room), None);
    }

    #[test]
    fn long_work_is_done_in_pieces() {
        const BYTES: u64 = 64 << 20;
        let (mut pages, mut room) = (Pages::default(), cost_of(BYTES));
        let (mut done, mut pieces) = (0, 0);
        while done < BYTES {
            done += pages.allocate(done, BYTES - done, &mut room).unwrap();
            pieces += 1;
        }
        assert_eq!((pages.size(), room, pieces), (BYTES, 0, 128));
        let pieces = (1..).find(|_| pages.set_size(1, &mut room));
        assert_eq!((pages.size(), room, pieces), (1, cost_of(BYTES - 4096), Some(32)));
        pages.allocate(0, 3 * 4096, &mut room);
        assert_eq!([pages.shed(2), pages.shed(5), pages.shed(5)], [0, 4, 5]);
    }
}
