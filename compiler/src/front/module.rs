//! A parsed module: plain data, in the order of the binary.

use crate::front::hints::BranchHints;
use std::collections::HashMap;
use wfaas_abi::artifact::records::ConstOpcode;
use wfaas_abi::context::{FuncImport, HostLayout, ImportCounts};
use wfaas_abi::layout::MAX_MEMORY_PAGES;
use wfaas_abi::memories;
use wfaas_abi::state::StateLayout;
use wfaas_abi::{FuncType, TypeHash, ValType};

/// Everything of a module but the bodies of its functions. Index spaces start with the imports.
#[derive(Debug, Default)]
pub(crate) struct Module<'a> {
    /// Function types.
    pub(crate) types: Vec<FuncType>,
    /// Of each type, its id.
    pub(crate) type_ids: Vec<u32>,
    /// Of each type, the first equal one.
    pub(crate) first_equal: Vec<u32>,
    /// The first type with each identity.
    pub(crate) index_of: HashMap<TypeHash, u32>,
    /// The first type with each id.
    pub(crate) index_of_id: HashMap<u32, u32>,
    /// Imports of all kinds, in order.
    pub(crate) imports: Vec<Import<'a>>,
    /// How many of them there are of each kind.
    pub(crate) counts: ImportCounts,
    /// Of each function, its type.
    pub(crate) funcs: Vec<u32>,
    /// Tables.
    pub(crate) tables: Vec<Table>,
    /// Of each defined table, what its elements are at first; `None` for null.
    pub(crate) table_values: Vec<Option<Expr>>,
    /// Memories.
    pub(crate) memories: Vec<Memory>,
    /// Globals.
    pub(crate) globals: Vec<GlobalType>,
    /// Of each defined global, its value.
    pub(crate) global_values: Vec<Expr>,
    /// Of each tag, its type.
    pub(crate) tags: Vec<u32>,
    /// Exports.
    pub(crate) exports: Vec<Export<'a>>,
    /// Start function.
    pub(crate) start: Option<u32>,
    /// Element segments.
    pub(crate) elements: Vec<ElementSegment>,
    /// Data segments.
    pub(crate) data: Vec<DataSegment<'a>>,
    /// Names of functions from the name section, sorted by index.
    pub(crate) func_names: Vec<(u32, &'a str)>,
    /// Which way branches mostly go.
    pub(crate) branch_hints: BranchHints,
    /// Bytes of the module.
    pub(crate) bytes: usize,
}

/// Minimum and maximum, in elements or WebAssembly pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) minimum: u64,
    pub(crate) maximum: Option<u64>,
    /// Whether indices and sizes are 64-bit numbers in guest code.
    pub(crate) index64: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) ty: ValType,
    pub(crate) limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) limits: Limits,
    pub(crate) shared: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GlobalType {
    pub(crate) ty: ValType,
    pub(crate) mutable: bool,
}

/// The type of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImportType {
    /// A function of this type.
    Func(u32),
    Table(Table),
    Memory(Memory),
    Global(GlobalType),
    /// A tag with values of this function type's parameters.
    Tag(u32),
}

#[derive(Debug)]
pub(crate) struct Import<'a> {
    pub(crate) module: &'a str,
    pub(crate) name: &'a str,
    pub(crate) ty: ImportType,
}

#[derive(Debug)]
pub(crate) struct Export<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: wfaas_abi::artifact::records::ExternKind,
    pub(crate) index: u32,
}

/// A constant expression: operations on a stack machine, almost always one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    One(Const),
    Many(Box<[Const]>),
}

impl Expr {
    /// The operations, in order.
    pub(crate) fn operations(&self) -> &[Const] {
        match self {
            Expr::One(operation) => std::slice::from_ref(operation),
            Expr::Many(operations) => operations,
        }
    }
}

/// An operation of a constant expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Const {
    I32(i32),
    I64(i64),
    /// The bits of a float.
    F32(u32),
    /// The bits of a float.
    F64(u64),
    V128(u128),
    RefNull,
    /// A reference to a function.
    RefFunc(u32),
    /// The value of an immutable global.
    GlobalGet(u32),
    /// An operation with two operands.
    Calculate(ConstOpcode),
}

/// What happens to a segment at instantiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SegmentMode {
    /// Nothing: it is for `memory.init` or `table.init`.
    Passive,
    /// It is copied to this memory or table, at this offset, and dropped.
    Active { target: u32, offset: Expr },
    /// It is dropped.
    Declared,
}

