//! Finding the handler of an exception: the innermost call with a record of a landing.

use crate::call::backtrace::RawBacktrace;
use crate::call::state::Activation;
use crate::runtime::objects::Objects;

/// Place where an exception is caught.
pub(super) struct Handler {
    pub(super) pc: usize,
    pub(super) sp: usize,
    pub(super) fp: usize,
}

impl Objects {
    /// The innermost call of the activation that has a handler.
    ///
    /// # Safety
    /// `activation` must be the innermost one, of this store, and guest code must have left
    /// through a stub, with the frame pointer `exit_fp`.
    pub(super) unsafe fn find_handler(
        &self,
        exit_fp: usize,
        activation: &Activation,
    ) -> Option<Handler> {
        let mut found = None;
        let visit = |return_address: usize, fp: usize| {
            found = self.handler_at(return_address, fp);
            found.is_none()
        };
        // SAFETY: the stub wrote its frame pointer before it called the host.
        unsafe { RawBacktrace::visit(exit_fp, activation, visit) };
        found
    }

    /// The handler of the call that returns to `return_address`, in the frame `fp`.
    fn handler_at(&self, return_address: usize, fp: usize) -> Option<Handler> {
        let (module, offset) = self.code_at(return_address)?;
        let handler = module.artifact().handler_at(offset)?;
        let pc = module.code_address(handler.handler_offset.get()).ok()?;
        Some(Handler { pc, sp: fp.checked_sub(handler.frame_bytes.get() as usize)?, fp })
    }
}
