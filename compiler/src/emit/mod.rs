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
mod home;
mod legacy_exception;
mod memory;
mod memory_move;
mod numeric;
mod operands;
mod operators;
mod reference;
pub(crate) mod signature;
mod simd;
mod table;
pub(crate) mod thunk;
pub(crate) mod trap;
mod twin;
mod variable;
mod wide_arithmetic;

pub(crate) use home::RecordedSlots;
pub(crate) use operands::Storage;

use crate::CompileError;
use crate::bounds::{Check, Policy};
use crate::continuation::{RecordLayout, Site, Twin};
use crate::emit::builder::CodeBuilder;
use crate::front::index::FuncIndex;
use crate::front::parse::Body;
use complexity::Complexity;
use control::Frame;
use cranelift_codegen::ir::{SourceLoc, StackSlot, StackSlotData, StackSlotKind, Value};
use exception::Landing;
use operands::Operands;
use operators::Router;
use std::collections::HashMap;
use twin::Entries;
use variable::Local;
use wasmparser::{FuncValidator, FuncValidatorAllocations, Operator, ValidatorResources};
use wfaas_abi::BoundsStats;

/// The result of a method for an operator.
type Emitted = Result<(), CompileError>;

/// The state of a translation.
struct FuncEmitter<'c> {
    code: CodeBuilder<'c>,
    stack: Operands,
    /// Enclosing blocks, outermost first: the function itself.
    control: Vec<Frame>,
    /// Parameters, and the declared locals if they are not many for the body's size.
    locals: Vec<Local>,
    /// The locals that are used, by their index, if most are not.
    sparse_locals: HashMap<u32, Local>,
    /// Where locals and operands are kept from one block to the next.
    storage: Storage,
    /// Landings of the enclosing blocks that catch exceptions where control is, outermost first.
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
    /// Where the frame keeps locals and operands, if it is to be recorded.
    recorded: Option<RecordedSlots>,
    /// Where it has copies of them, if the function has stack maps.
    mapped: Option<Mapped<'c>>,
    /// The places to go on at, in a twin.
    entries: Option<Entries<'c>>,
}

/// The calls with stack maps, and where the frame has copies of locals and operands meanwhile.
#[derive(Clone, Copy)]
struct Mapped<'c> {
    slots: RecordedSlots,
    sites: &'c [Site],
}

/// The version of a function that a translation makes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Version<'c> {
    /// The function.
    Usual,
    /// The function, with frames that can be recorded.
    Recorded,
    /// The function behind some of its calls.
    Twin(&'c Twin),
}

/// How a body is translated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'c> {
    pub(crate) version: Version<'c>,
    pub(crate) policy: Policy,
    pub(crate) storage: Storage,
    /// The calls that have stack maps.
    pub(crate) mapped: &'c [Site],
}

/// A body in intermediate code.
pub(crate) struct Translation {
    /// The checks of its memory accesses.
    pub(crate) checks: Vec<Check>,
    /// The fates of accesses that need none.
    pub(crate) stats: BoundsStats,
    /// Where it keeps locals and operands.
    pub(crate) storage: Storage,
    /// Where its frame does, if it is to be recorded, or has stack maps.
    pub(crate) recorded: Option<RecordedSlots>,
    /// The layouts of the records that a twin goes on with, one for each site.
    pub(crate) records: Vec<RecordLayout>,
}

