//! The code map of an artifact: from an offset in the text to its function, trap, handler and place
//! in the module.

use super::header::SectionId;
use super::reader::Artifact;
use super::records::{FunctionRecord, HandlerRecord, INLINED, InlinedRecord, NONE};

impl<'a> Artifact<'a> {
    /// The handler of the call that returns to `text_offset`.
    pub fn handler_at(&self, text_offset: u32) -> Option<&'a HandlerRecord> {
        let handlers = self.handlers();
        let index = handlers
            .binary_search_by_key(&text_offset, |record| record.return_offset.get())
            .ok()?;
        Some(&handlers[index])
    }

    /// The function with the code at `text_offset`, with its index.
    pub fn function_at(&self, text_offset: u32) -> Option<(u32, &'a FunctionRecord)> {
        let functions = self.functions();
        let after = functions.partition_point(|record| record.text_offset.get() <= text_offset);
        let index = after.checked_sub(1)?;
        let record = &functions[index];
        let inside = text_offset - record.text_offset.get() < record.text_size.get();
        inside.then_some((index as u32, record))
    }

    /// The reason for which the instruction at `text_offset` may fault, as a number of `TrapCode`.
    pub fn trap_at(&self, text_offset: u32) -> Option<u32> {
        let traps = self.traps();
        let index =
            traps.binary_search_by_key(&text_offset, |record| record.text_offset.get()).ok()?;
        Some(traps[index].code.get())
    }

    /// The place in the module, in bytes, from which the code at `text_offset` comes. If it was
    /// inlined, the place of the call comes next, and so on.
    pub fn wasm_offsets_at(&self, text_offset: u32) -> impl Iterator<Item = u32> {
        let map = self.source_map();
        let after = map.partition_point(|record| record.text_offset.get() <= text_offset);
        let record = after.checked_sub(1).map(|index| &map[index]);
        let inlined: &[InlinedRecord] = self.records(SectionId::Inlined);
        // A record refers to a record before it, so this ends.
        let mut next = record.map(|record| (record.wasm_offset.get(), inlined));
        std::iter::from_fn(move || {
            let (place, inlined) = next.take().filter(|(place, _)| *place != NONE)?;
            if place & INLINED == 0 {
                return Some(place);
            }
            let index = (place & !INLINED) as usize;
            let record = inlined.get(index)?;
            next = Some((record.call.get(), &inlined[..index]));
            Some(record.wasm_offset.get())
        })
    }

    /// The function with the operator at `wasm_offset`, with its index.
    pub fn function_with(&self, wasm_offset: u32) -> Option<(u32, &'a FunctionRecord)> {
        let functions = self.functions();
        let is_import = |record: &FunctionRecord| record.wasm_offset == NONE;
        let imports = functions.partition_point(is_import);
        let after =
            functions[imports..].partition_point(|record| record.wasm_offset.get() <= wasm_offset);
        let index = imports + after.checked_sub(1)?;
        Some((index as u32, &functions[index]))
    }
}
