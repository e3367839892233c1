//! Dead-code elimination after checks were removed: above all of the loads of sizes, which the code
//! generator keeps even if nothing uses them.
//!
//! By counting uses, as LLVM's `DCE`.

use crate::analysis::value::each_operand;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Function, Inst, InstructionData, Opcode, Value};

/// Removes calculations and loads that cannot trap, if nothing uses their results.
pub(crate) fn remove_unused(func: &mut Function) {
    let mut uses: SecondaryMap<Value, u32> = SecondaryMap::new();
    uses.resize(func.dfg.num_values());
    let mut unused = Vec::new();
    let blocks: Vec<_> = func.layout.blocks().collect();
    for block in &blocks {
        for inst in func.layout.block_insts(*block) {
            each_operand(func, inst, |value| uses[func.dfg.resolve_aliases(value)] += 1);
            unused.push(inst);
        }
    }
    while let Some(inst) = unused.pop() {
        let results = func.dfg.inst_results(inst);
        if !is_removable(func, inst) || results.iter().any(|result| uses[*result] > 0) {
            continue;
        }
        func.layout.remove_inst(inst);
        for value in func.dfg.inst_args(inst) {
            let value = func.dfg.resolve_aliases(*value);
            uses[value] -= 1;
            if uses[value] == 0
                && let Some(inst) = func.dfg.value_def(value).inst()
            {
                unused.push(inst);
            }
        }
    }
}

/// Whether nobody notices if `inst` does not run, as long as nobody uses its results.
fn is_removable(func: &Function, inst: Inst) -> bool {
    let data = &func.dfg.insts[inst];
    let opcode = data.opcode();
    let in_code = func.layout.inst_block(inst).is_some();
    let harmless = match data {
        InstructionData::Load { opcode: Opcode::Load, .. } => {
            data.memflags_data(&func.dfg).is_some_and(|flags| flags.notrap())
        }
        _ => !opcode.can_load() && !opcode.can_trap(),
    };
    in_code
        && harmless
        && !opcode.can_store()
        && !opcode.is_call()
        && !opcode.is_terminator()
        && !opcode.other_side_effects()
        && !func.dfg.inst_results(inst).is_empty()
}
