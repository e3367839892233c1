//! Switch lowering: branch tables whose entries are few ranges become comparisons.
//!
//! A branch through a table compares the index with the table's size, loads from it and jumps to what it has
//! loaded. The processor predicts that by the history of the jump alone, while each comparison has a
//! prediction of its own. Compilers to WebAssembly make tables of all that is dense, also where nearly all
//! entries are the same.
//!
//! R. L. Bernstein, "Producing Good Code for the Case Statement", 1985; LLVM's `LowerSwitch`.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, Function, Inst, InstBuilder, InstructionData, JumpTable, Value,
};

/// Ranges of a table that becomes comparisons.
const MOST_RANGES: usize = 6;

/// Indices that lead to one target: those from `start` up to the next range.
#[derive(Clone, Copy)]
struct Range {
    start: i64,
    target: BlockCall,
}

pub(super) fn run(func: &mut Function) {
    let blocks: Vec<Block> = func.layout.blocks().collect();
    for block in blocks {
        let Some(branch) = func.layout.last_inst(block) else { continue };
        let InstructionData::BranchTable { arg, table, .. } = func.dfg.insts[branch] else {
            continue;
        };
        if let Some(ranges) = ranges(func, table) {
            lower(func, branch, arg, ranges);
        }
    }
}

/// The ranges of a table, ascending, the last without end; `None` if there are too many.
fn ranges(func: &Function, table: JumpTable) -> Option<Vec<Range>> {
    let table = &func.dfg.jump_tables[table];
    let targets = table.as_slice().iter().copied().chain([table.default_block()]);
    let mut ranges: Vec<Range> = Vec::new();
    for (start, target) in (0..).zip(targets) {
        if ranges.last().is_some_and(|last| is_same(func, last.target, target)) {
            continue;
        }
        if ranges.len() == MOST_RANGES {
            return None;
        }
        ranges.push(Range { start, target });
    }
    Some(ranges)
}

/// Whether two branches lead to the same block, and pass on nothing.
fn is_same(func: &Function, one: BlockCall, other: BlockCall) -> bool {
    let lists = &func.dfg.value_lists;
    one.block(lists) == other.block(lists) && one.len(lists) == 0 && other.len(lists) == 0
}

/// Replaces a branch by comparisons of its index.
fn lower(func: &mut Function, branch: Inst, index: Value, ranges: Vec<Range>) {
    let mut block = func.layout.inst_block(branch).expect("a branch of the function");
    let location = func.srcloc(branch);
    func.layout.remove_inst(branch);
    let mut rest = vec![(block, ranges)];
    while let Some((start, ranges)) = rest.pop() {
        if start != block {
            func.layout.insert_block_after(start, block);
            if func.layout.is_cold(block) {
                func.layout.set_cold(start);
            }
            block = start;
        }
        let mut cursor = FuncCursor::new(func).at_bottom(block).with_srcloc(location);
        if let [only] = ranges[..] {
            let args = args(cursor.func, only.target);
            let target = only.target.block(&cursor.func.dfg.value_lists);
            cursor.ins().jump(target, &args);
            continue;
        }
        let (condition, parts) = test(&mut cursor, index, ranges);
        let [yes, no] = parts.map(|part| {
            if let [only] = part[..] {
                let args = args(cursor.func, only.target);
                return (only.target.block(&cursor.func.dfg.value_lists), args);
            }
            let next = cursor.func.dfg.make_block();
            rest.push((next, part));
            (next, Vec::new())
        });
        cursor.ins().brif(condition, yes.0, &yes.1, no.0, &no.1);
    }
}

/// A comparison, and the ranges that are left if it holds, and if not.
fn test(cursor: &mut FuncCursor<'_>, index: Value, ranges: Vec<Range>) -> (Value, [Vec<Range>; 2]) {
    let inner = (1..ranges.len() - 1)
        .find(|place| is_same(cursor.func, ranges[place - 1].target, ranges[place + 1].target));
    if let Some(place) = inner {
        let (start, end) = (ranges[place].start, ranges[place + 1].start);
        let condition = if end - start == 1 {
            cursor.ins().icmp_imm_u(IntCC::Equal, index, start)
        } else {
            let from = cursor.ins().iadd_imm_s(index, -start);
            cursor.ins().icmp_imm_u(IntCC::UnsignedLessThan, from, end - start)
        };
        let inside = vec![ranges[place]];
        let outside = ranges[..place].iter().chain(&ranges[place + 2..]).copied().collect();
        return (condition, [inside, outside]);
    }
    let middle = ranges.len() / 2;
    let limit = ranges[middle].start;
    let condition = cursor.ins().icmp_imm_u(IntCC::UnsignedLessThan, index, limit);
    (condition, [ranges[..middle].to_vec(), ranges[middle..].to_vec()])
}

/// The arguments that a branch passes on.
fn args(func: &Function, target: BlockCall) -> Vec<BlockArg> {
    target.args(&func.dfg.value_lists).collect()
}