/// Validates `body` and translates it into `code`, whose arguments are `arguments`. `None` if it has
/// too many values for its size, which none in [`Storage::Frame`] has.
pub(crate) fn function<'c>(
    code: CodeBuilder<'c>,
    arguments: &[Value],
    body: Body<'_>,
    allocations: &mut FuncValidatorAllocations,
    isa: &dyn cranelift_codegen::isa::TargetIsa,
    manner: Manner<'c>,
) -> Result<Option<Translation>, CompileError> {
    let index = body.func();
    let Body { validation, body } = body;
    let mut validator = validation.into_validator(std::mem::take(allocations));
    let mut emitter = FuncEmitter::new(code, index, &body, manner);
    emitter.enter_function(index);
    if !manner.mapped.is_empty() {
        let slots = recorded_slots(&mut emitter.code);
        emitter.mapped = Some(Mapped { slots, sites: manner.mapped });
    }
    emitter.begin(index, arguments, &mut validator, &body, manner.version)?;
    if !emitter.operators(&mut validator, &body)? {
        return Ok(None);
    }
    *allocations = validator.into_allocations();
    let FuncEmitter { code, checks, stats, storage, recorded, mapped, entries, .. } = emitter;
    let recorded = recorded.or(mapped.map(|mapped| mapped.slots));
    code.finish(isa);
    let records = entries.map_or(Ok(Vec::new()), Entries::into_layouts)?;
    Ok(Some(Translation { checks, stats, storage, recorded, records }))
}

impl<'c> FuncEmitter<'c> {
    fn new(
        code: CodeBuilder<'c>,
        index: FuncIndex,
        body: &wasmparser::FunctionBody<'_>,
        manner: Manner<'c>,
    ) -> Self {
        let Manner { policy, storage, .. } = manner;
        let params = code.module.func_type(index).params().len();
        FuncEmitter {
            hints: code.module.branch_hints.of(index),
            start: body.range().start,
            recorded: None,
            mapped: None,
            entries: None,
            complexity: Complexity::new(index, body, params, code.module.funcs.len()),
            code,
            stack: Operands::default(),
            control: Vec::new(),
            locals: Vec::new(),
            sparse_locals: HashMap::new(),
            storage,
            landings: Vec::new(),
            thrown: None,
            reachable: true,
            offset: 0,
            policy,
            checks: Vec::new(),
            stats: BoundsStats::default(),
        }
    }

    /// Begins the function with its locals, or a twin at the site that its record names.
    fn begin(
        &mut self,
        index: FuncIndex,
        arguments: &[Value],
        validator: &mut FuncValidator<ValidatorResources>,
        body: &wasmparser::FunctionBody<'_>,
        version: Version<'c>,
    ) -> Emitted {
        match version {
            Version::Usual => self.declare_locals(index, arguments, validator, body),
            Version::Recorded => {
                self.recorded = Some(recorded_slots(&mut self.code));
                self.declare_locals(index, arguments, validator, body)
            }
            Version::Twin(twin) => {
                let params = control::types(self.code.module.func_type(index).params());
                let none = self.no_arguments(&params)?;
                self.declare_locals(index, &none, validator, body)?;
                self.enter_record(twin, arguments[0]);
                Ok(())
            }
        }
    }

    /// Whether all operators were translated, without more values than they may need.
    fn operators(
        &mut self,
        validator: &mut FuncValidator<ValidatorResources>,
        body: &wasmparser::FunctionBody<'_>,
    ) -> Result<bool, CompileError> {
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
            self.leave_operator();
            let dfg = &self.code.blocks().func.dfg;
            let (blocks, values) = (dfg.num_blocks(), dfg.num_values());
            self.complexity.check(blocks)?;
            if self.storage != Storage::Frame && self.complexity.has_too_many(blocks, values) {
                return Ok(false);
            }
        }
        reader.finish()?;
        Ok(true)
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
}

/// Empty slots for the locals and the operands of a frame that is to be recorded, or that has stack maps.
pub(crate) fn recorded_slots(code: &mut CodeBuilder<'_>) -> RecordedSlots {
    let empty = || StackSlotData::new(StackSlotKind::ExplicitSlot, 0, 4);
    let blocks = code.blocks();
    let locals = blocks.create_sized_stack_slot(empty());
    RecordedSlots { locals, operands: blocks.create_sized_stack_slot(empty()) }
}

/// Whether an operator matters even where control cannot get to.
fn changes_control(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. }
            | Operator::Try { .. }
            | Operator::Catch { .. }
            | Operator::CatchAll
            | Operator::Delegate { .. }
            | Operator::Else
            | Operator::End
    )
}
