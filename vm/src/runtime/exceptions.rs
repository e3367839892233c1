//! Exceptions that guests throw: keeping them, and forgetting the ones that nothing refers to.
//!
//! A thrown exception is kept by its store, and a guest's reference to it is its place in the
//! store's list, marked so that it looks like nothing else. Since compiled code owns nothing, the
//! store finds out by itself which exceptions can still be reached, once there are many: from
//! globals and tables, from the embedder's handles, and from words on the guests' stacks that look
//! like a reference.

use crate::call::state::CallState;
use crate::runtime::error::{Error, without_frames};
use crate::runtime::exception_list::{
    Exceptions, FIRST_LOOK, FIRST_WORK, MOST_BYTES, MOST_WORK, SLICE, bytes_of,
};
use crate::runtime::objects::Objects;
use crate::runtime::thrown::{Exception, Thrown};
use std::sync::Arc;
use wfaas_abi::TrapCode;

impl Objects {
    /// Keeps an exception.
    pub(crate) fn add_exception(
        &mut self,
        call: &CallState,
        tag: u32,
        values: Box<[u64]>,
    ) -> Result<Exception, Error> {
        let (bytes, work) = (bytes_of(values.len()), self.look_work(tag, values.len()));
        let Exceptions { bytes: present, work: known, known_room, next_work, .. } = self.exceptions;
        if present + bytes > known_room || known + work > next_work {
            self.make_exception_room(call, bytes, work)?;
        }
        let index = self.exceptions.free.pop().unwrap_or_else(|| {
            self.exceptions.slots.push(None);
            (self.exceptions.slots.len() - 1) as u32
        });
        let thrown = Arc::new(Thrown { store: self.id(), index, tag, values });
        self.exceptions.slots[index as usize] = Some(thrown.clone());
        self.exceptions.bytes += bytes;
        self.exceptions.work += work;
        Ok(Exception(thrown))
    }

    /// Units of work that an exception is for a look.
    fn look_work(&self, tag: u32, cells: usize) -> usize {
        if self.may_refer(tag) { 1 + cells } else { 1 }
    }

    /// Whether exceptions with a tag may refer to others.
    fn may_refer(&self, tag: u32) -> bool {
        self.tags[tag as usize].params().iter().any(|ty| ty.is_exn_ref())
    }

    /// Makes room for an exception of so many bytes and units of work, by forgetting others if there are many.
    #[cold]
    fn make_exception_room(
        &mut self,
        call: &CallState,
        bytes: usize,
        work: usize,
    ) -> Result<(), Error> {
        let most = self.exception_room().min(MOST_BYTES);
        let is_time = self.exceptions.bytes + bytes > self.exceptions.next_look.min(most)
            || self.exceptions.work + work > self.exceptions.next_work;
        if is_time {
            self.forget_exceptions(call);
        }
        let present = self.exceptions.bytes + bytes;
        if present > most || self.exceptions.work + work > MOST_WORK {
            return Err(without_frames(TrapCode::TooManyExceptions));
        }
        self.exceptions.known_room = most.min(self.exceptions.next_look).min(present + SLICE);
        Ok(())
    }

    /// A guest's reference to an exception, which must be one of this store, and not from before it
    /// was reset: only then do its place and its tag mean anything here.
    pub(crate) fn exception_to_bits(&self, exception: &Exception) -> Result<u64, Error> {
        let known = self.exceptions.get(exception.to_bits());
        let stranger = || Error::Unsupported("an exception that the store does not have".into());
        let known = known.filter(|known| Arc::ptr_eq(&known.0, &exception.0));
        known.map(|known| known.to_bits()).ok_or_else(stranger)
    }

    /// The exception a guest's reference names.
    pub(crate) fn exception(&self, bits: u64) -> Result<Exception, Error> {
        let dangling = || Error::Unsupported("an exception reference names no exception".into());
        self.exceptions.get(bits).ok_or_else(dangling)
    }

    /// The address of an exception's cells.
    pub(crate) fn exception_cells(&self, bits: u64) -> Result<u64, Error> {
        Ok(self.exception(bits)?.0.values.as_ptr() as u64)
    }

