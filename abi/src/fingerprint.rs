//! The fingerprint: a number that differs when compiler and VM would not understand each other.

use crate::description::{ABI, Description};

/// The fingerprint of this build's ABI. An artifact carries its compiler's; the VM refuses any but
/// its own.
pub const ABI_FINGERPRINT: u64 = fingerprint(&ABI);

/// The hash of a description's text, by FNV-1a of 64 bits (Fowler, Noll, Vo): enough to notice an
/// accident, and computable in a constant.
pub(crate) const fn fingerprint(description: &Description<'_>) -> u64 {
    let text = description.text();
    let (bytes, mut hash, mut index) = (text.as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x100_0000_01b3);
        index += 1;
    }
    hash
}
