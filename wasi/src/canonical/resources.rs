//! The handle table of one instance, with the things that handles stand for.
//!
//! A handle is an index, from 1 on. Every one in the table is an own handle: a borrowed one is lent to the host for
//! a call. The guest does not run meanwhile, unless the call is a subtask: the handle stays until that has returned.
//! Things that were made from others (a stream of a body) are their children: a parent is not dropped before them.

use super::lower::Pending;
use super::{Value, Violation};
use crate::preview3::Tasks;
use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use wfaas_vm::BoxError;
use wfaas_vm::component::ResourceIndex;

/// Most handles of an instance.
pub const MAX_HANDLES: usize = 16_384;

/// Most bytes that the host keeps for the handles of an instance, as far as they hold any.
pub const MAX_KEPT_BYTES: usize = 4 << 20;

/// The handles of one instance, and its call under way. The default has none.
#[derive(Default)]
pub struct Resources {
    /// Handle 1 is at 0.
    places: Vec<Place>,
    /// The handle of the free place that comes next, or 0, and how many there are.
    free: u32,
    free_count: usize,
    kept: usize,
    /// Results of a call that wait for memory of the guest's.
    pub(crate) pending: Option<Pending>,
    /// Result of a stub whose values are being stored.
    pub(crate) status: u32,
    /// Tasks, streams and futures; those of 0.2 have none.
    tasks: Option<Box<Tasks>>,
    /// Grants of the embedder to this instance, for the embedder's own interfaces.
    granted: Option<Box<dyn Any + Send>>,
}

/// A place of the table.
enum Place {
    Used(Entry),
    /// The handle of the next free place, or 0.
    Free(u32),
}

/// Places that a table begins with: most requests need no more.
const FIRST_PLACES: usize = 8;

/// Many guests that wait have little else than a table: an entry is small.
struct Entry {
    thing: Thing,
    /// Its type, if it was given to the guest.
    ty: ResourceIndex,
    /// Bytes that the host keeps for it, at most [`MAX_KEPT_BYTES`].
    kept: u32,
    /// The handle that it was made from, or 0. Handles are no more than [`MAX_HANDLES`].
    parent: u16,
    children: u16,
    /// Values of calls that it is lent to, and that have not returned.
    lends: u16,
    is_given: bool,
}

const _: () =
    assert!(size_of::<Place>() == 32 && MAX_HANDLES < 1 << 16 && MAX_KEPT_BYTES < 1 << 32);

impl Entry {
    /// Checks that nothing else needs it.
    #[inline]
    fn check_free(&self, handle: u32) -> Result<(), Violation> {
        match (self.children, self.lends) {
            (0, 0) => Ok(()),
            (0, _) => Err(Violation::Lent(handle)),
            _ => Err(Violation::HasChildren(handle)),
        }
    }

    /// Its type, once it was given to the guest.
    #[inline]
    fn ty(&self) -> Option<ResourceIndex> {
        self.is_given.then_some(self.ty)
    }
}

/// The thing that a handle stands for.
enum Thing {
    /// The host's.
    Host(Box<dyn Any + Send>),
    /// A representation of the guest's own.
    Guest(u32),
}

thread_local! {
    /// Room for the places of a table, which nothing is in: a thread's tables take it in turn.
    static SPARE: Cell<Vec<Place>> = const { Cell::new(Vec::new()) };
}

impl Drop for Resources {
    fn drop(&mut self) {
        if self.places.capacity() == FIRST_PLACES {
            let mut places = std::mem::take(&mut self.places);
            places.clear();
            _ = SPARE.try_with(|spare| spare.set(places));
        }
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("handles", &self.len()).finish_non_exhaustive()
    }
}

impl Resources {
    /// How many handles there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.free_count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The resource types of all handles, each once.
    pub fn types(&self) -> BTreeSet<ResourceIndex> {
        self.places.iter().filter_map(Place::entry).filter_map(Entry::ty).collect()
    }

    /// Keeps what the embedder grants this instance, for interfaces of its own.
    pub fn grant<T: Any + Send>(&mut self, granted: Box<T>) {
        self.granted = Some(granted);
    }

    /// Takes the embedder's grant back, if it is a `T`.
    pub fn take_granted<T: Any>(&mut self) -> Option<Box<T>> {
        let granted = self.granted.take_if(|granted| granted.is::<T>())?;
        granted.downcast().ok()
    }

    /// The embedder's grant, if it is a `T`.
    pub fn granted<T: Any>(&self) -> Option<&T> {
        self.granted.as_ref()?.downcast_ref()
    }

    /// The same, to change.
    pub fn granted_mut<T: Any>(&mut self) -> Option<&mut T> {
        self.granted.as_mut()?.downcast_mut()
    }

