//! Tables as a store has them.

use crate::runtime::cell::Cells;
use crate::runtime::error::Error;
use crate::runtime::types::{Limits, TableType, index};
use wfaas_abi::state::StateLayout;
use wfaas_abi::{TrapCode, ValType};

/// A table: its cells and its type.
#[derive(Debug)]
pub(crate) struct TableInner {
    elements: *mut u64,
    size: *mut u64,
    capacity: u64,
    /// As declared.
    ty: TableType,
    /// The instance that function references in it are relative to; `None` for the host's.
    owner: Option<u32>,
    /// The cells of a table that is no instance's.
    _own: Option<Cells>,
}

impl TableInner {
    /// A table in the state of instance `owner`.
    ///
    /// # Safety
    /// Both addresses must stay valid as long as the table, with room for `capacity` elements.
    pub(super) unsafe fn in_state(
        elements: *mut u64,
        size: *mut u64,
        capacity: u64,
        ty: TableType,
        owner: u32,
    ) -> TableInner {
        let owner = Some(owner);
        TableInner { elements, size, capacity, ty, owner, _own: None }
    }

    /// A table of the host's making, filled with `bits`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is too large, or its limits make no sense.
    pub(super) fn new(ty: TableType, bits: u64) -> Result<TableInner, Error> {
        let Limits { minimum, maximum } = ty.limits;
        if maximum.is_some_and(|maximum| maximum < minimum) {
            return Err(Error::Unsupported("a table whose maximum is below its minimum".into()));
        }
        let capacity = StateLayout::table_capacity(minimum, maximum);
        if minimum > capacity {
            return Err(Error::Unsupported(format!("a table of {minimum} elements")));
        }
        // The first cell is the size.
        let mut own = vec![0; 1 + capacity as usize].into_boxed_slice();
        own[0] = minimum;
        own[1..1 + minimum as usize].fill(bits);
        let own = Cells::new(own);
        let (size, elements) = (own.first(), own.first().wrapping_add(1));
        Ok(TableInner { elements, size, capacity, ty, owner: None, _own: Some(own) })
    }

    /// The instance that function references in it are relative to; `None` for the host's.
    pub(crate) fn owner(&self) -> Option<u32> {
        self.owner
    }

    /// The type, with the present size as the minimum.
    pub(crate) fn ty(&self) -> TableType {
        let limits = Limits { minimum: self.size(), ..self.ty.limits };
        TableType { limits, ..self.ty }
    }

    pub(crate) fn element(&self) -> ValType {
        self.ty.element
    }

    /// The offset of a segment, as the table's index type has it.
    pub(crate) fn index(&self, bits: u64) -> u64 {
        index(bits, self.ty.index64)
    }

    pub(crate) fn size(&self) -> u64 {
        // SAFETY: valid for the table's life. A damaged image may claim any size.
        unsafe { self.size.read() }.min(self.capacity)
    }

    /// Whether `len` elements from `at` on are inside.
    pub(crate) fn check(&self, at: u64, len: u64) -> Result<(), TrapCode> {
        let end = at.checked_add(len).ok_or(TrapCode::TableOutOfBounds)?;
        if end <= self.size() { Ok(()) } else { Err(TrapCode::TableOutOfBounds) }
    }

    pub(crate) fn get(&self, index: u64) -> Result<u64, TrapCode> {
        self.check(index, 1)?;
        // SAFETY: `check` found it inside.
        Ok(unsafe { self.elements.wrapping_add(index as usize).read() })
    }

    pub(crate) fn set(&mut self, index: u64, bits: u64) -> Result<(), TrapCode> {
        self.fill(index, bits, 1)
    }

    pub(crate) fn fill(&mut self, at: u64, bits: u64, len: u64) -> Result<(), TrapCode> {
        self.check(at, len)?;
        let first = self.elements.wrapping_add(at as usize);
        // SAFETY: `check` found them inside; nobody else refers to them during a hostcall.
        let cells = unsafe { std::slice::from_raw_parts_mut(first, len as usize) };
        cells.fill(bits);
        Ok(())
    }

    /// Copies elements inside the table; the ranges may overlap.
    pub(crate) fn copy_within(&mut self, dst: u64, src: u64, len: u64) -> Result<(), TrapCode> {
        self.check(dst, len)?;
        self.check(src, len)?;
        let from = self.elements.wrapping_add(src as usize);
        let to = self.elements.wrapping_add(dst as usize);
        // SAFETY: `check` found both inside.
        unsafe { std::ptr::copy(from, to, len as usize) };
        Ok(())
    }

    /// The elements of a range, copied.
    pub(crate) fn read(&self, at: u64, len: u64) -> Result<Vec<u64>, TrapCode> {
        self.check(at, len)?;
        (at..at + len).map(|index| self.get(index)).collect()
    }

    /// The size, if `delta` elements can be [appended](TableInner::append).
    pub(super) fn can_grow(&self, delta: u64) -> Option<u64> {
        let old = self.size();
        let new = old.checked_add(delta)?;
        let most = self.ty.limits.maximum.unwrap_or(u64::MAX).min(self.capacity);
        (new <= most).then_some(old)
    }

    /// Writes `len` elements at `at`, not before the end. After the last, with `left` being zero, the
    /// table has them.
    pub(super) fn append(&mut self, at: u64, bits: u64, len: u64, left: u64) {
        let end = at.saturating_add(len);
        assert!(self.size() <= at && end <= self.capacity, "`can_grow` was asked");
        let first = self.elements.wrapping_add(at as usize);
        // SAFETY: there is room for `capacity` elements, and nobody else refers to those behind the end.
        unsafe { std::slice::from_raw_parts_mut(first, len as usize) }.fill(bits);
        if left == 0 {
            // SAFETY: valid for the table's life.
            unsafe { self.size.write(end) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(minimum: u64, maximum: u64) -> TableInner {
        let limits = Limits { minimum, maximum: Some(maximum) };
        let ty = TableType { element: ValType::EXTERNREF, limits, index64: false };
        TableInner::new(ty, 5).unwrap()
    }

    #[test]
    fn a_table_that_was_moved_is_written_to_and_grows() {
        let mut moved = Box::new(table(2, 4));
        moved.set(1, 6).unwrap();
        assert_eq!(moved.can_grow(2), Some(2));
        moved.append(2, 7, 1, 1);
        assert_eq!(moved.size(), 2, "one is left");
        moved.append(3, 7, 1, 0);
        assert_eq!(moved.read(0, 4).unwrap(), [5, 6, 7, 7]);
        assert_eq!(moved.can_grow(1), None, "beyond the maximum");
        assert_eq!(moved.ty().limits, Limits { minimum: 4, maximum: Some(4) });
    }

    #[test]
    fn ranges_may_overlap_and_must_be_inside() {
        let mut table = table(4, 4);
        table.fill(0, 1, 2).unwrap();
        table.copy_within(1, 0, 3).unwrap();
        assert_eq!(table.read(0, 4).unwrap(), [1, 1, 1, 5]);
        assert_eq!(table.copy_within(2, 0, 3), Err(TrapCode::TableOutOfBounds));
        assert_eq!(table.fill(u64::MAX, 0, 2), Err(TrapCode::TableOutOfBounds));
        assert_eq!(table.get(4), Err(TrapCode::TableOutOfBounds));
    }
}
