//! The stubs of `memory.copy` and `memory.fill` in the memory at BASE: indices and sizes have 32 bits.
//!
//! ```text
//!   compare with the size ─→ trap
//!   up to 16 bytes: two accesses that overlap
//!   up to 32, 64, 128: 2, 4, 8 vectors, from both ends
//!   up to MOST_MOVED: a hostcall that is one libc call
//!   more: the hostcall that works in pieces
//! ```
//!
//! All loads come before the stores. (Sizes between powers of two by accesses that overlap, as in
//! glibc's `memmove-vec-unaligned-erms`.)

use super::stub::{call_host, leave, trap};
use crate::emit::builder::{CodeBuilder, Region};
use crate::emit::memory_move::repeated;
use crate::front::index::MemoryIndex;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I8X16, I16, I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Type, Value};
use wfaas_abi::hostcall::MOST_MOVED;
use wfaas_abi::layout::WASM_PAGE;
use wfaas_abi::state::MEMORY_PAGES_OFFSET;
use wfaas_abi::{Hostcall, TrapCode};

/// Types of which two accesses are enough for sizes from one to two of them, the largest first.
const PAIRS: [Type; 3] = [I64, I32, I16];

/// Numbers of vectors that are enough for sizes up to that many, from half of it on.
const VECTORS: [i64; 3] = [2, 4, 8];

/// The stub of `memory.copy`.
pub(crate) fn memory_copy(code: &mut CodeBuilder<'_>, arguments: &[Value]) {
    let &[dst, src, len] = arguments else { unreachable!("by its signature") };
    let far = code.ins().umax(dst, src);
    compare(code, far, len);
    let base = code.base();
    let (to, from) = (code.ins().iadd(base, dst), code.ins().iadd(base, src));
    by_size(code, len, |code, ty, places| {
        let flags = flags(code);
        let values: Vec<Value> = places
            .iter()
            .map(|place| {
                let address = code.ins().iadd(from, *place);
                code.ins().load(ty, flags, address, 0)
            })
            .collect();
        store(code, to, places, &values);
    });
    let large = branch(code, IntCC::UnsignedGreaterThan, len, MOST_MOVED as i64);
    ask_host(code, Hostcall::MemoryMove, &[to, from, len]);
    code.continue_in(large);
    let memory = memory_at_base(code);
    ask_host(code, Hostcall::MemoryCopy, &[memory, memory, dst, src, len]);
}

/// The stub of `memory.fill`.
pub(crate) fn memory_fill(code: &mut CodeBuilder<'_>, arguments: &[Value]) {
    let &[dst, value, len] = arguments else { unreachable!("by its signature") };
    compare(code, dst, len);
    let base = code.base();
    let to = code.ins().iadd(base, dst);
    by_size(code, len, |code, ty, places| {
        let byte = code.ins().ireduce(I8, value);
        let value = repeated(code, byte, ty);
        store(code, to, places, &vec![value; places.len()]);
    });
    let large = branch(code, IntCC::UnsignedGreaterThan, len, MOST_MOVED as i64);
    ask_host(code, Hostcall::MemorySet, &[to, value, len]);
    code.continue_in(large);
    let memory = memory_at_base(code);
    ask_host(code, Hostcall::MemoryFill, &[memory, dst, value, len]);
}

/// Traps if a range that begins at `at` ends outside of the memory.
fn compare(code: &mut CodeBuilder<'_>, at: Value, len: Value) {
    let pages = code.state_load(I64, Region::Tables, MEMORY_PAGES_OFFSET);
    let bytes = code.ins().ishl_imm_u(pages, i64::from(WASM_PAGE.trailing_zeros()));
    // Both are below 2^32.
    let end = code.ins().iadd(at, len);
    let outside = code.ins().icmp(IntCC::UnsignedGreaterThan, end, bytes);
    let refuse = code.cold_block();
    let inside = code.blocks().create_block();
    code.ins().brif(outside, refuse, &[], inside, &[]);
    code.continue_in(refuse);
    trap(code, TrapCode::MemoryOutOfBounds);
    code.continue_in(inside);
}

/// Has `access` make the accesses for sizes that need few of them, and returns; goes on for others.
fn by_size(
    code: &mut CodeBuilder<'_>,
    len: Value,
    mut access: impl FnMut(&mut CodeBuilder<'_>, Type, &[Value]),
) {
    let many = branch(code, IntCC::UnsignedGreaterThan, len, 16);
    for ty in PAIRS {
        let fewer = branch(code, IntCC::UnsignedLessThan, len, ty.bytes().into());
        let places = places(code, len, ty, 2);
        access(code, ty, &places);
        code.ins().return_(&[]);
        code.continue_in(fewer);
    }
    let none = branch(code, IntCC::Equal, len, 0);
    let place = code.iconst(0);
    access(code, I8, &[place]);
    code.ins().return_(&[]);
    code.continue_in(none);
    code.ins().return_(&[]);
    code.continue_in(many);
    for vectors in VECTORS {
        let most = vectors * i64::from(I8X16.bytes());
        let more = branch(code, IntCC::UnsignedGreaterThan, len, most);
        let places = places(code, len, I8X16, vectors);
        access(code, I8X16, &places);
        code.ins().return_(&[]);
        code.continue_in(more);
    }
}

/// Where so many accesses of a type begin: half of them from the start on, the others up to the end.
fn places(code: &mut CodeBuilder<'_>, len: Value, ty: Type, count: i64) -> Vec<Value> {
    let (bytes, half) = (i64::from(ty.bytes()), count / 2);
    let mut places: Vec<Value> = (0..half).map(|index| code.iconst(index * bytes)).collect();
    for index in (1..=half).rev() {
        places.push(code.ins().iadd_imm_s(len, -index * bytes));
    }
    places
}

fn store(code: &mut CodeBuilder<'_>, to: Value, places: &[Value], values: &[Value]) {
    let flags = flags(code);
    for (place, value) in places.iter().zip(values) {
        let address = code.ins().iadd(to, *place);
        code.ins().store(flags, *value, address, 0);
    }
}

/// Accesses cannot fault: their ranges were compared.
fn flags(code: &mut CodeBuilder<'_>) -> MemFlagsData {
    let region = code.alias_region(Region::Memory);
    MemFlagsData::new().with_notrap().with_alias_region(Some(region))
}

/// Goes to another block if the comparison holds, and goes on if it does not; that block.
fn branch(code: &mut CodeBuilder<'_>, condition: IntCC, left: Value, right: i64) -> Block {
    let elsewhere = code.blocks().create_block();
    let here = code.blocks().create_block();
    let right = code.iconst(right);
    let holds = code.ins().icmp(condition, left, right);
    code.ins().brif(holds, elsewhere, &[], here, &[]);
    code.continue_in(here);
    elsewhere
}

/// Has the host do it, and returns.
fn ask_host(code: &mut CodeBuilder<'_>, call: Hostcall, arguments: &[Value]) {
    leave(code);
    call_host(code, call, arguments);
    code.ins().return_(&[]);
}

/// The index of the memory at BASE.
fn memory_at_base(code: &mut CodeBuilder<'_>) -> Value {
    let (module, layout) = (code.module, code.layout);
    let mut memories = (0..module.memories.len() as u32).map(MemoryIndex::from_u32);
    let memory = memories.find(|memory| layout.is_at_base(module, *memory));
    code.index(memory.expect("the stub is for it").as_u32())
}
