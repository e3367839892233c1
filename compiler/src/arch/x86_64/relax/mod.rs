//! Branch relaxation and alignment: laying out the machine code of a function anew.
//!
//! The code generator writes all jumps with distances of four bytes and most numbers with four, and
//! puts them wherever they happen to fall. Here, jumps and numbers get as short as they can be, and
//! their places are chosen:
//!
//! * innermost loops start at a multiple of 32 bytes;
//! * no jump crosses or ends at such a multiple, together with the comparison it is decoded with.
//!   Processors from Skylake to Cascade Lake do not cache the decoded form of a line with one that
//!   does ("Mitigations for Jump Conditional Code Erratum", Intel, 2019): a loop takes up to twice as
//!   long. Others fetch and cache by lines as well. LLVM has it as `-x86-align-branch-boundary`.
//!
//! The instructions and their order stay, but for one in each [`epilogue`] and for jumps that become a [`dispatch`].
//! [`decode`] takes the code apart, [`place`] gives each instruction its new offset, [`write`] puts it together, and with it all that refers to places
//! in it. T. G. Szymanski, "Assembling Code for Machines with Span-Dependent Instructions", 1978.

mod decode;
mod dispatch;
mod epilogue;
mod place;
mod write;

use crate::code::{Code, Site};
use crate::{Pass, Passes};

/// Lays out `code` anew. Its basic blocks start at `blocks`, ascending; `passes` may have more to do with it. Code that cannot be taken apart stays as it is; the code generator is not known to make any.
pub(crate) fn run(code: &mut Code, blocks: &[u32], passes: Passes) {
    match decode::decode(code, blocks) {
        Some(mut unit) => {
            if passes.contains(Pass::Epilogue) {
                epilogue::shorten(&code.bytes, &mut unit.items);
            }
            if passes.contains(Pass::ThreadedDispatch) {
                dispatch::replicate(code, &mut unit);
            }
            place::place(&mut unit);
            write::write(code, &unit);
        }
        None => debug_assert!(false, "cannot take {:?} apart", code.symbol),
    }
}

/// A function that was taken apart.
struct Unit {
    items: Vec<Item>,
    /// Where the entries of all tables lead, as indices of items.
    entries: Vec<u32>,
    /// Copies of instructions that may fault, as indices of items.
    copied: Vec<(u32, Site)>,
}

/// An instruction, a table, or the constants.
#[derive(Clone)]
struct Item {
    /// Offset and length in the old code.
    start: u32,
    /// Where its bytes are in the old code: at `start`, but for copies.
    source: u32,
    len: u32,
    form: Form,
    /// Whether a jump or a table leads here.
    is_target: bool,
    /// Whether the processor decodes it together with a conditional jump that follows.
    fuses: bool,
    /// Offset in the new code, after `filling`, and length there, with `prefixes`.
    offset: u32,
    size: u32,
    /// Bytes of nothing that lie before.
    filling: u8,
    /// Prefixes that mean nothing, to make it longer.
    prefixes: u8,
}

/// The change that an item takes.
#[derive(Clone)]
enum Form {
    /// Nothing.
    Plain,
    /// Nothing, but a relocation belongs to this place.
    Relocated,
    /// It has a number of four bytes at its end for which one is enough, and another opcode for that.
    Narrow(Narrow),
    /// The four bytes at `at` are the distance from the instruction's end to a place in `target`, an
    /// item that is a table or the constants.
    Relative { at: u8, target: u32, within: u32, narrow: Option<Narrow> },
    /// A jump within the function, always or on a condition, to an item.
    Jump { condition: Option<u8>, target: u32, near: bool },
    /// A call: nothing, but it counts as a jump.
    Call,
    /// A return, or a jump to elsewhere: as a call.
    Leaves,
    /// Distances from the table's start to items, four bytes each; the first is that of the unit's
    /// entry `first`.
    Table { first: u32 },
    /// Constants.
    Data,
    /// An instruction that was left out: its length is zero.
    Gone,
}

/// An opcode for numbers of one byte, and its place in the instruction.
#[derive(Clone, Copy)]
struct Narrow {
    at: u8,
    opcode: u8,
}

// There are as many items as instructions, and each is looked at several times.
const _: () = assert!(size_of::<Item>() <= 40);

impl Form {
    fn is_data(&self) -> bool {
        matches!(self, Form::Table { .. } | Form::Data)
    }

    fn is_jump(&self) -> bool {
        matches!(self, Form::Jump { .. } | Form::Call | Form::Leaves)
    }

    fn is_conditional(&self) -> bool {
        matches!(self, Form::Jump { condition: Some(_), .. })
    }
}
