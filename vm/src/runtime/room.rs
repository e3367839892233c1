//! Room for everything that guests can make grow: linear memories, tables, exceptions, and references
//! to functions of other instances. Whatever of it is in a store counts for the limits of its memory.

use crate::runtime::error::Error;
use crate::runtime::exception_list::MOST_EXCEPTION_ELEMENTS;
use crate::runtime::limits::{element_bytes, page_bytes};
use crate::runtime::objects::{HostObject, Objects};

/// Bytes that a reference to a function of another instance takes: its record, its name, its type,
/// and the index by name.
const FOREIGN_BYTES: u64 = 160;

impl Objects {
    /// Lets everything in the store that counts not grow beyond `bytes`.
    pub(crate) fn set_memory_limit(&mut self, bytes: Option<u64>) {
        self.limits.store = bytes;
        self.exceptions.forget_room();
    }

    /// The limit of everything in the store that counts.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.limits.store
    }

    /// Grows a memory by `delta` WebAssembly pages; the old size, or `None`.
    pub(crate) fn grow_memory(&mut self, index: usize, delta: u64) -> Option<u64> {
        let memory = &self.memories[index];
        if page_bytes(delta) > self.room(memory.owner(), page_bytes(memory.pages())) && delta > 0 {
            return None;
        }
        self.exceptions.forget_room();
        self.memories[index].grow(delta)
    }

    /// The size of a table, if it may grow by `delta` elements.
    pub(super) fn table_room(&mut self, index: usize, delta: u64) -> Option<u64> {
        let table = &self.tables[index];
        let room = self.room(table.owner(), element_bytes(table.size()));
        if element_bytes(delta) > room && delta > 0 {
            return None;
        }
        if table.element().is_exn_ref() && self.check_exception_elements(delta).is_err() {
            return None;
        }
        self.exceptions.forget_room();
        self.tables[index].can_grow(delta)
    }

    /// Refuses so many more elements of tables of exceptions.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub(super) fn check_exception_elements(&self, more: u64) -> Result<(), Error> {
        let tables = self.tables.iter().filter(|table| table.element().is_exn_ref());
        let present: u64 = tables.map(|table| table.size()).sum();
        match present.saturating_add(more) {
            0..=MOST_EXCEPTION_ELEMENTS => Ok(()),
            elements => {
                let message = format!(
                    "tables of {elements} references to exceptions: there may be {MOST_EXCEPTION_ELEMENTS}"
                );
                Err(Error::Unsupported(message))
            }
        }
    }

    /// Bytes by which something may grow that has `own` bytes and is a part of instance `owner`.
    fn room(&self, owner: Option<u32>, own: u64) -> u64 {
        let of_owner = match owner {
            Some(_) => {
                self.sizes().filter(|(other, _)| *other == owner).map(|(_, bytes)| bytes).sum()
            }
            None => own,
        };
        let room = self.limits.instance.saturating_sub(of_owner);
        match self.limits.store {
            Some(most) => room.min(most.saturating_sub(self.bytes())),
            None => room,
        }
    }

    /// Owners and bytes of all memories and tables.
    fn sizes(&self) -> impl Iterator<Item = (Option<u32>, u64)> {
        let memories =
            self.memories.iter().map(|memory| (memory.owner(), page_bytes(memory.pages())));
        let tables = self.tables.iter().map(|table| (table.owner(), element_bytes(table.size())));
        memories.chain(tables)
    }

    /// Bytes of all that counts.
    pub(crate) fn bytes(&self) -> u64 {
        let sizes: u64 = self.sizes().map(|(_, bytes)| bytes).sum();
        let hosts = self.host_objects.len() * size_of::<HostObject>();
        sizes + self.foreign_bytes() + (self.exceptions.bytes + hosts) as u64
    }

    fn foreign_bytes(&self) -> u64 {
        self.foreign.funcs.len() as u64 * FOREIGN_BYTES
    }

    /// Bytes that all exceptions together may have.
    pub(super) fn exception_room(&self) -> usize {
        let present = self.exceptions.bytes;
        let room = self.room(None, present as u64).saturating_add(present as u64);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Refuses `bytes` bytes of something new that is of no instance.
    ///
    /// # Errors
    /// [`Error::MemoryLimit`].
    pub(super) fn check_room(&self, what: &'static str, bytes: u64) -> Result<(), Error> {
        if bytes > self.room(None, 0) {
            return Err(Error::MemoryLimit { what, bytes });
        }
        Ok(())
    }

    /// Refuses one more reference to a function of another instance.
    ///
    /// # Errors
    /// [`Error::MemoryLimit`].
    pub(super) fn check_foreign(&self) -> Result<(), Error> {
        let bytes = self.foreign_bytes();
        if FOREIGN_BYTES > self.room(None, bytes) {
            let what = "references to functions of other instances";
            return Err(Error::MemoryLimit { what, bytes });
        }
        Ok(())
    }

    /// Refuses an instance that starts with more memory than the limits allow.
    ///
    /// # Errors
    /// [`Error::MemoryLimit`].
    pub(super) fn check_start(&self, memories: u64, tables: u64) -> Result<(), Error> {
        let room = self.room(None, 0);
        if memories > room {
            return Err(Error::MemoryLimit { what: "a memory", bytes: memories });
        }
        if tables > room - memories {
            return Err(Error::MemoryLimit { what: "tables", bytes: tables });
        }
        Ok(())
    }
}