    /// Adds a thing of the host's; its handle.
    ///
    /// # Errors
    /// [`Violation::TooManyHandles`].
    pub fn insert<T: Any + Send>(&mut self, thing: T) -> Result<u32, Violation> {
        self.add(None, Thing::Host(Box::new(thing)), 0, 0)
    }

    /// The same of a thing that was made from another one.
    ///
    /// # Errors
    /// [`Violation::TooManyHandles`]; [`Violation::BadHandle`] if the other one is not there.
    pub fn insert_child<T: Any + Send>(&mut self, thing: T, parent: u32) -> Result<u32, Violation> {
        self.entry(parent)?;
        let handle = self.add(None, Thing::Host(Box::new(thing)), parent, 0)?;
        self.entry(parent)?.children += 1;
        Ok(handle)
    }

    /// The thing of the host's that a handle stands for.
    ///
    /// # Errors
    /// [`Violation::BadHandle`] if it stands for none, or for another one.
    pub fn get<T: Any>(&mut self, handle: u32) -> Result<&mut T, Violation> {
        match &mut self.entry(handle)?.thing {
            Thing::Host(thing) => thing.downcast_mut().ok_or(Violation::BadHandle(handle)),
            Thing::Guest(_) => Err(Violation::BadHandle(handle)),
        }
    }

    /// Takes the thing that a handle stood for, which is gone then.
    ///
    /// # Errors
    /// As [`Resources::get`]; [`Violation::HasChildren`]; [`Violation::Lent`].
    pub fn take<T: Any>(&mut self, handle: u32) -> Result<T, Violation> {
        Ok(*self.take_box(handle)?)
    }

    /// The same with its box.
    ///
    /// # Errors
    /// As [`Resources::take`].
    pub fn take_box<T: Any>(&mut self, handle: u32) -> Result<Box<T>, Violation> {
        let is_it = |thing: &Thing| matches!(thing, Thing::Host(thing) if thing.is::<T>());
        match self.remove_if(handle, is_it)? {
            Thing::Host(thing) => thing.downcast().map_err(|_| Violation::BadHandle(handle)),
            Thing::Guest(_) => Err(Violation::BadHandle(handle)),
        }
    }

    /// Takes a handle back that the guest gives away, with its thing, which it may be given again as one of another type.
    ///
    /// # Errors
    /// As [`Resources::take`].
    pub fn take_back(&mut self, handle: u32) -> Result<u32, Violation> {
        let entry = self.entry(handle)?;
        entry.check_free(handle)?;
        entry.is_given = false;
        let parent = std::mem::take(&mut entry.parent);
        self.leave(parent)?;
        Ok(handle)
    }

    /// The thing of a handle, whatever it is.
    pub(crate) fn any(&mut self, handle: u32) -> Option<&mut (dyn Any + Send)> {
        match &mut self.entry(handle).ok()?.thing {
            Thing::Host(thing) => Some(&mut **thing),
            Thing::Guest(_) => None,
        }
    }

    /// Says how many bytes the host keeps for a thing, instead of those before.
    ///
    /// # Errors
    /// [`Violation::TooMuchKept`] if these are too many with those of all others.
    pub fn keep(&mut self, handle: u32, bytes: usize) -> Result<(), Violation> {
        let before = self.entry(handle)?.kept as usize;
        let all = (self.kept - before).saturating_add(bytes);
        if all > MAX_KEPT_BYTES {
            return Err(Violation::TooMuchKept { bytes: MAX_KEPT_BYTES });
        }
        self.entry(handle)?.kept = bytes as u32; // no more than all
        self.kept = all;
        Ok(())
    }

    /// Adds a thing for which the host keeps so many bytes; its handle.
    ///
    /// # Errors
    /// As [`Resources::insert`] and [`Resources::keep`].
    pub fn insert_kept<T: Any + Send>(&mut self, thing: T, bytes: usize) -> Result<u32, Violation> {
        self.insert_box(Box::new(thing), bytes)
    }

    /// The same of one in a box.
    ///
    /// # Errors
    /// As [`Resources::insert_kept`].
    pub fn insert_box<T: Any + Send>(
        &mut self,
        thing: Box<T>,
        bytes: usize,
    ) -> Result<u32, Violation> {
        self.add(None, Thing::Host(thing), 0, bytes)
    }

    /// Says of which type a handle is that is given to the guest.
    ///
    /// # Errors
    /// [`Violation::BadHandle`] if it is not there, or was given as another one.
    #[inline]
    pub fn give(&mut self, handle: u32, ty: ResourceIndex) -> Result<(), Violation> {
        let entry = self.entry(handle)?;
        if !std::mem::replace(&mut entry.is_given, true) {
            entry.ty = ty;
        }
        if entry.ty == ty { Ok(()) } else { Err(Violation::BadHandle(handle)) }
    }

