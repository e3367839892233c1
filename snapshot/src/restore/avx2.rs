//! A page with vectors of 32 bytes: comparing takes longer than copying, so stored groups are copied.

use std::arch::x86_64::{__m256i, _mm256_or_si256, _mm256_setzero_si256, _mm256_testz_si256};

/// A group of four cache lines.
type Group = [__m256i; 8];

/// Makes a page what `pristine` is. Group `n` of it is all zeros unless bit `n` of `stored` is set,
/// and is read only then.
///
/// # Safety
/// `page` must be a page that is ours, and `pristine` one that stays as it is, if any bit is set.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn restore(page: *mut u8, pristine: *const u8, stored: u16) {
    let (page, pristine) = (page.cast::<[Group; 16]>(), pristine.cast::<[Group; 16]>());
    // SAFETY: the caller's contract; a page is aligned for vectors.
    for (index, group) in unsafe { &mut *page }.iter_mut().enumerate() {
        if stored >> index & 1 == 0 {
            if is_any(group) {
                *group = [_mm256_setzero_si256(); 8];
            }
            continue;
        }
        // SAFETY: something of this group is stored, so the pristine page is there.
        *group = unsafe { (*pristine)[index] };
    }
}

/// Whether any bit of a group is set.
#[inline]
#[target_feature(enable = "avx2")]
fn is_any(group: &Group) -> bool {
    let mut all = group[0];
    for line in &group[1..] {
        all = _mm256_or_si256(all, *line);
    }
    _mm256_testz_si256(all, all) == 0
}
