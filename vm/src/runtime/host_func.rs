//! Host functions as a store has them: a closure, and the entries by which it is called.

use crate::arch;
use crate::call::state::CallState;
use crate::runtime::instance::InstanceInner;
use crate::runtime::pending::{HostFuture, Pending};
use std::any::Any;
use wfaas_abi::FuncType;
use wfaas_abi::context::FuncImport;

/// `extern "C"` entry that compiled code calls; which of the two, [`FuncImport`] says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shim {
    Array(extern "C" fn(*const (), *mut InstanceInner, *mut u64)),
    Registers(extern "C" fn(*const (), *mut InstanceInner, u64, u64, u64, u64) -> u64),
    /// A stub, since the guest may be suspended. The closure is behind a [`WaitEnv`](crate::arch::WaitEnv).
    Wait,
}

/// Calls a host function from the host, with its arguments in cells, which hold the results
/// afterwards. The store is known by its call state, which is its
/// first field.
pub(crate) type Invoke =
    unsafe fn(*const (), *mut CallState, Option<u32>, *mut u64) -> Result<(), Pending>;

/// Begins an async host function with its arguments in cells, which hold the results afterwards.
pub(crate) type Begin =
    unsafe fn(*const (), *mut CallState, Option<u32>, *mut u64) -> Result<HostFuture, Pending>;

/// How the host calls a host function.
#[derive(Clone, Copy)]
pub(crate) enum HostEntry {
    Sync(Invoke),
    Async(Begin),
}

/// A host function.
pub(crate) struct HostFunc {
    pub(crate) ty: FuncType,
    pub(crate) shim: Shim,
    pub(crate) entry: HostEntry,
    /// The closure, at the address that shim and entry get.
    pub(crate) closure: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for HostFunc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostFunc{}", self.ty)
    }
}

impl HostFunc {
    /// The address of the closure.
    pub(super) fn env(&self) -> *const () {
        std::ptr::from_ref(&*self.closure).cast()
    }

    /// The record by which compiled code calls it.
    pub(super) fn import(&self) -> FuncImport {
        let code = match self.shim {
            Shim::Array(shim) => shim as *const () as u64,
            Shim::Registers(shim) => shim as *const () as u64,
            Shim::Wait if self.ty.passes_in_registers() => {
                arch::wait_with_registers as *const () as u64
            }
            Shim::Wait => arch::wait_with_array as *const () as u64,
        };
        FuncImport { code, base: 0, env: self.env() as u64 }
    }
}
