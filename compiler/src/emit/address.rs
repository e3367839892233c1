//! Effective addresses: where an access goes, under each strategy.
//!
//! | strategy | 32-bit index | 64-bit index |
//! |---|---|---|
//! | `guard`, `guard-uffd` | `BASE + index + offset` | the same, after comparing the index with 4 GiB |
//! | `trap` | the same, after comparing the end of the access with the memory's size | the same |
//! | `clamp` | `BASE + min(index + offset, size - width)` | the same |
//! | `none` | `BASE + index + offset` | the same, with the low half of the index |
//!
//! A 32-bit index plus an offset that is small enough stays inside the slot's reservation whatever
//! it is, so nothing else is reached even by a processor that mispredicts. Offsets that are too
//! large for that are compared with the size under the guarding strategies too, and wrap around at
//! 4 GiB under `none`. A 64-bit index that a check lets pass is masked: a processor that
//! mispredicts the check uses zero.
//!
//! Checks are faults (`trapnz`), like those of the guard: no block of their own, and nothing else
//! to remove if [`bounds`](crate::bounds) proves them unnecessary.

use super::FuncEmitter;
use crate::CompileError;
use crate::bounds::{Action, Bound, Check, Guarded};
use crate::emit::trap::clif_trap;
use crate::front::index::MemoryIndex;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use wasmparser::{MemArg, MemArgTarget};
use wfaas_abi::layout::{MEMORY_RESERVATION, UNCHECKED_OFFSET_LIMIT, WASM_PAGE};
use wfaas_abi::{BoundsStrategy, CheckFate, TrapCode};

/// An access before its index is known to be good.
struct Access {
    memory: MemoryIndex,
    index: Value,
    offset: u64,
    /// Bytes from the index to the end of the access.
    end: u64,
    width: u64,
}

impl Access {
    /// Whether the guard is larger than the offset: then the instruction can have it.
    fn fits_guard(&self) -> bool {
        self.end <= UNCHECKED_OFFSET_LIMIT
    }
}

/// How to find out whether an access ends outside of a memory.
struct Comparison {
    outside: Value,
    /// The constant with the end of the access.
    end: Value,
    /// The largest end the constant may be raised to.
    most_end: u64,
}

