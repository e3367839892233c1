//! Bulk operations in pieces, so that none keeps a thread for long: between two pieces a call can be
//! ended, or preempted. Then the rest of the operation is kept in the store, and done when the guest
//! goes on.
//!
//! A piece takes less than 200 µs, also if all of its pages are touched for the first time.

use crate::arch::PreemptLanding;
use crate::call::preempt;
use crate::runtime::bulk_rest::{Bulk, Unfinished};
use crate::runtime::error::{Error, without_frames};
use crate::runtime::store::StoreInner;
use wfaas_abi::TrapCode;
use wfaas_abi::hostcall::MOST_MOVED;

/// Bytes of a piece: 16 pages to fault in, for each of two ranges.
const PIECE_BYTES: usize = MOST_MOVED as usize;
/// Elements of a piece that are only moved.
const PIECE_WORDS: u64 = (PIECE_BYTES / size_of::<u64>()) as u64;
/// Elements of a piece that are translated, which may take an entry in an index each.
const PIECE_REFERENCES: u64 = 128;

impl Bulk {
    /// Does one piece; whether more are left.
    fn step(&mut self, store: &mut StoreInner) -> Result<bool, Error> {
        match self {
            Bulk::CopyForward { .. } | Bulk::CopyBackward { .. } | Bulk::Fill { .. } => {
                Ok(self.step_bytes())
            }
            Bulk::TableFill { table, at, bits, len } => {
                let piece = (*len).min(PIECE_WORDS);
                store.objects.tables[*table].fill(*at, *bits, piece).map_err(without_frames)?;
                (*at, *len) = (*at + piece, *len - piece);
                Ok(*len > 0)
            }
            Bulk::TableGrow { table, at, bits, len } => {
                let piece = (*len).min(PIECE_WORDS);
                store.objects.tables[*table].append(*at, *bits, piece, *len - piece);
                (*at, *len) = (*at + piece, *len - piece);
                Ok(*len > 0)
            }
            Bulk::TableMove { table, dst, src, len } => {
                let piece = (*len).min(PIECE_WORDS);
                // Towards lower elements from the front, otherwise from the back.
                let forward = dst <= src;
                let skipped = if forward { 0 } else { *len - piece };
                let table = &mut store.objects.tables[*table];
                let moved = table.copy_within(*dst + skipped, *src + skipped, piece);
                moved.map_err(without_frames)?;
                if forward {
                    (*dst, *src) = (*dst + piece, *src + piece);
                }
                *len -= piece;
                Ok(*len > 0)
            }
            Bulk::TableCopy { to, from, len } => {
                let piece = (*len).min(PIECE_REFERENCES);
                store.objects.table_copy_piece(*to, *from, piece)?;
                (to.1, from.1, *len) = (to.1 + piece, from.1 + piece, *len - piece);
                Ok(*len > 0)
            }
            Bulk::TableInit { instance, table, segment, dst, src, len } => {
                let piece = (*len).min(PIECE_REFERENCES);
                let (from, to) = ((*segment, *src), (*table, *dst));
                store.objects.table_init_piece(*instance, to, from, piece)?;
                (*dst, *src, *len) = (*dst + piece, *src + piece, *len - piece);
                Ok(*len > 0)
            }
        }
    }

    fn step_bytes(&mut self) -> bool {
        match self {
            Bulk::CopyForward { to, from, len } => {
                let piece = (*len).min(PIECE_BYTES);
                // SAFETY: both ranges are inside of memories or segments.
                unsafe { std::ptr::copy(*from, *to, piece) };
                (*to, *from) = (to.wrapping_add(piece), from.wrapping_add(piece));
                *len -= piece;
                *len > 0
            }
            Bulk::CopyBackward { to, from, len } => {
                let piece = (*len).min(PIECE_BYTES);
                *len -= piece;
                // SAFETY: as above.
                unsafe { std::ptr::copy(from.wrapping_add(*len), to.wrapping_add(*len), piece) };
                *len > 0
            }
            Bulk::Fill { to, value, len } => {
                let piece = (*len).min(PIECE_BYTES);
                // SAFETY: the range is inside of a memory.
                unsafe { std::ptr::write_bytes(*to, *value, piece) };
                *to = to.wrapping_add(piece);
                *len -= piece;
                *len > 0
            }
            _ => false,
        }
    }
}

impl StoreInner {
    /// Does a bulk operation for the guest that called the host; `result`. If it is preempted before
    /// that, the rest is left behind, and the host is called at `landing` when the guest goes on.
    ///
    /// # Errors
    /// The trap with which the call under way has to end.
    pub(super) fn run_bulk(
        &mut self,
        instance: u32,
        mut bulk: Bulk,
        result: u64,
        landing: PreemptLanding,
    ) -> Result<u64, Error> {
        while bulk.step(self)? {
            self.check_due()?;
            // SAFETY: this is a hostcall, which returns, and is continued there.
            if self.call.is_marked() && unsafe { preempt::on_return(&self.call, landing) } {
                self.unfinished = Some(Unfinished { instance, bulk, result });
                return Ok(0);
            }
        }
        Ok(result)
    }

    /// Does a bulk operation for the host.
    ///
    /// # Errors
    /// As [`StoreInner::run_bulk`].
    pub(super) fn finish_bulk(&mut self, mut bulk: Bulk) -> Result<(), Error> {
        while bulk.step(self)? {
            self.check_due()?;
        }
        Ok(())
    }

    /// Ends an operation in many pieces if the call under way has to end.
    fn check_due(&self) -> Result<(), Error> {
        self.call.interrupted().map_or(Ok(()), |code: TrapCode| Err(without_frames(code)))
    }
}
