//! The time-stamp counter.

use std::arch::x86_64::{__cpuid, _rdtsc};

/// The counter of this processor. It is read while earlier instructions are still under way, which makes
/// a few nanoseconds.
#[inline]
pub(crate) fn ticks() -> u64 {
    // SAFETY: every processor of this architecture has it.
    unsafe { _rdtsc() }
}

/// Whether the counter runs at one rate on all processors, whatever they do (Intel SDM, 19.17.1
/// "Invariant TSC").
pub(crate) fn ticks_are_steady() -> bool {
    const EXTENDED: u32 = 0x8000_0000;
    const POWER: u32 = 0x8000_0007;
    const INVARIANT_TSC: u32 = 1 << 8;
    __cpuid(EXTENDED).eax >= POWER && __cpuid(POWER).edx & INVARIANT_TSC != 0
}
