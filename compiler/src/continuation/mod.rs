//! Programs that wait: recording their frames, and code that goes on with them.
//!
//! A module is compiled twice. [`compile_recorded`](crate::compile_recorded) makes code that keeps
//! locals and operands in its frames, in places that are [known](wfaas_abi::continuation::FrameArea); a program that runs it
//! to its wait point leaves a list of [frames](SavedFrame). [`compile_continued`](crate::compile_continued)
//! makes the usual code, and besides it a *record* of each frame and a *twin* of each function among them:
//!
//! ```text
//!   | code of twin | entry |  8 zeros  | locals, 8 or 16 bytes each | operands, 16 bytes each |
//!   0              4       8           16
//! ```
//!
//! A twin takes the address of its record, goes on behind the call that the function was in, and
//! gets the results of that call from the twin of the record behind: the frame further in. The
//! innermost record is one of an import's arguments, and its twin makes the call again. Records are
//! never written to. They lie behind the code, so an instance needs no memory for them, and no guest
//! can see them.
//!
//! A program that is to be captured again when it [waits again](Continuation::again) has *stack maps*: functions that may be
//! under way then, and their twins, copy locals and operands to known places of their frames before such a call. The VM makes
//! records of them, of the form above, and another instance goes on with those instead.
//!
//! Frames as values, so that optimised code can go on with them: D. Bonetta et al. call it on-stack
//! replacement; the checks that find a frame's values are V8's deoptimisation run backwards.

mod alike;
mod maps;
mod plan;
mod records;
mod twins;
mod types;

pub(crate) use alike::Alike;
pub(crate) use maps::IN_IMPORT;
pub(crate) use plan::Plan;
pub(crate) use records::records;

use crate::CompileError;
pub(crate) use wfaas_abi::continuation::RECORD_HEADER_BYTES as HEADER_BYTES;
use wfaas_abi::continuation::SavedFrame;

/// A program that waits: what the run of its recorded code left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    /// The exported function that was called. In the code that continues, it goes on from here.
    pub export: String,
    /// The frames, outermost first. The last is of the import that it waits in.
    pub frames: Vec<SavedFrame>,
    /// The place of each function in the recorded text, to understand function references.
    pub text_offsets: Vec<u32>,
    /// Frames of other moments at which it waits, if it is to be captured when it waits again: there, or where it waits now.
    pub again: Option<Vec<WaitSite>>,
}

/// A call that a frame is in while the program waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitSite {
    /// Index of the function.
    pub function: u32,
    /// Offset of the call in the module; zero in an import.
    pub offset: u32,
}

impl WaitSite {
    /// The call that a frame is in.
    pub fn of(frame: &SavedFrame) -> WaitSite {
        WaitSite { function: frame.function, offset: frame.site }
    }
}

/// The reason for which a module is compiled.
#[derive(Clone, Copy)]
pub(crate) enum Purpose<'c> {
    /// To run.
    Usual,
    /// To run until it waits, and to have its frames recorded there.
    Recorded,
    /// To go on from there.
    Continued(&'c Plan),
}

/// Where the number of the entry is in a record.
pub(crate) const ENTRY_AT: u32 = 4;

/// A twin to make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Twin {
    /// The sites to go on behind, in the order of the entries.
    pub(crate) sites: Vec<Site>,
    /// The locals that are alike in all frames.
    pub(crate) alike: Alike,
}

/// A call that a frame is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Site {
    /// Index of the function.
    pub(crate) function: u32,
    /// Offset of the call in the module.
    pub(crate) offset: u32,
    /// Operands below its own, as validation counts them.
    pub(crate) operands: u32,
}

impl Site {
    /// An error about a frame that is here.
    pub(crate) fn error(&self, reason: &'static str) -> CompileError {
        let Site { function, offset, .. } = *self;
        CompileError::NotContinuable { function, offset: offset.into(), reason }
    }
}

/// The places of values in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordLayout {
    /// Indices and offsets of the locals that are there.
    pub(crate) locals: Vec<(u32, u32)>,
    /// Offset of the operands.
    pub(crate) operands_at: u32,
    /// Bytes of the record.
    pub(crate) bytes: u32,
}
