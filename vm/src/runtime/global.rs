//! Globals as a store has them.

use crate::runtime::cell::Cells;
use crate::runtime::types::GlobalType;

/// A global: its cell and its type.
#[derive(Debug)]
pub(crate) struct GlobalInner {
    /// Two words.
    cell: *mut u64,
    ty: GlobalType,
    /// The instance that a function reference in it is relative to; `None` for the host's.
    owner: Option<u32>,
    /// The cell of a global that is no instance's.
    _own: Option<Cells>,
}

impl GlobalInner {
    /// A global in the state of instance `owner`.
    ///
    /// # Safety
    /// `cell` must stay valid as long as the global.
    pub(super) unsafe fn in_state(cell: *mut u64, ty: GlobalType, owner: u32) -> GlobalInner {
        GlobalInner { cell, ty, owner: Some(owner), _own: None }
    }

    /// A global of the host's making.
    pub(super) fn new(ty: GlobalType, (low, high): (u64, u64)) -> GlobalInner {
        let own = Cells::new(Box::new([low, high]));
        GlobalInner { cell: own.first(), ty, owner: None, _own: Some(own) }
    }

    /// The address of its two words.
    pub(super) fn cell(&self) -> *mut u64 {
        self.cell
    }

    pub(crate) fn ty(&self) -> GlobalType {
        self.ty
    }

    /// The instance that a function reference in it is relative to; `None` for the host's.
    pub(crate) fn owner(&self) -> Option<u32> {
        self.owner
    }

    /// The bits of the value, low and high half.
    pub(crate) fn read(&self) -> (u64, u64) {
        // SAFETY: the cell is valid for the global's life.
        let [low, high] = unsafe { self.cell.cast::<[u64; 2]>().read() };
        (low, high)
    }

    /// Sets the bits of the value.
    pub(crate) fn write(&mut self, (low, high): (u64, u64)) {
        // SAFETY: as in `read`.
        unsafe { self.cell.cast::<[u64; 2]>().write([low, high]) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wfaas_abi::ValType;

    #[test]
    fn the_cell_of_a_global_that_was_moved_is_its_own() {
        let ty = GlobalType { content: ValType::V128, mutable: true };
        let global = GlobalInner::new(ty, (1, 2));
        let cell = global.cell();
        let mut moved = Box::new(global);
        // SAFETY: the cell is the global's, two words.
        unsafe { cell.write(7) };
        assert_eq!(moved.read(), (7, 2));
        moved.write((3, 4));
        // SAFETY: as above.
        assert_eq!(unsafe { cell.cast::<[u64; 2]>().read() }, [3, 4]);
    }
}
