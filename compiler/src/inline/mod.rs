//! Inlining: the code of a small function in the place of a call to it.
//!
//! Before any code is generated, the bodies of few bytes that something may call are translated. A function that
//! is small in intermediate code too, and neither catches exceptions nor ends with a tail call, is a
//! [`Callee`] that may be copied. Each function then takes copies of the callees it calls as they were translated,
//! and of those that the copies call, round by round. So functions do not wait for one another,
//! and the code does not depend on which thread comes first.
//!
//! Any cycle of calls keeps at least one: the functions that a copy is inside of are not copied
//! into it again. A callee remains a function of its own, since exports, tables and calls that
//! were not replaced may refer to it. Where a copy comes from is in its source locations
//! (`positions`), so backtraces have the same frames as without. Copies become part of the blocks that
//! called them (`merge`).

mod merge;
mod positions;

pub(crate) use positions::Positions;

use crate::analysis::FxHashMap;
use crate::front::index::FuncIndex;
use crate::symbol::Symbol;
use cranelift_codegen::inline::{Inline, InlineCommand};
use cranelift_codegen::ir::{self, ExternalName, Function, Inst, Opcode, Value};
use cranelift_codegen::{CodegenError, Context};
use positions::Copied;
use std::borrow::Cow;
use std::sync::Mutex;
use wasmparser::BinaryReader;
use wfaas_abi::BoundsStats;

/// Bodies of more bytes are not looked at.
const MOST_BYTES: usize = 160;

/// Instructions of intermediate code, those that raise traps included, of a callee without calls.
const MOST_INSTRUCTIONS: usize = 50;

/// The same for one with calls, which costs as much as the call that it saves.
const MOST_AROUND_CALLS: usize = 15;

/// Parameters and results of a callee.
const MOST_VALUES: usize = 16;

/// Operands that an instruction of a callee may take and pass on: other limits on them are by the
/// bytes of a body, and a copy has none.
const MOST_OPERANDS: usize = 32;

/// How many callees a module has at most, since all of them are in memory while it is compiled.
pub(crate) const MOST_CALLEES: usize = 1 << 13;

/// Rounds: how deep copies are in one another.
const MOST_ROUNDS: usize = 4;

/// Instructions that any function may take over, and one more for two of its own. That bounds the
/// time to compile a module of small functions that call each other.
const FREE: usize = 60;

/// Most of them, however large the function.
const MOST_TAKEN: usize = 2000;

/// A function that may be inlined.
pub(crate) struct Callee {
    function: Function,
    stats: BoundsStats,
    /// Instructions.
    size: usize,
    /// Whether it calls functions.
    calls: bool,
}

/// A function just translated, and the counts of its bounds checks.
type Translated = (Function, BoundsStats);

/// The functions of a module that were translated first, by index.
#[derive(Default)]
pub(crate) struct Callees {
    /// Functions that may be inlined.
    small: FxHashMap<FuncIndex, Callee>,
    /// Functions that may not, until code is generated for them.
    others: FxHashMap<FuncIndex, Mutex<Option<Box<Translated>>>>,
}

impl Callees {
    /// Adds a function.
    pub(crate) fn insert(&mut self, index: FuncIndex, function: Function, stats: BoundsStats) {
        match Callee::measure(&function) {
            Some((size, calls)) => {
                self.small.insert(index, Callee { function, stats, size, calls });
            }
            None => {
                self.others.insert(index, Mutex::new(Some(Box::new((function, stats)))));
            }
        }
    }

    /// The function for which code is to be generated, if it was translated.
    pub(crate) fn translated(&self, index: FuncIndex) -> Option<Translated> {
        if let Some(callee) = self.small.get(&index) {
            return Some((callee.function.clone(), callee.stats));
        }
        let mut other = self.others.get(&index)?.lock().ok()?;
        other.take().map(|translated| *translated)
    }
}

/// Whether a body is small enough to be a candidate.
pub(crate) fn is_small(body: &wasmparser::FunctionBody<'_>) -> bool {
    body.as_bytes().len() <= MOST_BYTES
}

/// For each of `count` functions, whether one of the bodies may call it: a byte that is the opcode of `call` comes
/// before its index. Some such bytes are parts of numbers, so a few functions more are among them.
pub(crate) fn may_be_called<'b>(bodies: impl Iterator<Item = &'b [u8]>, count: usize) -> Vec<bool> {
    const CALL: u8 = 0x10;
    let mut called = vec![false; count];
    for bytes in bodies {
        let mut rest = bytes;
        while let Some(place) = rest.iter().position(|byte| *byte == CALL) {
            rest = &rest[place + 1..];
            let index = BinaryReader::new(rest, 0).read_var_u32();
            if let Some(called) = index.ok().and_then(|index| called.get_mut(index as usize)) {
                *called = true;
            }
        }
    }
    called
}

