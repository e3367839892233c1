//! A page with vectors of 64 bytes: as cheap to compare as to copy, so equal groups are not written.

use std::arch::x86_64::{
    __m512i, _mm512_or_si512, _mm512_setzero_si512, _mm512_test_epi64_mask, _mm512_xor_si512,
};

/// A group of four cache lines.
type Group = [__m512i; 4];

/// Makes a page what `pristine` is. Group `n` of it is all zeros unless bit `n` of `stored` is set,
/// and is read only then.
///
/// # Safety
/// `page` must be a page that is ours, and `pristine` one that stays as it is, if any bit is set.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn restore(page: *mut u8, pristine: *const u8, stored: u16) {
    let (page, pristine) = (page.cast::<[Group; 16]>(), pristine.cast::<[Group; 16]>());
    // SAFETY: the caller's contract; a page is aligned for vectors.
    for (index, group) in unsafe { &mut *page }.iter_mut().enumerate() {
        if stored >> index & 1 == 0 {
            if is_any(group) {
                *group = [_mm512_setzero_si512(); 4];
            }
            continue;
        }
        // SAFETY: something of this group is stored, so the pristine page is there.
        let from = unsafe { &(*pristine)[index] };
        let mut differences = *group;
        for (line, then) in differences.iter_mut().zip(from) {
            *line = _mm512_xor_si512(*line, *then);
        }
        if is_any(&differences) {
            *group = *from;
        }
    }
}

/// Whether any bit of a group is set.
#[inline]
#[target_feature(enable = "avx512f")]
fn is_any(group: &Group) -> bool {
    let [a, b, c, d] = *group;
    let all = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
    _mm512_test_epi64_mask(all, all) != 0
}
