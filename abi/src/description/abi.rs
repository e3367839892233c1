//! The list of everything that compiler and VM share.

use super::{Description, List, numbers};
use crate::artifact::{self, FORMAT_VERSION, flags, records};
use crate::{
    FuncRef, bounds, component, context, cpu, funcref, hostcall, layout, memories, state, trap,
    types,
};

/// The description of this build's ABI.
pub const ABI: Description<'static> = Description {
    version: FORMAT_VERSION,
    records: &[
        artifact::HEADER_RECORDS,
        artifact::PROTO_RECORDS,
        artifact::bundle::BUNDLE_RECORDS,
        component::BINDING_RECORDS,
        records::RECORDS,
        context::CONTEXTS,
        context::IMPORTS,
        &[context::HOST_AREA],
        state::RECORDS,
        &[state::STATE_AREA],
        funcref::RECORDS,
    ],
    lists: LISTS,
};

const LISTS: &[List] = &[
    List { name: "sections", items: artifact::SECTION_ITEMS },
    List { name: "hostcalls", items: hostcall::SIGNATURES },
    List { name: "trap codes", items: trap::CODES },
    List { name: "value types", items: types::TYPE_CODES },
    List { name: "kinds of imports and exports", items: records::EXTERN_KINDS },
    List { name: "kinds of initialisation", items: records::INIT_KINDS },
    List { name: "operations of constant expressions", items: records::CONST_OPCODES },
    List { name: "kinds of nodes of a bundle", items: artifact::bundle::NODE_KINDS },
    List { name: "kinds of value types of components", items: component::TYPE_KINDS },
    List { name: "kinds of resource types", items: component::RESOURCE_KINDS },
    List { name: "kinds of imports of a component", items: component::IMPORT_KINDS },
    List { name: "encodings of strings", items: component::STRING_ENCODINGS },
    List { name: "bounds strategies", items: bounds::STRATEGIES },
    List { name: "counts of bounds checks", items: bounds::FATES },
    List { name: "bits of CPU features", items: cpu::BITS },
    List {
        name: "bits and marks",
        items: numbers![
            flags::INITIALISED,
            flags::PROFILE,
            records::limits::INDEX64,
            records::limits::SHARED,
            records::NO_MAXIMUM,
            records::NONE,
            records::CONTINUED,
            FuncRef::FOREIGN,
        ],
    },
    List {
        name: "numbers",
        items: numbers![
            artifact::HEADER_OFFSET,
            artifact::SITES_IN_BLOCK,
            artifact::MAX_PLACES,
            artifact::bundle::BUNDLE_VERSION,
            artifact::bundle::CONTENT_ALIGN,
            component::COMPONENT_VERSION,
            layout::PAGE,
            layout::WASM_PAGE,
            layout::MAX_MEMORY_PAGES,
            layout::BELOW_BASE,
            layout::MEMORY_RESERVATION,
            layout::GUARD,
            layout::SLOT_ALIGN,
            layout::UNCHECKED_OFFSET_LIMIT,
            layout::MAX_STATE_BYTES,
            layout::MAX_HOST_BYTES,
            memories::LEAD,
            memories::STRIDE,
            memories::MAX_MEMORIES,
            state::MEMORY_PAGES_OFFSET,
            state::GLOBAL_BYTES,
            state::TABLE_SIZE_BYTES,
            state::ELEMENT_BYTES,
            types::CELL_BYTES,
            types::REGISTER_PARAMS,
        ],
    },
];
