//! Atomic accesses, on shared and unshared memories alike. All are sequentially consistent, and
//! trap unless they are aligned to their size. Waiting and notifying is the VM's.

use super::address::memory_of;
use super::{Emitted, FuncEmitter};
use crate::CompileError;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, Type, Value};
use wasmparser::{MemArg, Ordering};
use wfaas_abi::{Hostcall, TrapCode};

/// Loads: the type in memory, and the type of the result.
macro_rules! loads {
    ($($visit:ident = $ty:expr, $result:expr;)*) => {
        impl FuncEmitter<'_> {
            $(pub(super) fn $visit(&mut self, memarg: MemArg) -> Emitted {
                self.atomic_load(memarg, $ty, $result)
            })*
        }
    };
}

loads! {
    visit_i32_atomic_load = I32, I32;
    visit_i64_atomic_load = I64, I64;
    visit_i32_atomic_load8_u = I8, I32;
    visit_i32_atomic_load16_u = I16, I32;
    visit_i64_atomic_load8_u = I8, I64;
    visit_i64_atomic_load16_u = I16, I64;
    visit_i64_atomic_load32_u = I32, I64;
}

/// Stores and compare-exchanges: the type in memory.
macro_rules! by_type {
    ($method:ident: $($visit:ident = $ty:expr;)*) => {
        impl FuncEmitter<'_> {
            $(pub(super) fn $visit(&mut self, memarg: MemArg) -> Emitted {
                self.$method(memarg, $ty)
            })*
        }
    };
}

by_type! { atomic_store:
    visit_i32_atomic_store = I32;
    visit_i64_atomic_store = I64;
    visit_i32_atomic_store8 = I8;
    visit_i32_atomic_store16 = I16;
    visit_i64_atomic_store8 = I8;
    visit_i64_atomic_store16 = I16;
    visit_i64_atomic_store32 = I32;
}

by_type! { atomic_compare_exchange:
    visit_i32_atomic_rmw_cmpxchg = I32;
    visit_i64_atomic_rmw_cmpxchg = I64;
    visit_i32_atomic_rmw8_cmpxchg_u = I8;
    visit_i32_atomic_rmw16_cmpxchg_u = I16;
    visit_i64_atomic_rmw8_cmpxchg_u = I8;
    visit_i64_atomic_rmw16_cmpxchg_u = I16;
    visit_i64_atomic_rmw32_cmpxchg_u = I32;
}

/// The operators of one operation, in the order of the types in memory.
macro_rules! read_modify_writes {
    ($($op:ident: $i32:ident $i64:ident $i32_8:ident $i32_16:ident $i64_8:ident $i64_16:ident $i64_32:ident;)*) => {
        impl FuncEmitter<'_> {
            $(
                read_modify_writes!(@ $op $i32 I32);
                read_modify_writes!(@ $op $i64 I64);
                read_modify_writes!(@ $op $i32_8 I8);
                read_modify_writes!(@ $op $i32_16 I16);
                read_modify_writes!(@ $op $i64_8 I8);
                read_modify_writes!(@ $op $i64_16 I16);
                read_modify_writes!(@ $op $i64_32 I32);
            )*
        }
    };
    (@ $op:ident $visit:ident $ty:ident) => {
        pub(super) fn $visit(&mut self, memarg: MemArg) -> Emitted {
            self.atomic_rmw(memarg, AtomicRmwOp::$op, $ty)
        }
    };
}

read_modify_writes! {
    Add: visit_i32_atomic_rmw_add visit_i64_atomic_rmw_add
        visit_i32_atomic_rmw8_add_u visit_i32_atomic_rmw16_add_u
        visit_i64_atomic_rmw8_add_u visit_i64_atomic_rmw16_add_u visit_i64_atomic_rmw32_add_u;
    Sub: visit_i32_atomic_rmw_sub visit_i64_atomic_rmw_sub
        visit_i32_atomic_rmw8_sub_u visit_i32_atomic_rmw16_sub_u
        visit_i64_atomic_rmw8_sub_u visit_i64_atomic_rmw16_sub_u visit_i64_atomic_rmw32_sub_u;
    And: visit_i32_atomic_rmw_and visit_i64_atomic_rmw_and
        visit_i32_atomic_rmw8_and_u visit_i32_atomic_rmw16_and_u
        visit_i64_atomic_rmw8_and_u visit_i64_atomic_rmw16_and_u visit_i64_atomic_rmw32_and_u;
    Or: visit_i32_atomic_rmw_or visit_i64_atomic_rmw_or
        visit_i32_atomic_rmw8_or_u visit_i32_atomic_rmw16_or_u
        visit_i64_atomic_rmw8_or_u visit_i64_atomic_rmw16_or_u visit_i64_atomic_rmw32_or_u;
    Xor: visit_i32_atomic_rmw_xor visit_i64_atomic_rmw_xor
        visit_i32_atomic_rmw8_xor_u visit_i32_atomic_rmw16_xor_u
        visit_i64_atomic_rmw8_xor_u visit_i64_atomic_rmw16_xor_u visit_i64_atomic_rmw32_xor_u;
    Xchg: visit_i32_atomic_rmw_xchg visit_i64_atomic_rmw_xchg
        visit_i32_atomic_rmw8_xchg_u visit_i32_atomic_rmw16_xchg_u
        visit_i64_atomic_rmw8_xchg_u visit_i64_atomic_rmw16_xchg_u visit_i64_atomic_rmw32_xchg_u;
}

