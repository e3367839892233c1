//! Resetting a store's objects: memories as their images are, and everything that was added since
//! gone.

use crate::runtime::exception_list::Exceptions;
use crate::runtime::objects::{Counts, Foreign, Objects, next_id};

impl Objects {
    fn counts(&self) -> Counts {
        Counts {
            instances: self.instances.len(),
            memories: self.memories.len(),
            tables: self.tables.len(),
            globals: self.globals.len(),
            tags: self.tags.len(),
            host_funcs: self.host_funcs.len(),
        }
    }

    /// Takes the present objects as those that a reset keeps.
    pub(crate) fn keep_present(&mut self) {
        self.made = self.counts();
    }

    /// Makes memories identical to their images again, and forgets every object that was added
    /// since [`Objects::keep_present`]; whether that was possible. If not, the store must not be
    /// used again. Every field has its line here, so that a new one does not compile until somebody
    /// has decided about it.
    #[inline]
    pub(super) fn reset(&mut self) -> bool {
        let present = self.counts();
        let Objects {
            id,
            // Their state is in the first memory of each.
            instances,
            memories,
            // Their cells are in the state of an instance, as long as none was added.
            tables: _,
            globals: _,
            tags: _,
            exceptions,
            host_funcs,
            foreign,
            host_objects,
            limits,
            made,
        } = self;
        if present != *made {
            if (Counts { host_funcs: made.host_funcs, ..present }) != *made {
                return false;
            }
            // Handles to functions of this request must not reach functions of the next.
            host_funcs.truncate(made.host_funcs);
            *id = next_id();
        }
        // Those that are kept have frames, if any: the first instance of a pool's store.
        if let Some(instance) = instances.first_mut()
            && instance.records.is_some()
        {
            instance.set_records(None);
        }
        if !memories.iter_mut().all(|memory| memory.reset()) {
            return false;
        }
        if !exceptions.is_empty() {
            *exceptions = Exceptions::default();
        }
        if !foreign.funcs.is_empty() {
            *foreign = Foreign::default();
        }
        host_objects.clear();
        limits.reset();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::state::CallState;
    use crate::runtime::host_func::{HostEntry, HostFunc, Shim};
    use crate::runtime::instance::InstanceInner;
    use crate::runtime::objects::HostObject;
    use crate::runtime::pending::Pending;
    use std::sync::Arc;
    use wfaas_abi::FuncType;

    extern "C" fn shim(_: *const (), _: *mut InstanceInner, _: *mut u64) {}

    /// # Safety
    /// None is needed: it does nothing.
    unsafe fn invoke(
        _: *const (),
        _: *mut CallState,
        _: Option<u32>,
        _: *mut u64,
    ) -> Result<(), Pending> {
        Ok(())
    }

    /// A host function that holds an object.
    fn holding(object: &Arc<u8>) -> Arc<HostFunc> {
        let (ty, closure) = (FuncType::new([], []), Box::new(object.clone()));
        Arc::new(HostFunc { ty, shim: Shim::Array(shim), entry: HostEntry::Sync(invoke), closure })
    }

    #[test]
    fn a_reset_drops_functions_and_references_that_were_added() {
        let (mut objects, object) = (Objects::new(1 << 20), Arc::new(7));
        let kept = objects.add_host_func(holding(&object));
        objects.keep_present();
        let id = objects.id();
        let added = objects.add_host_func(holding(&object));
        let host: HostObject = object.clone();
        let bits = objects.object_to_bits(&host);
        assert_eq!(objects.object_to_bits(&host), bits, "one reference for one object");
        let references = [kept, added].map(|func| objects.func_to_ref(func, None).unwrap());
        for (func, reference) in [kept, added].into_iter().zip(references) {
            assert_eq!(objects.func_from_ref(reference, None).unwrap(), Some(func));
        }
        drop(host);
        assert_eq!(Arc::strong_count(&object), 4);
        assert!(objects.reset());
        assert_eq!(Arc::strong_count(&object), 2, "only the first function is left");
        assert_ne!(objects.id(), id, "handles to the second are none of the next request");
        assert!(objects.object_from_bits(bits).is_none());
        assert!(references.iter().all(|dangling| objects.func_from_ref(*dangling, None).is_err()));
        let id = objects.id();
        assert!(objects.reset());
        assert_eq!(objects.id(), id, "nothing was added");
    }

    #[test]
    fn a_store_with_other_new_objects_cannot_be_reset() {
        let mut objects = Objects::new(1 << 20);
        objects.keep_present();
        objects.add_tag(FuncType::new([], []));
        assert!(!objects.reset());
    }
}
