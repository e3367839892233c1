//! Places: where the memories of a module are, in slots and in images.
//!
//! The first unshared memory that a module defines lies at BASE in the instance's slot; it has
//! *place* 0. Every other memory it defines is an *extra* with a slot of its own, at the places 1,
//! 2, and so on: nothing is below it but a page that ends with its size, as the state does. Code
//! reaches extras and imported memories through their records in the host context.
//!
//! An image holds them all, at offsets from BASE at which they could not meet:
//!
//! ```text
//!   | state | place 0 ...     | page, place 1 ...     | page, place 2 ...
//!           BASE                    BASE + STRIDE           BASE + 2 * STRIDE
//! ```

use crate::layout::{GUARD, MEMORY_RESERVATION, PAGE};

/// Most memories of a module, imported ones included.
pub const MAX_MEMORIES: usize = 100;

/// Bytes before an extra memory that belong to it: the page with its size.
pub const LEAD: usize = PAGE;

/// Bytes between the memories of an image.
pub const STRIDE: usize = MEMORY_RESERVATION + GUARD;

/// The places of the defined memories, given which of them are shared.
///
/// ```
/// use wfaas_abi::memories::places;
///
/// assert_eq!(places([false, false, true]), [0, 1, 2]);
/// assert_eq!(places([true, false, false]), [1, 0, 2]);
/// ```
pub fn places(shared: impl IntoIterator<Item = bool>) -> Vec<usize> {
    let (mut base_is_free, mut extras) = (true, 0);
    let place = |shared: bool| {
        if base_is_free && !shared {
            base_is_free = false;
            return 0;
        }
        extras += 1;
        extras
    };
    shared.into_iter().map(place).collect()
}

/// Number of places; the one at BASE counts even if no memory is there.
pub fn place_count(places: &[usize]) -> usize {
    1 + places.iter().max().copied().unwrap_or(0)
}

/// Number of memories that are reached through records, given the number of imported ones and the
/// places of the others: all, if any is.
pub fn record_count(imported: usize, places: &[usize]) -> usize {
    let any = imported > 0 || place_count(places) > 1;
    if any { imported + places.len() } else { 0 }
}

/// Bytes from BASE to the memory at `place` in an image.
pub fn image_offset(place: usize) -> i64 {
    (place * STRIDE) as i64 // far below 2^63, with at most MAX_MEMORIES places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_unshared_memory_needs_no_record() {
        assert_eq!(record_count(0, &places([])), 0);
        assert_eq!(record_count(0, &places([false])), 0);
        assert_eq!(record_count(0, &places([true])), 1);
        assert_eq!(record_count(0, &places([false, false])), 2);
        assert_eq!(record_count(2, &places([false])), 3);
        assert_eq!(record_count(1, &places([])), 1);
    }

    #[test]
    fn page_numbers_of_all_places_fit_32_bits() {
        let end = image_offset(MAX_MEMORIES) as u64 + crate::layout::MAX_STATE_BYTES as u64;
        assert!(end / (PAGE as u64) < u64::from(u32::MAX));
    }
}
