//! Instances as a store has them: a module's code with state and memory of its own.

use crate::call::enter::Callee;
use crate::call::state::CallState;
use crate::runtime::error::Error;
use crate::runtime::item::FuncId;
use crate::runtime::module::Module;
use crate::runtime::records::Records;
use wfaas_abi::artifact::records::{FunctionRecord, TypeRecord};
use wfaas_abi::{ArtifactError, FuncRef, TypeHash};

/// An instance. Hostcalls get its address.
#[derive(Debug)]
pub(crate) struct InstanceInner {
    /// The call state of its store; and, since that is a store's first field, the store.
    pub(super) call: *mut CallState,
    /// Place among the store's instances.
    pub(super) index: u32,
    pub(super) module: Module,
    /// Its slots by place, as indices into the store's memories: the first holds the state,
    /// whether or not the module has a memory there.
    pub(super) slots: Vec<u32>,
    pub(super) base: *mut u8,
    // The index spaces of functions, tables, memories, globals and tags: places in the store.
    pub(super) imported_funcs: Vec<FuncId>,
    pub(super) tables: Vec<u32>,
    pub(super) memories: Vec<u32>,
    pub(super) globals: Vec<u32>,
    pub(super) tags: Vec<u32>,
    /// The frames that its program goes on with, if they are not those of the artifact. Its host context knows the
    /// address.
    pub(super) records: Option<Records>,
}

/// The store, known by its call state, and the place of the instance that called the host.
///
/// # Safety
/// `instance` must be the pointer in the host context of the instance that called.
#[inline(always)]
pub(crate) unsafe fn caller(instance: *mut InstanceInner) -> (*mut CallState, u32) {
    // SAFETY: the caller's contract.
    let &InstanceInner { call, index, .. } = unsafe { &*instance };
    (call, index)
}

impl InstanceInner {
    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    /// BASE.
    #[inline]
    pub(crate) fn base(&self) -> usize {
        self.base as usize
    }

    /// The records of function `index` and of its type.
    fn function(&self, index: u32) -> Result<(&FunctionRecord, &TypeRecord), ArtifactError> {
        let artifact = self.module.artifact();
        let function = artifact.functions().get(index as usize);
        let ty = function.and_then(|f| artifact.types().get(f.type_index.get() as usize));
        function.zip(ty).ok_or(ArtifactError::Corrupt("a function index is out of range"))
    }

    /// How to call function `index`.
    pub(crate) fn callee(&self, index: u32) -> Result<Callee, Error> {
        let (function, ty) = self.function(index)?;
        Ok(Callee {
            code: self.module.code_address(function.text_offset.get())?,
            base: self.base as usize,
            trampoline: self.module.code_address(ty.trampoline.get())?,
        })
    }

    /// A reference to function `index` in the instance's own terms.
    pub(crate) fn native_ref(&self, index: u32) -> Result<FuncRef, Error> {
        let (function, ty) = self.function(index)?;
        Ok(FuncRef::new(function.text_offset.get(), ty.id.get()))
    }

    /// The identity of the type of function `index`.
    pub(super) fn type_hash(&self, index: u32) -> Result<TypeHash, Error> {
        let (_, ty) = self.function(index)?;
        Ok(TypeHash(ty.hash))
    }

    /// The address `offset` bytes from BASE, if `bytes` from there are state.
    pub(crate) fn state_cell(&self, offset: i64, bytes: usize) -> Result<*mut u8, ArtifactError> {
        let state_bytes = self.module.artifact().header().state_bytes.get() as i64;
        if offset < -state_bytes || offset.saturating_add(bytes as i64) > 0 {
            return Err(ArtifactError::Corrupt(
                "a record refers to something outside of the state",
            ));
        }
        Ok(self.base.wrapping_offset(offset as isize))
    }
}