impl FuncEmitter<'_> {
    fn atomic_load(&mut self, memarg: MemArg, ty: Type, result: Type) -> Emitted {
        let index = self.pop();
        let address = self.atomic_address(memarg, index, ty)?;
        let flags = self.guest_flags();
        let value = self.code.ins().atomic_load(ty, flags, address);
        self.push_widened(value, result);
        Ok(())
    }

    fn atomic_store(&mut self, memarg: MemArg, ty: Type) -> Emitted {
        let (index, value) = self.pop2();
        let value = self.narrowed(value, ty);
        let address = self.atomic_address(memarg, index, ty)?;
        let flags = self.guest_flags();
        self.code.ins().atomic_store(flags, value, address);
        Ok(())
    }

    fn atomic_rmw(&mut self, memarg: MemArg, op: AtomicRmwOp, ty: Type) -> Emitted {
        let (index, operand) = self.pop2();
        let result = self.code.type_of(operand);
        let operand = self.narrowed(operand, ty);
        let address = self.atomic_address(memarg, index, ty)?;
        let flags = self.guest_flags();
        let old = self.code.ins().atomic_rmw(ty, flags, op, address, operand);
        self.push_widened(old, result);
        Ok(())
    }

    fn atomic_compare_exchange(&mut self, memarg: MemArg, ty: Type) -> Emitted {
        let (index, expected, replacement) = self.pop3();
        let result = self.code.type_of(expected);
        let expected = self.narrowed(expected, ty);
        let replacement = self.narrowed(replacement, ty);
        let address = self.atomic_address(memarg, index, ty)?;
        let flags = self.guest_flags();
        let old = self.code.ins().atomic_cas(flags, address, expected, replacement);
        self.push_widened(old, result);
        Ok(())
    }

    /// Pushes a value from memory, with zeros above it.
    fn push_widened(&mut self, value: Value, result: Type) {
        let widened = self.code.type_of(value) != result;
        let value = if widened { self.code.ins().uextend(result, value) } else { value };
        self.push(value);
    }

    /// The address of an access of type `ty`, after a check that it is aligned. Memories start at
    /// page boundaries, so the address is aligned where the index plus the offset is.
    fn atomic_address(
        &mut self,
        memarg: MemArg,
        index: Value,
        ty: Type,
    ) -> Result<Value, CompileError> {
        let (address, offset) = self.address(memarg, index, ty)?;
        let address = self.code.ins().iadd_imm_s(address, i64::from(offset));
        if ty != I8 {
            let low_bits = self.code.ins().band_imm_u(address, i64::from(ty.bytes() - 1));
            self.code.trap_if(low_bits, TrapCode::UnalignedAtomic);
        }
        Ok(address)
    }

    pub(super) fn visit_atomic_fence(&mut self, _: Ordering) -> Emitted {
        self.code.ins().fence();
        Ok(())
    }

    pub(super) fn visit_memory_atomic_notify(&mut self, memarg: MemArg) -> Emitted {
        let (index, count) = self.pop2();
        let (memory, address) = self.parking_place(memarg, index)?;
        let woken = self.code.hostcall(Hostcall::MemoryAtomicNotify, &[memory, address, count]);
        self.push(woken);
        Ok(())
    }

    pub(super) fn visit_memory_atomic_wait32(&mut self, memarg: MemArg) -> Emitted {
        self.wait(memarg, Hostcall::MemoryAtomicWait32)
    }

    pub(super) fn visit_memory_atomic_wait64(&mut self, memarg: MemArg) -> Emitted {
        self.wait(memarg, Hostcall::MemoryAtomicWait64)
    }

    fn wait(&mut self, memarg: MemArg, call: Hostcall) -> Emitted {
        let (index, expected, timeout) = self.pop3();
        let (memory, address) = self.parking_place(memarg, index)?;
        let outcome = self.code.hostcall(call, &[memory, address, expected, timeout]);
        self.push(outcome);
        Ok(())
    }

    /// The memory and the index plus the offset, as hostcalls take them; they check both.
    fn parking_place(
        &mut self,
        memarg: MemArg,
        index: Value,
    ) -> Result<(Value, Value), CompileError> {
        let memory = memory_of(memarg)?;
        let index = self.extended(index);
        let address = self.code.ins().iadd_imm_s(index, memarg.offset.cast_signed());
        let overflowed = self.code.ins().icmp(IntCC::UnsignedLessThan, address, index);
        self.code.trap_if(overflowed, TrapCode::MemoryOutOfBounds);
        Ok((self.code.index(memory.as_u32()), address))
    }
}