impl Callee {
    /// How many instructions are copied, and whether there are calls among them; `None` for a function that may not
    /// be inlined.
    fn measure(function: &Function) -> Option<(usize, bool)> {
        // Values of exceptions that it throws: they would be in the frame of each caller.
        if !function.sized_stack_slots.is_empty() {
            return None;
        }
        let signature = &function.signature;
        if signature.params.len() + signature.returns.len() > MOST_VALUES {
            return None;
        }
        let (mut size, mut calls) = (0, false);
        for block in function.layout.blocks() {
            for inst in function.layout.block_insts(block) {
                size += 1;
                let opcode = function.dfg.insts[inst].opcode();
                match opcode {
                    Opcode::TryCall | Opcode::TryCallIndirect => return None,
                    Opcode::ReturnCall | Opcode::ReturnCallIndirect => return None,
                    _ => calls |= opcode.is_call() && !function.layout.is_cold(block),
                }
                if size > MOST_INSTRUCTIONS || operands(function, inst) > MOST_OPERANDS {
                    return None;
                }
            }
        }
        if calls && size > MOST_AROUND_CALLS {
            return None;
        }
        Some((size, calls))
    }
}

/// How much an instruction takes, returns and passes on, and where it may go.
fn operands(function: &Function, inst: Inst) -> usize {
    let dfg = &function.dfg;
    let targets = dfg.insts[inst].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
    dfg.inst_values(inst).count() + dfg.inst_results(inst).len() + targets.len()
}

/// The function of the module that a name is of.
fn called(caller: &Function, name: &ExternalName) -> Option<FuncIndex> {
    let ExternalName::User(name) = name else { return None };
    match Symbol::from_external_name(&caller.params.user_named_funcs()[*name])? {
        Symbol::Func(index) => Some(index),
        _ => None,
    }
}

/// Inlines calls in function `index`, which was just translated.
pub(crate) fn run(
    context: &mut Context,
    index: FuncIndex,
    callees: &Callees,
) -> Result<Positions, CodegenError> {
    let mut positions = Positions::of(index);
    let names = context.func.dfg.ext_funcs.values().map(|function| &function.name);
    let is_small = |index| callees.small.contains_key(&index);
    if !names.filter_map(|name| called(&context.func, name)).any(is_small) {
        return Ok(positions);
    }
    let own = context.func.dfg.num_insts();
    let mut copied = Vec::new();
    let mut budget = MOST_TAKEN.min(FREE + own / 2);
    for _ in 0..MOST_ROUNDS {
        let mut round = Round { callees, positions: &positions, budget, copies: Vec::new() };
        if !context.inline(&mut round)? {
            break;
        }
        budget = round.budget;
        let copies = round.copies;
        for copy in &copies {
            positions.locate(&mut context.func, copy);
            copied.push(copy.blocks());
        }
        if !copies.iter().any(|copy| copy.callee.calls) {
            break;
        }
    }
    merge::run(&mut context.func, copied);
    Ok(positions)
}

/// One walk over the calls of a function.
struct Round<'c, 'p> {
    callees: &'c Callees,
    positions: &'p Positions,
    /// Instructions that may still be copied.
    budget: usize,
    copies: Vec<Copied<'c>>,
}

impl Round<'_, '_> {
    /// The function that an instruction calls, if it may be inlined there.
    fn callee(&self, caller: &Function, call: Inst, name: &ExternalName) -> Option<FuncIndex> {
        let index = called(caller, name)?;
        let callee = self.callees.small.get(&index)?;
        let block = caller.layout.inst_block(call)?;
        let wanted = callee.size <= self.budget && !caller.layout.is_cold(block);
        (wanted && !self.positions.is_inside(caller.srcloc(call), index)).then_some(index)
    }
}

impl Inline for Round<'_, '_> {
    fn inline(
        &mut self,
        caller: &Function,
        call: Inst,
        opcode: Opcode,
        callee: ir::FuncRef,
        _: &[Value],
    ) -> InlineCommand<'_> {
        // A call with a landing would pass it on to the calls of the copy, and one in place of
        // the caller would leave it.
        if opcode != Opcode::Call {
            return InlineCommand::KeepCall;
        }
        let name = &caller.dfg.ext_funcs[callee].name;
        let Some(index) = self.callee(caller, call, name) else { return InlineCommand::KeepCall };
        let callee = &self.callees.small[&index];
        self.budget -= callee.size;
        self.copies.push(Copied {
            index,
            callee,
            first_block: caller.dfg.num_blocks(),
            call: caller.srcloc(call),
        });
        // The copy's own calls are for the next round: until then it stays as it was.
        InlineCommand::Inline { callee: Cow::Borrowed(&callee.function), visit_callee: false }
    }
}
