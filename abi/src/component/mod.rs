//! The bindings of a component: the interfaces that its fused module imports and exports, with the types
//! of their values. A section of the artifact, empty for a core module.
//!
//! * a [`Type`] is a component-level value type; types refer to each other by [`TypeIndex`];
//! * a [`Resource`] is a resource type: the host's, or the guest's own;
//! * an [`Import`] says, for one core import of the fused module, which function of the canonical ABI stands
//!   behind it;
//! * an [`Export`] says how to call a lifted function through core exports.
//!
//! ```text
//!   0      ComponentHeader: magic, version, numbers of rows
//!   48     TypeRow x types, 20 bytes each
//!   ...    MemberRow x members: fields, cases, elements, flags, parameters
//!   ...    FunctionRow x functions
//!   ...    ResourceRow x resources
//!   ...    BindingImportRow x imports, in the order of the core imports
//!   ...    BindingExportRow x exports
//!   ...    strings, UTF-8, without zeros between them
//! ```
//!
//! A type refers only to types with smaller numbers, so none contains itself.
//!
//! | limit | |
//! |---|---|
//! | number of types; of functions; of resources; of imports; of exports | [`MAX_ITEMS`], each |
//! | fields, cases, elements, flags and parameters together | [`MAX_MEMBERS`] |
//! | nesting depth of types | [`MAX_DEPTH`] |
//! | core values of a flattened type | [`MAX_FLAT_TYPE`] |
//! | bytes of a type in memory | [`MAX_TYPE_BYTES`] |
//! | bytes of all names, each time one is used | [`MAX_NAMES`] |
//!
//! Source of the terms: `CanonicalABI.md` of the [component
//! model](https://github.com/WebAssembly/component-model).

mod builtins;
mod layout;
mod reader;
pub mod records;
mod text;
mod types;
mod writer;

pub use builtins::{Builtin, CopyBuiltin, CopyOperation};
pub use layout::{Layout, discriminant_bytes, layouts};
pub(crate) use records::COMPONENT_VERSION;
pub use records::StringEncoding;
pub(crate) use records::{
    BINDING_RECORDS, IMPORT_KINDS, RESOURCE_KINDS, STRING_ENCODINGS, TYPE_KINDS,
};
pub use text::FunctionText;
pub use types::{Case, Field, FunctionIndex, Param, ResourceIndex, Type, TypeIndex};
pub use writer::TooLarge;

/// Largest number of types; functions, resources, imports and exports have the same limit.
pub const MAX_ITEMS: usize = 1 << 16;

/// Most fields, cases, elements, flags and parameters together.
pub const MAX_MEMBERS: usize = 1 << 18;

/// Largest nesting depth of types.
pub const MAX_DEPTH: usize = 100;

/// Most core values of a flattened type.
pub const MAX_FLAT_TYPE: u32 = 1 << 16;

/// Most bytes of a value in linear memory, without the contents of its lists and strings.
pub const MAX_TYPE_BYTES: u32 = 1 << 20;

/// Most bytes of all names together. The strings have each once; here it counts each time it is used.
pub const MAX_NAMES: usize = 16 << 20;

/// The interfaces between a fused module and its host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bindings {
    /// Value types. Each refers to earlier ones only.
    pub types: Vec<Type>,
    /// Types of functions.
    pub functions: Vec<Function>,
    /// Resource types. Two that are equal in the component are one here.
    pub resources: Vec<Resource>,
    /// Imports of the fused module, all of them and in its order.
    pub imports: Vec<Import>,
    /// Lifted functions.
    pub exports: Vec<Export>,
    /// The core export that allocates for the values of events, as [`Export::realloc`].
    pub realloc: Option<String>,
}

/// The type of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Function {
    /// Parameters.
    pub params: Vec<Param>,
    /// The result, if there is one.
    pub result: Option<TypeIndex>,
    /// Whether it may wait (WASI 0.3).
    pub is_async: bool,
}

/// A function of an interface, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionName {
    /// The interface with its version, as `wasi:io/streams@0.2.6`; empty for a function of the world itself.
    pub interface: String,
    /// The name in it, as `[method]input-stream.blocking-read`.
    pub name: String,
}

