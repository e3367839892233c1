//! Redundant phis: removes parameters of blocks that always are the same value.
//!
//! Around nested loops, the translation passes on variables that no round changes: each header
//! gets the parameter of the one outside, or its own. They take registers and moves, and hide
//! induction variables. The code generator's own removal keeps those that come from a parameter that
//! changes.
//!
//! Parameters that pass each other on in a circle are the same value if all of them together are passed
//! only one other. If not, those that are passed nothing from outside of the circle may still be circles
//! among themselves.
//!
//! "Strongly connected components of phi functions" of M. Braun et al., "Simple and Efficient Construction of
//! Static Single Assignment Form", 2013, section 3.2; the components by R. Tarjan, "Depth-First Search and
//! Linear Graph Algorithms", 1972.

use cranelift_codegen::entity::{EntitySet, SecondaryMap};
use cranelift_codegen::ir::{Block, BlockArg, Function, Inst, Value, ValueDef};
use cranelift_codegen::packed_option::PackedOption;

/// Circles inside of one another that are looked at.
const DEEPEST: usize = 16;

/// No parameter.
const NONE: u32 = u32::MAX;

pub(super) fn run(func: &mut Function) {
    let branches = branches(func);
    if branches.is_empty() {
        return;
    }
    let phis = Phis::of(func, &branches);
    let same = Search::new(&phis).same();
    if !same.is_empty() {
        remove(func, &branches, &same);
    }
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

/// Calls `each` for every parameter that a branch passes something on for, with that: none for the
/// result of a call.
fn each_argument(
    func: &Function,
    branches: &[Inst],
    mut each: impl FnMut(Value, PackedOption<Value>),
) {
    let dfg = &func.dfg;
    for branch in branches {
        let calls = dfg.insts[*branch].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        for call in calls {
            let params = dfg.block_params(call.block(&dfg.value_lists));
            for (param, arg) in params.iter().zip(call.args(&dfg.value_lists)) {
                each(*param, arg.as_value().map(|arg| dfg.resolve_aliases(arg)).into());
            }
        }
    }
}

/// The parameters that something is passed on for, by number.
struct Phis {
    values: Vec<Value>,
    numbers: SecondaryMap<Value, u32>,
    /// What is passed on, those for one parameter behind those for the one before; and where those of each
    /// parameter start, with the end of all.
    args: Vec<PackedOption<Value>>,
    starts: Vec<u32>,
}

impl Phis {
    fn of(func: &Function, branches: &[Inst]) -> Phis {
        let mut numbers = SecondaryMap::with_default(NONE);
        numbers.resize(func.dfg.num_values());
        let (mut values, mut starts): (Vec<Value>, Vec<u32>) = (Vec::new(), vec![0]);
        each_argument(func, branches, |param, _| {
            if numbers[param] == NONE {
                numbers[param] = values.len() as u32;
                values.push(param);
                starts.push(0);
            }
            starts[numbers[param] as usize + 1] += 1;
        });
        for phi in 0..values.len() {
            starts[phi + 1] += starts[phi];
        }
        let mut next = starts.clone();
        let mut args = vec![None.into(); starts[values.len()] as usize];
        each_argument(func, branches, |param, arg| {
            let place = &mut next[numbers[param] as usize];
            args[*place as usize] = arg;
            *place += 1;
        });
        Phis { values, numbers, args, starts }
    }

    fn args(&self, phi: u32) -> &[PackedOption<Value>] {
        let phi = phi as usize;
        &self.args[self.starts[phi] as usize..self.starts[phi + 1] as usize]
    }
}

/// The search for circles of parameters that are the same value.
struct Search<'p> {
    phis: &'p Phis,
    /// For each parameter the value that it is the same as, if one was found.
    same: Vec<PackedOption<Value>>,
    /// The set that each is in at present; zero for those that are done.
    sets: Vec<u32>,
    last_set: u32,
    /// When each was met, and the first of those met before that it leads to. Zero if it was not met.
    met: Vec<u32>,
    first: Vec<u32>,
}

