//! The address-space layout of a slot.
//!
//! ```text
//!  0          (offsets from the slot's start)          513 MiB            4.5 GiB      6.5 GiB
//!  | unmapped ........ | host context | state ........ | linear memory 0 | guard ...... |
//!                      |              |                ^
//!                      |              |                BASE, pinned in r15 in guest code
//!                      |              BASE - state_bytes
//!                      BASE - state_bytes - host_bytes
//! ```
//!
//! `state_bytes` and `host_bytes` are constants of a module, multiples of [`PAGE`]. State and
//! linear memory are adjacent, so both are one image. A 32-bit index plus a 31-bit offset plus the
//! widest access stays below the end of the guard, and is never negative, so guest code can reach
//! neither its state, nor the host context, nor another slot. A memory that is not at BASE has a
//! slot of its own; see [`memories`](crate::memories).

/// Bytes of a host page, the unit of mapping, write tracking and reset.
pub const PAGE: usize = 4096;

/// Bytes of a WebAssembly page, the unit of memory sizes.
pub const WASM_PAGE: usize = 65536;

/// Most pages a 32-bit memory can have.
pub const MAX_MEMORY_PAGES: u64 = 65536;

/// Bytes reserved below BASE for the state and the host context together. BASE is in the middle of
/// 2 MiB: host context, small states and the start of the memory then share a page of page tables,
/// which is as large as the pages themselves that a small instance takes.
pub const BELOW_BASE: usize = (512 << 20) + (1 << 20);

/// Bytes reserved for a linear memory: all that a 32-bit index can reach.
pub const MEMORY_RESERVATION: usize = 4 << 30;

/// Bytes of the guard after a linear memory; with it slots are a multiple of [`SLOT_ALIGN`].
pub const GUARD: usize = (2 << 30) - (1 << 20);

/// Bytes of a whole slot. Slots start at multiples of [`SLOT_ALIGN`].
pub const SLOT_BYTES: usize = BELOW_BASE + MEMORY_RESERVATION + GUARD;

/// Alignment of slots, and the granule of the VM's table from address to slot.
pub const SLOT_ALIGN: usize = 512 << 20;

/// An access at `index + offset` needs no bounds check if `offset` plus the bytes accessed is at
/// most this; a larger one is compared with the memory's size first.
pub const UNCHECKED_OFFSET_LIMIT: u64 = (GUARD - 1) as u64;

/// Most bytes of state a module may have. The rest of [`BELOW_BASE`] is for the host context.
pub const MAX_STATE_BYTES: usize = BELOW_BASE - MAX_HOST_BYTES;

/// Most bytes of host context a module may have.
pub const MAX_HOST_BYTES: usize = 32 << 20;

/// Rounds `bytes` up to a whole number of host pages.
///
/// ```
/// assert_eq!(wfaas_abi::layout::page_align(1), 4096);
/// assert_eq!(wfaas_abi::layout::page_align(8192), 8192);
/// ```
pub const fn page_align(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE)
}
