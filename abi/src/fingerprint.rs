//! A number that changes when compiler and VM would no longer understand each other.

use crate::context::{
    FuncImport, GlobalImport, HostContext, MemoryImport, RuntimeContext, TableImport, TagInstance,
};
use crate::trap::TrapCode;
use crate::{artifact, hostcall, layout, memories, state, types};
use core::mem::offset_of;

/// The fingerprint of this build's ABI, derived from the lists and layouts themselves. An artifact
/// carries that of its compiler; the VM refuses another than its own.
pub const ABI_FINGERPRINT: u64 = fingerprint();

const fn fingerprint() -> u64 {
    let mut hash = Fnv::new();
    let mut i = 0;
    while i < hostcall::SIGNATURES.len() {
        hash = hash.bytes(hostcall::SIGNATURES[i].as_bytes());
        i += 1;
    }
    let mut i = 0;
    while i < TrapCode::ALL.len() {
        hash = hash.number(TrapCode::ALL[i] as u64).bytes(TrapCode::ALL[i].message().as_bytes());
        i += 1;
    }
    let numbers = [
        artifact::RECORD_SIZES,
        layout::BELOW_BASE as u64,
        layout::MEMORY_RESERVATION as u64,
        layout::GUARD as u64,
        layout::PAGE as u64,
        memories::LEAD as u64,
        memories::STRIDE as u64,
        state::MEMORY_PAGES_OFFSET as u64,
        state::GLOBAL_BYTES as u64,
        state::ELEMENT_BYTES as u64,
        offset_of!(HostContext, instance) as u64,
        offset_of!(HostContext, runtime) as u64,
        offset_of!(HostContext, text) as u64,
        offset_of!(HostContext, hostcalls) as u64,
        size_of::<HostContext>() as u64,
        offset_of!(FuncImport, code) as u64,
        offset_of!(FuncImport, base) as u64,
        offset_of!(FuncImport, env) as u64,
        size_of::<FuncImport>() as u64,
        types::REGISTER_PARAMS as u64,
        offset_of!(MemoryImport, base) as u64,
        offset_of!(MemoryImport, pages) as u64,
        size_of::<MemoryImport>() as u64,
        size_of::<TableImport>() as u64,
        size_of::<GlobalImport>() as u64,
        size_of::<TagInstance>() as u64,
        offset_of!(RuntimeContext, exit_fp) as u64,
        offset_of!(RuntimeContext, stack_limit) as u64,
    ];
    let mut i = 0;
    while i < numbers.len() {
        hash = hash.number(numbers[i]);
        i += 1;
    }
    hash.0
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): enough to notice an accident, and computable in a constant.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    const fn byte(self, byte: u8) -> Self {
        Fnv((self.0 ^ byte as u64).wrapping_mul(0x100_0000_01b3))
    }

    const fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut i = 0;
        while i < bytes.len() {
            self = self.byte(bytes[i]);
            i += 1;
        }
        self.byte(0xff)
    }

    const fn number(mut self, number: u64) -> Self {
        let mut i = 0;
        while i < 64 {
            self = self.byte((number >> i) as u8);
            i += 8;
        }
        self
    }
}
