//! References that were translated from one instance's terms to another's lately.
//!
//! Guests that share a table, as dynamically linked ones do, translate what they call at each call, and to find out which function a
//! reference names takes ten times as long as to see that it was asked for before. References in tables and globals of the host's, which
//! are in no instance's terms, are not kept.

/// The least and the most entries; a power of two each. The most are 24 KiB, which no limit counts.
const SIZES: (usize, usize) = (16, 1024);

/// Places of each translation, one behind the other.
const WAYS: usize = 2;

/// Entries for each function that has foreign references.
const PER_FUNCTION: usize = 4;

/// An odd number without a pattern: the golden ratio's.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A table of translations, in which each has two places, which the last two have that belong there. With one, a reference that goes
/// to another instance and back could be in its own way.
#[derive(Debug, Default)]
pub(super) struct Translations {
    entries: Vec<Entry>,
}

/// A reference, not null, in the terms of one instance, and in those of another one.
#[derive(Debug, Default, Clone, Copy)]
struct Entry {
    bits: u64,
    from: u32,
    to: u32,
    result: u64,
}

impl Translations {
    /// The bits of a reference in `to`'s terms, if they are known.
    #[inline]
    pub(super) fn get(&self, bits: u64, from: u32, to: u32) -> Option<u64> {
        let place = self.place(bits, from, to);
        let entries = self.entries.get(place..place + WAYS)?;
        let is_known = |entry: &&Entry| (entry.bits, entry.from, entry.to) == (bits, from, to);
        Some(entries.iter().find(is_known)?.result)
    }

    /// Notes the bits of a reference in `to`'s terms; so many functions have foreign references.
    pub(super) fn insert(&mut self, bits: u64, from: u32, to: u32, result: u64, functions: usize) {
        let wanted = functions.saturating_mul(PER_FUNCTION).clamp(SIZES.0, SIZES.1);
        if self.entries.len() < wanted {
            self.entries = vec![Entry::default(); wanted.next_power_of_two()];
        }
        let place = self.place(bits, from, to);
        self.entries[place + 1] = self.entries[place];
        self.entries[place] = Entry { bits, from, to, result };
    }

    /// The first place of a reference: the middle of a product, which depends on all bits of the key (D. E. Knuth, "The Art of Computer
    /// Programming" 3, 6.4).
    fn place(&self, bits: u64, from: u32, to: u32) -> usize {
        let instances = u64::from(from) << 32 | u64::from(to);
        let key = bits ^ instances.wrapping_mul(MULTIPLIER).rotate_left(32);
        let product = u128::from(key) * u128::from(MULTIPLIER);
        (product >> 60) as usize & self.entries.len().saturating_sub(WAYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translation_is_found_with_its_own_terms_only() {
        let mut known = Translations::default();
        assert_eq!(known.get(7, 1, 2), None);
        known.insert(7, 1, 2, 9, 1);
        assert_eq!(known.get(7, 1, 2), Some(9));
        assert_eq!(known.get(7, 2, 1), None);
        assert_eq!(known.get(7, 1, 3), None);
        assert_eq!(known.get(8, 1, 2), None);
    }

    #[test]
    fn instances_do_not_share_a_place() {
        let mut known = Translations::default();
        let terms: Vec<(u32, u32)> =
            (0..4).flat_map(|from| (0..4).map(move |to| (from, to))).collect();
        for (from, to) in &terms {
            known.insert(7 << 32 | 4096, *from, *to, u64::from(from * 4 + to), 64);
        }
        let kept =
            terms.iter().filter(|(from, to)| known.get(7 << 32 | 4096, *from, *to).is_some());
        assert!(kept.count() > 12);
    }

    #[test]
    fn two_of_one_place_are_kept() {
        let mut known = Translations::default();
        known.insert(1, 0, 1, 10, 1);
        let same = |bits: &u64| known.place(*bits, 0, 1) == known.place(1, 0, 1);
        let others: Vec<u64> = (2..1000).filter(same).take(2).collect();
        known.insert(others[0], 0, 1, 20, 1);
        assert_eq!([known.get(1, 0, 1), known.get(others[0], 0, 1)], [Some(10), Some(20)]);
        known.insert(others[1], 0, 1, 30, 1);
        let kept = [1, others[0], others[1]].map(|bits| known.get(bits, 0, 1));
        assert_eq!(kept, [None, Some(20), Some(30)]);
    }

    #[test]
    fn as_many_are_kept_as_functions_have_references_but_no_more() {
        let mut known = Translations::default();
        for bits in 1..=100_000 {
            known.insert(bits, 0, 1, bits + 1, bits as usize);
        }
        assert_eq!(known.entries.len(), SIZES.1);
        assert_eq!(known.get(100_000, 0, 1), Some(100_001));
        let kept = (1..=100_000).filter_map(|bits| Some((bits, known.get(bits, 0, 1)?)));
        let kept: Vec<(u64, u64)> = kept.collect();
        assert!(kept.len() > SIZES.1 / 2 && kept.iter().all(|(bits, result)| *result == bits + 1));
    }
}
