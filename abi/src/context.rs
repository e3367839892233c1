//! The host context: a slot's absolute pointers, which are in no image.
//!
//! ```text
//!   BASE - state_bytes - host_bytes
//!   | HostContext | FuncImport x n | MemoryImport x m | TableImport x t | GlobalImport x g | TagInstance x e |
//! ```
//!
//! The VM writes it when a slot is bound to a module, and only its `records` again; compiled code only reads it.

use crate::description::{Field, Record, records};
use crate::hostcall::HOSTCALLS;
use crate::layout::{MAX_HOST_BYTES, PAGE, page_align};

records! {
    CONTEXTS = derive(Debug);

    /// The fixed part.
    HostContext {
        /// Opaque to compiled code; the first argument of every hostcall.
        instance: u64,
        /// Address of the [`RuntimeContext`] of the store.
        runtime: u64,
        /// Address of the module's text, the origin of code offsets.
        text: u64,
        /// Address of the [records](crate::continuation) that a program which waits goes on with; zero for those in
        /// its text. The VM writes it between calls.
        records: u64,
        /// Addresses of the hostcalls, in the order of [`Hostcall::ALL`](crate::Hostcall::ALL).
        hostcalls: [u64; HOSTCALLS],
    }

    /// The part of a store that guest code and the VM both access during calls.
    RuntimeContext {
        /// Frame pointer of the stub through which the guest last left to the host; backtraces start
        /// here. Written by every stub before the call.
        exit_fp: u64,
        /// A stub that finds the stack pointer below this address raises a stack overflow instead of
        /// calling the host: the head room for host code.
        stack_limit: u64,
        /// Frame pointer of the innermost bridge under way in the innermost entry, or zero. A tail
        /// call to another instance from a function that returns there needs no bridge of its own.
        bridge_fp: u64,
    }
}

records! {
    IMPORTS = derive(Debug, Clone, Copy, Default);

    /// An imported function, or a foreign one.
    ///
    /// If `base` is not zero this is a guest function: `code` is its address, to be called with BASE
    /// (the pinned register) set to `base`. If it is zero it is a host function, and `code` is, by
    /// [`FuncType::passes_in_registers`](crate::FuncType::passes_in_registers), either an
    /// `extern "C" fn(env: u64, instance: u64, a0: u64, ... a3: u64) -> u64`, which gets and returns
    /// the bits of each value in a register (undefined if the type has fewer), or an
    /// `extern "C" fn(env: u64, instance: u64, cells: *mut u64)` that finds the arguments in `cells`
    /// and leaves the results there, in the format of the array trampolines.
    FuncImport {
        /// Address of the code.
        code: u64,
        /// BASE of the instance the function belongs to, or zero for the host.
        base: u64,
        /// First argument of a host function.
        env: u64,
    }

    /// A memory that is not at BASE: an imported or an extra one. If a module has any, all its memories
    /// have records, in the order of the index space.
    MemoryImport {
        /// Address of its first byte. A memory never moves.
        base: u64,
        /// Address of the `u64` with its size in WebAssembly pages.
        pages: u64,
    }

    /// An imported table. Compiled code goes through hostcalls, which use the record, since
    /// the elements are in the terms of the table's owner.
    TableImport {
        /// Opaque to compiled code.
        table: u64,
    }

    /// An imported global.
    GlobalImport {
        /// Address of its 16-byte cell. A global never moves.
        cell: u64,
    }

    /// A tag of exceptions, imported or defined.
    TagInstance {
        /// Its identity in the store: the second payload of an exception thrown with it.
        id: u64,
    }

}

macro_rules! host_records {
    ($($(#[doc = $doc:literal])+ $name:ident: $record:ty;)*) => {
        /// Numbers of a module's records, by kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct ImportCounts { $($(#[doc = $doc])+ pub $name: u32,)* }

        /// The place of each kind's first record, in bytes from the start of the host context.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct HostLayout {
            /// Bytes of the whole host context, a multiple of the host page.
            pub host_bytes: usize,
            $($(#[doc = $doc])+ pub $name: usize,)*
        }

        impl HostLayout {
            /// Lays out the records; `None` if they do not fit.
            pub const fn new(counts: ImportCounts) -> Option<Self> {
                let mut at = size_of::<HostContext>();
                $(
                    let $name = at;
                    at += counts.$name as usize * size_of::<$record>();
                )*
                let host_bytes = page_align(at);
                if host_bytes > MAX_HOST_BYTES {
                    return None;
                }
                Some(HostLayout { host_bytes, $($name,)* })
            }
        }

        /// A host context with one record of each kind, for the description of the ABI.
        pub(crate) const HOST_AREA: Record = {
            let Some(layout) = HostLayout::new(ImportCounts { $($name: 1,)* }) else {
                panic!("one record of each kind fits")
            };
            Record {
                name: "host context with a record of each kind",
                bytes: layout.host_bytes,
                align: PAGE,
                fields: &[$(Field {
                    name: stringify!($name),
                    ty: stringify!($record),
                    offset: layout.$name as i64,
                    bytes: size_of::<$record>(),
                },)*],
            }
        };
    };
}

host_records! {
    /// Imported functions.
    funcs: FuncImport;
    /// Memories with records: none, or all, imported or not.
    memories: MemoryImport;
    /// Imported tables.
    tables: TableImport;
    /// Imported globals.
    globals: GlobalImport;
    /// Tags, imported or not.
    tags: TagInstance;
}

#[cfg(test)]
pub(crate) use host_records;
