//! Events of waitables, and their delivery to the guest.

use super::call::Delivery;
use super::host_ends::{Eventual, Source};
use super::pipe::{Buffer, CopyResult, Side, Writable};
use super::progress::Site;
use super::waitable::{Waitable, WaitableSet};
use crate::canonical::{Lower, Pending, Value, Violation};

/// An event, as `waitable-set.wait` and callbacks get it: its code, the waitable's handle, and what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Event(pub u32, pub u32, pub u32);

/// `EVENT_SUBTASK`; the other codes are those of the operations.
const SUBTASK: u32 = 1;

/// Code of an operation that has not ended.
pub(super) const BLOCKED: u32 = u32::MAX;

/// An event on its way to the guest.
#[derive(Debug)]
pub struct Delivered {
    /// The event.
    pub event: Event,
    /// The first request for memory of the guest's that comes before it, or 0: see
    /// [`ReallocNext`](wfaas_vm::component::ImportKind::ReallocNext).
    pub request: u64,
}

impl Site<'_> {
    /// Takes an event from a set, if there is one. Its values are stored, as far as that takes no memory of the
    /// guest's.
    ///
    /// # Errors
    /// [`Violation`] if there is no such set.
    pub fn take_event(&mut self, set: u32) -> Result<Option<Delivered>, Violation> {
        let Some(handle) = WaitableSet::next(self.resources(), set)? else { return Ok(None) };
        let (event, pending) = self.deliver(handle)?;
        Ok(Some(Delivered { event, request: self.store_pending(pending, event.0) }))
    }

    /// Stores the next values at the address that the guest's allocator gave; the next request.
    ///
    /// # Errors
    /// [`Violation`] if the address is not the guest's.
    pub fn fill_next(&mut self, at: u32) -> Result<u64, Violation> {
        let Site { component, memory, data } = self;
        let resources = data.wasi().resources();
        let pending = resources.pending.take().ok_or(Violation::NothingPending)?;
        let left = pending.fill(component, memory, resources, at)?;
        let status = self.resources().status;
        Ok(self.store_pending(left, status))
    }

    /// Keeps values that wait for memory; the request for it, or else the result of the stub.
    pub(super) fn store_pending(&mut self, pending: Option<Pending>, status: u32) -> u64 {
        let component = self.component;
        let resources = self.resources();
        resources.status = status;
        let request = pending.as_ref().map(|pending| pending.request(component));
        resources.pending = pending;
        request.unwrap_or(status.into())
    }

    /// Takes the event that a waitable has.
    pub(super) fn deliver(&mut self, handle: u32) -> Result<(Event, Option<Pending>), Violation> {
        if Waitable::get_subtask(self.resources(), handle).is_ok() {
            let Delivery { state, pending } = self.deliver_subtask(handle)?;
            return Ok((Event(SUBTASK, handle, state as u32), pending));
        }
        let (place, side) =
            Waitable::place(self.resources(), handle).ok_or(Violation::BadHandle(handle))?;
        let component = self.component;
        let pipe = self.resources().tasks().pipes.get(place);
        let pipe = pipe.ok_or(Violation::BadHandle(handle))?;
        let (is_future, element) = (pipe.is_future, pipe.element(component));
        let code = match (is_future, side) {
            (false, Side::Readable) => 2,
            (false, Side::Writable) => 3,
            (true, Side::Readable) => 4,
            (true, Side::Writable) => 5,
        };
        let end = pipe.end(side).ok_or(Violation::BadHandle(handle))?;
        let (Some(result), Some(buffer)) = (end.result.take(), end.buffer.take()) else {
            return Err(Violation::BadHandle(handle));
        };
        end.is_done |=
            result == CopyResult::Dropped || is_future && result == CopyResult::Completed;
        let count = if is_future { 0 } else { buffer.progress << 4 };
        let pending = self.lower(buffer, element)?;
        Ok((Event(code, handle, result as u32 | count), pending))
    }

    /// Stores the values that were read.
    fn lower(
        &mut self,
        buffer: Buffer,
        element: Option<wfaas_vm::component::TypeIndex>,
    ) -> Result<Option<Pending>, Violation> {
        let Buffer { ptr, encoding, values, .. } = buffer;
        let Some(element) = element.filter(|_| !values.is_empty()) else { return Ok(None) };
        let Site { component, memory, data } = self;
        let lower = Lower::new(component, memory, data.wasi().resources(), encoding);
        lower.store_all(element, values, ptr)
    }

    /// Cancels the operation of an end, unless it has ended; its code.
    pub(super) fn cancel(&mut self, handle: u32, place: u32, side: Side) -> Result<(), Violation> {
        let resources = self.resources();
        let pipe = resources.tasks().pipes.get(place).ok_or(Violation::BadHandle(handle))?;
        let end = pipe.end(side).ok_or(Violation::BadHandle(handle))?;
        let Some(buffer) = end.buffer.as_mut() else {
            return Err(Violation::Rule {
                function: "a stream or a future",
                reason: "no operation is under way that could be cancelled",
            });
        };
        // Values that were not stored yet stay where they came from.
        let mut values = std::mem::take(&mut buffer.values);
        if !values.is_empty() {
            buffer.progress = 0;
            end.result = Some(CopyResult::Cancelled);
            match (&mut pipe.writable, values.pop()) {
                (Writable::Host(Source::Values(source)), last) => {
                    values.extend(last);
                    source.restore(values);
                }
                (writable, Some(value)) => {
                    *writable = Writable::Host(Source::Value(Eventual::restore(value)));
                }
                _ => {}
            }
        } else if end.result.is_none() {
            end.result = Some(CopyResult::Cancelled);
        }
        Ok(())
    }

    /// The guest's handles.
    pub(super) fn resources(&mut self) -> &mut crate::canonical::Resources {
        self.data.wasi().resources()
    }
}

/// A value that nobody takes: the handles in it are dropped.
pub(super) fn discard(resources: &mut crate::canonical::Resources, value: &Value) {
    match value {
        Value::Handle(handle) => {
            // An end leaves its set and its pipe, too.
            let _ = Waitable::discard(resources, *handle).or_else(|_| resources.forget(*handle));
        }
        Value::List(values) | Value::Record(values) => {
            values.iter().for_each(|value| discard(resources, value));
        }
        Value::Case(_, Some(value)) => discard(resources, value),
        _ => {}
    }
}
