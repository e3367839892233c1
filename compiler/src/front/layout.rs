//! The layout of an instance, as far as a module decides it.

use super::index::{DefinedGlobal, DefinedMemory, DefinedTable, MemoryIndex, TypeIndex};
use super::module::{Module, Table};
use crate::CompileError;
use cranelift_codegen::entity::{EntityRef, PrimaryMap};
use wfaas_abi::context::{FuncImport, HostLayout, ImportCounts};
use wfaas_abi::layout::MAX_MEMORY_PAGES;
use wfaas_abi::memories;
use wfaas_abi::state::StateLayout;

/// The layout of an instance: state and host context, at constant distances below BASE.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) state: StateLayout,
    pub(crate) host: HostLayout,
    /// The place of each defined memory: zero at BASE.
    pub(crate) places: PrimaryMap<DefinedMemory, usize>,
}

impl Layout {
    /// Lays out the state and the host context of a module.
    pub(crate) fn new(module: &Module<'_>) -> Result<Self, CompileError> {
        check_minima(module)?;
        check_signatures(module)?;
        let capacities: Vec<u64> = module.defined_tables().iter().map(Table::capacity).collect();
        let state = StateLayout::new(
            module.global_values.len(),
            &capacities,
            module.data.len(),
            module.elements.len(),
        )?;
        let shared = module.defined_memories().iter().map(|memory| memory.shared);
        let places = PrimaryMap::from_iter(memories::places(shared));
        let imported = module.counts.memories as usize;
        let records = memories::record_count(imported, places.as_values_slice());
        let tags = module.tags.len() as u32;
        let counts = ImportCounts { memories: records as u32, tags, ..module.counts };
        let limit = wfaas_abi::layout::MAX_HOST_BYTES / size_of::<FuncImport>();
        let host = HostLayout::new(counts).ok_or(CompileError::TooLarge {
            what: "the number of imports",
            actual: module.imports.len() as u64,
            limit: limit as u64,
        })?;
        Ok(Layout { state, host, places })
    }

    /// The cell of a defined global, in bytes from BASE.
    pub(crate) fn global(&self, global: DefinedGlobal) -> i32 {
        self.state.globals[global.index()]
    }

    /// The size of a defined table, in bytes from BASE.
    pub(crate) fn table_size(&self, table: DefinedTable) -> i32 {
        self.state.table_sizes[table.index()]
    }

    /// The elements of a defined table, in bytes from BASE.
    pub(crate) fn table_elements(&self, table: DefinedTable) -> i32 {
        self.state.table_elements[table.index()]
    }

    /// Whether a memory is the one at BASE.
    pub(crate) fn is_at_base(&self, module: &Module<'_>, memory: MemoryIndex) -> bool {
        module.defined_memory(memory).is_some_and(|defined| self.places[defined] == 0)
    }

    /// The place at `offset` in the host context, in bytes from BASE.
    pub(crate) fn host_offset(&self, offset: usize) -> i32 {
        // Both areas together are smaller than 512 MiB.
        offset as i32 - (self.state.state_bytes + self.host.host_bytes) as i32
    }
}

/// Parameters and results of all functions of any module together, and more for each byte of it: few
/// bytes declare a function with a thousand, which takes code for each of them.
const FREE_SIGNATURES: usize = 1 << 18;
const SIGNATURES_PER_BYTE: usize = 4;

fn check_signatures(module: &Module<'_>) -> Result<(), CompileError> {
    let values = |ty: &TypeIndex| {
        let ty = &module.types[*ty];
        ty.params().len() + ty.results().len()
    };
    let actual: usize = module.funcs.values().map(values).sum();
    let limit = FREE_SIGNATURES + SIGNATURES_PER_BYTE * module.bytes;
    if actual > limit {
        return Err(CompileError::TooLarge {
            what: "the number of parameters and results of all functions",
            actual: actual as u64,
            limit: limit as u64,
        });
    }
    Ok(())
}

/// A slot has room for 4 GiB of a memory, whatever the type of its index.
fn check_minima(module: &Module<'_>) -> Result<(), CompileError> {
    match module.defined_memories().iter().map(|memory| memory.limits.minimum).max() {
        Some(actual) if actual > MAX_MEMORY_PAGES => Err(CompileError::TooLarge {
            what: "the minimum of a memory in WebAssembly pages",
            actual,
            limit: MAX_MEMORY_PAGES,
        }),
        _ => Ok(()),
    }
}
