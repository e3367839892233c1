//! The host context: a slot's absolute pointers, which are in no image.
//!
//! ```text
//!   BASE - state_bytes - host_bytes
//!   | HostContext | FuncImport x n | MemoryImport x m | TableImport x t | GlobalImport x g | TagInstance x e |
//! ```
//!
//! The VM writes it once when a slot is bound to a module; compiled code only reads it.

use crate::hostcall::HOSTCALLS;
use crate::layout::{MAX_HOST_BYTES, page_align};

/// The fixed part.
#[repr(C)]
#[derive(Debug)]
pub struct HostContext {
    /// Opaque to compiled code; the first argument of every hostcall.
    pub instance: u64,
    /// Address of the [`RuntimeContext`] of the store.
    pub runtime: u64,
    /// Address of the module's text, the origin of code offsets.
    pub text: u64,
    /// Always zero.
    pub reserved: u64,
    /// Addresses of the hostcalls, in the order of [`Hostcall::ALL`](crate::Hostcall::ALL).
    pub hostcalls: [u64; HOSTCALLS],
}

/// An imported function, or a foreign one.
///
/// If `base` is not zero this is a guest function: `code` is its address, to be called with BASE
/// (the pinned register) set to `base`. If it is zero it is a host function, and `code` is, by
/// [`FuncType::passes_in_registers`](crate::FuncType::passes_in_registers), either an
/// `extern "C" fn(env: u64, instance: u64, a0: u64, ... a3: u64) -> u64`, which gets and returns
/// the bits of each value in a register (undefined if the type has fewer), or an
/// `extern "C" fn(env: u64, instance: u64, cells: *mut u64)` that finds the arguments in `cells`
/// and leaves the results there, in the format of the array trampolines.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct FuncImport {
    /// Address of the code.
    pub code: u64,
    /// BASE of the instance the function belongs to, or zero for the host.
    pub base: u64,
    /// First argument of a host function.
    pub env: u64,
}

/// A memory that is not at BASE: an imported or an extra one. If a module has any, all its memories
/// have records, in the order of the index space.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryImport {
    /// Address of its first byte. A memory never moves.
    pub base: u64,
    /// Address of the `u64` with its size in WebAssembly pages.
    pub pages: u64,
}

/// An imported table. Compiled code goes through hostcalls, since what it holds is in the terms
/// of its owner; the record is for them.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct TableImport {
    /// Opaque to compiled code.
    pub table: u64,
}

/// An imported global.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct GlobalImport {
    /// Address of its 16-byte cell. A global never moves.
    pub cell: u64,
}

/// A tag of exceptions, imported or defined.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct TagInstance {
    /// Its identity in the store: what an exception thrown with it has as its second payload.
    pub id: u64,
}

/// What guest code and the VM tell each other about the calls under way in a store.
#[repr(C)]
#[derive(Debug)]
pub struct RuntimeContext {
    /// Frame pointer of the stub through which the guest last left to the host; backtraces start
    /// here. Written by every stub before the call.
    pub exit_fp: u64,
    /// A stub that finds the stack pointer below this address raises a stack overflow instead of
    /// calling the host: the head room for host code.
    pub stack_limit: u64,
}

/// How many records of each kind a module has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportCounts {
    /// Imported functions.
    pub funcs: u32,
    /// Memories with records: none, or all, imported or not.
    pub memories: u32,
    /// Imported tables.
    pub tables: u32,
    /// Imported globals.
    pub globals: u32,
    /// Tags, imported or not.
    pub tags: u32,
}

/// Where the import records are, in bytes from the start of the host context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostLayout {
    /// Bytes of the whole host context, a multiple of the host page.
    pub host_bytes: usize,
    /// Of the first [`FuncImport`].
    pub funcs: usize,
    /// Of the first [`MemoryImport`].
    pub memories: usize,
    /// Of the first [`TableImport`].
    pub tables: usize,
    /// Of the first [`GlobalImport`].
    pub globals: usize,
    /// Of the first [`TagInstance`].
    pub tags: usize,
}

impl HostLayout {
    /// Lays out the records; `None` if they do not fit.
    pub fn new(counts: ImportCounts) -> Option<Self> {
        let funcs = size_of::<HostContext>();
        let memories = funcs + counts.funcs as usize * size_of::<FuncImport>();
        let tables = memories + counts.memories as usize * size_of::<MemoryImport>();
        let globals = tables + counts.tables as usize * size_of::<TableImport>();
        let tags_at = globals + counts.globals as usize * size_of::<GlobalImport>();
        let end = tags_at + counts.tags as usize * size_of::<TagInstance>();
        let host_bytes = page_align(end);
        (host_bytes <= MAX_HOST_BYTES).then_some(HostLayout {
            host_bytes,
            funcs,
            memories,
            tables,
            globals,
            tags: tags_at,
        })
    }
}
