//! Legacy exceptions: `try` with its `catch` parts, `rethrow` and `delegate`.
//!
//! A `try` has a landing like a `try_table`. Its `catch` parts follow one another in the code as
//! the clauses of a `try_table` do, with their bodies in between: where a tag is not the one of a
//! part, control goes on to the next part, and behind the last one further out. `delegate` makes
//! the landing a jump to the one of an outer block.
//!
//! The exception lies on the operand stack, with the identity of its tag, below the operands of
//! the `catch` part that it is in, so that `rethrow` finds it at the height of its label.

use super::control::Kind;
use super::exception::Landed;
use super::operands::Operand;
use super::{Emitted, FuncEmitter};
use crate::CompileError;
use crate::front::index::TagIndex;
use cranelift_codegen::ir::Block;
use wasmparser::BlockType;

/// The exceptions that no part of a `try` has caught so far.
pub(super) struct Uncaught {
    /// Where control goes on with them.
    next: Block,
    /// The exception and its tag, as they lie on the operand stack.
    landed: Vec<Operand>,
}

impl FuncEmitter<'_> {
    pub(super) fn visit_try(&mut self, ty: BlockType) -> Emitted {
        if !self.reachable {
            return self.enter_dead();
        }
        self.enter_catching(ty, Kind::LegacyTry)
    }

    pub(super) fn visit_catch(&mut self, tag: u32) -> Emitted {
        let wanted = TagIndex::from_u32(tag);
        let Some((landed, operands)) = self.begin_catch()? else { return Ok(()) };
        let next = self.unless_tag(landed.tag, wanted);
        self.innermost_kind(Kind::LegacyCatch(Some(Uncaught { next, landed: operands })));
        let values = self.exception_values(wanted, landed.exception)?;
        self.stack.extend(values);
        Ok(())
    }

    pub(super) fn visit_catch_all(&mut self) -> Emitted {
        self.begin_catch()?;
        Ok(())
    }

    pub(super) fn visit_rethrow(&mut self, depth: u32) -> Emitted {
        let place = self.control[self.control.len() - 1 - depth as usize].height;
        let exception = self.operand(place);
        self.throw_again(exception);
        Ok(())
    }

    pub(super) fn visit_delegate(&mut self, depth: u32) -> Emitted {
        self.leave_part()?;
        let frame = self.control.pop().expect("validated");
        if !matches!(frame.kind, Kind::Dead) {
            self.end_legacy_try(self.control.len() - 1 - depth as usize);
            self.continue_after(&frame);
        }
        Ok(())
    }

    /// Ends the part before a `catch`, and continues where exceptions that no part before has
    /// caught get to, with the exception on the operand stack. `None` if there are none.
    fn begin_catch(&mut self) -> Result<Option<(Landed, Vec<Operand>)>, CompileError> {
        self.leave_part()?;
        let operands = match self.innermost_kind(Kind::LegacyCatch(None)) {
            Kind::LegacyTry => {
                self.control.last_mut().expect("validated").landings -= 1;
                let Some(landed) = self.land() else { return Ok(None) };
                self.stack.extend([landed.exception, landed.tag]);
                self.store_operands();
                self.stack.top(2)
            }
            Kind::LegacyCatch(Some(Uncaught { next, landed })) => {
                self.code.continue_in(next);
                self.stack.restore(landed.clone());
                landed
            }
            Kind::LegacyCatch(None) => return Ok(None),
            dead => {
                self.innermost_kind(dead);
                return Ok(None);
            }
        };
        self.reachable = true;
        let both = self.peek_many(2);
        Ok(Some((Landed { exception: both[0], tag: both[1] }, operands)))
    }

    /// Ends a `try` without `catch` parts: exceptions go on as if they were thrown in the block
    /// `target`, by its place among the enclosing ones.
    pub(super) fn end_legacy_try(&mut self, target: usize) {
        if let Some(landed) = self.land() {
            self.pass_on(landed, self.control[target].landings);
        }
    }

    /// Ends a `try` after its last `catch` part.
    pub(super) fn end_legacy_catch(&mut self, uncaught: Option<Uncaught>) {
        let Some(Uncaught { next, landed }) = uncaught else { return };
        self.code.continue_in(next);
        self.stack.restore(landed);
        let (exception, tag) = self.pop2();
        self.pass_on(Landed { exception, tag }, self.landings.len());
    }

    /// Changes the kind of the innermost block; the one it had.
    fn innermost_kind(&mut self, kind: Kind) -> Kind {
        let frame = self.control.last_mut().expect("validated");
        std::mem::replace(&mut frame.kind, kind)
    }
}
