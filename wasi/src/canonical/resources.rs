//! The handle table of one instance, with the things that handles stand for.
//!
//! A handle is an index, from 1 on. Every one in the table is an own handle: a borrowed one is lent to the host for
//! a call, during which the guest does not run. Things that were made from others (a stream of a body) are
//! their children: a parent is not dropped before them.

use super::lower::Pending;
use super::{Value, Violation};
use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use wfaas_vm::component::ResourceIndex;

/// Most handles of an instance.
pub const MAX_HANDLES: usize = 16_384;

/// Most bytes that the host keeps for the handles of an instance, as far as they hold any.
pub const MAX_KEPT_BYTES: usize = 4 << 20;

/// The handles of one instance, and its call under way. The default has none.
#[derive(Default)]
pub struct Resources {
    /// Handle 1 is at 0.
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    kept: usize,
    /// Results of a call that wait for memory of the guest's.
    pub(crate) pending: Option<Pending>,
    /// Grants of the embedder to this instance, for the embedder's own interfaces.
    granted: Option<Box<dyn Any + Send>>,
}

struct Entry {
    /// `None` until it is given to the guest.
    ty: Option<ResourceIndex>,
    thing: Thing,
    /// The handle that it was made from, or 0.
    parent: u32,
    children: u32,
    /// Bytes that the host keeps for it.
    kept: usize,
}

/// The thing that a handle stands for.
enum Thing {
    /// The host's.
    Host(Box<dyn Any + Send>),
    /// A representation of the guest's own.
    Guest(u32),
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("handles", &self.len()).finish_non_exhaustive()
    }
}

impl Resources {
    /// How many handles there are.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The resource types of all handles, each once.
    pub fn types(&self) -> BTreeSet<ResourceIndex> {
        self.entries.iter().flatten().filter_map(|entry| entry.ty).collect()
    }

    /// Keeps what the embedder grants this instance, for interfaces of its own.
    pub fn grant<T: Any + Send>(&mut self, granted: T) {
        self.granted = Some(Box::new(granted));
    }

    /// The embedder's grant, if it is a `T`.
    pub fn granted<T: Any>(&self) -> Option<&T> {
        self.granted.as_ref()?.downcast_ref()
    }

    /// Adds a thing of the host's; its handle.
    ///
    /// # Errors
    /// [`Violation::TooManyHandles`].
    pub fn insert<T: Any + Send>(&mut self, thing: T) -> Result<u32, Violation> {
        self.add(None, Thing::Host(Box::new(thing)), 0)
    }

    /// The same of a thing that was made from another one.
    ///
    /// # Errors
    /// [`Violation::TooManyHandles`]; [`Violation::BadHandle`] if the other one is not there.
    pub fn insert_child<T: Any + Send>(&mut self, thing: T, parent: u32) -> Result<u32, Violation> {
        self.entry(parent)?;
        let handle = self.add(None, Thing::Host(Box::new(thing)), parent)?;
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
    /// As [`Resources::get`]; [`Violation::HasChildren`].
    pub fn take<T: Any>(&mut self, handle: u32) -> Result<T, Violation> {
        self.get::<T>(handle)?;
        match self.remove(handle)? {
            Thing::Host(thing) => match thing.downcast() {
                Ok(thing) => Ok(*thing),
                Err(_) => Err(Violation::BadHandle(handle)),
            },
            Thing::Guest(_) => Err(Violation::BadHandle(handle)),
        }
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
        let before = std::mem::replace(&mut self.entry(handle)?.kept, bytes);
        self.kept = (self.kept - before).saturating_add(bytes);
        match self.kept {
            0..=MAX_KEPT_BYTES => Ok(()),
            _ => Err(Violation::TooMuchKept { bytes: MAX_KEPT_BYTES }),
        }
    }

    /// Says of which type a handle is that is given to the guest.
    ///
    /// # Errors
    /// [`Violation::BadHandle`] if it is not there, or was given as another one.
    pub fn give(&mut self, handle: u32, ty: ResourceIndex) -> Result<(), Violation> {
        let entry = self.entry(handle)?;
        if *entry.ty.get_or_insert(ty) == ty { Ok(()) } else { Err(Violation::BadHandle(handle)) }
    }

    /// Checks a handle that the guest gave.
    pub(super) fn check(&self, handle: u32, ty: ResourceIndex) -> Result<Value, Violation> {
        match self.find(handle) {
            Some(entry) if entry.ty == Some(ty) => Ok(Value::Handle(handle)),
            _ => Err(Violation::BadHandle(handle)),
        }
    }

    /// `resource.new`: a handle for a representation.
    pub(crate) fn new_guest(&mut self, ty: ResourceIndex, rep: u32) -> Result<u32, Violation> {
        self.add(Some(ty), Thing::Guest(rep), 0)
    }

    /// `resource.rep`: the representation behind a handle.
    pub(crate) fn rep(&self, ty: ResourceIndex, handle: u32) -> Result<u32, Violation> {
        match self.find(handle) {
            Some(Entry { ty: Some(found), thing: Thing::Guest(rep), .. }) if *found == ty => {
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
        self.check(handle, ty)?;
        match self.remove(handle)? {
            Thing::Guest(rep) => Ok(Some(rep)),
            Thing::Host(_) => Ok(None),
        }
    }

    fn find(&self, handle: u32) -> Option<&Entry> {
        let place = (handle as usize).checked_sub(1)?;
        self.entries.get(place)?.as_ref()
    }

    fn entry(&mut self, handle: u32) -> Result<&mut Entry, Violation> {
        let entry = (handle as usize).checked_sub(1).and_then(|place| self.entries.get_mut(place));
        entry.and_then(Option::as_mut).ok_or(Violation::BadHandle(handle))
    }

    fn add(
        &mut self,
        ty: Option<ResourceIndex>,
        thing: Thing,
        parent: u32,
    ) -> Result<u32, Violation> {
        let entry = Some(Entry { ty, thing, parent, children: 0, kept: 0 });
        if let Some(handle) = self.free.pop() {
            self.entries[handle as usize - 1] = entry;
            return Ok(handle);
        }
        if self.entries.len() >= MAX_HANDLES {
            return Err(Violation::TooManyHandles);
        }
        self.entries.push(entry);
        Ok(self.entries.len() as u32) // at most `MAX_HANDLES`
    }

    fn remove(&mut self, handle: u32) -> Result<Thing, Violation> {
        let Entry { parent, children, .. } = *self.entry(handle)?;
        if children > 0 {
            return Err(Violation::HasChildren(handle));
        }
        let place = &mut self.entries[handle as usize - 1];
        let entry = place.take().ok_or(Violation::BadHandle(handle))?;
        self.free.push(handle);
        self.kept -= entry.kept;
        if parent != 0 {
            self.entry(parent)?.children -= 1;
        }
        Ok(entry.thing)
    }
}
