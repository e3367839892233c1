//! Machine code of one piece, and the notes about places in it.

use crate::Effort;
use crate::arch::x86_64::prologue::FrameStep;
use crate::front::index::FuncIndex;
use crate::inline::Positions;
use crate::symbol::Symbol;
use cranelift_codegen::ir::SourceLoc;
use wfaas_abi::continuation::FrameArea;
use wfaas_abi::{BoundsStats, TrapCode};

/// Machine code of one piece, with offsets from its start.
pub(crate) struct Code {
    pub(crate) symbol: Symbol,
    pub(crate) bytes: Vec<u8>,
    pub(crate) relocations: Vec<Relocation>,
    /// Instructions that may fault, and calls, ascending.
    pub(crate) sites: Vec<Site>,
    /// Positions of the inlined code.
    pub(crate) positions: Positions,
    /// Calls that exceptions may end.
    pub(crate) handlers: Vec<Handler>,
    /// The steps of the prologue, each with the offset behind its instruction.
    pub(crate) unwind: Vec<(u32, FrameStep)>,
    pub(crate) stats: BoundsStats,
    /// Where ranges of instructions start, and the location that they come from; empty unless asked
    /// for.
    pub(crate) locations: Vec<(u32, SourceLoc)>,
    /// Places that hold offsets in the text.
    pub(crate) text_offsets: Vec<TextOffset>,
    /// The way in which it was generated.
    pub(crate) effort: Effort,
    /// Where its frame keeps locals and operands, if it is to be recorded, or has stack maps.
    pub(crate) area: Option<FrameArea>,
    /// The calls that have stack maps.
    pub(crate) maps: Vec<MappedCall>,
}

/// A call at which a program may wait again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MappedCall {
    /// Its offset in the module, as a source location has it.
    pub(crate) location: SourceLoc,
    /// The function that it is in.
    pub(crate) function: FuncIndex,
    /// The number of the twin's entry behind it.
    pub(crate) entry: u32,
    /// Bytes of the operands that are alive.
    pub(crate) operands_bytes: u32,
}

/// An instruction at which guest code can stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    /// Offset of the instruction that may fault, or of a call's last byte.
    pub(crate) offset: u32,
    /// The reason of the fault; `None` for a call.
    pub(crate) trap: Option<TrapCode>,
    /// The offset in the module that it comes from, or its position.
    pub(crate) location: SourceLoc,
}

/// The way to go on if a call ends with an exception.
pub(crate) struct Handler {
    /// Offset of the call's return address.
    pub(crate) return_offset: u32,
    /// Offset of where to go on.
    pub(crate) handler_offset: u32,
    /// Bytes from the stack pointer up to the frame pointer there.
    pub(crate) frame_bytes: u32,
}

/// Four bytes at `offset` that have to become the distance from there to `target` plus `addend`.
pub(crate) struct Relocation {
    pub(crate) offset: u32,
    pub(crate) target: Symbol,
    pub(crate) addend: i64,
}

/// Four bytes at `offset` that have to become the place of `target` in the text.
pub(crate) struct TextOffset {
    pub(crate) offset: u32,
    pub(crate) target: Symbol,
}
