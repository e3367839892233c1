//! The fixed-width records of an artifact. All fields are little-endian and unaligned.

use crate::description::{Item, records};
use zerocopy::little_endian::{I32, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Stands for "no maximum" in 64-bit limits.
pub const NO_MAXIMUM: u64 = u64::MAX;

/// Bits of the `limits` of tables and memories.
pub mod limits {
    /// Indices and sizes are 64-bit numbers in guest code.
    pub const INDEX64: u32 = 1;
    /// The memory is shared.
    pub const SHARED: u32 = 2;
}

/// Stands for "none" in 32-bit offsets and indices.
pub const NONE: u32 = u32::MAX;

/// In the place of a body's offset: the function continues a program that waits.
pub const CONTINUED: u32 = NONE - 1;

records! {
    RECORDS = derive(
        Debug, Clone, Copy, PartialEq, Eq, Default,
        FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
    );

    /// A range of another section, in records (bytes for strings and data).
    Range {
        /// First record.
        start: U32,
        /// Number of records.
        len: U32,
    }

    /// A function. Sorted by index, which is also the order in the text: imported functions have
    /// their thunks first.
    FunctionRecord {
        /// Bytes from the start of the text.
        text_offset: U32,
        /// Bytes of code.
        text_size: U32,
        /// Index into the types.
        type_index: U32,
        /// Offset of the body in the module's bytes; `NONE` for an import's thunk, and `CONTINUED` for
        /// code that continues a program, behind all others: of several functions, in truth.
        wasm_offset: U32,
        /// Name in the strings, from the name section, the imports or the exports; may be empty.
        name: Range,
    }

    /// A function type.
    TypeRecord {
        /// Parameters, in the value types.
        params: Range,
        /// Results, in the value types.
        results: Range,
        /// `FuncType::hash`.
        hash: [u8; 32],
        /// `FuncRef::type_id` of the first type that is equal to it.
        id: U32,
        /// Text offset of the array trampoline, an
        /// `extern "C" fn(code, cells: *mut u64)` that calls `code`; `NONE` if none was made.
        trampoline: U32,
    }

    /// The type of an import or an export: of a function, table, memory, global or tag.
    ExternType {
        /// `ExternKind` as a number.
        kind: U32,
        /// Functions and tags: index into the types. Tables, globals: the value type's number.
        ty: U32,
        /// Globals: 1 if mutable.
        mutable: U32,
        /// Tables and memories: bits of [`limits`].
        limits: U32,
        /// Tables and memories: minimum in elements or WebAssembly pages.
        minimum: U64,
        /// Tables and memories: maximum, or `NO_MAXIMUM`.
        maximum: U64,
    }

    /// An import.
    ImportRecord {
        /// Module name, in the strings.
        module: Range,
        /// Field name, in the strings.
        name: Range,
        /// Kind and type of the import.
        ty: ExternType,
    }

    /// An export.
    ExportRecord {
        /// Name, in the strings.
        name: Range,
        /// `ExternKind` as a number.
        kind: U32,
        /// Index in its index space.
        index: U32,
    }

    /// A defined global.
    GlobalRecord {
        /// The value type's number.
        ty: U32,
        /// 1 if mutable.
        mutable: U32,
        /// Offset of its cell from BASE.
        offset: I32,
        /// Always zero.
        reserved: U32,
    }

    /// A defined table.
    TableRecord {
        /// The element type's number.
        ty: U32,
        /// Offset of its size cell from BASE.
        size_offset: I32,
        /// Offset of its first element from BASE.
        elements_offset: I32,
        /// Bits of [`limits`].
        limits: U32,
        /// Minimum, in elements.
        minimum: U64,
        /// Declared maximum in elements, or `NO_MAXIMUM`.
        maximum: U64,
        /// Elements there is room for.
        capacity: U64,
    }

    /// A defined memory.
    MemoryRecord {
        /// Minimum, in WebAssembly pages.
        minimum: U64,
        /// Declared maximum in WebAssembly pages, or `NO_MAXIMUM`.
        maximum: U64,
        /// Bits of [`limits`].
        limits: U32,
        /// Always zero.
        reserved: U32,
    }

    /// A defined tag.
    TagRecord {
        /// Index of a function type: an exception with the tag carries its parameters.
        ty: U32,
    }

    /// A call with a handler for the exceptions that end it.
    HandlerRecord {
        /// The call's return address, in bytes from the start of the text.
        return_offset: U32,
        /// The handler, in bytes from the start of the text.
        handler_offset: U32,
        /// Bytes from the stack pointer up to the frame pointer in the handler.
        frame_bytes: U32,
    }

    /// One step of a constant expression on a stack machine.
    ConstOp {
        /// `ConstOpcode` as a number.
        opcode: U32,
        /// Always zero.
        reserved: U32,
        /// A constant's bits (low half of a vector), or an index.
        low: U64,
        /// High half of a vector.
        high: U64,
    }

    /// A step that instantiation still has to take: the compiler could not put its effect into the
    /// image.
    InitStep {
        /// `InitKind` as a number.
        kind: U32,
        /// The global, table or memory to write, by its index.
        target: U32,
        /// The data or element segment to copy.
        segment: U32,
        /// Always zero.
        reserved: U32,
        /// The value, or the offset in the target, as a constant expression.
        expr: Range,
    }

    /// A data segment: empty if nothing can need it, as those that have no record.
    DataSegment {
        /// In the data section.
        bytes: Range,
    }

    /// An element segment: empty if nothing can need it, as those that have no record.
    ElemSegment {
        /// In the constant expressions, one operation an item.
        items: Range,
        /// The element type's number.
        ty: U32,
    }

    /// The twin of a function.
    TwinRecord {
        /// Index of the function.
        function: U32,
        /// `Allocator` as a number.
        allocator: U32,
    }

    /// The stack map of a call at which a program may wait again: the place of its function's values in the frame, and
    /// the code that goes on with them.
    StackMapRecord {
        /// The return address, in bytes from the start of the text.
        return_offset: U32,
        /// Where the function's twin is, in bytes from the start of the text.
        twin_offset: U32,
        /// The number of the twin's entry behind the call.
        entry: U32,
        /// How many bytes below the frame pointer the locals begin.
        locals_below_fp: U32,
        /// Bytes of locals.
        locals_bytes: U32,
        /// How many bytes below the frame pointer the operands begin.
        operands_below_fp: U32,
        /// Bytes of the operands that are alive.
        operands_bytes: U32,
    }

    /// A block of sites; it ends where the next one starts.
    SiteBlock {
        /// The first site, in bytes from the start of the text.
        text_offset: U32,
        /// Where its bytes start in the sites.
        start: U32,
    }

    /// Consecutive stored pages of the image.
    RunRecord {
        /// Index of the first page from the start of the image.
        first: U32,
        /// Number of pages.
        pages: U32,
    }
}

macro_rules! numbered {
    ($($(#[doc = $doc:literal])+ $name:ident, $items:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $number:literal,)* })*) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
            #[repr(u32)]
            pub enum $name { $($(#[doc = $variant_doc])+ $variant = $number,)* }

            pub(crate) const $items: &[Item] =
                &[$(Item { name: stringify!($variant), number: $number },)*];

            impl $name {
                /// The variant with this number, if there is one.
                pub const fn from_u32(number: u32) -> Option<Self> {
                    match number {
                        $($number => Some($name::$variant),)*
                        _ => None,
                    }
                }
            }
        )*
    };
}
pub(crate) use numbered;

numbered! {
    /// The kinds of imports and exports.
    ExternKind, EXTERN_KINDS {
        /// A function.
        Func = 0,
        /// A table.
        Table = 1,
        /// A memory.
        Memory = 2,
        /// A global.
        Global = 3,
        /// A tag of exceptions.
        Tag = 4,
    }

    /// The ways in which values of a function got their registers.
    Allocator, ALLOCATORS {
        /// With backtracking: the best code.
        Backtracking = 0,
        /// In one pass.
        SinglePass = 1,
        /// In one pass, with locals and operands in the frame.
        Frame = 2,
    }

    /// The kinds of [`InitStep`]s.
    InitKind, INIT_KINDS {
        /// Sets defined global `target` (by its index among all globals) to the value of `expr`.
        Global = 0,
        /// Fills table `target` with the value of `expr`.
        TableFill = 1,
        /// Copies element segment `segment` to table `target` at `expr`, then drops it.
        Elem = 2,
        /// Copies data segment `segment` to memory `target` at `expr`, then drops it.
        Data = 3,
    }

    /// The operations of constant expressions.
    ConstOpcode, CONST_OPCODES {
        /// Pushes the low 32 bits of `low`.
        I32Const = 0,
        /// Pushes `low`.
        I64Const = 1,
        /// Pushes the float with the low 32 bits of `low`.
        F32Const = 2,
        /// Pushes the float with the bits `low`.
        F64Const = 3,
        /// Pushes the vector with the bits `high:low`.
        V128Const = 4,
        /// Pushes the null reference.
        RefNull = 5,
        /// Pushes a reference to function `low`.
        RefFunc = 6,
        /// Pushes the value of global `low`.
        GlobalGet = 7,
        /// Adds two 32-bit integers.
        I32Add = 8,
        /// Subtracts two 32-bit integers.
        I32Sub = 9,
        /// Multiplies two 32-bit integers.
        I32Mul = 10,
        /// Adds two 64-bit integers.
        I64Add = 11,
        /// Subtracts two 64-bit integers.
        I64Sub = 12,
        /// Multiplies two 64-bit integers.
        I64Mul = 13,
    }
}

impl ConstOpcode {
    /// The result of an operation with two operands, 32 bits with zeros above; `None` for other
    /// operations.
    pub const fn calculate(self, left: u64, right: u64) -> Option<u64> {
        let (left32, right32) = (left as u32, right as u32);
        Some(match self {
            ConstOpcode::I32Add => left32.wrapping_add(right32) as u64,
            ConstOpcode::I32Sub => left32.wrapping_sub(right32) as u64,
            ConstOpcode::I32Mul => left32.wrapping_mul(right32) as u64,
            ConstOpcode::I64Add => left.wrapping_add(right),
            ConstOpcode::I64Sub => left.wrapping_sub(right),
            ConstOpcode::I64Mul => left.wrapping_mul(right),
            _ => return None,
        })
    }
}

impl Allocator {
    /// The words in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Allocator::Backtracking => "backtracking",
            Allocator::SinglePass => "single pass",
            Allocator::Frame => "single pass, values in the frame",
        }
    }
}

impl ExternKind {
    /// The word in messages and listings.
    pub const fn name(self) -> &'static str {
        match self {
            ExternKind::Func => "function",
            ExternKind::Table => "table",
            ExternKind::Memory => "memory",
            ExternKind::Global => "global",
            ExternKind::Tag => "tag",
        }
    }
}
