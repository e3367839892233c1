//! Exceptions that guests throw: keeping them, and forgetting the ones that nothing refers to.
//!
//! A thrown exception is kept by its store, and a guest's reference to it is its place in the
//! store's list, marked so that it looks like nothing else. Since compiled code owns nothing, the
//! store finds out by itself which exceptions can still be reached, once there are many: from
//! globals and tables, from the embedder's handles, and from words on the guest's stack that look
//! like a reference.

use crate::call::state::CallState;
use crate::runtime::error::{Error, without_frames};
use crate::runtime::exception_list::{FIRST_LOOK, MOST_BYTES, bytes_of};
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
        let bytes = bytes_of(values.len());
        if self.exceptions.bytes + bytes > self.exceptions.next_look {
            self.forget_exceptions(call);
        }
        if self.exceptions.bytes + bytes > MOST_BYTES {
            return Err(without_frames(TrapCode::TooManyExceptions));
        }
        let index = self.exceptions.free.pop().unwrap_or_else(|| {
            self.exceptions.slots.push(None);
            (self.exceptions.slots.len() - 1) as u32
        });
        let thrown = Arc::new(Thrown { store: self.id(), index, tag, values });
        self.exceptions.slots[index as usize] = Some(thrown.clone());
        self.exceptions.bytes += bytes;
        Ok(Exception(thrown))
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
        let mut reached = vec![false; self.exceptions.slots.len()];
        let mut todo = self.exception_roots(call);
        while let Some(index) = todo.pop() {
            if !std::mem::replace(&mut reached[index], true) {
                let thrown = self.exceptions.slots[index].as_ref();
                let values = thrown.map_or(&[][..], |thrown| &thrown.values);
                todo.extend(values.iter().filter_map(|bits| self.exceptions.index_of(*bits)));
            }
        }
        for (index, reached) in reached.into_iter().enumerate() {
            if !reached && let Some(thrown) = self.exceptions.slots[index].take() {
                self.exceptions.bytes -= bytes_of(thrown.values.len());
                self.exceptions.free.push(index as u32);
            }
        }
        self.exceptions.next_look = (2 * self.exceptions.bytes).clamp(FIRST_LOOK, MOST_BYTES);
    }

    /// Places of exceptions that are referred to from outside of exceptions.
    fn exception_roots(&self, call: &CallState) -> Vec<usize> {
        let mut roots = Vec::new();
        let mut add = |bits: u64| roots.extend(self.exceptions.index_of(bits));
        for global in self.globals.iter().filter(|global| global.ty().content.is_exn_ref()) {
            add(global.read().0);
        }
        for table in self.tables.iter().filter(|table| table.element().is_exn_ref()) {
            table.read(0, table.size()).unwrap_or_default().into_iter().for_each(&mut add);
        }
        call.scan_stack(add);
        let held = |thrown: &Option<Arc<Thrown>>| {
            thrown.as_ref().is_some_and(|thrown| Arc::strong_count(thrown) > 1)
        };
        let slots = self.exceptions.slots.iter().enumerate();
        roots.extend(slots.filter(|(_, thrown)| held(thrown)).map(|(index, _)| index));
        roots
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::types::GlobalType;
    use wfaas_abi::{FuncType, ValType};

    #[test]
    fn exceptions_are_forgotten_but_for_those_that_something_refers_to() {
        let (mut objects, call) = (Objects::new(), CallState::new(0));
        let tag = objects.add_tag(FuncType::new([ValType::EXNREF], []));
        let add = |objects: &mut Objects, bits| {
            // Large ones, so that a few are enough.
            let mut cells = vec![0; FIRST_LOOK / 64].into_boxed_slice();
            cells[0] = bits;
            objects.add_exception(&call, tag, cells).unwrap()
        };
        let inner = add(&mut objects, 0).to_bits();
        let outer = add(&mut objects, inner).to_bits();
        let ty = GlobalType { content: ValType::EXNREF, mutable: true };
        objects.add_global(ty, (outer, 0));
        let held = add(&mut objects, 0);
        for _ in 0..20 {
            add(&mut objects, 0);
        }
        for bits in [inner, outer, held.to_bits()] {
            assert_eq!(objects.exception(bits).unwrap().tag_place(), (objects.id(), tag));
        }
        assert!(objects.exceptions.slots.len() < 20, "places are used again");
        assert!(objects.exception(7).is_err(), "no reference");
    }
}