    /// Checks a handle that the guest gave.
    pub(super) fn check(&self, handle: u32, ty: ResourceIndex) -> Result<Value, Violation> {
        match self.is_of(handle, ty) {
            true => Ok(Value::Handle(handle)),
            false => Err(Violation::BadHandle(handle)),
        }
    }

    /// Whether a handle is there and of this type.
    #[inline]
    pub(crate) fn is_of(&self, handle: u32, ty: ResourceIndex) -> bool {
        self.find(handle).is_some_and(|entry| entry.ty == ty && entry.is_given)
    }

    /// `resource.new`: a handle for a representation.
    pub(crate) fn new_guest(&mut self, ty: ResourceIndex, rep: u32) -> Result<u32, Violation> {
        self.add(Some(ty), Thing::Guest(rep), 0, 0)
    }

    /// `resource.rep`: the representation behind a handle.
    pub(crate) fn rep(&self, ty: ResourceIndex, handle: u32) -> Result<u32, Violation> {
        match self.find(handle) {
            Some(entry @ Entry { thing: Thing::Guest(rep), .. }) if entry.ty() == Some(ty) => {
                Ok(*rep)
            }
            _ => Err(Violation::BadHandle(handle)),
        }
    }

    /// `resource.drop`: removes a handle; the representation, if it is the guest's own.
    pub(crate) fn drop_handle(
        &mut self,
        ty: ResourceIndex,
        handle: u32,
    ) -> Result<Option<u32>, Violation> {
        if !self.is_of(handle, ty) {
            return Err(Violation::BadHandle(handle));
        }
        match self.remove(handle)? {
            Thing::Guest(rep) => Ok(Some(rep)),
            Thing::Host(_) => Ok(None),
        }
    }

    /// Lends handles to a call, which [returns](Resources::return_lent) them.
    pub(crate) fn lend(&mut self, handles: &[u32]) -> Result<(), Violation> {
        handles.iter().try_for_each(|handle| {
            let entry = self.entry(*handle)?;
            entry.lends = entry.lends.checked_add(1).ok_or(Violation::TooManyWaiting)?;
            Ok(())
        })
    }

    /// Takes back handles that were lent, which are all there.
    pub(crate) fn return_lent(&mut self, handles: &[u32]) {
        for handle in handles {
            if let Ok(entry) = self.entry(*handle) {
                entry.lends = entry.lends.saturating_sub(1);
            }
        }
    }

    /// Drops a thing of the host's that nobody takes.
    pub(crate) fn forget(&mut self, handle: u32) -> Result<(), Violation> {
        self.remove(handle).map(drop)
    }

    /// The task of the instance, with what waits.
    pub(crate) fn tasks(&mut self) -> &mut Tasks {
        self.tasks.get_or_insert_default()
    }

    /// A thing of the host's, if the handle stands for one of this type.
    pub(crate) fn look<T: Any>(&self, handle: u32) -> Option<&T> {
        match &self.find(handle)?.thing {
            Thing::Host(thing) => thing.downcast_ref(),
            Thing::Guest(_) => None,
        }
    }

    /// The same as [`Resources::tasks`], to look at.
    pub(crate) fn look_at_tasks(&self) -> Option<&Tasks> {
        self.tasks.as_deref()
    }

    /// The error of a task that ends the guest, if there is one.
    pub(crate) fn take_failed(&mut self) -> Option<BoxError> {
        self.tasks.as_mut()?.failed.take()
    }

    #[inline]
    fn find(&self, handle: u32) -> Option<&Entry> {
        let place = (handle as usize).checked_sub(1)?;
        self.places.get(place)?.entry()
    }

    #[inline]
    fn entry(&mut self, handle: u32) -> Result<&mut Entry, Violation> {
        let place = (handle as usize).checked_sub(1).and_then(|place| self.places.get_mut(place));
        match place {
            Some(Place::Used(entry)) => Ok(entry),
            _ => Err(Violation::BadHandle(handle)),
        }
    }