impl FuncEmitter<'_> {
    /// Where an access of type `ty` goes: an address, and an offset for the instruction.
    pub(super) fn address(
        &mut self,
        memarg: MemArg,
        index: Value,
        ty: Type,
    ) -> Result<(Value, i32), CompileError> {
        let memory = memory_of(memarg)?;
        let width = u64::from(ty.bytes());
        // Beyond what a memory can have, all numbers are alike.
        let end = memarg.offset.saturating_add(width);
        Ok(self.place(&Access { memory, index, offset: memarg.offset, end, width }))
    }

    /// Where a range of `len` bytes begins, as the address and the offset of an access that is so wide.
    pub(super) fn range(&mut self, memory: MemoryIndex, index: Value, len: u32) -> (Value, i32) {
        let len = u64::from(len);
        self.place(&Access { memory, index, offset: 0, end: len, width: len })
    }

    fn place(&mut self, access: &Access) -> (Value, i32) {
        let (start, offset) = match self.policy.strategy {
            BoundsStrategy::None => self.unchecked(access),
            BoundsStrategy::Clamp => (self.clamped(access), 0),
            strategy if strategy.relies_on_guard() && access.fits_guard() => self.guarded(access),
            _ => self.compared(access),
        };
        let base = self.memory_base(access.memory);
        (self.code.ins().iadd(base, start), offset)
    }

    /// Any index, as long as it stays inside the reservation.
    fn unchecked(&mut self, access: &Access) -> (Value, i32) {
        self.stats.add(CheckFate::Unchecked);
        if access.fits_guard() {
            // The limit is below 2 GiB.
            return (self.low_half(access.index), access.offset as i32);
        }
        let index = self.extended(access.index);
        let start = self.code.ins().iadd_imm_s(index, access.offset.cast_signed());
        (self.low_half(start), 0)
    }

    /// The low 32 bits of a number, extended to 64.
    fn low_half(&mut self, value: Value) -> Value {
        let low = match self.code.type_of(value) {
            I32 => value,
            _ => self.code.ins().ireduce(I32, value),
        };
        self.code.ins().uextend(I64, low)
    }

    /// An index below 4 GiB; the guard does the rest.
    fn guarded(&mut self, access: &Access) -> (Value, i32) {
        let (index, offset) = (access.index, access.offset as i32);
        if self.code.type_of(index) == I32 {
            self.stats.add(CheckFate::Guard);
            return (self.code.ins().uextend(I64, index), offset);
        }
        let most = self.code.iconst(i64::from(u32::MAX));
        let outside = self.code.ins().icmp(IntCC::UnsignedGreaterThan, index, most);
        let check = Check {
            action: Action::Trap { inst: self.fault_if(outside), widen: None },
            index,
            end: 1,
            bound: Bound::Reservation,
            least: MEMORY_RESERVATION as u64,
            guarded: None,
            kept: CheckFate::IndexChecked,
        };
        (self.mask(outside, index, check), offset)
    }

    /// An index with which the access ends inside the memory.
    fn compared(&mut self, access: &Access) -> (Value, i32) {
        let narrow = self.code.type_of(access.index) == I32;
        let index = self.extended(access.index);
        let Comparison { outside, end, most_end } = self.comparison(access, index, narrow);
        let inst = self.fault_if(outside);
        let check = Check {
            action: Action::Trap { inst, widen: Some((end, most_end)) },
            index,
            end: access.end,
            bound: Bound::Memory(access.memory),
            least: self.least_bytes(access.memory),
            guarded: None,
            kept: CheckFate::Checked,
        };
        match (access.fits_guard(), narrow) {
            (true, true) => {
                self.checks.push(check);
                (index, access.offset as i32)
            }
            (true, false) => (self.mask(outside, index, check), access.offset as i32),
            (false, _) => {
                let start = self.code.ins().iadd_imm_s(index, access.offset.cast_signed());
                (self.mask(outside, start, check), 0)
            }
        }
    }

    fn comparison(&mut self, access: &Access, index: Value, narrow: bool) -> Comparison {
        let bytes = self.memory_bytes(access.memory);
        let least = self.least_bytes(access.memory);
        let end = self.code.iconst(access.end.cast_signed());
        let beyond = IntCC::UnsignedGreaterThan;
        if access.end <= least {
            let room = self.code.ins().isub(bytes, end);
            let outside = self.code.ins().icmp(beyond, index, room);
            return Comparison { outside, end, most_end: least };
        }
        if narrow {
            // Both are below 2^33.
            let last = self.code.ins().iadd(index, end);
            let outside = self.code.ins().icmp(beyond, last, bytes);
            return Comparison { outside, end, most_end: u64::from(u32::MAX) };
        }
        let too_small = self.code.ins().icmp(IntCC::UnsignedLessThan, bytes, end);
        let room = self.code.ins().isub(bytes, end);
        let outside = self.code.ins().icmp(beyond, index, room);
        let outside = self.code.ins().bor(too_small, outside);
        Comparison { outside, end, most_end: u64::MAX }
    }

    /// A place in the memory: that of the access, or the last there is room at. An empty memory
    /// has none, and its first byte is as inaccessible as all others.
    fn clamped(&mut self, access: &Access) -> Value {
        let index = self.extended(access.index);
        let offset = access.offset.cast_signed();
        let mut start = self.code.ins().iadd_imm_s(index, offset);
        if self.code.type_of(access.index) == I64 && offset != 0 {
            let wrapped = self.code.ins().icmp(IntCC::UnsignedLessThan, start, index);
            let most = self.code.iconst(-1);
            start = self.code.ins().select(wrapped, most, start);
        }
        let bytes = self.memory_bytes(access.memory);
        let width = self.code.iconst(access.width.cast_signed());
        let mut last = self.code.ins().isub(bytes, width);
        let least = self.least_bytes(access.memory);
        if least == 0 {
            last = self.code.ins().select(bytes, last, bytes);
        }
        let clamped = self.code.ins().umin(start, last);
        self.checks.push(Check {
            action: Action::Clamp { clamped, start, last },
            index,
            end: access.end,
            bound: Bound::Memory(access.memory),
            least,
            guarded: None,
            kept: CheckFate::Clamped,
        });
        clamped
    }

    fn fault_if(&mut self, outside: Value) -> cranelift_codegen::ir::Inst {
        self.code.ins().trapnz(outside, clif_trap(TrapCode::MemoryOutOfBounds))
    }

    /// `plain`, or zero for a processor that mispredicts the check.
    fn mask(&mut self, outside: Value, plain: Value, check: Check) -> Value {
        let zero = self.code.iconst(0);
        let masked = self.code.ins().select_spectre_guard(outside, zero, plain);
        self.checks.push(Check { guarded: Some(Guarded { masked, plain }), ..check });
        masked
    }

    /// The size that a memory never falls below, in bytes.
    fn least_bytes(&self, memory: MemoryIndex) -> u64 {
        let pages = self.code.module.memories[memory].limits.minimum;
        pages.saturating_mul(WASM_PAGE as u64)
    }

    /// The size of a memory in bytes, 64 bits.
    fn memory_bytes(&mut self, memory: MemoryIndex) -> Value {
        let limits = self.code.module.memories[memory].limits;
        if limits.maximum == Some(limits.minimum) {
            let bytes = self.least_bytes(memory);
            return self.code.iconst(bytes.cast_signed());
        }
        let pages = self.memory_pages(memory);
        self.code.ins().ishl_imm_u(pages, i64::from(WASM_PAGE.trailing_zeros()))
    }
}

/// The memory that an access is to.
pub(super) fn memory_of(memarg: MemArg) -> Result<MemoryIndex, CompileError> {
    match memarg.target {
        MemArgTarget::Memory(memory) => Ok(MemoryIndex::from_u32(memory)),
        MemArgTarget::Array(_) => Err(CompileError::Internal("an access to an array".to_owned())),
    }
}
