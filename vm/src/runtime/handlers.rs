//! Finding the handler of an exception: the innermost call with a record of a landing.
//!
//! A stack may have many thousand frames: the search can be done in pieces, between which the guest may be
//! preempted. Frames do not move meanwhile.

use crate::call::backtrace::RawBacktrace;
use crate::call::state::Activation;
use crate::runtime::objects::Objects;

/// Place where an exception is caught.
pub(super) struct Handler {
    pub(super) pc: usize,
    pub(super) sp: usize,
    pub(super) fp: usize,
}

/// Outcome of a piece of a search.
pub(super) enum Search {
    Found(Handler),
    /// No frame that was looked at has a handler; the next one is this.
    Further(usize),
    /// No frame has one.
    Nowhere,
}

/// Most frames of a piece: each takes up to some 100 ns.
const PIECE: usize = 512;

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
        let mut at = exit_fp;
        loop {
            // SAFETY: the caller's contract; later pieces begin at a frame that is further out.
            match unsafe { self.search_handler(at, activation) } {
                Search::Found(handler) => return Some(handler),
                Search::Further(next) => at = next,
                Search::Nowhere => return None,
            }
        }
    }

    /// Looks at some frames from `fp` outwards.
    ///
    /// # Safety
    /// As [`Objects::find_handler`], of `fp`; or it must be where a piece of the same search ended.
    pub(super) unsafe fn search_handler(&self, fp: usize, activation: &Activation) -> Search {
        let (mut left, mut outcome) = (PIECE, Search::Nowhere);
        let visit = |return_address: usize, fp: usize| {
            left -= 1;
            outcome = match self.handler_at(return_address, fp) {
                Some(handler) => Search::Found(handler),
                None if left == 0 => Search::Further(fp),
                None => return true,
            };
            false
        };
        // SAFETY: the stub wrote its frame pointer before it called the host.
        unsafe { RawBacktrace::visit(fp, activation, visit) };
        outcome
    }

    /// The handler of the call that returns to `return_address`, in the frame `fp`.
    fn handler_at(&self, return_address: usize, fp: usize) -> Option<Handler> {
        let (module, offset) = self.code_at(return_address)?;
        let handler = module.artifact().handler_at(offset)?;
        let pc = module.code_address(handler.handler_offset.get()).ok()?;
        Some(Handler { pc, sp: fp.checked_sub(handler.frame_bytes.get() as usize)?, fp })
    }
}
