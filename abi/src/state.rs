//! The state pages of an instance: all of it but linear memory, at constant distances below BASE.
//!
//! ```text
//!   BASE - state_bytes                                                             BASE
//!   | elements of table n-1 | ... | elements of table 0 | dropped | globals | sizes | header |
//!     8 bytes an element, page-aligned                    1 byte    16 bytes  8 bytes
//!     up to the table's capacity                          a segment a global  a table
//! ```
//!
//! A global cell is little-endian, 16 bytes wide whatever its type, so that any type fits. The
//! size of a table is a `u64` count of elements, of which the upper half is always zero. A
//! `dropped` byte is 1 once its segment has been dropped.
//!
//! [`StateLayout::new`] computes the offsets once, in the compiler; they travel in the artifact.

use crate::layout::{MAX_STATE_BYTES, PAGE, page_align};

/// The last bytes of the state, directly below BASE, the same in every module.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct StateHeader {
    /// Current size of linear memory 0, in WebAssembly pages.
    pub memory_pages: u64,
    /// Always zero.
    pub reserved: u64,
}

/// Offset from BASE of [`StateHeader::memory_pages`], in bytes.
pub const MEMORY_PAGES_OFFSET: i32 =
    core::mem::offset_of!(StateHeader, memory_pages) as i32 - size_of::<StateHeader>() as i32;

/// Bytes of a global's cell.
pub const GLOBAL_BYTES: usize = 16;

/// Bytes of a table's size cell.
pub const TABLE_SIZE_BYTES: usize = 8;

/// Bytes of a table element: a [`FuncRef`](crate::FuncRef), or an external reference (an index
/// into the store's host objects plus one, zero for null).
pub const ELEMENT_BYTES: usize = 8;

/// Elements a table gets room for if it declares no maximum (or a larger one) and starts smaller.
/// `table.grow` past the capacity fails, as the specification allows.
pub const DEFAULT_TABLE_CAPACITY: u64 = 1 << 20;

/// Most elements a table may have.
pub const MAX_TABLE_CAPACITY: u64 = 10_000_000;

/// Where everything is, as negative offsets from BASE in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateLayout {
    /// Bytes of the whole state, a multiple of the host page.
    pub state_bytes: usize,
    /// Of each defined table, its size cell.
    pub table_sizes: Vec<i32>,
    /// Of each defined table, its first element.
    pub table_elements: Vec<i32>,
    /// Of each defined global, its cell.
    pub globals: Vec<i32>,
    /// Of data segment 0, its `dropped` byte; the others follow upwards.
    pub data_dropped: i32,
    /// Of element segment 0, its `dropped` byte; the others follow upwards.
    pub elem_dropped: i32,
}

/// The module needs more state than a slot has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tables, globals and segments need {needed} bytes of state; a slot has {MAX_STATE_BYTES}")]
pub struct StateTooLarge {
    /// Bytes the module would need.
    pub needed: u64,
}

impl StateLayout {
    /// Lays out `globals` defined globals, tables with the given capacities (elements), and flags
    /// for `data` data segments and `elems` element segments.
    ///
    /// # Errors
    /// [`StateTooLarge`] if it all does not fit below BASE.
    pub fn new(
        globals: usize,
        table_capacities: &[u64],
        data: usize,
        elems: usize,
    ) -> Result<Self, StateTooLarge> {
        let element_bytes = table_capacities
            .iter()
            .map(|capacity| capacity.saturating_mul(ELEMENT_BYTES as u64))
            .map(|bytes| bytes.checked_next_multiple_of(PAGE as u64).unwrap_or(u64::MAX))
            .fold(0u64, u64::saturating_add);
        let fixed_bytes = size_of::<StateHeader>()
            + table_capacities.len() * TABLE_SIZE_BYTES
            + globals * GLOBAL_BYTES
            + GLOBAL_BYTES
            + data
            + elems;
        let needed = element_bytes.saturating_add(page_align(fixed_bytes) as u64);
        if needed > MAX_STATE_BYTES as u64 {
            return Err(StateTooLarge { needed });
        }
        let mut layout = StateLayout { state_bytes: needed as usize, ..Default::default() };
        // Everything fits an i32 from here on: MAX_STATE_BYTES is below 2 GiB.
        let mut at = -(size_of::<StateHeader>() as i32);
        let mut take = |bytes: usize| {
            at -= bytes as i32;
            at
        };
        layout.table_sizes = table_capacities.iter().map(|_| take(TABLE_SIZE_BYTES)).collect();
        if table_capacities.len() % 2 == 1 {
            take(TABLE_SIZE_BYTES); // keeps the global cells 16-byte aligned
        }
        layout.globals = (0..globals).map(|_| take(GLOBAL_BYTES)).collect();
        layout.data_dropped = take(data);
        layout.elem_dropped = take(elems);
        let mut at = -(page_align(fixed_bytes) as i32);
        for capacity in table_capacities {
            at -= page_align(*capacity as usize * ELEMENT_BYTES) as i32;
            layout.table_elements.push(at);
        }
        Ok(layout)
    }

    /// Elements a table with these limits gets room for: fewer than its minimum if that is more
    /// than a table may have, in which case there can be no instance.
    pub fn table_capacity(minimum: u64, maximum: Option<u64>) -> u64 {
        let wanted = maximum.unwrap_or(u64::MAX).min(DEFAULT_TABLE_CAPACITY.max(minimum));
        wanted.min(MAX_TABLE_CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_do_not_overlap_and_stay_inside() {
        let layout = StateLayout::new(3, &[10, 1000, 0], 5, 2).unwrap();
        let mut cells: Vec<(i32, i32)> = vec![(-(size_of::<StateHeader>() as i32), 0)];
        cells.extend(layout.globals.iter().map(|at| (*at, at + 16)));
        cells.extend(layout.table_sizes.iter().map(|at| (*at, at + 8)));
        cells.push((layout.data_dropped, layout.data_dropped + 5));
        cells.push((layout.elem_dropped, layout.elem_dropped + 2));
        for (at, capacity) in layout.table_elements.iter().zip([10, 1000, 0]) {
            cells.push((*at, at + capacity * 8));
            assert_eq!(at % PAGE as i32, 0);
        }
        cells.sort();
        assert!(cells[0].0 >= -(layout.state_bytes as i32));
        for pair in cells.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap");
        }
        assert!(layout.globals.iter().all(|at| at % 16 == 0));
    }

    #[test]
    fn the_memory_size_has_a_fixed_place() {
        assert_eq!(MEMORY_PAGES_OFFSET, -16);
    }

    #[test]
    fn too_much_state_is_refused() {
        let tables = vec![MAX_TABLE_CAPACITY; 7];
        let error = StateLayout::new(0, &tables, 0, 0).unwrap_err();
        assert!(error.to_string().contains("need 5"), "{error}");
        StateLayout::new(0, &[u64::MAX, 1], 0, 0).unwrap_err();
    }

    #[test]
    fn capacity_follows_the_declared_limits() {
        assert_eq!(StateLayout::table_capacity(10, Some(20)), 20);
        assert_eq!(StateLayout::table_capacity(10, None), DEFAULT_TABLE_CAPACITY);
        assert_eq!(StateLayout::table_capacity(5_000_000, None), 5_000_000);
        assert_eq!(StateLayout::table_capacity(u64::MAX, None), MAX_TABLE_CAPACITY);
    }
}
