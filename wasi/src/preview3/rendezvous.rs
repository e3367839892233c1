//! Streams and futures both ends of which the guest has: from its memory to its memory.

use super::pipe::{Buffer, CopyResult, Pipe, Readable, Side, Writable};
use super::progress::Site;
use crate::canonical::{Component, Violation};
use wfaas_vm::component::{Type, TypeIndex};

/// Most bytes that are copied at once.
const MAX_COPIED: u32 = 256 << 10;

impl Site<'_> {
    /// Copies from one end of the guest's to the other, if both have an operation under way. The one on the side
    /// `arriving` is new.
    pub(super) fn rendezvous(&mut self, place: u32, arriving: Side) -> Result<(), Violation> {
        let component = self.component;
        let pipe = self.resources().tasks().pipes.get(place);
        let Some(pipe) = pipe else { return Ok(()) };
        let size = element_size(component, pipe.element(component));
        let Pipe { readable: Readable::Guest(reader), writable: Writable::Guest(writer), .. } =
            pipe
        else {
            return Ok(());
        };
        let is_open =
            |result: Option<CopyResult>| result.is_none_or(|r| r == CopyResult::Completed);
        if !is_open(reader.result) || !is_open(writer.result) {
            return Ok(());
        }
        let (Some(to), Some(from)) = (&mut reader.buffer, &mut writer.buffer) else {
            return Ok(());
        };
        let size = size.ok_or(Violation::Rule {
            function: "a stream or a future",
            reason: "the component has both ends, and the elements are no numbers",
        })?;
        let (pending, new) = match arriving {
            Side::Readable => (&*from, &*to),
            Side::Writable => (&*to, &*from),
        };
        let both_empty = pending.len == 0 && new.len == 0 && arriving == Side::Writable;
        let (mut pending_ends, new_ends) = (false, pending.remaining() > 0 || both_empty);
        if pending.remaining() == 0 && !both_empty {
            pending_ends = true;
        }
        let copied = copied(to, from, size);
        pending_ends |= copied > 0;
        // Addresses of elements without bytes were not checked.
        if copied > 0 && size > 0 {
            let (source, target) = (at(from, size), at(to, size));
            let bytes = (copied * size) as usize;
            self.memory.copy_within(source..source + bytes, target);
        }
        self.end_both(place, arriving, (pending_ends, new_ends), copied);
        Ok(())
    }

    /// Sets the results of both operations.
    fn end_both(
        &mut self,
        place: u32,
        arriving: Side,
        (pending_ends, new_ends): (bool, bool),
        copied: u32,
    ) {
        let Some(pipe) = self.resources().tasks().pipes.get(place) else { return };
        let mut ended = Vec::with_capacity(2);
        for side in [Side::Readable, Side::Writable] {
            let Some(end) = pipe.end(side) else { continue };
            if let Some(buffer) = &mut end.buffer {
                buffer.progress += copied;
            }
            let ends = if side == arriving { new_ends } else { pending_ends };
            if ends && end.result.is_none() {
                end.complete(CopyResult::Completed);
                ended.push(end.handle);
            }
        }
        for handle in ended {
            super::waitable::Waitable::notify(self.resources(), handle);
        }
    }
}

/// Elements to copy.
fn copied(to: &Buffer, from: &Buffer, size: u32) -> u32 {
    let both = to.remaining().min(from.remaining());
    both.min(MAX_COPIED.checked_div(size).unwrap_or(both))
}

/// The address of the first element that was not copied. It was checked.
fn at(buffer: &Buffer, size: u32) -> usize {
    (buffer.ptr + buffer.progress * size) as usize
}

/// Bytes of an element, if it is a number or none.
fn element_size(component: &Component, element: Option<TypeIndex>) -> Option<u32> {
    let Some(element) = element else { return Some(0) };
    match component.ty(element) {
        Type::U8
        | Type::S8
        | Type::U16
        | Type::S16
        | Type::U32
        | Type::S32
        | Type::U64
        | Type::S64
        | Type::F32
        | Type::F64 => Some(component.layout(element).size),
        _ => None,
    }
}