#[derive(Debug)]
pub(crate) struct ElementSegment {
    pub(crate) mode: SegmentMode,
    pub(crate) ty: ValType,
    pub(crate) items: Vec<Expr>,
}

#[derive(Debug)]
pub(crate) struct DataSegment<'a> {
    pub(crate) mode: SegmentMode,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Module<'a> {
    /// The type of function `index`.
    pub(crate) fn func_type(&self, index: u32) -> &FuncType {
        &self.types[self.funcs[index as usize] as usize]
    }

    /// The id of the type of function `index`.
    pub(crate) fn func_type_id(&self, index: u32) -> u32 {
        self.type_ids[self.funcs[index as usize] as usize]
    }

    /// The place of `global` among the defined ones; `None` for an import.
    pub(crate) fn defined_global(&self, global: u32) -> Option<usize> {
        global.checked_sub(self.counts.globals).map(|index| index as usize)
    }

    /// The place of `table` among the defined ones; `None` for an import.
    pub(crate) fn defined_table(&self, table: u32) -> Option<usize> {
        table.checked_sub(self.counts.tables).map(|index| index as usize)
    }

    /// The place of `memory` among the defined ones; `None` for an import.
    pub(crate) fn defined_memory(&self, memory: u32) -> Option<usize> {
        memory.checked_sub(self.counts.memories).map(|index| index as usize)
    }

    /// The defined tables.
    pub(crate) fn defined_tables(&self) -> &[Table] {
        &self.tables[self.counts.tables as usize..]
    }

    /// The number by which artifacts know a value type.
    pub(crate) fn type_code(&self, ty: ValType) -> u32 {
        let index_of = |hash| self.index_of.get(&hash).copied();
        ty.encode(index_of).expect("concrete types are the module's own")
    }

    /// The defined memories.
    pub(crate) fn defined_memories(&self) -> &[Memory] {
        &self.memories[self.counts.memories as usize..]
    }

    /// The imported functions, in the order of the index space.
    pub(crate) fn func_imports(&self) -> impl Iterator<Item = &Import<'a>> {
        self.imports.iter().filter(|import| matches!(import.ty, ImportType::Func(_)))
    }
}

/// Where compiled code finds what it needs, at constant distances below BASE.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) state: StateLayout,
    pub(crate) host: HostLayout,
    /// Of each defined memory, its place: zero at BASE.
    pub(crate) places: Vec<usize>,
}

impl Layout {
    /// Lays out the state and the host context of a module.
    pub(crate) fn new(module: &Module<'_>) -> Result<Self, crate::CompileError> {
        check_minima(module)?;
        let capacities: Vec<u64> = module.defined_tables().iter().map(Table::capacity).collect();
        let state = StateLayout::new(
            module.global_values.len(),
            &capacities,
            module.data.len(),
            module.elements.len(),
        )?;
        let places = memories::places(module.defined_memories().iter().map(|memory| memory.shared));
        let records = memories::record_count(module.counts.memories as usize, &places);
        let tags = module.tags.len() as u32;
        let counts = ImportCounts { memories: records as u32, tags, ..module.counts };
        let limit = wfaas_abi::layout::MAX_HOST_BYTES / size_of::<FuncImport>();
        let host = HostLayout::new(counts).ok_or(crate::CompileError::TooLarge {
            what: "the number of imports",
            actual: module.imports.len() as u64,
            limit: limit as u64,
        })?;
        Ok(Layout { state, host, places })
    }

    /// Offset from BASE of what is at `offset` in the host context, in bytes.
    pub(crate) fn host_offset(&self, offset: usize) -> i32 {
        // Both areas together are smaller than 512 MiB.
        offset as i32 - (self.state.state_bytes + self.host.host_bytes) as i32
    }
}

/// A slot has room for 4 GiB of a memory, whatever the type of its index.
fn check_minima(module: &Module<'_>) -> Result<(), crate::CompileError> {
    match module.defined_memories().iter().map(|memory| memory.limits.minimum).max() {
        Some(actual) if actual > MAX_MEMORY_PAGES => Err(crate::CompileError::TooLarge {
            what: "the minimum of a memory in WebAssembly pages",
            actual,
            limit: MAX_MEMORY_PAGES,
        }),
        _ => Ok(()),
    }
}

impl Table {
    /// Elements the table gets room for.
    pub(crate) fn capacity(&self) -> u64 {
        StateLayout::table_capacity(self.limits.minimum, self.limits.maximum)
    }

    /// Elements the image has.
    pub(crate) fn initial_len(&self) -> u64 {
        self.limits.minimum.min(self.capacity())
    }
}
