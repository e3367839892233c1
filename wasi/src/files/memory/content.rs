//! Bytes of a file: pages of memory where something was written, zeros elsewhere.

use std::collections::BTreeMap;

/// Bytes of a page.
const PAGE: usize = 4096;

/// Bytes that a page counts as, with its place in the table.
const PAGE_COST: u64 = PAGE as u64 + 64;

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

    /// Cuts the file, which gives room, or fills it up with zeros, which takes none.
    pub(super) fn set_size(&mut self, size: u64, room: &mut u64) {
        if size < self.size {
            let dropped = self.pages.split_off(&size.div_ceil(PAGE as u64));
            *room += dropped.len() as u64 * PAGE_COST;
            if let Some(last) = self.pages.get_mut(&(size / PAGE as u64)) {
                last[(size % PAGE as u64) as usize..].fill(0);
            }
        }
        self.size = size;
    }

    /// Makes all pages of a range, up to its end at least; whether there was room for all of them.
    pub(super) fn allocate(&mut self, offset: u64, len: u64, room: &mut u64) -> bool {
        let range = offset / PAGE as u64..(offset + len).div_ceil(PAGE as u64);
        let there = self.pages.range(range.clone()).count() as u64;
        if (range.end - range.start - there).saturating_mul(PAGE_COST) > *room {
            return false;
        }
        self.size = self.size.max(offset + len);
        range.into_iter().all(|page| self.make(page, room))
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
        assert!(!pages.allocate(0, 4097, &mut room) && pages.allocate(5, 100, &mut room));
        assert!(!pages.allocate(0, i64::MAX as u64, &mut room));
    }
}
