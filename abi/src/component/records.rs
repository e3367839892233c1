//! The fixed-width rows of the section.

use crate::artifact::records::{Range, numbered};
use crate::description::{Item, records};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First eight bytes of the section.
pub const COMPONENT_MAGIC: [u8; 8] = *b"WFAASCO\0";

/// Version of the section's own format.
pub const COMPONENT_VERSION: u32 = 3;

/// Bits of the `flags` of functions, imports and exports.
pub(super) mod flags {
    /// It may wait.
    pub(in crate::component) const ASYNC: u32 = 1;
    /// A stub allocates for its results.
    pub(in crate::component) const REALLOC: u32 = 2;
}

records! {
    BINDING_RECORDS = derive(
        Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
    );

    /// The header of the section.
    ComponentHeader {
        /// [`COMPONENT_MAGIC`].
        magic: [u8; 8],
        /// [`COMPONENT_VERSION`].
        version: U32,
        /// Number of types.
        types: U32,
        /// Number of members.
        members: U32,
        /// Number of functions.
        functions: U32,
        /// Number of resources.
        resources: U32,
        /// Number of imports.
        imports: U32,
        /// Number of exports.
        exports: U32,
        /// Core export that allocates for events, in the strings; empty if there is none.
        realloc: Range,
        /// Bytes of strings.
        strings: U32,
    }

    /// A value type.
    TypeRow {
        /// `TypeKind` as a number.
        kind: U32,
        /// Element, value of `ok`, or resource; `NONE` if there is none.
        first: U32,
        /// Value of `err`, or length; `NONE` if there is none.
        second: U32,
        /// Fields, cases, elements or flags, in the members.
        members: Range,
    }

    /// A field, a case, an element, a flag or a parameter.
    MemberRow {
        /// Name, in the strings; empty for elements.
        name: Range,
        /// Its type; `NONE` if it has none.
        ty: U32,
    }

    /// A type of functions.
    FunctionRow {
        /// Parameters, in the members.
        params: Range,
        /// Type of the result; `NONE` if there is none.
        result: U32,
        /// Bits of `flags`.
        flags: U32,
    }

    /// A resource type.
    ResourceRow {
        /// `ResourceKind` as a number.
        kind: U32,
        /// Interface, in the strings.
        interface: Range,
        /// Name in it, or the core export that is the destructor; empty if there is none.
        name: Range,
    }

    /// An import.
    BindingImportRow {
        /// `BindingKind` as a number.
        kind: U32,
        /// Module name of the core import, in the strings.
        module: Range,
        /// Field name of the core import, in the strings.
        field: Range,
        /// Interface, in the strings.
        interface: Range,
        /// Name in it, in the strings.
        name: Range,
        /// Index of the function's type, of the resource, or of the type of a stream or a future; or the slot.
        index: U32,
        /// `StringEncoding` as a number.
        encoding: U32,
        /// Bits of `flags`.
        flags: U32,
        /// Number of the memory of the values.
        memory: U32,
    }

    /// An export. Names of core exports are empty if there is none.
    BindingExportRow {
        /// Interface, in the strings.
        interface: Range,
        /// Name in it, in the strings.
        name: Range,
        /// Index of the function's type.
        function: U32,
        /// The core export, in the strings.
        core: Range,
        /// `StringEncoding` as a number.
        encoding: U32,
        /// Core export that allocates.
        realloc: Range,
        /// Core export to call afterwards.
        post_return: Range,
        /// Core export to call with events.
        callback: Range,
    }
}

numbered! {
    /// The kinds of value types.
    TypeKind, TYPE_KINDS {
        /// `bool`
        Bool = 0,
        /// `s8`
        S8 = 1,
        /// `u8`
        U8 = 2,
        /// `s16`
        S16 = 3,
        /// `u16`
        U16 = 4,
        /// `s32`
        S32 = 5,
        /// `u32`
        U32 = 6,
        /// `s64`
        S64 = 7,
        /// `u64`
        U64 = 8,
        /// `f32`
        F32 = 9,
        /// `f64`
        F64 = 10,
        /// `char`
        Char = 11,
        /// `string`
        String = 12,
        /// `list` of `first`.
        List = 13,
        /// `list` of `first`, `second` of them.
        FixedList = 14,
        /// `record` of the members.
        Record = 15,
        /// `tuple` of the members.
        Tuple = 16,
        /// `variant` of the members.
        Variant = 17,
        /// `enum` of the members.
        Enum = 18,
        /// `option` of `first`.
        Option = 19,
        /// `result` of `first` and `second`.
        Result = 20,
        /// `flags`: the members.
        Flags = 21,
        /// `own` of resource `first`.
        Own = 22,
        /// `borrow` of resource `first`.
        Borrow = 23,
        /// `stream` of `first`.
        Stream = 24,
        /// `future` of `first`.
        Future = 25,
    }

    /// The kinds of resource types.
    ResourceKind, RESOURCE_KINDS {
        /// The host's.
        Imported = 0,
        /// The guest's own.
        Defined = 1,
    }

    /// The kinds of imports of a fused module.
    BindingKind, IMPORT_KINDS {
        /// A function of the host.
        Lowered = 0,
        /// The host's side of a stub's loop.
        ReallocNext = 1,
        /// `resource.new`
        ResourceNew = 2,
        /// `resource.rep`
        ResourceRep = 3,
        /// `resource.drop`
        ResourceDrop = 4,
        /// `task.return`
        TaskReturn = 5,
        /// `task.cancel`
        TaskCancel = 6,
        /// `context.get`
        ContextGet = 7,
        /// `context.set`
        ContextSet = 8,
        /// `backpressure.inc`
        BackpressureInc = 9,
        /// `backpressure.dec`
        BackpressureDec = 10,
        /// `thread.yield`
        ThreadYield = 11,
        /// `subtask.cancel`
        SubtaskCancel = 12,
        /// `subtask.drop`
        SubtaskDrop = 13,
        /// `waitable-set.new`
        WaitableSetNew = 14,
        /// `waitable-set.wait`
        WaitableSetWait = 15,
        /// `waitable-set.poll`
        WaitableSetPoll = 16,
        /// `waitable-set.drop`
        WaitableSetDrop = 17,
        /// `waitable.join`
        WaitableJoin = 18,
        /// `new` of a stream or a future.
        CopyNew = 19,
        /// `read`
        CopyRead = 20,
        /// `write`
        CopyWrite = 21,
        /// `cancel-read`
        CopyCancelRead = 22,
        /// `cancel-write`
        CopyCancelWrite = 23,
        /// `drop-readable`
        CopyDropReadable = 24,
        /// `drop-writable`
        CopyDropWritable = 25,
    }

    /// The encodings of strings in the guest's memory.
    StringEncoding, STRING_ENCODINGS {
        /// UTF-8.
        Utf8 = 0,
        /// UTF-16, little-endian.
        Utf16 = 1,
        /// Latin-1, or UTF-16 if bit 31 of the length is set.
        Latin1OrUtf16 = 2,
    }
}
