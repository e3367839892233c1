//! Records of the frames of a program that waits again, outermost first. Their form is the one that the compiler gives
//! those in a text: code of a twin, its entry, locals, operands.

use std::fmt;
use std::sync::Arc;
use wfaas_abi::artifact::records::StackMapRecord;
use wfaas_abi::continuation::RECORD_HEADER_BYTES;

/// The records of all frames; cheap to clone. Twins read them where they are.
#[derive(Clone)]
pub(crate) struct Records(Arc<[u64]>);

impl fmt::Debug for Records {
    /// The values are the guest's, and no log's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// The values of a frame, with the stack map of the call that it is in.
pub(super) struct MappedFrame {
    /// The index of the type that its function has.
    pub(super) ty: u32,
    pub(super) map: StackMapRecord,
    pub(super) locals: Vec<u8>,
    pub(super) operands: Vec<u8>,
}

impl MappedFrame {
    /// Bytes of its record.
    pub(super) fn bytes(&self) -> usize {
        RECORD_HEADER_BYTES as usize + self.locals.len() + self.operands.len()
    }
}

impl Records {
    /// The records of these frames, outermost first. Locals and operands have multiples of eight bytes.
    pub(super) fn new(frames: &[MappedFrame]) -> Records {
        let mut words =
            Vec::with_capacity(frames.iter().map(MappedFrame::bytes).sum::<usize>() / 8);
        for MappedFrame { ty: _, map, locals, operands } in frames {
            words.push(u64::from(map.entry.get()) << 32 | u64::from(map.twin_offset.get()));
            words.push(0);
            for bytes in [locals, operands] {
                words.extend(bytes.as_chunks().0.iter().copied().map(u64::from_le_bytes));
            }
        }
        Records(words.into())
    }

    /// Bytes of memory that they take.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// The address of the outermost one.
    pub(super) fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }
}
