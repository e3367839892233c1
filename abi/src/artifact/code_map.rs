//! The code map of an artifact: from an offset in the text to its function, trap, handler and place
//! in the module.

use super::header::SectionId;
use super::reader::Artifact;
use super::records::{CONTINUED, FunctionRecord, HandlerRecord, NONE};
use super::sites::{Site, Sites};
use crate::trap::TrapCode;

impl<'a> Artifact<'a> {
    /// The handler of the call that returns to `text_offset`.
    pub fn handler_at(&self, text_offset: u32) -> Option<&'a HandlerRecord> {
        let handlers = self.handlers();
        let index = handlers
            .binary_search_by_key(&text_offset, |record| record.return_offset.get())
            .ok()?;
        Some(&handlers[index])
    }

    /// The function that continues a program that waits, if that is what instances do. It is behind those
    /// of the module.
    pub fn continued(&self) -> Option<&'a FunctionRecord> {
        self.functions().last().filter(|record| record.wasm_offset == CONTINUED)
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

    /// The instructions at which guest code can stop.
    pub fn sites(&self) -> Sites<'a> {
        Sites::new(self.records(SectionId::SiteBlocks), self.section(SectionId::Sites))
    }

    /// The instruction at `text_offset`, if guest code can stop there; a call by its last byte.
    pub fn site_at(&self, text_offset: u32) -> Option<Site> {
        self.sites().last_to(text_offset).filter(|site| site.text_offset == text_offset)
    }

    /// The reason for which the instruction at `text_offset` may fault.
    pub fn trap_at(&self, text_offset: u32) -> Option<TrapCode> {
        self.site_at(text_offset)?.trap
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
