//! Parked faaslets: one that is not called for a while gives its slot back, and its address space with it. The
//! pages by which it differs from its image stay.
//!
//! ```text
//!            park                                      unpark
//!   faaslet ──────→ Parked: pages, data, terms of calls ──────→ faaslet, in any slot of its pool
//!            └────→ slot, for others
//! ```

use crate::api::pool::{Faaslet, Pool};
use crate::call::terms::CallTerms;
use crate::runtime::error::Error;
use crate::runtime::snapshot::Snapshot;
use crate::runtime::store::StoreInner;
use std::time::Instant;

/// Most pages of a memory that are compared with their image to park a faaslet: some 150 µs.
const MOST_COMPARED: usize = 1024;

/// A faaslet between two calls, without a slot: see [`Faaslet::park`].
#[derive(Debug)]
pub struct Parked<T> {
    snapshot: Snapshot,
    terms: CallTerms,
    memory_limit: Option<u64>,
    data: T,
}

impl<T> Parked<T> {
    /// Bytes of memory that the pages take, and what goes with them; without the data.
    pub fn bytes(&self) -> usize {
        self.snapshot.bytes()
    }

    /// When its calls end.
    pub fn deadline(&self) -> Option<Instant> {
        self.terms.deadline()
    }

    /// The data of its store, to change.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.data
    }

    /// Gives it up: the data.
    pub fn into_data(self) -> T {
        self.data
    }
}

impl StoreInner {
    /// Refuses a faaslet of which something would be lost, or that takes long to look through.
    fn check_parked(&self) -> Result<(), Error> {
        let refuse = |why: &str| Err(Error::Capture(why.to_owned()));
        if self.records_again() {
            return refuse("its frames are recorded for another capture");
        }
        if !self.objects.snapshot_is_cheap(MOST_COMPARED) {
            return refuse("it may differ from its image in too many pages to look at");
        }
        Ok(())
    }
}

impl<T: Default + Send + 'static> Faaslet<'_, T> {
    /// Takes all that [`Pool::unpark`] needs to go on with the faaslet, between two calls: the pages by which its
    /// instance differs from the image, in at most `most_bytes` bytes; the data of its store; deadline, limits, time slice,
    /// processor time used so far, and cancel handles. This is left to be [ended](Faaslet::end), which makes its
    /// slot another one's. The pages take the time of [`Instance::snapshot`](crate::Instance::snapshot).
    ///
    /// Handles to objects of its store are of no use afterwards.
    ///
    /// # Errors
    /// [`Error::Capture`] if more than 1024 pages of a memory may differ, which would take long to find out, or its frames are
    /// [recorded](crate::Store::record_again); as [`Instance::snapshot`](crate::Instance::snapshot). The faaslet is as it was then.
    pub fn park(&mut self, most_bytes: usize) -> Result<Parked<T>, Error> {
        let instance = self.instance();
        self.store().0.inner.check_parked()?;
        let snapshot = instance.snapshot(self.store(), most_bytes)?;
        let inner = &self.store().0.inner;
        let (terms, memory_limit) = (inner.call.terms(), inner.objects.memory_limit());
        let data = std::mem::take(self.store().data_mut());
        Ok(Parked { snapshot, terms, memory_limit, data })
    }
}

impl<T: Default + Send + 'static> Pool<T> {
    /// The faaslet that was parked, in a slot of this pool. It takes the data; what is left of `parked` is of no use.
    ///
    /// # Errors
    /// [`Error::Capture`] if it was one of another module than this pool's, or of the module with another image; as
    /// [`Pool::acquire`]. It is parked as before then.
    pub fn unpark(&self, parked: &mut Parked<T>) -> Result<Faaslet<'_, T>, Error> {
        let mut faaslet = self.acquire_from(&parked.snapshot, T::default())?;
        let inner = &mut faaslet.store().0.inner;
        inner.objects.set_memory_limit(parked.memory_limit);
        inner.call.set_terms(&parked.terms);
        std::mem::swap(faaslet.store().data_mut(), &mut parked.data);
        Ok(faaslet)
    }
}
