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

use crate::description::{Field, Record, records};
use crate::layout::{MAX_STATE_BYTES, PAGE};

records! {
    RECORDS = derive(Debug, Clone, Copy, Default);

    /// The last bytes of the state, directly below BASE, the same in every module.
    StateHeader {
        /// Current size of linear memory 0, in WebAssembly pages.
        memory_pages: u64,
        /// Always zero.
        reserved: u64,
    }
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

macro_rules! parts {
    ($($(#[doc = $doc:literal])+ $name:ident: $cells:literal, $bytes:expr, $align:expr;)*) => {
        /// A number for each part of the state: its bytes, or the offset of its lowest byte from
        /// BASE.
        #[derive(Debug, Clone, Copy, Default)]
        pub(crate) struct Parts { $($(#[doc = $doc])+ $name: i64,)* }

        impl Parts {
            /// Places parts of these many bytes from the header downwards, and the end of all.
            const fn place(bytes: Parts) -> (Parts, i64) {
                let mut at = -(size_of::<StateHeader>() as i64);
                $(
                    at = (at - bytes.$name).div_euclid($align) * $align;
                    let $name = at;
                )*
                (Parts { $($name,)* }, at.div_euclid(PAGE as i64) * PAGE as i64)
            }
        }

        /// A state with three cells in each part, for the description of the ABI.
        pub(crate) const STATE_AREA: Record = {
            let (parts, end) = Parts::place(Parts { $($name: 3 * $bytes as i64,)* });
            Record {
                name: "state with three cells in each part",
                bytes: -end as usize,
                align: PAGE,
                fields: &[$(Field {
                    name: stringify!($name),
                    ty: $cells,
                    offset: parts.$name,
                    bytes: 3 * $bytes,
                },)*],
            }
        };
    };
}

parts! {
    /// Size cells of the defined tables, the first on top.
    table_sizes: "u64 for each defined table", TABLE_SIZE_BYTES, 8;
    /// Cells of the defined globals, the first on top.
    globals: "16 bytes for each defined global", GLOBAL_BYTES, 16;
    /// The data segments' `dropped` bytes, the first at the bottom.
    data_dropped: "u8 for each data segment", 1, 1;
    /// The element segments' `dropped` bytes, the first at the bottom.
    elem_dropped: "u8 for each element segment", 1, 1;
    /// Elements of the defined tables, each table whole pages, the first on top.
    table_elements: "u64 for each element of a defined table", ELEMENT_BYTES, PAGE as i64;
}

#[cfg(test)]
pub(crate) use parts;

/// The offsets of a module's cells from BASE, in bytes; all are negative.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateLayout {
    /// Bytes of the whole state, a multiple of the host page.
    pub state_bytes: usize,
    /// The size cell of each defined table.
    pub table_sizes: Vec<i32>,
    /// The first element of each defined table.
    pub table_elements: Vec<i32>,
    /// The cell of each defined global.
    pub globals: Vec<i32>,
    /// The `dropped` byte of data segment 0; the others follow upwards.
    pub data_dropped: i32,
    /// The `dropped` byte of element segment 0; the others follow upwards.
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
        let elements = table_capacities.iter().map(|capacity| element_bytes(*capacity));
        let bytes = Parts {
            table_sizes: (table_capacities.len() * TABLE_SIZE_BYTES) as i64,
            globals: (globals * GLOBAL_BYTES) as i64,
            data_dropped: data as i64,
            elem_dropped: elems as i64,
            table_elements: elements.clone().fold(0, |sum, bytes| (sum + bytes).min(MOST)),
        };
        let (parts, end) = Parts::place(bytes);
        if end < -(MAX_STATE_BYTES as i64) {
            return Err(StateTooLarge { needed: end.unsigned_abs() });
        }
        // Everything fits an i32 from here on: MAX_STATE_BYTES is below 2 GiB.
        let sizes = table_capacities.iter().map(|_| TABLE_SIZE_BYTES as i64);
        let cells = (0..globals).map(|_| GLOBAL_BYTES as i64);
        Ok(StateLayout {
            state_bytes: end.unsigned_abs() as usize,
            table_sizes: downwards(parts.table_sizes, bytes.table_sizes, sizes),
            table_elements: downwards(parts.table_elements, bytes.table_elements, elements),
            globals: downwards(parts.globals, bytes.globals, cells),
            data_dropped: parts.data_dropped as i32,
            elem_dropped: parts.elem_dropped as i32,
        })
    }

    /// Elements a table with these limits gets room for: fewer than its minimum if that is more
    /// than a table may have, in which case there can be no instance.
    pub fn table_capacity(minimum: u64, maximum: Option<u64>) -> u64 {
        let wanted = maximum.unwrap_or(u64::MAX).min(DEFAULT_TABLE_CAPACITY.max(minimum));
        wanted.min(MAX_TABLE_CAPACITY)
    }
}

/// The offsets of cells of these sizes, downwards, in a part of `bytes` bytes from `lowest` on.
fn downwards(lowest: i64, bytes: i64, cells: impl Iterator<Item = i64>) -> Vec<i32> {
    let place = |top: &mut i64, cell: i64| {
        *top -= cell;
        Some(*top as i32)
    };
    cells.scan(lowest + bytes, place).collect()
}

/// More than any state has, and less than overflows.
const MOST: i64 = 1 << 61;

/// Bytes of a table's elements, at most [`MOST`].
fn element_bytes(capacity: u64) -> i64 {
    let bytes = capacity.saturating_mul(ELEMENT_BYTES as u64).min(MOST as u64);
    bytes.next_multiple_of(PAGE as u64) as i64
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
