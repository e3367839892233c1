//! Laying pieces of code out in the text, and connecting them.

use crate::arch::x86_64::prologue::FrameStep;
use crate::code::{Code, MappedCall};
use crate::front::index::FuncIndex;
use crate::front::module::Module;
use crate::symbol::Symbol;
use crate::{CompileError, Effort};
use std::collections::HashMap;
use wfaas_abi::artifact::records::{HandlerRecord, StackMapRecord};
use wfaas_abi::artifact::{Site, SiteWriter};
use wfaas_abi::{BoundsStats, FuncRef};

/// Alignment of each piece, in bytes: a line of the cache. The speed of a function then does not depend on the code before it. With 16
/// a loop with a call in it took 2.0 or 1.35 ns a round, as its place happened to be, and with 32 an interpreter took
/// 1.15 of its time.
const ALIGN: usize = 64;

/// Fills the gaps: a trap instruction, should anything ever run into one.
const FILLER: u8 = 0xcc;

/// Most bytes of text: distances in it must fit 32 bits with a sign.
const MAX_TEXT: usize = i32::MAX as usize;

/// The text and everything that refers to places in it.
pub(crate) struct Linked {
    pub(crate) text: Vec<u8>,
    /// The pieces, in order.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) sites: SiteWriter,
    /// Calls with a handler of exceptions, ascending.
    pub(crate) handlers: Vec<HandlerRecord>,
    /// Calls with stack maps, ascending.
    pub(crate) stack_maps: Vec<StackMapRecord>,
    pub(crate) stats: BoundsStats,
    offsets: HashMap<Symbol, u32>,
}

/// A piece of code in the text.
pub(crate) struct Piece {
    pub(crate) symbol: Symbol,
    pub(crate) offset: u32,
    pub(crate) size: u32,
    pub(crate) unwind: Vec<(u32, FrameStep)>,
    /// The way in which it was generated.
    pub(crate) effort: Effort,
}

impl Linked {
    /// The place of a piece, in bytes from the start of the text.
    pub(crate) fn offset(&self, symbol: Symbol) -> Option<u32> {
        self.offsets.get(&symbol).copied()
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
        sites: SiteWriter::default(),
        handlers: Vec::new(),
        stack_maps: Vec::new(),
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
            let target = self.offset(relocation.target);
            let target = target.ok_or_else(|| nothing_for(relocation.target))?;
            let at = start + relocation.offset;
            self.patch(at, i64::from(target) + relocation.addend - i64::from(at))?;
        }
        for place in &code.text_offsets {
            let target = self.offset(place.target).ok_or_else(|| nothing_for(place.target))?;
            let at = (start + place.offset) as usize;
            self.text[at..at + 4].copy_from_slice(&target.to_le_bytes());
        }
        self.add_sites(start, &code)?;
        self.add_handlers(start, &code);
        self.add_stack_maps(start, &code)?;
        self.stats += code.stats;
        let size = code.bytes.len() as u32;
        let Code { symbol, unwind, effort, .. } = code;
        self.pieces.push(Piece { symbol, offset: start, size, unwind, effort });
        Ok(())
    }

    fn patch(&mut self, at: u32, distance: i64) -> Result<(), CompileError> {
        let distance = i32::try_from(distance)
            .map_err(|_| CompileError::Internal(format!("distance {distance} in the text")))?;
        let at = at as usize;
        self.text[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        Ok(())
    }

    fn add_sites(&mut self, start: u32, code: &Code) -> Result<(), CompileError> {
        for site in &code.sites {
            let mut places: Vec<u32> = code.positions.places(site.location).collect();
            places.reverse();
            let site = Site::new(start + site.offset, site.trap, &places);
            self.sites
                .push(&site.ok_or_else(|| CompileError::Internal("inlined too deeply".into()))?);
        }
        Ok(())
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
}

impl Linked {
    fn add_stack_maps(&mut self, start: u32, code: &Code) -> Result<(), CompileError> {
        if code.maps.is_empty() {
            return Ok(());
        }
        let area = code.area.ok_or_else(|| CompileError::Internal("no frame to map".to_owned()))?;
        for site in code.sites.iter().filter(|site| site.trap.is_none()) {
            let is_it = |call: &&MappedCall| call.location == site.location;
            let Some(call) = code.maps.iter().find(is_it) else { continue };
            let twin = Symbol::Twin(call.function);
            let twin_offset = self.offset(twin).ok_or_else(|| nothing_for(twin))?;
            self.stack_maps.push(StackMapRecord {
                return_offset: (start + site.offset + 1).into(),
                twin_offset: twin_offset.into(),
                entry: call.entry.into(),
                locals_below_fp: area.locals.below_fp.into(),
                locals_bytes: area.locals.bytes.into(),
                operands_below_fp: area.operands.below_fp.into(),
                operands_bytes: call.operands_bytes.into(),
            });
        }
        Ok(())
    }
}

fn nothing_for(symbol: Symbol) -> CompileError {
    CompileError::Internal(format!("nothing for {symbol:?}"))
}