    fn add(
        &mut self,
        ty: Option<ResourceIndex>,
        thing: Thing,
        parent: u32,
        kept: usize,
    ) -> Result<u32, Violation> {
        let all = self.kept.saturating_add(kept);
        if all > MAX_KEPT_BYTES {
            return Err(Violation::TooMuchKept { bytes: MAX_KEPT_BYTES });
        }
        let (ty, is_given) = (ty.unwrap_or(ResourceIndex(0)), ty.is_some());
        let (kept, parent) = (kept as u32, parent as u16); // below their limits, as all handles are
        let entry = Place::Used(Entry { thing, ty, kept, parent, children: 0, lends: 0, is_given });
        let handle = self.free;
        let place = (handle as usize).checked_sub(1).and_then(|place| self.places.get_mut(place));
        let handle = match place {
            Some(place @ Place::Free(_)) => {
                if let Place::Free(next) = std::mem::replace(place, entry) {
                    (self.free, self.free_count) = (next, self.free_count - 1);
                }
                handle
            }
            _ => self.push(entry)?,
        };
        self.kept = all;
        Ok(handle)
    }

    fn push(&mut self, entry: Place) -> Result<u32, Violation> {
        if self.places.len() >= MAX_HANDLES {
            return Err(Violation::TooManyHandles);
        }
        if self.places.is_empty() {
            self.places = SPARE.try_with(Cell::take).unwrap_or_default();
            self.places.reserve_exact(FIRST_PLACES);
        }
        self.places.push(entry);
        Ok(self.places.len() as u32) // at most `MAX_HANDLES`
    }

    fn remove(&mut self, handle: u32) -> Result<Thing, Violation> {
        self.remove_if(handle, |_| true)
    }

    /// Removes a handle whose thing is of the right kind.
    fn remove_if(
        &mut self,
        handle: u32,
        is_it: impl FnOnce(&Thing) -> bool,
    ) -> Result<Thing, Violation> {
        let free = Place::Free(self.free);
        let place = (handle as usize).checked_sub(1).and_then(|place| self.places.get_mut(place));
        let Some(place) = place else { return Err(Violation::BadHandle(handle)) };
        match &*place {
            Place::Used(entry) if is_it(&entry.thing) => entry.check_free(handle)?,
            _ => return Err(Violation::BadHandle(handle)),
        }
        let Place::Used(entry) = std::mem::replace(place, free) else {
            return Err(Violation::BadHandle(handle));
        };
        (self.free, self.free_count) = (handle, self.free_count + 1);
        self.kept -= entry.kept as usize;
        self.leave(entry.parent)?;
        Ok(entry.thing)
    }

    /// Notes that a parent, if there is one, has a child less.
    fn leave(&mut self, parent: u16) -> Result<(), Violation> {
        if parent != 0 {
            self.entry(parent.into())?.children -= 1;
        }
        Ok(())
    }
}

impl Place {
    #[inline]
    fn entry(&self) -> Option<&Entry> {
        match self {
            Place::Used(entry) => Some(entry),
            Place::Free(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn room_for_handles_is_used_again_and_has_none() {
        let alive = Arc::new(());
        for _ in 0..3 {
            let mut resources = Resources::default();
            let first = resources.insert(alive.clone()).unwrap();
            let second = resources.insert(alive.clone()).unwrap();
            assert_eq!((first, second, resources.len()), (1, 2, 2));
            assert_eq!(resources.places.capacity(), FIRST_PLACES);
            resources.forget(first).unwrap();
            let room = resources.places.as_ptr();
            drop(resources);
            assert_eq!(Arc::strong_count(&alive), 1);
            let spare = SPARE.take();
            assert_eq!((spare.as_ptr(), spare.len()), (room, 0));
            SPARE.set(spare);
        }
        let mut large = Resources::default();
        for _ in 0..=FIRST_PLACES {
            large.insert(()).unwrap();
        }
        drop(large);
        assert_eq!(SPARE.take().capacity(), 0, "room for more than most need is given back");
    }

    #[test]
    fn a_handle_that_is_taken_back_has_no_type_and_no_parent() {
        let (mut resources, ty) = (Resources::default(), ResourceIndex(3));
        let parent = resources.insert(()).unwrap();
        let handle = resources.insert_child(7, parent).unwrap();
        resources.give(handle, ty).unwrap();
        let child = resources.insert_child((), handle).unwrap();
        assert!(matches!(resources.take_back(handle), Err(Violation::HasChildren(_))));
        resources.forget(child).unwrap();
        resources.lend(&[handle]).unwrap();
        assert!(matches!(resources.take_back(handle), Err(Violation::Lent(_))));
        resources.return_lent(&[handle]);
        assert!(resources.is_of(handle, ty));
        let again = resources.take_back(handle).unwrap();
        assert!(!resources.is_of(again, ty) && !resources.is_of(handle, ty));
        resources.give(again, ResourceIndex(4)).unwrap();
        assert_eq!(*resources.get::<i32>(again).unwrap(), 7);
        resources.forget(parent).unwrap();
        resources.forget(again).unwrap();
        assert!(resources.is_empty());
    }
}