    /// Drops the exceptions that nothing can refer to any more.
    fn forget_exceptions(&mut self, call: &CallState) {
        let mut reached = Reached::new(&self.exceptions);
        self.reach_roots(call, &mut reached);
        while let Some(index) = reached.todo.pop() {
            let thrown = self.exceptions.slots[index].as_ref();
            let thrown = thrown.filter(|thrown| self.may_refer(thrown.tag));
            let values = thrown.map_or(&[][..], |thrown| &thrown.values);
            values.iter().for_each(|bits| reached.add(*bits));
        }
        let found = reached.found;
        for (index, reached) in found.into_iter().enumerate() {
            if !reached && let Some(thrown) = self.exceptions.slots[index].take() {
                self.exceptions.bytes -= bytes_of(thrown.values.len());
                self.exceptions.work -= self.look_work(thrown.tag, thrown.values.len());
                self.exceptions.free.push(index as u32);
            }
        }
        self.exceptions.next_look = (2 * self.exceptions.bytes).clamp(FIRST_LOOK, MOST_BYTES);
        self.exceptions.next_work = (2 * self.exceptions.work).clamp(FIRST_WORK, MOST_WORK);
    }

    /// Adds the exceptions that are referred to from outside of exceptions.
    fn reach_roots(&self, call: &CallState, reached: &mut Reached<'_>) {
        for global in self.globals.iter().filter(|global| global.ty().content.is_exn_ref()) {
            reached.add(global.read().0);
        }
        for table in self.tables.iter().filter(|table| table.element().is_exn_ref()) {
            (0..table.size())
                .filter_map(|at| table.get(at).ok())
                .for_each(|bits| reached.add(bits));
        }
        call.scan_stacks(|bits| reached.add(bits));
        for (index, thrown) in self.exceptions.slots.iter().enumerate() {
            if thrown.as_ref().is_some_and(|thrown| Arc::strong_count(thrown) > 1) {
                reached.add_place(index);
            }
        }
    }
}

/// The exceptions that were found to be referred to. However many references there are, each is
/// noted once.
struct Reached<'a> {
    exceptions: &'a Exceptions,
    found: Vec<bool>,
    /// The ones of `found` with values that were not looked at.
    todo: Vec<usize>,
}

impl Reached<'_> {
    fn new(exceptions: &Exceptions) -> Reached<'_> {
        Reached { exceptions, found: vec![false; exceptions.slots.len()], todo: Vec::new() }
    }

    /// Adds the exception that a word names, if it names one.
    fn add(&mut self, bits: u64) {
        if let Some(index) = self.exceptions.index_of(bits) {
            self.add_place(index);
        }
    }

    fn add_place(&mut self, index: usize) {
        if !std::mem::replace(&mut self.found[index], true) {
            self.todo.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::stack_pool::StackPool;
    use crate::runtime::types::GlobalType;
    use wfaas_abi::{FuncType, ValType};

    #[test]
    fn exceptions_are_forgotten_but_for_those_that_something_refers_to() {
        let stacks = Arc::new(StackPool::new(0, 0));
        let (mut objects, call) = (Objects::new(MOST_BYTES as u64), CallState::new(stacks));
        let tag = objects.add_tag(FuncType::new([ValType::EXNREF], []));
        let add = |objects: &mut Objects, cells: Vec<u64>| {
            objects.add_exception(&call, tag, cells.into_boxed_slice()).unwrap()
        };
        let inner = add(&mut objects, vec![0]).to_bits();
        let outer = add(&mut objects, vec![inner]).to_bits();
        let ty = GlobalType { content: ValType::EXNREF, mutable: true };
        objects.add_global(ty, (outer, 0));
        let held = add(&mut objects, vec![0]);
        for _ in 0..20 {
            // Large ones, so that a few are enough.
            add(&mut objects, vec![0; FIRST_LOOK / 64]);
        }
        for bits in [inner, outer, held.to_bits()] {
            assert_eq!(objects.exception(bits).unwrap().tag_place(), (objects.id(), tag));
        }
        assert!(objects.exceptions.slots.len() < 20, "places are used again");
        assert!(objects.exception(7).is_err(), "no reference");
    }
}
