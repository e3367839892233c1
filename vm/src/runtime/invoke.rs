//! Calling functions of a store, and the errors of calls that did not return.

use crate::call::enter::{self, Callee, Ended};
use crate::call::stacks;
use crate::call::state::Fault;
use crate::runtime::error::Error;
use crate::runtime::host_func::HostEntry;
use crate::runtime::item::FuncId;
use crate::runtime::pending::Pending;
use crate::runtime::store::StoreInner;
use crate::runtime::thrown::Uncaught;
use crate::runtime::trap::{Backtrace, HostError, Trap};
use wfaas_abi::TrapCode;

impl StoreInner {
    /// Calls a guest function with its arguments in `cells`, which hold the results afterwards.
    ///
    /// # Errors
    /// [`Error::Trap`], [`Error::Host`] or [`Error::Exception`] if the guest did not return.
    ///
    /// # Safety
    /// `callee` must be a function of an instance of this store, with its trampoline, and `cells`
    /// an array with room for its parameters and results.
    unsafe fn call_guest(&mut self, callee: Callee, cells: *mut u64) -> Result<(), Error> {
        self.note_call();
        // SAFETY: the caller's contract.
        let ended = unsafe { enter::call(&mut self.call, callee, cells) };
        ended.map_err(|ended| self.error_of(ended))
    }

    /// Calls a guest function with its arguments in the call state's cells, where the results are
    /// afterwards.
    ///
    /// # Errors
    /// As [`StoreInner::call_guest`].
    ///
    /// # Safety
    /// As [`StoreInner::call_guest`]; parameters and results must fit the cells.
    #[inline]
    pub(crate) unsafe fn call_with_own_cells(&mut self, callee: Callee) -> Result<(), Error> {
        self.note_call();
        // SAFETY: the caller's contract.
        match unsafe { enter::call_with_own_cells(&mut self.call, callee) } {
            Ok(()) => Ok(()),
            Err(ended) => Err(self.error_of(ended)),
        }
    }

    /// Calls any function with its arguments in cells, as many as its type needs.
    ///
    /// # Errors
    /// As [`StoreInner::call_guest`].
    pub(crate) fn call(&mut self, func: FuncId, cells: &mut [u64]) -> Result<(), Error> {
        let FuncId::Host(index) = func else {
            let callee = self.objects.callee(func)?;
            // SAFETY: `callee` found it in this store, and callers size the cells by the type.
            return unsafe { self.call_guest(callee, cells.as_mut_ptr()) };
        };
        let host = self.objects.host_func(index).clone();
        let store = std::ptr::from_mut(self).cast();
        let HostEntry::Sync(invoke) = host.entry else { return Err(Error::NeedsAsync) };
        // SAFETY: the closure is the one `invoke` was made for, the store is exclusively ours and
        // has the type it was defined for, and the cells are sized by the type.
        let result = unsafe { invoke(host.env(), store, None, cells.as_mut_ptr()) };
        result.map_err(|pending| self.error_with(pending))
    }

    /// The error of a call that ends with `pending`.
    pub(super) fn error_with(&mut self, pending: Pending) -> Error {
        self.pending = Some(pending);
        self.take_pending()
    }

    /// The error of a call that did not return.
    #[cold]
    pub(super) fn error_of(&mut self, ended: Ended) -> Error {
        match ended {
            Ended::Left => self.take_pending(), // goes on with a host function's panic
            Ended::Faulted(fault) => self.error_of_fault(fault),
            Ended::Refused(refused) => refused.into(),
        }
    }

    /// The error of a call that was left.
    fn take_pending(&mut self) -> Error {
        let backtrace = self.take_backtrace();
        match self.pending.take() {
            Some(Pending::Trap(code)) => Error::Trap(Trap::new(code, backtrace)),
            Some(Pending::Host(source)) => Error::Host(HostError { source, backtrace }),
            Some(Pending::Exception(exception)) => {
                Error::Exception(Uncaught { exception, backtrace })
            }
            Some(Pending::Panic(payload)) => std::panic::resume_unwind(payload),
            None => Error::Trap(Trap::new(TrapCode::InternalFault, backtrace)),
        }
    }

    /// The error of a call that a signal ended.
    fn error_of_fault(&mut self, Fault { code, pc, stack }: Fault) -> Error {
        let recorded = || {
            let (module, offset) = self.objects.code_at(pc)?;
            module.artifact().trap_at(offset)
        };
        let code = code.or_else(recorded).unwrap_or(TrapCode::InternalFault);
        if matches!(code, TrapCode::HostFault | TrapCode::InternalFault) {
            self.call.poison();
        }
        let backtrace = self.take_backtrace();
        if self.call.is_poisoned() {
            stacks::retire(stack);
        }
        Error::Trap(Trap::new(code, backtrace))
    }

    fn take_backtrace(&mut self) -> Backtrace {
        Backtrace::take(self.objects.instances.iter().map(|instance| instance.module.code()))
    }
}
