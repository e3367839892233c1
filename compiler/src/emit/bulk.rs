//! Bulk operators of tables and segments. The VM does the work; `memory.copy` and `memory.fill` are in
//! `memory_move`.

use super::{Emitted, FuncEmitter};
use crate::emit::builder::Region;
use crate::symbol::Symbol;
use cranelift_codegen::ir::types::I8;
use cranelift_codegen::ir::{InstBuilder, Value};
use wfaas_abi::Hostcall;

impl FuncEmitter<'_> {
    pub(super) fn visit_memory_init(&mut self, segment: u32, memory: u32) -> Emitted {
        self.copy_range(Hostcall::MemoryInit, memory, segment)
    }

    pub(super) fn visit_table_init(&mut self, segment: u32, table: u32) -> Emitted {
        self.copy_range(Hostcall::TableInit, table, segment)
    }

    pub(super) fn visit_table_copy(&mut self, dst: u32, src: u32) -> Emitted {
        self.copy_range(Hostcall::TableCopy, dst, src)
    }

    /// Calls a hostcall that takes two indices, then where to, where from, and how much.
    fn copy_range(&mut self, call: Hostcall, target: u32, source: u32) -> Emitted {
        let [dst, src, len] = self.pop_range();
        let (target, source) = (self.code.index(target), self.code.index(source));
        self.code.call(Symbol::Hostcall(call), &[target, source, dst, src, len]);
        Ok(())
    }

    /// Pops three operands and extends them to 64 bits.
    fn pop_range(&mut self) -> [Value; 3] {
        let last = self.pop_extended();
        let middle = self.pop_extended();
        [self.pop_extended(), middle, last]
    }

    pub(super) fn visit_table_fill(&mut self, table: u32) -> Emitted {
        let len = self.pop_extended();
        let value = self.pop();
        let dst = self.pop_extended();
        let table = self.code.index(table);
        self.code.call(Symbol::Hostcall(Hostcall::TableFill), &[table, dst, value, len]);
        Ok(())
    }

    pub(super) fn visit_data_drop(&mut self, segment: u32) -> Emitted {
        self.drop_segment(self.code.layout.state.data_dropped, segment)
    }

    pub(super) fn visit_elem_drop(&mut self, segment: u32) -> Emitted {
        self.drop_segment(self.code.layout.state.elem_dropped, segment)
    }

    fn drop_segment(&mut self, first: i32, segment: u32) -> Emitted {
        let one = self.code.ins().iconst(I8, 1);
        // There are at most 100 000 segments.
        self.code.state_store(one, Region::Tables, first + segment as i32);
        Ok(())
    }
}
