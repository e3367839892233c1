//! Pipes: streams and futures, by their two ends.

use super::host_ends::{Sink, Source};
use crate::canonical::{Component, Value, Violation};
use wfaas_vm::component::{StringEncoding, Type, TypeIndex};

/// Most elements of one operation.
pub(super) const MAX_LENGTH: u32 = (1 << 28) - 1;

/// A stream or a future.
pub(super) struct Pipe {
    /// Whether it is a future, which has one element.
    pub(super) is_future: bool,
    /// The type, [`Type::Stream`] or [`Type::Future`], once the guest has it.
    pub(super) ty: Option<TypeIndex>,
    pub(super) readable: Readable,
    pub(super) writable: Writable,
}

/// The end that is read.
pub(super) enum Readable {
    Guest(GuestEnd),
    Host(Sink),
    Gone,
}

/// The end that is written.
pub(super) enum Writable {
    Guest(GuestEnd),
    Host(Source),
    Gone,
}

/// An end that the guest has.
#[derive(Default)]
pub(super) struct GuestEnd {
    pub(super) handle: u32,
    /// The operation under way, until its event is delivered.
    pub(super) buffer: Option<Buffer>,
    /// Its end, which is not delivered yet.
    pub(super) result: Option<CopyResult>,
    /// Whether no operation can follow.
    pub(super) is_done: bool,
}

/// The guest's memory for an operation, which was checked: memories do not shrink.
pub(super) struct Buffer {
    pub(super) ptr: u32,
    /// Elements.
    pub(super) len: u32,
    /// Elements that were copied.
    pub(super) progress: u32,
    /// How strings in the elements are encoded.
    pub(super) encoding: StringEncoding,
    /// Elements that are lowered when the event is delivered.
    pub(super) values: Vec<Value>,
}

/// The end of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyResult {
    Completed = 0,
    /// The other end is gone.
    Dropped = 1,
    Cancelled = 2,
}

/// An end's direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Readable,
    Writable,
}

impl GuestEnd {
    pub(super) fn of(handle: u32) -> GuestEnd {
        GuestEnd { handle, ..GuestEnd::default() }
    }

    /// The operation that goes on.
    pub(super) fn open(&mut self) -> Option<&mut Buffer> {
        self.buffer.as_mut().filter(|_| self.result.is_none())
    }

    /// Ends the operation under way, if there is one; whether there was.
    pub(super) fn complete(&mut self, result: CopyResult) -> bool {
        if self.buffer.is_some() {
            self.result = Some(result);
        }
        self.buffer.is_some()
    }
}

impl Buffer {
    pub(super) fn remaining(&self) -> u32 {
        self.len - self.progress
    }
}

impl Pipe {
    /// The guest's end on a side.
    pub(super) fn end(&mut self, side: Side) -> Option<&mut GuestEnd> {
        match (side, &mut self.readable, &mut self.writable) {
            (Side::Readable, Readable::Guest(end), _) => Some(end),
            (Side::Writable, _, Writable::Guest(end)) => Some(end),
            _ => None,
        }
    }

    /// An end is gone.
    pub(super) fn drop_end(&mut self, side: Side) {
        match side {
            Side::Readable => self.readable = Readable::Gone,
            Side::Writable => self.writable = Writable::Gone,
        }
    }

    /// The type of the elements, if they have one.
    pub(super) fn element(&self, component: &Component) -> Option<TypeIndex> {
        match self.ty.map(|ty| component.ty(ty)) {
            Some(Type::Stream(element) | Type::Future(element)) => *element,
            _ => None,
        }
    }

    /// Whether the host has both ends, or the one that is left.
    pub(super) fn is_hosts(&self) -> bool {
        let Pipe { readable, writable, .. } = self;
        !matches!(readable, Readable::Guest(_)) && !matches!(writable, Writable::Guest(_))
    }

    /// Whether nobody has an end any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!((&self.readable, &self.writable), (Readable::Gone, Writable::Gone))
    }
}

/// All pipes of an instance.
#[derive(Default)]
pub(super) struct Pipes {
    places: Vec<Option<Box<Pipe>>>,
    free: Vec<u32>,
}

/// Most pipes. A guest's end has a handle, and a pipe of two ends of the host is made of one of those.
const MAX_PIPES: usize = crate::canonical::MAX_HANDLES;

impl Pipes {
    /// Adds a pipe; its place.
    pub(super) fn add(&mut self, pipe: Pipe) -> Result<u32, Violation> {
        let pipe = Some(Box::new(pipe));
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = pipe;
            return Ok(place);
        }
        if self.places.len() >= MAX_PIPES {
            return Err(Violation::TooManyHandles);
        }
        self.places.push(pipe);
        Ok(self.places.len() as u32 - 1)
    }

    pub(super) fn get(&mut self, place: u32) -> Option<&mut Pipe> {
        self.places.get_mut(place as usize)?.as_deref_mut()
    }

    pub(super) fn look(&self, place: u32) -> Option<&Pipe> {
        self.places.get(place as usize)?.as_deref()
    }

    /// Takes a pipe out, to be [put back](Pipes::put).
    pub(super) fn take(&mut self, place: u32) -> Option<Box<Pipe>> {
        self.places.get_mut(place as usize)?.take()
    }

    /// Puts a pipe back, unless nobody has an end of it.
    pub(super) fn put(&mut self, place: u32, pipe: Box<Pipe>) {
        match pipe.is_gone() {
            true => self.free.push(place),
            false => self.places[place as usize] = Some(pipe),
        }
    }
}
