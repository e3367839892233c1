//! Loads, stores, and the size of memories.
//!
//! An access is `[BASE + index + offset]`, without a check: a 32-bit index plus an offset that is
//! small enough stays inside the slot's reservation, where everything outside the memory faults.

use super::{Emitted, FuncEmitter};
use crate::CompileError;
use crate::builder::Region;
use crate::target::clif_trap;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value};
use std::mem::offset_of;
use wasmparser::{MemArg, MemArgTarget};
use wfaas_abi::context::MemoryImport;
use wfaas_abi::layout::{UNCHECKED_OFFSET_LIMIT, WASM_PAGE};
use wfaas_abi::state::MEMORY_PAGES_OFFSET;
use wfaas_abi::{Hostcall, TrapCode};

/// Loads: the type in memory, the instruction, and the type it widens to if it has a choice.
macro_rules! loads {
    ($($visit:ident = $ty:expr, $instruction:ident($($result:expr)?);)*) => {
        impl FuncEmitter<'_> {
            $(pub(super) fn $visit(&mut self, memarg: MemArg) -> Emitted {
                let index = self.pop();
                let (address, offset) = self.address(memarg, index, $ty)?;
                let flags = self.guest_flags();
                let value = self.code.ins().$instruction($($result,)? flags, address, offset);
                self.push(value);
                Ok(())
            })*
        }
    };
}

loads! {
    visit_i32_load = I32, load(I32);
    visit_i64_load = I64, load(I64);
    visit_f32_load = F32, load(F32);
    visit_f64_load = F64, load(F64);
    visit_i32_load8_s = I8, sload8(I32);
    visit_i32_load8_u = I8, uload8(I32);
    visit_i32_load16_s = I16, sload16(I32);
    visit_i32_load16_u = I16, uload16(I32);
    visit_i64_load8_s = I8, sload8(I64);
    visit_i64_load8_u = I8, uload8(I64);
    visit_i64_load16_s = I16, sload16(I64);
    visit_i64_load16_u = I16, uload16(I64);
    visit_i64_load32_s = I32, sload32();
    visit_i64_load32_u = I32, uload32();
}

/// Stores: the type in memory.
macro_rules! stores {
    ($($visit:ident = $ty:expr;)*) => {
        impl FuncEmitter<'_> {
            $(pub(super) fn $visit(&mut self, memarg: MemArg) -> Emitted {
                self.store(memarg, $ty)
            })*
        }
    };
}

stores! {
    visit_i32_store = I32;
    visit_i64_store = I64;
    visit_f32_store = F32;
    visit_f64_store = F64;
    visit_i32_store8 = I8;
    visit_i32_store16 = I16;
    visit_i64_store8 = I8;
    visit_i64_store16 = I16;
    visit_i64_store32 = I32;
}

impl FuncEmitter<'_> {
    pub(super) fn store(&mut self, memarg: MemArg, ty: Type) -> Emitted {
        let (index, value) = self.pop2();
        let (address, offset) = self.address(memarg, index, ty)?;
        let flags = self.guest_flags();
        let narrower = self.code.blocks().func.dfg.value_type(value).bytes() > ty.bytes();
        let value = if narrower { self.code.ins().ireduce(ty, value) } else { value };
        self.code.ins().store(flags, value, address, offset);
        Ok(())
    }

    /// Flags for accesses that fault where the memory ends.
    pub(super) fn guest_flags(&mut self) -> MemFlagsData {
        let region = self.code.alias_region(Region::Memory);
        MemFlagsData::new()
            .with_endianness(Endianness::Little)
            .with_trap_code(Some(clif_trap(TrapCode::MemoryOutOfBounds)))
            .with_alias_region(Some(region))
    }

    /// Where an access of type `ty` goes: an address, and an offset for the instruction.
    pub(super) fn address(
        &mut self,
        memarg: MemArg,
        index: Value,
        ty: Type,
    ) -> Result<(Value, i32), CompileError> {
        let MemArgTarget::Memory(memory) = memarg.target else {
            return Err(CompileError::Internal("an access to an array".to_owned()));
        };
        self.stats.accesses += 1;
        let index = self.code.ins().uextend(I64, index);
        let size = u64::from(ty.bytes());
        if memarg.offset + size <= UNCHECKED_OFFSET_LIMIT {
            self.stats.elided_by_guard += 1;
            let base = self.memory_base(memory);
            // The limit is below 2 GiB.
            return Ok((self.code.ins().iadd(base, index), memarg.offset as i32));
        }
        self.stats.checked += 1;
        let start = self.code.ins().iadd_imm_s(index, memarg.offset as i64);
        let end = self.code.ins().iadd_imm_s(start, size as i64);
        let pages = self.memory_pages(memory);
        let bytes = self.code.ins().ishl_imm_u(pages, i64::from(WASM_PAGE.trailing_zeros()));
        let outside = self.code.ins().icmp(IntCC::UnsignedGreaterThan, end, bytes);
        self.code.trap_if(outside, TrapCode::MemoryOutOfBounds);
        let base = self.memory_base(memory);
        Ok((self.code.ins().iadd(base, start), 0))
    }

    /// The address of a memory's first byte.
    fn memory_base(&mut self, memory: u32) -> Value {
        match self.code.module.defined_memory(memory) {
            Some(_) => self.code.base(),
            None => self.memory_import(memory, offset_of!(MemoryImport, base)),
        }
    }

    /// The size of a memory in WebAssembly pages, 64 bits.
    fn memory_pages(&mut self, memory: u32) -> Value {
        if self.code.module.defined_memory(memory).is_some() {
            return self.code.state_load(I64, Region::Tables, MEMORY_PAGES_OFFSET);
        }
        let pages = self.memory_import(memory, offset_of!(MemoryImport, pages));
        let flags = self.code.trusted(Region::Runtime);
        self.code.ins().load(I64, flags, pages, 0)
    }

    /// A pointer of an imported memory's record.
    fn memory_import(&mut self, memory: u32, field: usize) -> Value {
        let record = self.code.layout.host.memories + memory as usize * size_of::<MemoryImport>();
        self.code.host_load(record + field)
    }

    pub(super) fn visit_memory_size(&mut self, memory: u32) -> Emitted {
        let pages = self.memory_pages(memory);
        let pages = self.code.ins().ireduce(I32, pages);
        self.push(pages);
        Ok(())
    }

    pub(super) fn visit_memory_grow(&mut self, memory: u32) -> Emitted {
        let delta = self.pop_extended();
        let memory = self.code.index(memory);
        let old = self.code.hostcall(Hostcall::MemoryGrow, &[memory, delta]);
        let old = self.code.ins().ireduce(I32, old);
        self.push(old);
        Ok(())
    }

    /// Pops a 32-bit address or length as the 64 bits that hostcalls take.
    pub(super) fn pop_extended(&mut self) -> Value {
        let value = self.pop();
        self.code.ins().uextend(I64, value)
    }
}
