//! Globals.

use crate::error::Error;
use crate::store::{AsContext, AsContextMut, Store, StoreInner};
use crate::types::GlobalType;
use crate::values::Val;

/// A global of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Global {
    pub(crate) store: u32,
    pub(crate) index: u32,
}

/// Where a global is.
#[derive(Debug)]
pub(crate) struct GlobalInner {
    /// Its cell: two words.
    pub(crate) cell: *mut u64,
    pub(crate) ty: GlobalType,
    /// The instance whose terms a function reference in it is in; `None` for the host's.
    pub(crate) owner: Option<u32>,
    /// Keeps the cell of a global that is no instance's.
    _own: Option<Box<[u64; 2]>>,
}

impl GlobalInner {
    /// A global in the state of instance `owner`.
    ///
    /// # Safety
    /// `cell` must stay valid as long as the global.
    pub(crate) unsafe fn in_state(cell: *mut u64, ty: GlobalType, owner: u32) -> GlobalInner {
        GlobalInner { cell, ty, owner: Some(owner), _own: None }
    }

    pub(crate) fn read(&self) -> (u64, u64) {
        // SAFETY: the cell is valid for the global's life.
        let [low, high] = unsafe { self.cell.cast::<[u64; 2]>().read() };
        (low, high)
    }

    pub(crate) fn write(&mut self, (low, high): (u64, u64)) {
        // SAFETY: as in `read`.
        unsafe { self.cell.cast::<[u64; 2]>().write([low, high]) };
    }
}

impl Global {
    /// A global of the host's making.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the value does not fit the type.
    pub fn new<T: 'static>(
        store: &mut Store<T>,
        ty: GlobalType,
        value: Val,
    ) -> Result<Global, Error> {
        let store = &mut store.0.inner;
        store.check_types(std::slice::from_ref(&value), &[ty.content])?;
        let (low, high) = store.val_to_bits(&value, None)?;
        let mut own = Box::new([low, high]);
        let cell = own.as_mut_ptr();
        store.globals.push(Box::new(GlobalInner { cell, ty, owner: None, _own: Some(own) }));
        Ok(Global { store: store.id, index: (store.globals.len() - 1) as u32 })
    }

    /// The value.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is a damaged reference.
    pub fn get(&self, store: &impl AsContext) -> Result<Val, Error> {
        let store = store.inner();
        let global = self.inner(store);
        let (low, high) = global.read();
        store.val_from_bits(global.ty.content, low, high, global.owner)
    }

    /// Sets the value.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the value does not fit or the global is immutable.
    pub fn set(&self, store: &mut impl AsContextMut, value: Val) -> Result<(), Error> {
        let store = store.inner_mut();
        let global = self.inner(store);
        let (ty, owner) = (global.ty, global.owner);
        store.check_types(std::slice::from_ref(&value), &[ty.content])?;
        if !ty.mutable {
            let (expected, found) = ("a mutable global".into(), "an immutable one".into());
            return Err(Error::TypeMismatch { expected, found });
        }
        let bits = store.val_to_bits(&value, owner)?;
        store.globals[self.index as usize].write(bits);
        Ok(())
    }

    /// The global's type.
    pub fn ty(&self, store: &impl AsContext) -> GlobalType {
        self.inner(store.inner()).ty
    }

    fn inner<'a>(&self, store: &'a StoreInner) -> &'a GlobalInner {
        store.check_id(self.store);
        &store.globals[self.index as usize]
    }
}
