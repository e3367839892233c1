//! Single elements and sizes of tables: inline for defined tables, by hostcall for imported ones,
//! whose elements are in their owner's terms.

use super::{Emitted, FuncEmitter};
use crate::emit::builder::Region;
use crate::front::index::{DefinedTable, TableIndex};
use crate::symbol::Symbol;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use wfaas_abi::state::ELEMENT_BYTES;
use wfaas_abi::{Hostcall, TrapCode};

impl FuncEmitter<'_> {
    pub(super) fn visit_table_get(&mut self, table: u32) -> Emitted {
        let table = TableIndex::from_u32(table);
        let index = self.pop_extended();
        let value = self.table_element(table, index, TrapCode::TableOutOfBounds);
        self.push(value);
        Ok(())
    }

    pub(super) fn visit_table_set(&mut self, table: u32) -> Emitted {
        let table = TableIndex::from_u32(table);
        let value = self.pop();
        let index = self.pop_extended();
        match self.code.module.defined_table(table) {
            Some(defined) => {
                let address = self.element_address(defined, index, TrapCode::TableOutOfBounds);
                let flags = self.code.trusted(Region::Tables);
                let offset = self.code.layout.table_elements(defined);
                self.code.ins().store(flags, value, address, offset);
            }
            None => {
                let table = self.code.index(table.as_u32());
                self.code.call(Symbol::Hostcall(Hostcall::TableSet), &[table, index, value]);
            }
        }
        Ok(())
    }

    pub(super) fn visit_table_size(&mut self, table: u32) -> Emitted {
        let table = TableIndex::from_u32(table);
        let size = self.table_size(table);
        self.push_size(size, self.code.module.tables[table].limits.index64);
        Ok(())
    }

    pub(super) fn visit_table_grow(&mut self, table: u32) -> Emitted {
        let table = TableIndex::from_u32(table);
        let delta = self.pop_extended();
        let value = self.pop();
        let index = self.code.index(table.as_u32());
        let old = self.code.hostcall(Hostcall::TableGrow, &[index, value, delta]);
        self.push_size(old, self.code.module.tables[table].limits.index64);
        Ok(())
    }

    /// Element `index` (64 bits) of a table; `outside` is raised if there is none.
    pub(super) fn table_element(
        &mut self,
        table: TableIndex,
        index: Value,
        outside: TrapCode,
    ) -> Value {
        if let Some(defined) = self.code.module.defined_table(table) {
            let address = self.element_address(defined, index, outside);
            let flags = self.code.trusted(Region::Tables);
            let offset = self.code.layout.table_elements(defined);
            return self.code.ins().load(I64, flags, address, offset);
        }
        if outside != TrapCode::TableOutOfBounds {
            // The hostcall checks the index too, but raises its own trap.
            let size = self.table_size(table);
            let is_outside = self.code.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, size);
            self.code.trap_if(is_outside, outside);
        }
        let table = self.code.index(table.as_u32());
        self.code.hostcall(Hostcall::TableGet, &[table, index])
    }

    /// BASE plus the bytes before element `index` of a defined table, after a check that the
    /// element exists. A processor that mispredicts the check gets element 0.
    fn element_address(&mut self, defined: DefinedTable, index: Value, outside: TrapCode) -> Value {
        let size = self.defined_table_size(defined);
        let is_outside = self.code.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, size);
        self.code.trap_if(is_outside, outside);
        let zero = self.code.iconst(0);
        let index = self.code.ins().select_spectre_guard(is_outside, zero, index);
        let bytes = self.code.ins().ishl_imm_u(index, i64::from(ELEMENT_BYTES.trailing_zeros()));
        let base = self.code.base();
        self.code.ins().iadd(base, bytes)
    }

    /// The number of elements, 64 bits.
    fn table_size(&mut self, table: TableIndex) -> Value {
        match self.code.module.defined_table(table) {
            Some(defined) => self.defined_table_size(defined),
            None => {
                let table = self.code.index(table.as_u32());
                self.code.hostcall(Hostcall::TableSize, &[table])
            }
        }
    }

    fn defined_table_size(&mut self, defined: DefinedTable) -> Value {
        let limits = self.code.module.table(defined).limits;
        if limits.maximum == Some(limits.minimum) {
            // At most 10 million.
            return self.code.iconst(limits.minimum as i64);
        }
        let offset = self.code.layout.table_size(defined);
        self.code.state_load(I64, Region::Tables, offset)
    }
}
