//! `memory.copy` and `memory.fill`: three ways, by the size and the memory.
//!
//! | size | memory | way |
//! |---|---|---|
//! | a constant up to [`MOST_INLINE`] | any, if accesses outside of it fault | loads and stores here |
//! | any | at BASE, with 32-bit indices | the stub in `thunk/memory_move`, which compares once |
//! | any | any | a hostcall |
//!
//! Inline, all loads come before the stores, so that ranges may overlap. The store with the highest
//! address comes first: it faults if any byte of the range is outside, and then nothing was written.
//! (As compilers expand `memmove` of a constant size, except for that order: LLVM's
//! `getMemmoveLoadsAndStores`.)

use super::{Emitted, FuncEmitter};
use crate::emit::builder::CodeBuilder;
use crate::front::index::MemoryIndex;
use crate::symbol::Symbol;
use cranelift_codegen::ir::types::{I8, I8X16, I16, I32, I64};
use cranelift_codegen::ir::{
    InstBuilder, InstructionData, MemFlagsData, Opcode, Type, Value, ValueDef,
};
use wfaas_abi::{BoundsStrategy, CheckFate, Hostcall};

/// The most bytes that are copied or filled without a call: eight vectors.
const MOST_INLINE: u32 = 128;

impl FuncEmitter<'_> {
    pub(super) fn visit_memory_copy(&mut self, dst: u32, src: u32) -> Emitted {
        let (dst_memory, src_memory) = (MemoryIndex::from_u32(dst), MemoryIndex::from_u32(src));
        let (to, from, len) = self.pop3();
        if let Some(len) = self.inline_size(len, 2) {
            self.copy_inline((dst_memory, to), (src_memory, from), len);
            return Ok(());
        }
        let [to, from, len] = [to, from, len].map(|value| self.extended(value));
        if self.has_stub(dst_memory) && dst == src {
            self.code.call(Symbol::MemoryCopy, &[to, from, len]);
            return Ok(());
        }
        let (dst, src) = (self.code.index(dst), self.code.index(src));
        self.code.call(Symbol::Hostcall(Hostcall::MemoryCopy), &[dst, src, to, from, len]);
        Ok(())
    }

    pub(super) fn visit_memory_fill(&mut self, memory: u32) -> Emitted {
        let index = MemoryIndex::from_u32(memory);
        let (to, value, len) = self.pop3();
        if let Some(len) = self.inline_size(len, 1) {
            self.fill_inline((index, to), value, len);
            return Ok(());
        }
        let [to, len] = [to, len].map(|value| self.extended(value));
        if self.has_stub(index) {
            self.code.call(Symbol::MemoryFill, &[to, value, len]);
            return Ok(());
        }
        let memory = self.code.index(memory);
        self.code.call(Symbol::Hostcall(Hostcall::MemoryFill), &[memory, to, value, len]);
        Ok(())
    }

    /// The stubs add indices and sizes, which 64 bits have to have room for.
    fn has_stub(&self, memory: MemoryIndex) -> bool {
        self.is_at_base(memory) && !self.code.module.memories[memory].limits.index64
    }

    /// The size of an operation that is made inline, if accesses outside of the memory fault. One of
    /// size zero may trap, and accesses nothing. Each of the ranges counts as an access.
    fn inline_size(&mut self, len: Value, ranges: u32) -> Option<u32> {
        let len = u32::try_from(self.constant(len)?).ok()?;
        let small = (1..=MOST_INLINE).contains(&len).then_some(len)?;
        match self.policy.strategy {
            BoundsStrategy::Guard | BoundsStrategy::GuardUffd | BoundsStrategy::Trap => Some(small),
            BoundsStrategy::Clamp | BoundsStrategy::None => {
                (0..ranges).for_each(|_| self.stats.add(CheckFate::Checked));
                None
            }
        }
    }

    /// The number that an operand is, if it is a constant.
    fn constant(&mut self, value: Value) -> Option<i64> {
        let dfg = &self.code.blocks().func.dfg;
        let ValueDef::Result(inst, _) = dfg.value_def(value) else { return None };
        match dfg.insts[inst] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits()),
            _ => None,
        }
    }

    fn copy_inline(&mut self, to: (MemoryIndex, Value), from: (MemoryIndex, Value), len: u32) {
        let source = self.range(from.0, from.1, len);
        let target = self.range(to.0, to.1, len);
        let flags = self.guest_flags();
        let load = |(at, ty): (i32, Type)| {
            let value = self.code.ins().load(ty, flags, source.0, source.1 + at);
            (at, value)
        };
        let values: Vec<(i32, Value)> = pieces(len).into_iter().map(load).collect();
        self.store_down(flags, target, &values);
    }

    fn fill_inline(&mut self, to: (MemoryIndex, Value), value: Value, len: u32) {
        let target = self.range(to.0, to.1, len);
        let flags = self.guest_flags();
        let byte = self.code.ins().ireduce(I8, value);
        let mut made: Vec<(Type, Value)> = Vec::new();
        let mut values = Vec::new();
        for (at, ty) in pieces(len) {
            let known = made.iter().find(|(known, _)| *known == ty).map(|(_, value)| *value);
            let value = known.unwrap_or_else(|| repeated(&mut self.code, byte, ty));
            made.push((ty, value));
            values.push((at, value));
        }
        self.store_down(flags, target, &values);
    }

    /// Stores values at places of a range, the last one first.
    fn store_down(
        &mut self,
        flags: MemFlagsData,
        (address, offset): (Value, i32),
        values: &[(i32, Value)],
    ) {
        for (at, value) in values.iter().rev() {
            self.code.ins().store(flags, *value, address, offset + at);
        }
    }
}

/// A byte in all bytes of a type.
pub(super) fn repeated(code: &mut CodeBuilder<'_>, byte: Value, ty: Type) -> Value {
    match ty {
        I8 => byte,
        I8X16 => code.ins().splat(ty, byte),
        _ => {
            let ones = 0x0101_0101_0101_0101 & (u64::MAX >> (64 - ty.bits()));
            let wide = code.ins().uextend(ty, byte);
            code.ins().imul_imm_u(wide, ones.cast_signed())
        }
    }
}

/// The accesses that make up a range, from its first byte to its last. The last two may overlap.
fn pieces(len: u32) -> Vec<(i32, Type)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for ty in [I8X16, I64, I32, I16, I8] {
        let bytes = ty.bytes();
        while len - at >= bytes {
            pieces.push((at as i32, ty));
            at += bytes;
        }
        // One more of a kind, over the end of the one before, takes the place of two or more.
        if at > 0 && (len - at).count_ones() > 1 && len >= bytes {
            pieces.push(((len - bytes) as i32, ty));
            at = len;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_range_and_end_with_it() {
        for len in 1..=MOST_INLINE {
            let mut covered = 0;
            for (at, ty) in pieces(len) {
                let (start, end) = (at as u32, at as u32 + ty.bytes());
                assert!(start <= covered && end > covered && end <= len, "{len}: {at} {ty}");
                covered = end;
            }
            assert_eq!(covered, len);
            assert!(pieces(len).len() <= len.div_ceil(16) as usize + 1, "{len}: {:?}", pieces(len));
        }
        assert_eq!(pieces(7), [(0, I32), (3, I32)]);
        assert_eq!(pieces(24), [(0, I8X16), (16, I64)]);
        assert_eq!(pieces(27), [(0, I8X16), (11, I8X16)]);
    }
}
