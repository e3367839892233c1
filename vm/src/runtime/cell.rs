//! Cells that the host owns: words at a fixed address that compiled code may know.

use std::ptr::NonNull;

/// An array of words that stays where it is when this is moved, and is freed with it. A `Box` would
/// not do: moving one invalidates the pointers that were taken from it.
#[derive(Debug)]
pub(super) struct Cells {
    first: NonNull<u64>,
    len: usize,
}

impl Cells {
    pub(super) fn new(values: Box<[u64]>) -> Cells {
        let len = values.len();
        Cells { first: NonNull::from(Box::leak(values)).cast(), len }
    }

    /// The address of the first.
    pub(super) fn first(&self) -> *mut u64 {
        self.first.as_ptr()
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        let values = std::ptr::slice_from_raw_parts_mut(self.first.as_ptr(), self.len);
        // SAFETY: `new` took it out of a box of this length, and nobody else frees it.
        drop(unsafe { Box::from_raw(values) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_where_they_are() {
        let cells = Cells::new(Box::new([1, 2, 3]));
        let first = cells.first();
        let moved = std::hint::black_box([Some(cells)]);
        // SAFETY: the cells live in `moved`.
        unsafe { first.wrapping_add(2).write(7) };
        let first = moved[0].as_ref().unwrap().first().cast::<[u64; 3]>();
        // SAFETY: as above.
        assert_eq!(unsafe { first.read() }, [1, 2, 7]);
    }
}
