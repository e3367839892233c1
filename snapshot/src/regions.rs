//! Offsets in a file that grows: which ranges of it are taken.

use std::collections::BTreeMap;

/// The ranges of a file, taken or free.
#[derive(Debug, Default)]
pub(crate) struct Regions {
    /// Start and length of the free ranges before `end`; no two of them touch, nor does one touch
    /// `end`.
    free: BTreeMap<u64, u64>,
    end: u64,
}

impl Regions {
    /// Takes a range of `bytes` bytes: the first free one that is large enough, or one at the end.
    pub(crate) fn take(&mut self, bytes: u64) -> u64 {
        let fits = self.free.iter().find(|(_, free)| **free >= bytes);
        let Some((at, free)) = fits.map(|(at, free)| (*at, *free)) else {
            let at = self.end;
            self.end += bytes;
            return at;
        };
        self.free.remove(&at);
        if free > bytes {
            self.free.insert(at + bytes, free - bytes);
        }
        at
    }

    /// Gives back a range that was taken.
    pub(crate) fn put_back(&mut self, at: u64, bytes: u64) {
        let (mut start, mut end) = (at, at + bytes);
        if let Some((before, free)) = self.free.range(..at).next_back().map(|(b, f)| (*b, *f))
            && before + free == start
        {
            self.free.remove(&before);
            start = before;
        }
        if let Some(free) = self.free.remove(&end) {
            end += free;
        }
        if end == self.end {
            self.end = start;
        } else {
            self.free.insert(start, end - start);
        }
    }

    /// The end of the last range that is taken.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_never_overlap_and_all_come_back(
            steps in prop::collection::vec((any::<bool>(), 1u64..9), 1..200)
        ) {
            let (mut regions, mut taken) = (Regions::default(), Vec::<(u64, u64)>::new());
            for (take, number) in steps {
                if take {
                    let at = regions.take(number);
                    let apart = |(other, bytes): &(u64, u64)| at + number <= *other || other + bytes <= at;
                    prop_assert!(taken.iter().all(apart));
                    prop_assert!(at + number <= regions.end());
                    taken.push((at, number));
                } else if !taken.is_empty() {
                    let (at, bytes) = taken.swap_remove(number as usize % taken.len());
                    regions.put_back(at, bytes);
                }
            }
            for (at, bytes) in taken {
                regions.put_back(at, bytes);
            }
            prop_assert_eq!(regions.end(), 0);
            prop_assert!(regions.free.is_empty());
        }
    }

    #[test]
    fn a_range_that_was_given_back_is_taken_again() {
        let mut regions = Regions::default();
        assert_eq!([regions.take(2), regions.take(3), regions.take(4)], [0, 2, 5]);
        regions.put_back(2, 3);
        assert_eq!([regions.take(4), regions.take(1), regions.take(2)], [9, 2, 3]);
    }
}