/// A resource type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// The host's.
    Imported {
        /// The interface with its version; empty for a resource of the world itself.
        interface: String,
        /// The name in it, as `input-stream`.
        name: String,
    },
    /// The guest's own. A representation is a 32-bit number.
    Defined {
        /// Core export to call with the representation of a value that is dropped: `(i32)`.
        destructor: Option<String>,
    },
}

/// One import of the fused module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Module name of the core import.
    pub module: String,
    /// Field name of the core import. No two imports have both names in common.
    pub field: String,
    /// The function behind it.
    pub kind: ImportKind,
    /// The memory that its values are in, by [number](Bindings::memory_name).
    pub memory: u32,
}

/// The functions of the canonical ABI that a fused module imports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ImportKind {
    /// `canon lower`: a function of the host.
    Lowered {
        /// Its name.
        name: FunctionName,
        /// Its type.
        ty: FunctionIndex,
        /// How strings are encoded.
        encoding: StringEncoding,
        /// Whether the results are stored by a *stub* of the fused module, which allocates for them. The import
        /// has an `i64` as its result then: the first request of [`ImportKind::ReallocNext`].
        realloc: bool,
        /// Whether it is lowered with `async` (WASI 0.3).
        is_async: bool,
    },
    /// The host's side of a stub's loop: `(i32) -> i64`. The parameter is the address of the block that was
    /// asked for last. The result is the next request: the size in bytes in bits 0 to 31, the alignment in bits 32
    /// to 63. An alignment of 0 says that all results are stored; the rest is the result of the stub then, if it
    /// has one.
    ReallocNext,
    /// `canon resource.new` of a defined resource, `(i32) -> i32`: representation to handle.
    ResourceNew(ResourceIndex),
    /// `canon resource.rep` of a defined resource, `(i32) -> i32`: handle to representation.
    ResourceRep(ResourceIndex),
    /// `canon resource.drop`. Of a resource without destructor, `(i32)`. Of one with a destructor,
    /// `(i32) -> i64`: the representation, with zeros above, for which a stub of the fused module calls the
    /// destructor, or −1 if none has to be called.
    ResourceDrop(ResourceIndex),
    /// A built-in of tasks, waitables, streams and futures.
    Builtin(Builtin),
}

/// A lifted function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name. Its interface is empty for a function of the world itself.
    pub name: FunctionName,
    /// Its type.
    pub ty: FunctionIndex,
    /// The core export to call.
    pub core: String,
    /// How strings are encoded.
    pub encoding: StringEncoding,
    /// The core export that allocates in the guest's memory, `(i32, i32, i32, i32) -> i32`: old address, old size,
    /// alignment, new size.
    pub realloc: Option<String>,
    /// The core export to call with the core results, once they have been read.
    pub post_return: Option<String>,
    /// The core export to call with events. The function is lifted with `async` then (WASI 0.3).
    pub callback: Option<String>,
}

impl Bindings {
    /// Name under which the fused module exports its first memory, if it has one.
    pub const MEMORY: &str = "memory";

    /// Name under which the fused module exports the memory with this number. The first one is [`Bindings::MEMORY`].
    pub fn memory_name(number: u32) -> String {
        match number {
            0 => Bindings::MEMORY.to_owned(),
            number => format!("{}#{number}", Bindings::MEMORY),
        }
    }

    /// The lifted function with this name. The interface is compared without its patch level and what
    /// follows it: `wasi:cli/run@0.2` finds the one of `wasi:cli/run@0.2.6`.
    pub fn export(&self, interface: &str, name: &str) -> Option<&Export> {
        let fits = |export: &&Export| {
            export.name.name == name && is_version_of(&export.name.interface, interface)
        };
        self.exports.iter().find(fits)
    }
}

/// Whether `full` is `interface` (`wasi:cli/run@0.2`), or a patch level of it (`wasi:cli/run@0.2.6`).
pub fn is_version_of(full: &str, interface: &str) -> bool {
    let rest = full.strip_prefix(interface);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
