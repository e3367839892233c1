//! The rest of a bulk operation, as data: it is kept while its guest is preempted.

/// The rest of a bulk operation. All of it is inside of memories, tables and segments, which do not
/// shrink, and live as long as the store.
#[derive(Debug)]
pub(super) enum Bulk {
    /// Bytes that are not the target's, or overlap with it from above.
    CopyForward {
        to: *mut u8,
        from: *const u8,
        len: usize,
    },
    /// Bytes that overlap with the target from below.
    CopyBackward {
        to: *mut u8,
        from: *const u8,
        len: usize,
    },
    Fill {
        to: *mut u8,
        value: u8,
        len: usize,
    },
    TableFill {
        table: usize,
        at: u64,
        bits: u64,
        len: u64,
    },
    /// Elements behind the end, which is moved afterwards.
    TableGrow {
        table: usize,
        at: u64,
        bits: u64,
        len: u64,
    },
    /// Inside of one table.
    TableMove {
        table: usize,
        dst: u64,
        src: u64,
        len: u64,
    },
    /// From one table to another.
    TableCopy {
        to: (usize, u64),
        from: (usize, u64),
        len: u64,
    },
    TableInit {
        instance: u32,
        table: usize,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    },
}

/// A bulk operation that was stopped, since the guest is preempted.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// The instance that asked for it.
    pub(super) instance: u32,
    pub(super) bulk: Bulk,
    /// The result of the hostcall.
    pub(super) result: u64,
}

impl Bulk {
    /// A copy of bytes, which may overlap.
    pub(super) fn copy(to: *mut u8, from: *const u8, len: usize) -> Bulk {
        if to.cast_const() <= from {
            Bulk::CopyForward { to, from, len }
        } else {
            Bulk::CopyBackward { to, from, len }
        }
    }
}
