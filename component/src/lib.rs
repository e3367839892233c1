//! From a component to one core module and its bindings.
//!
//! * a **component** holds core modules, and says how instances of them are wired together;
//! * the **graph** is what the component's instantiation would do: core instances in their order, the
//!   definition behind each of their imports, and the functions of the canonical ABI;
//! * the **fused module** is all core instances in one module. An import of one from another is a direct call
//!   or the same global, table or memory;
//! * the **bindings** say which function of the canonical ABI is behind each import of the fused module,
//!   and how its exports are called.
//!
//! Inner components may have memories of their own. A call from one to another goes through a generated *adapter*, which
//! copies values from memory to memory. Bodies of functions are copied with new indices; they are validated when the
//! fused module is compiled.
//!
//! ```
//! let component = wat::parse_str(
//!     r#"(component
//!         (core module $m (func (export "seven") (result i32) (i32.const 7)))
//!         (core instance $i (instantiate $m))
//!         (func (export "seven") (result u32) (canon lift (core func $i "seven"))))"#,
//! )?;
//! assert!(wfaas_component::is_component(&component));
//! let fused = wfaas_component::fuse(&component)?;
//! assert_eq!(fused.bindings.exports[0].name.name, "seven");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source of the terms: `Binary.md` and `CanonicalABI.md` of the [component
//! model](https://github.com/WebAssembly/component-model).
#![forbid(unsafe_code)]

mod bind;
mod budget;
mod error;
mod fuse;
mod graph;
mod parse;
mod types;

pub use error::ComponentError;

use wfaas_abi::component::Bindings;

/// A component as one core module.
#[derive(Debug, Clone)]
pub struct Fused {
    /// The bytes of the module.
    pub module: Vec<u8>,
    /// Meaning of its imports and exports.
    pub bindings: Bindings,
}

/// Most bytes of all core modules together, each as often as it is instantiated.
pub const MAX_MODULE_BYTES: usize = 256 << 20;

/// Whether bytes begin as those of a component.
pub fn is_component(bytes: &[u8]) -> bool {
    // Magic number, version 13, layer 1.
    bytes.starts_with(b"\0asm\x0d\0\x01\0")
}

/// Fuses a component, given as a binary.
///
/// # Errors
/// [`ComponentError`]: the component is invalid, too large, or uses what is not supported.
pub fn fuse(component: &[u8]) -> Result<Fused, ComponentError> {
    let parsed = parse::parse(component)?;
    let graph = graph::resolve(&parsed)?;
    let plan = bind::bind(&graph)?;
    let module = fuse::fuse(&graph, &plan)?;
    Ok(Fused { module, bindings: plan.bindings })
}
