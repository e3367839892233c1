//! Forks of faaslets, and faaslets that start from snapshots.

use crate::api::instance::Instance;
use crate::api::linker::Linker;
use crate::api::pool::{Faaslet, Pool};
use crate::api::store::{AsContext, inner};
use crate::runtime::error::Error;
use crate::runtime::snapshot::Snapshot;

impl Instance {
    /// The pages by which state and memories differ from the module's image, between two calls; in at most
    /// `most_bytes` bytes ([`Snapshot::bytes`]). A page takes the time to compare and copy it, about
    /// 0.3 µs; the other pages take none in a faaslet, and some nanoseconds each in other stores. The snapshot of a program
    /// that [waits again](crate::Store::record_again) has its frames.
    ///
    /// # Errors
    /// [`Error::Capture`] as in [`Instance::capture`], and if there are more pages, a memory is shared, a
    /// call is under way or was leaked, or frames were asked for and the last call was not ended by a host function at
    /// a call with a stack map; [`Error::Poisoned`] if the store cannot be used any more.
    pub fn snapshot(&self, store: &impl AsContext, most_bytes: usize) -> Result<Snapshot, Error> {
        let store = inner(store);
        store.check_idle()?;
        let records = store.records()?;
        store.objects.snapshot(self.index_in(&store.objects), most_bytes, records)
    }
}

impl<T: Default + Send + 'static> Faaslet<'_, T> {
    /// [`Faaslet::fork_with`] a clone of the data.
    ///
    /// # Errors
    /// As [`Faaslet::fork_with`].
    pub fn fork(&mut self) -> Result<Self, Error>
    where
        T: Clone,
    {
        let data = self.store().data().clone();
        self.fork_with(data)
    }

    /// A second faaslet with the same memories, globals, tables and dropped segments as this one has now,
    /// between two calls, and with `data` in its store. Neither sees the other's changes. The pages
    /// that differ from the image are copied, all others are shared.
    ///
    /// The store is a new one else: without deadline, limits, handles or suspended calls. Objects that were
    /// made in this one's store are not in it.
    ///
    /// # Errors
    /// [`Error::Capture`] if the instance has a reference that is not null to an object of the host, an
    /// exception, or a function of the host or of another instance, or has a shared memory, or a call of this
    /// faaslet was leaked; [`Error::Poisoned`] if it cannot be used any more; as [`Pool::acquire`].
    pub fn fork_with(&mut self, data: T) -> Result<Self, Error> {
        let pool = self.pool();
        let parent = &mut self.store().0.inner;
        parent.check_idle()?;
        let records = parent.records()?;
        parent.objects.note_written();
        let mut child = pool.acquire(data)?;
        child.store().0.inner.objects.fork_from(&parent.objects, records)?;
        Ok(child)
    }
}

impl<T: Default + Send + 'static> Pool<T> {
    /// A faaslet as a snapshot of one was, with `data` in its store. The snapshot's pages are copied.
    ///
    /// # Errors
    /// [`Error::Capture`] if the snapshot is of another module than this pool's, or of the module with
    /// another image; as [`Pool::acquire`].
    pub fn acquire_from(&self, snapshot: &Snapshot, data: T) -> Result<Faaslet<'_, T>, Error> {
        let mut faaslet = self.acquire(data)?;
        faaslet.store().0.inner.objects.restore(snapshot)?;
        Ok(faaslet)
    }

    /// A pool of faaslets that start as a snapshot is: for one from which many faaslets are made. The code
    /// is shared with the snapshot's module. The pages that differ from its image are written once, as a layer over that,
    /// or a whole image if they are most of it; then faaslets share them, and cost no more than those of any pool. A program
    /// that [waits again](crate::Store::record_again) goes on with the snapshot's frames.
    ///
    /// # Errors
    /// As [`Pool::new`], and [`Error::Slot`] if there is no memory for the image.
    pub fn from_snapshot(linker: &Linker<T>, snapshot: &Snapshot) -> Result<Pool<T>, Error> {
        let (module, records) = snapshot.to_module()?;
        Pool::with_records(linker, &module, records)
    }
}
