//! Limits against functions that would need unreasonable memory to compile.
//!
//! A few bytes of a body can stand for a thousand operands (a branch to a block with many
//! results), and the code generator takes long over loops deep in one another. All of this is bounded here, far above the code of compilers.

use crate::CompileError;
use crate::front::index::FuncIndex;
use wasmparser::FunctionBody;

/// Operands of branches and calls that the functions of a module may have together, whatever their
/// sizes, and the least and the most that is for each: a module may have a function for every few bytes.
const FREE_OPERANDS: u64 = 1 << 20;
const LEAST_FREE_OPERANDS: u64 = 1 << 7;
const MOST_FREE_OPERANDS: u64 = 1 << 12;

/// More such operands for each byte of the body. Each has to be pushed by an instruction, unless
/// it is passed on from another call or branch.
const OPERANDS_PER_BYTE: u64 = 16;

/// Values of a function besides its parameters that are not kept in the frame, and more for each byte of its body: at
/// most 2.3 in PHP, CPython and esbuild. Most of so many are the parameters of blocks for locals.
const FREE_VALUES: usize = 1 << 8;
const VALUES_PER_BYTE: usize = 8;

/// Blocks of such a function: each search for a local's value begins with a set of all of them.
const MOST_BLOCKS_OF_VALUES: usize = 1 << 15;

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
    most_values: usize,
}

impl Complexity {
    /// For a function with so many parameters, of a module with so many functions.
    pub(super) fn new(
        function: FuncIndex,
        body: &FunctionBody<'_>,
        params: usize,
        functions: usize,
    ) -> Self {
        let bytes = body.as_bytes().len();
        let free = FREE_OPERANDS / functions as u64;
        let free = free.clamp(LEAST_FREE_OPERANDS, MOST_FREE_OPERANDS);
        Complexity {
            function,
            offset: body.range().start,
            loops: 0,
            operands: 0,
            most_operands: free + OPERANDS_PER_BYTE * bytes as u64,
            most_values: params + FREE_VALUES + VALUES_PER_BYTE * bytes,
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

    /// Whether there are more blocks or values than the code generator should look at.
    pub(super) fn has_too_many(&self, blocks: usize, values: usize) -> bool {
        blocks > MOST_BLOCKS_OF_VALUES || values > self.most_values
    }

    fn error(&self, what: &'static str, limit: u64) -> CompileError {
        let (function, offset) = (self.function.as_u32(), self.offset);
        CompileError::TooComplex { function, offset, what, limit }
    }
}
