//! Redundant phis: removes parameters of blocks that always are the same value.
//!
//! Around nested loops, the translation passes on variables that no round changes: each header
//! gets the parameter of the one outside, or its own. They take registers and moves, and hide
//! induction variables. The code generator's own removal keeps those that come from a parameter that
//! changes.
//!
//! "Trivial phi functions" of M. Braun et al., "Simple and Efficient Construction of Static Single
//! Assignment Form", 2013, section 3.1.

use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Block, Function, Inst, Value, ValueDef};
use std::collections::BTreeMap;

/// How often parameters are looked for whose last other value has just been removed.
const MOST_TURNS: usize = 16;

pub(super) fn run(func: &mut Function) {
    let branches = branches(func);
    for _ in 0..MOST_TURNS {
        let same = same(func, &branches);
        if same.is_empty() {
            return;
        }
        remove(func, &branches, &same);
    }
}

/// The values that branches pass on for a parameter, besides itself.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Passed {
    #[default]
    Nothing,
    One(Value),
    Others,
}

/// Parameters with only one value besides themselves, and that value.
fn same(func: &Function, branches: &[Inst]) -> Vec<(Value, Value)> {
    let dfg = &func.dfg;
    let mut passed: SecondaryMap<Value, Passed> = SecondaryMap::new();
    passed.resize(dfg.num_values());
    let mut touched = Vec::new();
    for branch in branches {
        let calls = dfg.insts[*branch].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        for call in calls {
            let params = dfg.block_params(call.block(&dfg.value_lists));
            for (param, arg) in params.iter().zip(call.args(&dfg.value_lists)) {
                let arg = arg.as_value().map(|arg| dfg.resolve_aliases(arg));
                if arg == Some(*param) {
                    continue;
                }
                let arg = arg.map_or(Passed::Others, Passed::One);
                let known = &mut passed[*param];
                if *known == Passed::Nothing {
                    touched.push(*param);
                    *known = arg;
                } else if *known != arg {
                    *known = Passed::Others;
                }
            }
        }
    }
    touched.sort_unstable();
    let one = |param: Value| match passed[param] {
        Passed::One(value) => Some((param, value)),
        Passed::Nothing | Passed::Others => None,
    };
    touched.into_iter().filter_map(one).collect()
}

/// The branches that pass on values.
fn branches(func: &Function) -> Vec<Inst> {
    let dfg = &func.dfg;
    let last = func.layout.blocks().filter_map(|block| func.layout.last_inst(block));
    let passes = |branch: &Inst| {
        let calls = dfg.insts[*branch].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        calls.iter().any(|call| call.len(&dfg.value_lists) > 0)
    };
    last.filter(passes).collect()
}

/// Replaces parameters with values.
fn remove(func: &mut Function, branches: &[Inst], same: &[(Value, Value)]) {
    // The places of each block, the last first: removing one moves those behind it.
    let mut places: BTreeMap<Block, Vec<usize>> = BTreeMap::new();
    for (param, _) in same {
        if let ValueDef::Param(block, place) = func.dfg.value_def(*param) {
            places.entry(block).or_default().push(place);
        }
    }
    for places in places.values_mut() {
        places.sort_by_key(|place| std::cmp::Reverse(*place));
    }
    for branch in branches {
        let dfg = &mut func.dfg;
        let lists = &mut dfg.value_lists;
        let calls = dfg.insts[*branch]
            .branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
        for call in calls {
            for place in places.get(&call.block(lists)).into_iter().flatten() {
                call.remove(*place, lists);
            }
        }
    }
    for (param, value) in same {
        func.dfg.remove_block_param(*param);
        func.dfg.change_to_alias(*param, *value);
    }
}
