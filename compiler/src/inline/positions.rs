//! Where inlined code comes from.
//!
//! A source location is the offset of an operator in the module. A location of inlined code is
//! [marked](MARK) and is an index of the function's [`Positions`], where the call is noted as well:
//! an offset, or marked again. The artifact has all places of a site in its [record](wfaas_abi::artifact::Site).

use super::Callee;
use crate::front::index::FuncIndex;
use cranelift_codegen::ir::{Block, Function, SourceLoc};
use std::ops::Range;
use wfaas_abi::artifact::MAX_PLACES;

/// The bit of a source location that marks inlined code. The code generator's locations have 31 bits,
/// and a module at most 2^30 bytes.
const MARK: u32 = 1 << 30;
const _: () = assert!(crate::front::parse::MAX_MODULE_BYTES <= MARK as usize);

// One more place than copies are deep in one another.
const _: () = assert!(super::MOST_ROUNDS < MAX_PLACES);

/// Where a piece of inlined code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Position {
    /// Offset of the operator in the module.
    offset: u32,
    /// The source location of the call in whose place it is.
    call: u32,
    /// The function it was copied from.
    function: FuncIndex,
}

/// The positions of the inlined code in a function.
pub(crate) struct Positions {
    /// `None` for code that is no guest function.
    function: Option<FuncIndex>,
    list: Vec<Position>,
}

/// A copy of a callee, in the place of a call.
pub(super) struct Copied<'c> {
    pub(super) index: FuncIndex,
    pub(super) callee: &'c Callee,
    /// The first of the caller's blocks that is a copy: they are in the order of their
    /// numbers.
    pub(super) first_block: usize,
    /// Source location of the call.
    pub(super) call: SourceLoc,
}

impl Copied<'_> {
    /// The blocks of the copy and the one that it returns to.
    pub(super) fn blocks(&self) -> Range<usize> {
        self.first_block..self.first_block + self.callee.function.dfg.num_blocks() + 1
    }
}

impl Positions {
    /// The positions of a function without inlined code so far.
    pub(crate) fn of(function: FuncIndex) -> Positions {
        Positions { function: Some(function), list: Vec::new() }
    }

    /// No positions, for code that is no guest function.
    pub(crate) fn none() -> Positions {
        Positions { function: None, list: Vec::new() }
    }

    /// Whether code of `function` is at `location` or called it, in the same machine code.
    pub(super) fn is_inside(&self, location: SourceLoc, function: FuncIndex) -> bool {
        let mut next = self.position(location.bits());
        while let Some(position) = next {
            if position.function == function {
                return true;
            }
            next = self.position(position.call);
        }
        self.function == Some(function)
    }

    /// The offsets in the module that code at `location` comes from, innermost first.
    pub(crate) fn places(&self, location: SourceLoc) -> impl Iterator<Item = u32> {
        let mut next = (!location.is_default()).then_some(location.bits());
        std::iter::from_fn(move || {
            let location = next.take()?;
            let Some(position) = self.position(location) else { return Some(location) };
            next = Some(position.call);
            Some(position.offset)
        })
    }

    fn position(&self, location: u32) -> Option<Position> {
        marked(location).map(|index| self.list[index])
    }

    /// Gives the instructions of a copy their source locations, which the code generator does
    /// not.
    pub(super) fn locate(&mut self, caller: &mut Function, copied: &Copied<'_>) {
        let (callee, call) = (&copied.callee.function, copied.call.bits());
        // A callee is small.
        let mut known: Vec<(u32, u32)> = Vec::new();
        for block in callee.layout.blocks() {
            let copy = Block::from_u32(copied.first_block as u32 + block.as_u32());
            // What control cannot get to was not copied.
            if !caller.layout.is_block_inserted(copy) {
                continue;
            }
            let mut next = caller.layout.first_inst(copy);
            for inst in callee.layout.block_insts(block) {
                let Some(copy) = next else { break };
                next = caller.layout.next_inst(copy);
                let location = callee.srcloc(inst);
                if location == SourceLoc::default() {
                    continue;
                }
                let offset = location.bits();
                let noted = known.iter().rev().find(|(noted, _)| *noted == offset).copied();
                let (_, location) = noted.unwrap_or_else(|| {
                    let location = (offset, MARK | self.list.len() as u32);
                    self.list.push(Position { offset, call, function: copied.index });
                    known.push(location);
                    location
                });
                caller.set_srcloc(copy, SourceLoc::new(location));
            }
        }
    }
}

/// The index of the position that a source location refers to, if it is marked.
fn marked(location: u32) -> Option<usize> {
    let is_marked = location & MARK != 0 && location != SourceLoc::default().bits();
    is_marked.then_some((location & !MARK) as usize)
}
