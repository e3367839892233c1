//! Random bytes of the kernel.

use rustix::rand::{GetRandomFlags, getrandom};

/// So many random bytes, at most 256: the kernel gives as many at once (getrandom(2)).
///
/// # Errors
/// The kernel has none.
pub(crate) fn bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    const { assert!(N <= 256) };
    let mut bytes = [0; N];
    getrandom(&mut bytes[..], GetRandomFlags::empty())?;
    Ok(bytes)
}
