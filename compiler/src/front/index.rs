//! Index spaces of a module, a type each, as `cranelift-entity` does it.
//!
//! An *index* counts imports and definitions together, as the module's own instructions do; a
//! *defined* one counts definitions only, as the places that an instance has for them do.
//! [`Module`](super::module::Module) converts the first to the second.

use cranelift_codegen::entity::entity_impl;

macro_rules! index_spaces {
    ($($(#[$doc:meta])+ $space:ident $prefix:literal;)+) => {
        $(
            $(#[$doc])+
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub(crate) struct $space(u32);
            entity_impl!($space, $prefix);
        )+
    };
}

index_spaces! {
    /// A type of the module.
    TypeIndex "type";
    /// A function, imported or defined.
    FuncIndex "func";
    /// A function that the module defines.
    DefinedFunc "defined_func";
    /// A table, imported or defined.
    TableIndex "table";
    /// A table that the module defines.
    DefinedTable "defined_table";
    /// A memory, imported or defined.
    MemoryIndex "memory";
    /// A memory that the module defines.
    DefinedMemory "defined_memory";
    /// A global, imported or defined.
    GlobalIndex "global";
    /// A global that the module defines.
    DefinedGlobal "defined_global";
    /// A tag, imported or defined.
    TagIndex "tag";
    /// An element segment.
    ElemIndex "elem";
    /// A data segment.
    DataIndex "data";
}
