//! A parsed module: plain data, in the order of the binary.

use super::hints::BranchHints;
use super::index::*;
use cranelift_codegen::entity::PrimaryMap;
use std::collections::HashMap;
use wfaas_abi::artifact::records::ConstOpcode;
use wfaas_abi::context::ImportCounts;
use wfaas_abi::state::StateLayout;
use wfaas_abi::{FuncRef, FuncType, TypeHash, ValType};

/// Everything of a module but the bodies of its functions. Index spaces start with the imports.
#[derive(Debug, Default)]
pub(crate) struct Module<'a> {
    /// Function types.
    pub(crate) types: PrimaryMap<TypeIndex, FuncType>,
    /// The first type equal to each.
    pub(crate) first_equal: PrimaryMap<TypeIndex, TypeIndex>,
    /// The first type with each identity.
    pub(crate) index_of: HashMap<TypeHash, TypeIndex>,
    /// Imports of all kinds, in order.
    pub(crate) imports: Vec<Import<'a>>,
    /// How many of them there are of each kind.
    pub(crate) counts: ImportCounts,
    /// The type of each function.
    pub(crate) funcs: PrimaryMap<FuncIndex, TypeIndex>,
    /// Tables.
    pub(crate) tables: PrimaryMap<TableIndex, Table>,
    /// The first value of the elements of each defined table; `None` for null.
    pub(crate) table_values: PrimaryMap<DefinedTable, Option<Expr>>,
    /// Memories.
    pub(crate) memories: PrimaryMap<MemoryIndex, Memory>,
    /// Globals.
    pub(crate) globals: PrimaryMap<GlobalIndex, GlobalType>,
    /// The first value of each defined global.
    pub(crate) global_values: PrimaryMap<DefinedGlobal, Expr>,
    /// The type of each tag.
    pub(crate) tags: PrimaryMap<TagIndex, TypeIndex>,
    /// Exports.
    pub(crate) exports: Vec<Export<'a>>,
    /// Start function.
    pub(crate) start: Option<FuncIndex>,
    /// Element segments.
    pub(crate) elements: PrimaryMap<ElemIndex, ElementSegment>,
    /// Data segments.
    pub(crate) data: PrimaryMap<DataIndex, DataSegment<'a>>,
    /// Names of functions from the name section, sorted by index, which may be anything.
    pub(crate) func_names: Vec<(u32, &'a str)>,
    /// Which way branches mostly go.
    pub(crate) branch_hints: BranchHints,
    /// Whether [function references escape](super::escape).
    pub(crate) references_escape: bool,
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
    Func(TypeIndex),
    Table(Table),
    Memory(Memory),
    Global(GlobalType),
    /// A tag with values of this function type's parameters.
    Tag(TypeIndex),
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
    RefFunc(FuncIndex),
    /// The value of an immutable global.
    GlobalGet(GlobalIndex),
    /// An operation with two operands.
    Calculate(ConstOpcode),
}

/// The use of a segment at instantiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SegmentMode<Target> {
    /// Nothing: it is for `memory.init` or `table.init`.
    Passive,
    /// It is copied to this memory or table, at this offset, and dropped.
    Active { target: Target, offset: Expr },
    /// It is dropped.
    Declared,
}

#[derive(Debug)]
pub(crate) struct ElementSegment {
    pub(crate) mode: SegmentMode<TableIndex>,
    pub(crate) ty: ValType,
    pub(crate) items: Vec<Expr>,
}

#[derive(Debug)]
pub(crate) struct DataSegment<'a> {
    pub(crate) mode: SegmentMode<MemoryIndex>,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Module<'a> {
    /// The type of a function.
    pub(crate) fn func_type(&self, func: FuncIndex) -> &FuncType {
        &self.types[self.funcs[func]]
    }

    /// The number by which references to functions know a type.
    pub(crate) fn type_id(&self, ty: TypeIndex) -> u32 {
        FuncRef::type_id(self.first_equal[ty].as_u32())
    }

    /// A reference to a function at `code` bytes into the text.
    pub(crate) fn func_ref(&self, func: FuncIndex, code: u32) -> FuncRef {
        FuncRef::new(code, self.type_id(self.funcs[func]))
    }

    /// The place of a function among the defined ones; `None` for an import.
    pub(crate) fn defined_func(&self, func: FuncIndex) -> Option<DefinedFunc> {
        func.as_u32().checked_sub(self.counts.funcs).map(DefinedFunc::from_u32)
    }

    /// The place of a global among the defined ones; `None` for an import.
    pub(crate) fn defined_global(&self, global: GlobalIndex) -> Option<DefinedGlobal> {
        global.as_u32().checked_sub(self.counts.globals).map(DefinedGlobal::from_u32)
    }

    /// The place of a table among the defined ones; `None` for an import.
    pub(crate) fn defined_table(&self, table: TableIndex) -> Option<DefinedTable> {
        table.as_u32().checked_sub(self.counts.tables).map(DefinedTable::from_u32)
    }

    /// The place of a memory among the defined ones; `None` for an import.
    pub(crate) fn defined_memory(&self, memory: MemoryIndex) -> Option<DefinedMemory> {
        memory.as_u32().checked_sub(self.counts.memories).map(DefinedMemory::from_u32)
    }

    /// The index of a defined global.
    pub(crate) fn global_index(&self, global: DefinedGlobal) -> GlobalIndex {
        GlobalIndex::from_u32(self.counts.globals + global.as_u32())
    }

    /// The index of a defined table.
    pub(crate) fn table_index(&self, table: DefinedTable) -> TableIndex {
        TableIndex::from_u32(self.counts.tables + table.as_u32())
    }

    /// The imported functions, in the order of the index space.
    pub(crate) fn imported_funcs(&self) -> impl Iterator<Item = FuncIndex> {
        (0..self.counts.funcs).map(FuncIndex::from_u32)
    }

    /// A defined table.
    pub(crate) fn table(&self, table: DefinedTable) -> &Table {
        &self.tables[self.table_index(table)]
    }

    /// The defined tables.
    pub(crate) fn defined_tables(&self) -> &[Table] {
        &self.tables.as_values_slice()[self.counts.tables as usize..]
    }

    /// The defined memories.
    pub(crate) fn defined_memories(&self) -> &[Memory] {
        &self.memories.as_values_slice()[self.counts.memories as usize..]
    }

    /// The number by which artifacts know a value type.
    pub(crate) fn type_code(&self, ty: ValType) -> u32 {
        let index_of = |hash| self.index_of.get(&hash).map(|index| index.as_u32());
        ty.encode(index_of).expect("concrete types are the module's own")
    }

    /// The imports that are functions, in the order of the index space.
    pub(crate) fn func_imports(&self) -> impl Iterator<Item = &Import<'a>> {
        self.imports.iter().filter(|import| matches!(import.ty, ImportType::Func(_)))
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
