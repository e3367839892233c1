//! Types: from the parser's to ours.

use crate::CompileError;
use crate::front::index::TypeIndex;
use crate::front::module::{GlobalType, Limits, Memory, Module, Table};
use crate::front::proposals::GC;
use wasmparser::{AbstractHeapType, CompositeInnerType, RecGroup, SubType, UnpackedIndex};
use wfaas_abi::types::{GroupMember, GroupValType};
use wfaas_abi::{FuncType, HeapType, RefType, ValType};

impl Module<'_> {
    /// Adds the types of a recursion group.
    pub(super) fn add_types(&mut self, group: RecGroup, offset: u64) -> Result<(), CompileError> {
        let first = self.types.len() as u32;
        let members = group
            .into_types()
            .map(|ty| self.group_member(&ty, first, offset))
            .collect::<Result<Vec<GroupMember>, CompileError>>()?;
        for ty in FuncType::group(&members) {
            let index = self.types.next_key();
            let first = *self.index_of.entry(ty.hash()).or_insert(index);
            self.types.push(ty);
            self.first_equal.push(first);
        }
        Ok(())
    }

    fn group_member(
        &self,
        ty: &SubType,
        first: u32,
        offset: u64,
    ) -> Result<GroupMember, CompileError> {
        let gc = || CompileError::Unsupported { proposal: GC, offset };
        let CompositeInnerType::Func(func) = &ty.composite_type.inner else { return Err(gc()) };
        if !ty.supertype_idxs.is_empty() {
            return Err(gc());
        }
        let list = |types: &[wasmparser::ValType]| -> Result<Vec<GroupValType>, CompileError> {
            types.iter().map(|ty| self.group_val_type(*ty, first, offset)).collect()
        };
        Ok(GroupMember {
            params: list(func.params())?,
            results: list(func.results())?,
            is_final: ty.is_final,
        })
    }

    /// A type in the recursion group that starts with type `first`.
    fn group_val_type(
        &self,
        ty: wasmparser::ValType,
        first: u32,
        offset: u64,
    ) -> Result<GroupValType, CompileError> {
        if let wasmparser::ValType::Ref(reference) = ty
            && let wasmparser::HeapType::Concrete(UnpackedIndex::Module(index)) =
                reference.heap_type()
            && index >= first
        {
            let nullable = reference.is_nullable();
            return Ok(GroupValType::Member { index: index - first, nullable });
        }
        self.val_type(ty, offset).map(GroupValType::Known)
    }

    /// The value type of ours that is `ty`, found at `offset`.
    pub(crate) fn val_type(
        &self,
        ty: wasmparser::ValType,
        offset: u64,
    ) -> Result<ValType, CompileError> {
        Ok(match ty {
            wasmparser::ValType::I32 => ValType::I32,
            wasmparser::ValType::I64 => ValType::I64,
            wasmparser::ValType::F32 => ValType::F32,
            wasmparser::ValType::F64 => ValType::F64,
            wasmparser::ValType::V128 => ValType::V128,
            wasmparser::ValType::Ref(ty) => {
                let heap = self.heap_type(ty.heap_type());
                let heap = heap.ok_or(CompileError::Unsupported { proposal: GC, offset })?;
                ValType::Ref(RefType { nullable: ty.is_nullable(), heap })
            }
        })
    }

    /// `None` if only garbage collection has it.
    fn heap_type(&self, ty: wasmparser::HeapType) -> Option<HeapType> {
        match ty {
            wasmparser::HeapType::Concrete(UnpackedIndex::Module(index)) => {
                Some(HeapType::Concrete(self.types.get(TypeIndex::from_u32(index))?.hash()))
            }
            wasmparser::HeapType::Abstract { shared: false, ty } => match ty {
                AbstractHeapType::Func => Some(HeapType::Func),
                AbstractHeapType::NoFunc => Some(HeapType::NoFunc),
                AbstractHeapType::Extern => Some(HeapType::Extern),
                AbstractHeapType::NoExtern => Some(HeapType::NoExtern),
                AbstractHeapType::Exn => Some(HeapType::Exn),
                AbstractHeapType::NoExn => Some(HeapType::NoExn),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn table_type(
        &self,
        table: &wasmparser::TableType,
        offset: u64,
    ) -> Result<Table, CompileError> {
        Ok(Table {
            ty: self.val_type(table.element_type.into(), offset)?,
            limits: Limits {
                minimum: table.initial,
                maximum: table.maximum,
                index64: table.table64,
            },
        })
    }

    pub(super) fn global_type(
        &self,
        global: &wasmparser::GlobalType,
        offset: u64,
    ) -> Result<GlobalType, CompileError> {
        let ty = self.val_type(global.content_type, offset)?;
        Ok(GlobalType { ty, mutable: global.mutable })
    }
}

pub(super) fn memory_type(memory: &wasmparser::MemoryType) -> Memory {
    let limits =
        Limits { minimum: memory.initial, maximum: memory.maximum, index64: memory.memory64 };
    Memory { limits, shared: memory.shared }
}
