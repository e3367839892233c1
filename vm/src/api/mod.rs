//! The embedding API: handles to a store's objects, and everything that is generic over the
//! embedder's data.

pub(crate) mod call_async;
pub(crate) mod caller;
pub(crate) mod cancel;
pub(crate) mod convert;
pub mod diagnostics;
pub(crate) mod engine;
pub(crate) mod exception;
pub(crate) mod externs;
pub(crate) mod func;
pub(crate) mod global;
pub(crate) mod host_async;
pub(crate) mod host_func;
pub(crate) mod instance;
pub(crate) mod linker;
pub(crate) mod maybe_future;
pub(crate) mod memory;
pub(crate) mod module;
pub(crate) mod pool;
pub(crate) mod pool_memory;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod typed;
pub(crate) mod val;
pub(crate) mod wasm_ty;
