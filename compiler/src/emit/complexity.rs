//! Limits against functions that would need unreasonable memory to compile.
//!
//! A few bytes of a body can stand for a thousand operands (a branch to a block with many
//! results), and the code generator takes long over loops deep in one another. All of this is bounded here, far above the code of compilers.

use crate::CompileError;
use crate::front::index::FuncIndex;
use wasmparser::FunctionBody;

/// Operands of branches and calls that any function may have, whatever its size. Small, since a
/// module may have a function for every few bytes.
const FREE_OPERANDS: u64 = 1 << 12;

/// More such operands for each byte of the body. Each has to be pushed by an instruction, unless
/// it is passed on from another call or branch.
const OPERANDS_PER_BYTE: u64 = 16;

/// Blocks of a function; some hundred bytes each.
const MOST_BLOCKS: u64 = 1 << 19;

/// Loops in one another. The code generator looks through all enclosing ones for each value that it
/// moves out of them, so time grows with the third power of their number.
const MOST_NESTED_LOOPS: u64 = 1000;

/// How complex a function has got so far.
pub(super) struct Complexity {
    function: FuncIndex,
    offset: u64,
    loops: u64,
    operands: u64,
    most_operands: u64,
}

impl Complexity {
    pub(super) fn new(function: FuncIndex, body: &FunctionBody<'_>) -> Self {
        let bytes = body.as_bytes().len() as u64;
        Complexity {
            function,
            offset: body.range().start,
            loops: 0,
            operands: 0,
            most_operands: FREE_OPERANDS + OPERANDS_PER_BYTE * bytes,
        }
    }

    /// Counts operands of a branch, a block or a call.
    pub(super) fn add_operands(&mut self, count: usize) -> Result<(), CompileError> {
        self.operands += count as u64;
        if self.operands > self.most_operands {
            return Err(self.error("operands of calls and branches", self.most_operands));
        }
        Ok(())
    }

    /// Counts a loop inside those that have not been left.
    pub(super) fn enter_loop(&mut self) -> Result<(), CompileError> {
        self.loops += 1;
        if self.loops > MOST_NESTED_LOOPS {
            return Err(self.error("loops in one another", MOST_NESTED_LOOPS));
        }
        Ok(())
    }

    /// Counts the end of a loop.
    pub(super) fn leave_loop(&mut self) {
        self.loops -= 1;
    }

    /// Checks the number of blocks.
    pub(super) fn check(&self, blocks: usize) -> Result<(), CompileError> {
        if blocks as u64 > MOST_BLOCKS {
            return Err(self.error("blocks", MOST_BLOCKS));
        }
        Ok(())
    }

    fn error(&self, what: &'static str, limit: u64) -> CompileError {
        let (function, offset) = (self.function.as_u32(), self.offset);
        CompileError::TooComplex { function, offset, what, limit }
    }
}