impl<'p> Search<'p> {
    fn new(phis: &'p Phis) -> Search<'p> {
        let count = phis.values.len();
        Search {
            phis,
            same: vec![None.into(); count],
            sets: vec![0; count],
            last_set: 0,
            met: vec![0; count],
            first: vec![0; count],
        }
    }

    /// The parameters that are the same as another value, with that.
    fn same(mut self) -> Vec<(Value, Value)> {
        let all: Vec<u32> = (0..self.phis.values.len() as u32).collect();
        self.circles(&all, 0);
        let found = self.phis.values.iter().zip(&self.same);
        found.filter_map(|(param, same)| Some((*param, same.expand()?))).collect()
    }

    /// What an argument is as far as is known: a value, and the parameter that it is.
    fn resolved(&self, arg: Value) -> (Value, Option<u32>) {
        let number = |value: Value| Some(self.phis.numbers[value]).filter(|phi| *phi != NONE);
        let value = number(arg).and_then(|phi| self.same[phi as usize].expand()).unwrap_or(arg);
        (value, number(value))
    }

    fn new_set(&mut self, phis: &[u32]) -> u32 {
        self.last_set += 1;
        phis.iter().for_each(|phi| self.sets[*phi as usize] = self.last_set);
        self.last_set
    }

    /// Looks at each circle of a set of parameters; those that pass something on to it come first.
    fn circles(&mut self, phis: &[u32], depth: usize) {
        let set = self.new_set(phis);
        phis.iter().for_each(|phi| self.met[*phi as usize] = 0);
        let (mut count, mut open, mut path) = (0, Vec::new(), Vec::new());
        for root in phis {
            if self.met[*root as usize] == 0 {
                self.meet(*root, &mut count, &mut open);
                path.push((*root, 0));
            }
            while let Some((phi, place)) = path.last_mut() {
                let this = *phi as usize;
                let Some(arg) = self.phis.args(*phi).get(*place) else {
                    path.pop();
                    if let Some((user, _)) = path.last() {
                        let user = *user as usize;
                        self.first[user] = self.first[user].min(self.first[this]);
                    }
                    if self.first[this] == self.met[this] {
                        let start = open.iter().rposition(|phi| *phi as usize == this);
                        let circle = open.split_off(start.unwrap_or_default());
                        self.circle(&circle, depth);
                    }
                    continue;
                };
                *place += 1;
                let Some((_, Some(next))) = arg.expand().map(|arg| self.resolved(arg)) else {
                    continue;
                };
                if self.sets[next as usize] != set {
                    continue;
                }
                if self.met[next as usize] == 0 {
                    self.meet(next, &mut count, &mut open);
                    path.push((next, 0));
                } else {
                    self.first[this] = self.first[this].min(self.met[next as usize]);
                }
            }
        }
    }

    fn meet(&mut self, phi: u32, count: &mut u32, open: &mut Vec<u32>) {
        *count += 1;
        (self.met[phi as usize], self.first[phi as usize]) = (*count, *count);
        open.push(phi);
    }

    /// Notes that the parameters of a circle are the same value if they are, or looks at circles in it.
    fn circle(&mut self, circle: &[u32], depth: usize) {
        let set = self.new_set(circle);
        let mut one: Option<Value> = None;
        let mut others = false;
        let mut inner = Vec::new();
        for phi in circle {
            let mut is_inner = true;
            for arg in self.phis.args(*phi) {
                let Some(arg) = arg.expand() else {
                    (is_inner, others) = (false, true);
                    continue;
                };
                let (value, number) = self.resolved(arg);
                if number.is_some_and(|phi| self.sets[phi as usize] == set) {
                    continue;
                }
                is_inner = false;
                others |= *one.get_or_insert(value) != value;
            }
            if is_inner {
                inner.push(*phi);
            }
        }
        if !others {
            circle.iter().for_each(|phi| self.same[*phi as usize] = one.into());
        } else if !inner.is_empty() && depth < DEEPEST {
            self.circles(&inner, depth + 1);
        }
        circle.iter().for_each(|phi| self.sets[*phi as usize] = 0);
    }
}

/// Replaces parameters with values.
fn remove(func: &mut Function, branches: &[Inst], same: &[(Value, Value)]) {
    let mut removed: EntitySet<Value> = EntitySet::new();
    let mut blocks: EntitySet<Block> = EntitySet::new();
    for (param, _) in same {
        removed.insert(*param);
        if let ValueDef::Param(block, _) = func.dfg.value_def(*param) {
            blocks.insert(block);
        }
    }
    let dfg = &mut func.dfg;
    let mut kept: Vec<BlockArg> = Vec::new();
    for branch in branches {
        let count =
            dfg.insts[*branch].branch_destination(&dfg.jump_tables, &dfg.exception_tables).len();
        for place in 0..count {
            let calls =
                dfg.insts[*branch].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
            let block = calls[place].block(&dfg.value_lists);
            if !blocks.contains(block) {
                continue;
            }
            let args = dfg.block_params(block).iter().zip(calls[place].args(&dfg.value_lists));
            kept.clear();
            kept.extend(args.filter(|(param, _)| !removed.contains(**param)).map(|(_, arg)| arg));
            let calls = dfg.insts[*branch]
                .branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
            calls[place].clear(&mut dfg.value_lists);
            calls[place].extend(kept.iter().copied(), &mut dfg.value_lists);
        }
    }
    for block in blocks.iter() {
        let params = dfg.detach_block_params(block).as_slice(&dfg.value_lists).to_vec();
        for param in params {
            if !removed.contains(param) {
                dfg.attach_block_param(block, param);
            }
        }
    }
    for (param, value) in same {
        dfg.change_to_alias(*param, *value);
    }
}
