//! Laying pieces of code out in the text, and connecting them.

use crate::CompileError;
use crate::arch::x86_64::prologue::FrameStep;
use crate::code::Code;
use crate::front::index::FuncIndex;
use crate::front::module::Module;
use crate::front::names;
use crate::symbol::Symbol;
use std::collections::HashMap;
use wfaas_abi::artifact;
use wfaas_abi::artifact::records::{HandlerRecord, NONE, SourceRecord, TrapRecord};
use wfaas_abi::{BoundsStats, FuncRef};

/// Alignment of each piece, in bytes: what the processor fetches at once. With 16 a loop with a call
/// in it took 2.0 or 1.35 ns a round, as its place happened to be.
const ALIGN: usize = 32;

/// Fills the gaps: a trap instruction, should anything ever run into one.
const FILLER: u8 = 0xcc;

/// Most bytes of text: distances in it must fit 32 bits with a sign.
const MAX_TEXT: usize = i32::MAX as usize;

/// The text and everything that refers to places in it.
pub(crate) struct Linked {
    pub(crate) text: Vec<u8>,
    /// The pieces, in order.
    pub(crate) pieces: Vec<Piece>,
    /// Instructions that may fault, ascending.
    pub(crate) traps: Vec<TrapRecord>,
    /// Where code comes from, ascending.
    pub(crate) sources: Vec<SourceRecord>,
    /// Calls with a handler of exceptions, ascending.
    pub(crate) handlers: Vec<HandlerRecord>,
    pub(crate) stats: BoundsStats,
    offsets: HashMap<Symbol, u32>,
}

/// A piece of code in the text.
pub(crate) struct Piece {
    pub(crate) symbol: Symbol,
    pub(crate) offset: u32,
    pub(crate) size: u32,
    pub(crate) unwind: Vec<(u32, FrameStep)>,
}

impl Linked {
    /// The place of a piece, in bytes from the start of the text.
    pub(crate) fn offset(&self, symbol: Symbol) -> Option<u32> {
        self.offsets.get(&symbol).copied()
    }

    /// The symbol table, in the order of the text.
    pub(crate) fn symbols(&self, module: &Module<'_>) -> Vec<artifact::Symbol> {
        let names = names::of_functions(module);
        let symbol = |piece: &Piece| artifact::Symbol {
            name: piece.symbol.name(module, &names),
            offset: piece.offset,
            size: piece.size,
        };
        self.pieces.iter().map(symbol).collect()
    }

    /// A reference to function `index`.
    pub(crate) fn func_ref(&self, module: &Module<'_>, index: FuncIndex) -> FuncRef {
        // All functions of the index space are in the text.
        module.func_ref(index, self.offsets[&Symbol::Func(index)])
    }
}

/// Puts the pieces into the text, in the order given.
pub(crate) fn link(code: Vec<Code>) -> Result<Linked, CompileError> {
    let offsets = place(&code)?;
    let mut linked = Linked {
        text: Vec::new(),
        pieces: Vec::with_capacity(code.len()),
        traps: Vec::new(),
        sources: Vec::new(),
        handlers: Vec::new(),
        stats: BoundsStats::default(),
        offsets,
    };
    for code in code {
        linked.text.resize(linked.text.len().next_multiple_of(ALIGN), FILLER);
        linked.append(code)?;
    }
    Ok(linked)
}

/// The offset of each piece.
fn place(code: &[Code]) -> Result<HashMap<Symbol, u32>, CompileError> {
    let mut end = 0;
    let mut offsets = HashMap::with_capacity(code.len());
    for piece in code {
        let start = usize::next_multiple_of(end, ALIGN);
        end = start + piece.bytes.len();
        if end > MAX_TEXT {
            return Err(CompileError::TooLarge {
                what: "the machine code in bytes",
                actual: end as u64,
                limit: MAX_TEXT as u64,
            });
        }
        offsets.insert(piece.symbol, start as u32);
    }
    Ok(offsets)
}

impl Linked {
    fn append(&mut self, code: Code) -> Result<(), CompileError> {
        let start = self.text.len() as u32; // below MAX_TEXT, see `place`
        self.text.extend_from_slice(&code.bytes);
        for relocation in &code.relocations {
            let target = self.offset(relocation.target).ok_or_else(|| {
                CompileError::Internal(format!("nothing for {:?}", relocation.target))
            })?;
            let at = start + relocation.offset;
            self.patch(at, i64::from(target) + relocation.addend - i64::from(at))?;
        }
        self.add_traps(start, &code);
        self.add_sources(start, &code);
        self.add_handlers(start, &code);
        self.stats += code.stats;
        let size = code.bytes.len() as u32;
        self.pieces.push(Piece { symbol: code.symbol, offset: start, size, unwind: code.unwind });
        Ok(())
    }

    fn patch(&mut self, at: u32, distance: i64) -> Result<(), CompileError> {
        let distance = i32::try_from(distance)
            .map_err(|_| CompileError::Internal(format!("distance {distance} in the text")))?;
        let at = at as usize;
        self.text[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        Ok(())
    }

    fn add_traps(&mut self, start: u32, code: &Code) {
        let mut traps = code.traps.clone();
        traps.sort_by_key(|(offset, code)| (*offset, *code as u8));
        traps.dedup_by_key(|(offset, _)| *offset);
        self.traps.extend(traps.iter().map(|(offset, code)| TrapRecord {
            text_offset: (start + offset).into(),
            code: u32::from(*code as u8).into(),
        }));
    }

    fn add_handlers(&mut self, start: u32, code: &Code) {
        let first = self.handlers.len();
        self.handlers.extend(code.handlers.iter().map(|handler| HandlerRecord {
            return_offset: (start + handler.return_offset).into(),
            handler_offset: (start + handler.handler_offset).into(),
            frame_bytes: handler.frame_bytes.into(),
        }));
        self.handlers[first..].sort_by_key(|handler| handler.return_offset.get());
    }

    fn add_sources(&mut self, start: u32, code: &Code) {
        let mut end = 0;
        for (range, location) in &code.sources {
            if range.start > end || end == 0 {
                self.add_source(start + end, NONE);
            }
            self.add_source(start + range.start, *location);
            end = range.end;
        }
        if (end as usize) < code.bytes.len() {
            self.add_source(start + end, NONE);
        }
    }

    /// From `text_offset` on, code comes from `wasm_offset`.
    fn add_source(&mut self, text_offset: u32, wasm_offset: u32) {
        if self.sources.last().is_some_and(|last| last.text_offset.get() == text_offset) {
            self.sources.pop();
        }
        if self.sources.last().is_some_and(|last| last.wasm_offset.get() == wasm_offset) {
            return;
        }
        self.sources.push(SourceRecord {
            text_offset: text_offset.into(),
            wasm_offset: wasm_offset.into(),
        });
    }
}
