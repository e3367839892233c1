//! Translating a function body, one operator after the other, by operator family.
//!
//! [`operators`] routes each operator of an accepted proposal to the method of its name, which is
//! in the file of its family. The contents of WebAssembly's operand stack and control stack are
//! known here at compile time, so neither exists at run time.

mod address;
mod atomic;
pub(crate) mod builder;
mod bulk;
mod call;
mod complexity;
mod control;
mod conversion;
mod exception;
mod memory;
mod numeric;
mod operators;
mod reference;
pub(crate) mod signature;
mod simd;
mod table;
pub(crate) mod thunk;
pub(crate) mod trap;
mod variable;

use crate::CompileError;
use crate::bounds::{Check, Policy};
use crate::emit::builder::CodeBuilder;
use crate::front::index::FuncIndex;
use crate::front::parse::Body;
use complexity::Complexity;
use control::Frame;
use cranelift_codegen::ir::{SourceLoc, StackSlot, Value};
use exception::Landing;
use operators::Router;
use std::collections::HashMap;
use variable::Local;
use wasmparser::{FuncValidator, FuncValidatorAllocations, Operator, ValidatorResources};
use wfaas_abi::BoundsStats;

/// The result of a method for an operator.
type Emitted = Result<(), CompileError>;

/// The state of a translation.
struct FuncEmitter<'c> {
    code: CodeBuilder<'c>,
    /// Operands, bottom first.
    stack: Vec<Value>,
    /// Enclosing blocks, outermost first: the function itself.
    control: Vec<Frame>,
    /// Parameters, and the declared locals if they are not many for the body's size.
    locals: Vec<Local>,
    /// The locals that are used, by their index, if most are not.
    sparse_locals: HashMap<u32, Local>,
    /// Whether locals are kept in memory: there are many, and many blocks.
    locals_in_memory: bool,
    /// Landings of the enclosing blocks that catch exceptions, outermost first.
    landings: Vec<Landing>,
    /// Where values of exceptions are put to throw them.
    thrown: Option<StackSlot>,
    /// Whether control can get to the next operator.
    reachable: bool,
    /// Where in the module the operator is that is being translated.
    offset: u64,
    /// How accesses are kept inside the memory.
    policy: Policy,
    /// The checks that were emitted.
    checks: Vec<Check>,
    /// The fates of the other accesses.
    stats: BoundsStats,
    complexity: Complexity,
    /// Offsets from the start of the body, and whether the branch there is mostly taken.
    hints: &'c [(u32, bool)],
    /// Where in the module the body starts.
    start: u64,
}

/// Validates `body` and translates it into `code`, whose arguments are `arguments`. Returns the
/// checks of its memory accesses, and the fates of accesses that need none.
pub(crate) fn function<'c>(
    code: CodeBuilder<'c>,
    arguments: &[Value],
    body: Body<'_>,
    allocations: &mut FuncValidatorAllocations,
    isa: &dyn cranelift_codegen::isa::TargetIsa,
    policy: Policy,
) -> Result<(Vec<Check>, BoundsStats), CompileError> {
    let index = body.func();
    let Body { validation, body } = body;
    let mut validator = validation.into_validator(std::mem::take(allocations));
    let mut emitter = FuncEmitter::new(code, index, &body, policy);
    emitter.enter_function(index);
    emitter.declare_locals(index, arguments, &mut validator, &body)?;
    emitter.operators(&mut validator, &body)?;
    *allocations = validator.into_allocations();
    let FuncEmitter { code, checks, stats, .. } = emitter;
    code.finish(isa);
    Ok((checks, stats))
}

impl<'c> FuncEmitter<'c> {
    fn new(
        code: CodeBuilder<'c>,
        index: FuncIndex,
        body: &wasmparser::FunctionBody<'_>,
        policy: Policy,
    ) -> Self {
        FuncEmitter {
            hints: code.module.branch_hints.of(index),
            start: body.range().start,
            complexity: Complexity::new(index, body),
            code,
            stack: Vec::new(),
            control: Vec::new(),
            locals: Vec::new(),
            sparse_locals: HashMap::new(),
            locals_in_memory: false,
            landings: Vec::new(),
            thrown: None,
            reachable: true,
            offset: 0,
            policy,
            checks: Vec::new(),
            stats: BoundsStats::default(),
        }
    }

    fn operators(
        &mut self,
        validator: &mut FuncValidator<ValidatorResources>,
        body: &wasmparser::FunctionBody<'_>,
    ) -> Emitted {
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let (operator, offset) = reader.read_with_offset()?;
            let dead = !self.reachable && !changes_control(&operator);
            if dead {
                self.skip(&operator, &validator.visitor(offset))?;
            }
            validator.op(offset, &operator)?;
            if dead {
                continue;
            }
            // Modules are smaller than 4 GiB.
            self.code.blocks().set_srcloc(SourceLoc::new(offset as u32));
            self.offset = offset;
            Router { emitter: self }.route(&operator)?;
            let blocks = self.code.blocks().func.dfg.num_blocks();
            self.complexity.check(blocks)?;
        }
        reader.finish()?;
        Ok(())
    }

    /// Counts the operands of an operator that control cannot get to: the validator takes time for
    /// them all the same.
    fn skip(&mut self, operator: &Operator<'_>, module: &impl wasmparser::ModuleArity) -> Emitted {
        // An operator without a known arity will not pass validation.
        let (params, results) = operator.operator_arity(module).unwrap_or_default();
        self.complexity.add_operands(params as usize + results as usize)
    }

    /// Whether the branch that is being translated is mostly taken, if the module says so.
    fn hint(&self) -> Option<bool> {
        let offset = u32::try_from(self.offset - self.start).ok()?;
        let index = self.hints.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        Some(self.hints[index].1)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    /// Pops an operand; validation has seen to it that there is one.
    fn pop(&mut self) -> Value {
        self.stack.pop().expect("validated")
    }

    /// Pops two operands, in the order in which they were pushed.
    fn pop2(&mut self) -> (Value, Value) {
        let second = self.pop();
        (self.pop(), second)
    }

    /// Pops three operands, in the order in which they were pushed.
    fn pop3(&mut self) -> (Value, Value, Value) {
        let third = self.pop();
        let (first, second) = self.pop2();
        (first, second, third)
    }

    /// Pops `count` operands, in the order in which they were pushed.
    fn pop_many(&mut self, count: usize) -> Vec<Value> {
        self.stack.split_off(self.stack.len() - count)
    }
}

/// Whether an operator matters even where control cannot get to.
fn changes_control(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. }
            | Operator::Else
            | Operator::End
    )
}
