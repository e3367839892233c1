//! The records of frames, as a piece of the text.

use super::plan::{Layouts, Plan};
use super::types::SiteTypes;
use super::{HEADER_BYTES, RecordLayout, Site};
use crate::code::{Code, TextOffset};
use crate::front::index::FuncIndex;
use crate::front::module::Module;
use crate::inline::Positions;
use crate::symbol::Symbol;
use crate::{CompileError, Effort};
use wfaas_abi::continuation::{OPERAND_BYTES, SavedFrame};
use wfaas_abi::{BoundsStats, FuncRef, ValType};

/// All records, one behind the other.
pub(crate) fn records(
    module: &Module<'_>,
    plan: &Plan,
    layouts: &Layouts,
) -> Result<Code, CompileError> {
    let mut records = Records { plan, bytes: Vec::new(), text_offsets: Vec::new() };
    for (frame, entry) in &plan.frames {
        let function = FuncIndex::from_u32(frame.function);
        let (layout, types) = (&layouts[&function][*entry], &plan.types[&function][*entry]);
        records.add_header(function, *entry);
        records.add_values(frame, layout, types)?;
    }
    records.add_header(plan.import, 0);
    for import in &plan.imports {
        if module.func_type(*import).params().iter().any(|ty| ty.is_ref()) {
            let site = Site { function: import.as_u32(), offset: 0, operands: 0 };
            return Err(site.error("the import that it waits in takes references"));
        }
    }
    records.bytes.extend_from_slice(&plan.arguments);
    Ok(Code {
        symbol: Symbol::Records,
        bytes: records.bytes,
        relocations: Vec::new(),
        text_offsets: records.text_offsets,
        sites: Vec::new(),
        positions: Positions::none(),
        handlers: Vec::new(),
        unwind: Vec::new(),
        stats: BoundsStats::default(),
        locations: Vec::new(),
        effort: Effort::Usual,
        area: None,
        maps: Vec::new(),
    })
}

struct Records<'p> {
    plan: &'p Plan,
    bytes: Vec<u8>,
    text_offsets: Vec<TextOffset>,
}

impl Records<'_> {
    fn add_header(&mut self, function: FuncIndex, entry: usize) {
        self.add_text_offset(self.bytes.len(), Symbol::Twin(function));
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&(entry as u32).to_le_bytes());
        self.bytes.extend_from_slice(&[0; HEADER_BYTES as usize - 8]);
    }

    fn add_text_offset(&mut self, at: usize, target: Symbol) {
        // Records are smaller than 4 GiB.
        self.text_offsets.push(TextOffset { offset: at as u32, target });
    }

    fn add_values(
        &mut self,
        frame: &SavedFrame,
        layout: &RecordLayout,
        types: &SiteTypes,
    ) -> Result<(), CompileError> {
        let start = self.bytes.len() - HEADER_BYTES as usize;
        let operands = (layout.bytes - layout.operands_at) as usize;
        let locals = (layout.operands_at - HEADER_BYTES) as usize;
        let (Some(locals), Some(operands)) =
            (frame.locals.get(..locals), frame.operands.get(..operands))
        else {
            return Err(CompileError::Internal("a frame that lacks values".to_owned()));
        };
        self.bytes.extend_from_slice(locals);
        self.bytes.extend_from_slice(operands);
        for (index, ty) in &types.local_references {
            // Locals that are never used have no place.
            let known = layout.locals.binary_search_by_key(index, |(index, _)| *index);
            if let Ok(known) = known {
                self.translate(start + layout.locals[known].1 as usize, *ty, types)?;
            }
        }
        for (place, ty) in &types.operand_references {
            let at = layout.operands_at + place * OPERAND_BYTES;
            self.translate(start + at as usize, *ty, types)?;
        }
        Ok(())
    }

    /// Makes the reference at `at` one of the code that continues.
    fn translate(&mut self, at: usize, ty: ValType, types: &SiteTypes) -> Result<(), CompileError> {
        let bits = self.bytes[at..].first_chunk().map_or(0, |bits| u64::from_le_bytes(*bits));
        if bits == 0 {
            return Ok(());
        }
        let refuse = |reason| Err(types.site.error(reason));
        if ty.is_extern_ref() {
            return refuse("it holds a reference to a host object");
        }
        if ty.is_exn_ref() {
            return refuse("it holds an exception");
        }
        let reference = FuncRef::from_bits(bits);
        if reference.is_foreign() {
            return refuse("it holds a reference to a function of another instance or of the host");
        }
        match self.plan.text_offsets.binary_search(&reference.code) {
            Ok(index) => {
                let function = Symbol::Func(FuncIndex::from_u32(index as u32));
                self.add_text_offset(at, function);
                Ok(())
            }
            Err(_) => refuse("it holds a reference to no function"),
        }
    }
}
