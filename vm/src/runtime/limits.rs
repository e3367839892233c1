//! The limits of a store's memory; `room` keeps to them.

use wfaas_abi::layout::WASM_PAGE;
use wfaas_abi::state::ELEMENT_BYTES;

/// Bytes that memories, and everything else that guests can make grow, may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryLimits {
    /// All of the store together.
    pub(super) store: Option<u64>,
    /// All of an instance together, and all that is of no instance.
    pub(super) instance: u64,
}

impl MemoryLimits {
    /// No limit for the store, and this one for each instance.
    pub(super) fn new(instance: u64) -> MemoryLimits {
        MemoryLimits { store: None, instance }
    }

    /// Ends the limit that was for a request. Every field has its line here, so that a new one does
    /// not compile until somebody has decided about it.
    #[inline]
    pub(super) fn reset(&mut self) {
        let MemoryLimits { store, instance: _ } = self;
        *store = None;
    }
}

/// Bytes of so many WebAssembly pages.
pub(super) fn page_bytes(pages: u64) -> u64 {
    pages.saturating_mul(WASM_PAGE as u64)
}

/// Bytes of so many elements of a table.
pub(super) fn element_bytes(elements: u64) -> u64 {
    elements.saturating_mul(ELEMENT_BYTES as u64)
}
