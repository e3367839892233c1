//! Continuations: the frames of a program that waits, as WebAssembly values.
//!
//! ```text
//!   frame, outermost first:   function | site | locals, 8 bytes each, vectors 16 | operands, 16 bytes each
//! ```
//!
//! A *site* is the call that a frame is in, by its offset in the module. The innermost frame is the
//! one of the imported function that the program waits in: it has no site, and its locals are the
//! arguments. No address is in a frame but the ones of function references, which are offsets in
//! the text of the code that was recorded.

/// The place in its frame where code of a function that is to be recorded keeps its locals and
/// operands whenever it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameArea {
    /// The locals.
    pub locals: Extent,
    /// The operands.
    pub operands: Extent,
}

/// Consecutive bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// How many bytes below the frame pointer they begin.
    pub below_fp: u32,
    /// How many they are.
    pub bytes: u32,
}

/// A frame that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFrame {
    /// Index of the function.
    pub function: u32,
    /// Offset in the module of the call that it is in; zero in the innermost frame.
    pub site: u32,
    /// The locals.
    pub locals: Vec<u8>,
    /// The operands, up to the most that the function ever has.
    pub operands: Vec<u8>,
}

/// Bytes of a record before the values: offset in the text of the code that goes on with it, number of the entry there,
/// and zeros.
pub const RECORD_HEADER_BYTES: u32 = 16;

/// Most bytes of all records together: as many as a stack has.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// Bytes of an operand, whatever its type.
pub const OPERAND_BYTES: u32 = 16;

/// Bytes of a local that is no vector. A vector takes two such cells.
pub const LOCAL_BYTES: u32 = 8;
