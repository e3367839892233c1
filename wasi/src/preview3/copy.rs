//! The built-ins of streams and futures: `new`, `read`, `write`, `cancel-*`, `drop-*`.

use super::builtins::{Call, Called, stuck};
use super::events::BLOCKED;
use super::pipe::{Buffer, GuestEnd, MAX_LENGTH, Pipe, Readable, Side, Writable};
use super::progress::{Outlook, Site, Until};
use super::tasks::Waiting;
use super::transfer::Step;
use super::waitable::Waitable;
use crate::canonical::Violation;
use crate::preview2::Stop;
use std::task::{Context, Waker};
use wfaas_vm::component::{CopyBuiltin, CopyOperation, Type, TypeIndex};

impl Site<'_> {
    /// An operation of a stream or a future.
    pub(super) fn copy(
        &mut self,
        builtin: &CopyBuiltin,
        [handle, ptr, len]: [u32; 3],
        call: &mut Call,
    ) -> Called {
        match builtin.operation {
            CopyOperation::New => Ok(self.new_pipe(builtin.ty)?),
            CopyOperation::Read => self.start(builtin, Side::Readable, [handle, ptr, len], call),
            CopyOperation::Write => self.start(builtin, Side::Writable, [handle, ptr, len], call),
            CopyOperation::CancelRead => self.cancel_copy(builtin.ty, handle, Side::Readable),
            CopyOperation::CancelWrite => self.cancel_copy(builtin.ty, handle, Side::Writable),
            CopyOperation::DropReadable => self.drop_end(builtin.ty, handle, Side::Readable),
            CopyOperation::DropWritable => self.drop_end(builtin.ty, handle, Side::Writable),
        }
    }

    /// `new`: the handle of the readable end, and in the upper half that of the writable one.
    fn new_pipe(&mut self, ty: TypeIndex) -> Result<u64, Violation> {
        let is_future = matches!(self.component.ty(ty), Type::Future(_));
        let resources = self.resources();
        let (readable, writable) = (Readable::Gone, Writable::Gone);
        let pipe = Pipe { is_future, ty: Some(ty), readable, writable };
        let place = resources.tasks().pipes.add(pipe)?;
        let readable = resources.insert(Waitable::end(place, Side::Readable))?;
        let writable = resources.insert(Waitable::end(place, Side::Writable))?;
        if let Some(pipe) = resources.tasks().pipes.get(place) {
            pipe.readable = Readable::Guest(GuestEnd::of(readable));
            pipe.writable = Writable::Guest(GuestEnd::of(writable));
        }
        Ok(u64::from(writable) << 32 | u64::from(readable))
    }

    /// The pipe of an end of this type.
    fn typed(&mut self, ty: TypeIndex, handle: u32, side: Side) -> Result<u32, Violation> {
        let resources = self.resources();
        let place = Waitable::place(resources, handle).filter(|(_, found)| *found == side);
        let (place, _) = place.ok_or(Violation::BadHandle(handle))?;
        let found = resources.tasks().pipes.get(place).is_some_and(|pipe| pipe.ty == Some(ty));
        if found { Ok(place) } else { Err(Violation::BadHandle(handle)) }
    }

    /// `read` and `write`. A wait calls it again: the operation is begun once.
    fn start(
        &mut self,
        builtin: &CopyBuiltin,
        side: Side,
        [handle, ptr, len]: [u32; 3],
        call: &mut Call,
    ) -> Called {
        let place = self.typed(builtin.ty, handle, side)?;
        if !call.is_begun() {
            self.begin_copy(builtin, place, side, [handle, ptr, len])?;
            let mut context = Context::from_waker(Waker::noop());
            if let Step::Waits(_) = self.advance(place, &mut context, &mut 0)? {
                self.resources().tasks().list(Waiting::Pipe(place))?;
            }
            self.rendezvous(place, side)?;
        }
        if Waitable::has_event(self.resources(), handle) {
            let (event, pending) = self.deliver(handle)?;
            return Ok(self.store_pending(pending, event.2));
        }
        if builtin.is_async {
            return Ok(BLOCKED.into());
        }
        let mut context = Context::from_waker(Waker::noop());
        let outlook = self.progress(&mut context).map_err(Stop::end)?;
        let has_ended = Waitable::has_event(self.resources(), handle);
        match outlook == Outlook::Nothing && !has_ended {
            true => Err(stuck()),
            false => Err(call.wait(Until::Waitable(handle))),
        }
    }

    fn begin_copy(
        &mut self,
        builtin: &CopyBuiltin,
        place: u32,
        side: Side,
        [handle, ptr, len]: [u32; 3],
    ) -> Result<(), Violation> {
        let component = self.component;
        let bytes = self.memory.len();
        let pipe = self.resources().tasks().pipes.get(place);
        let pipe = pipe.ok_or(Violation::BadHandle(handle))?;
        let len = if pipe.is_future { 1 } else { len };
        let element = pipe.element(component).map(|element| component.layout(element));
        let (size, align) = element.map_or((0, 1), |layout| (layout.size, layout.align));
        check(bytes, ptr, len, size, align)?;
        let end = pipe.end(side).ok_or(Violation::BadHandle(handle))?;
        if end.buffer.is_some() || end.is_done {
            return Err(Violation::Rule {
                function: "a stream or a future",
                reason: "an operation on this end is under way, or none can follow",
            });
        }
        let encoding = builtin.encoding;
        end.buffer = Some(Buffer { ptr, len, progress: 0, encoding, values: Vec::new() });
        end.result = None;
        Ok(())
    }

    fn cancel_copy(&mut self, ty: TypeIndex, handle: u32, side: Side) -> Called {
        let place = self.typed(ty, handle, side)?;
        self.cancel(handle, place, side)?;
        let (event, _) = self.deliver(handle)?; // its values were taken back
        Ok(event.2.into())
    }

    fn drop_end(&mut self, ty: TypeIndex, handle: u32, side: Side) -> Called {
        self.typed(ty, handle, side)?;
        let place = Waitable::pipe(self.resources(), handle, side)?;
        let resources = self.resources();
        if let Some(pipe) = resources.tasks().pipes.get(place) {
            let is_future = pipe.is_future;
            let is_done = pipe.end(side).is_some_and(|end| end.is_done);
            if side == Side::Writable && is_future && !is_done {
                return Err(Violation::Rule {
                    function: "future.drop-writable",
                    reason: "the future has no value",
                }
                .into());
            }
            pipe.drop_end(side);
        }
        Waitable::remove(resources, handle)?;
        let mut context = Context::from_waker(Waker::noop());
        self.advance(place, &mut context, &mut 0)?;
        Ok(0)
    }
}

/// Checks the guest's memory for `len` elements.
fn check(bytes: usize, ptr: u32, len: u32, size: u32, align: u32) -> Result<(), Violation> {
    if len > MAX_LENGTH {
        return Err(Violation::TooLarge);
    }
    if len == 0 || size == 0 {
        return Ok(());
    }
    if !ptr.is_multiple_of(align) {
        return Err(Violation::Misaligned);
    }
    let end = u64::from(ptr) + u64::from(len) * u64::from(size);
    if end <= bytes as u64 { Ok(()) } else { Err(Violation::OutOfBounds) }
}
