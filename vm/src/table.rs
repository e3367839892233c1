//! Tables.

use crate::error::Error;
use crate::store::{AsContext, AsContextMut, Store, StoreInner};
use crate::types::{Limits, TableType};
use crate::values::Val;
use wfaas_abi::state::StateLayout;
use wfaas_abi::{TrapCode, ValType};

/// A table of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    pub(crate) store: u32,
    pub(crate) index: u32,
}

/// Where a table is, and what may be in it.
#[derive(Debug)]
pub(crate) struct TableInner {
    elements: *mut u64,
    size: *mut u64,
    capacity: u64,
    /// As declared.
    ty: TableType,
    /// The instance whose terms the function references in it are in; `None` for the host's.
    pub(crate) owner: Option<u32>,
    /// Keeps the cells of a table that is no instance's.
    _own: Option<Box<[u64]>>,
}

impl TableInner {
    /// A table in the state of instance `owner`.
    ///
    /// # Safety
    /// Both addresses must stay valid as long as the table, with room for `capacity` elements.
    pub(crate) unsafe fn in_state(
        elements: *mut u64,
        size: *mut u64,
        capacity: u64,
        ty: TableType,
        owner: u32,
    ) -> TableInner {
        let owner = Some(owner);
        TableInner { elements, size, capacity, ty, owner, _own: None }
    }

    pub(crate) fn element(&self) -> ValType {
        self.ty.element
    }

    /// The offset of a segment, as the table's index type has it.
    pub(crate) fn index(&self, bits: u64) -> u64 {
        crate::memory::index(bits, self.ty.index64)
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

    /// Grows by `delta` elements of `bits`; the old size, or `None`.
    pub(crate) fn grow(&mut self, delta: u64, bits: u64) -> Option<u64> {
        let old = self.size();
        let new = old.checked_add(delta)?;
        if new > self.capacity || self.ty.limits.maximum.is_some_and(|maximum| new > maximum) {
            return None;
        }
        // SAFETY: valid for the table's life.
        unsafe { self.size.write(new) };
        self.fill(old, bits, delta).ok()?;
        Some(old)
    }
}

impl Table {
    /// A table of the host's making, filled with `init`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is too large, [`Error::TypeMismatch`] if `init` does not fit.
    pub fn new<T: 'static>(store: &mut Store<T>, ty: TableType, init: Val) -> Result<Table, Error> {
        let store = &mut store.0.inner;
        store.check_types(std::slice::from_ref(&init), &[ty.element])?;
        if ty.limits.maximum.is_some_and(|maximum| maximum < ty.limits.minimum) {
            return Err(Error::Unsupported("a table whose maximum is below its minimum".into()));
        }
        let capacity = StateLayout::table_capacity(ty.limits.minimum, ty.limits.maximum);
        if ty.limits.minimum > capacity {
            let message = format!("a table of {} elements", ty.limits.minimum);
            return Err(Error::Unsupported(message));
        }
        let (bits, _) = store.val_to_bits(&init, None)?;
        // The first cell is the size.
        let mut own = vec![0; 1 + capacity as usize].into_boxed_slice();
        own[0] = ty.limits.minimum;
        own[1..1 + ty.limits.minimum as usize].fill(bits);
        let size = own.as_mut_ptr();
        store.tables.push(Box::new(TableInner {
            elements: size.wrapping_add(1),
            size,
            capacity,
            ty,
            owner: None,
            _own: Some(own),
        }));
        Ok(Table { store: store.id, index: (store.tables.len() - 1) as u32 })
    }

    /// Element `index`; `None` if it is outside.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the element is damaged.
    pub fn get(&self, store: &impl AsContext, index: u64) -> Result<Option<Val>, Error> {
        let store = store.inner();
        let table = self.inner(store);
        let Ok(bits) = table.get(index) else { return Ok(None) };
        store.val_from_bits(table.element(), bits, 0, table.owner).map(Some)
    }

    /// Sets element `index`.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the value does not fit; [`Error::Export`] if it is outside.
    pub fn set(&self, store: &mut impl AsContextMut, index: u64, value: Val) -> Result<(), Error> {
        let store = store.inner_mut();
        let (element, owner) = (self.inner(store).element(), self.inner(store).owner);
        store.check_types(std::slice::from_ref(&value), &[element])?;
        let (bits, _) = store.val_to_bits(&value, owner)?;
        store.tables[self.index as usize]
            .set(index, bits)
            .map_err(|code| Error::Unsupported(code.message().into()))
    }

    /// Number of elements.
    pub fn size(&self, store: &impl AsContext) -> u64 {
        self.inner(store.inner()).size()
    }

    /// The table's type, with its present size as the minimum.
    pub fn ty(&self, store: &impl AsContext) -> TableType {
        let table = self.inner(store.inner());
        let limits = Limits { minimum: table.size(), ..table.ty.limits };
        TableType { limits, ..table.ty }
    }

    fn inner<'a>(&self, store: &'a StoreInner) -> &'a TableInner {
        store.check_id(self.store);
        &store.tables[self.index as usize]
    }
}
