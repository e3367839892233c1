//! Idle stores of a pool.
//!
//! Each thread has a *place* of its own for one, which it empties and fills with an atomic swap:
//! threads that serve one request after the other share nothing. All other stores are in a list
//! behind a lock.

use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A place for one store, or none.
struct Place<S> {
    /// From [`Box::into_raw`], or null.
    store: AtomicPtr<S>,
    /// It may be shared if stores may be sent, as a mutex may.
    owned: PhantomData<Mutex<S>>,
}

impl<S> Place<S> {
    fn empty() -> Place<S> {
        Place { store: AtomicPtr::new(ptr::null_mut()), owned: PhantomData }
    }

    /// Puts a store in; the one that was there.
    #[inline]
    fn swap(&self, store: Option<Box<S>>) -> Option<Box<S>> {
        let new = store.map_or(ptr::null_mut(), Box::into_raw);
        let old = self.store.swap(new, AcqRel);
        // SAFETY: it came from a box, and was taken out of the place by this swap alone.
        (!old.is_null()).then(|| unsafe { Box::from_raw(old) })
    }

    #[inline]
    fn take(&self) -> Option<Box<S>> {
        self.swap(None)
    }

    /// Whether there is a store in it.
    fn is_taken(&self) -> bool {
        !self.store.load(Relaxed).is_null()
    }
}

impl<S> Drop for Place<S> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// Idle stores `S`, in boxes.
pub(crate) struct Idle<S> {
    /// A power of two, or none.
    places: Box<[CachePadded<Place<S>>]>,
    others: Mutex<Vec<Box<S>>>,
    /// Most stores in the list.
    most_others: usize,
}

impl<S> Idle<S> {
    /// Room for `most` stores, if all threads put some in; for three quarters of them if only one.
    pub(crate) fn new(most: usize) -> Idle<S> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        // Twice as many places as processors: few threads then meet at one.
        let few = (most / 4).checked_ilog2().map_or(0, |log| 1 << log);
        let places = (2 * threads.next_power_of_two()).min(few);
        Idle {
            places: (0..places).map(|_| CachePadded::new(Place::empty())).collect(),
            others: Mutex::default(),
            most_others: most - places,
        }
    }

    #[inline]
    fn place(&self) -> Option<&Place<S>> {
        let place = self.places.get(thread_number() & self.places.len().wrapping_sub(1));
        place.map(|place| &**place)
    }

    /// A store, the thread's last one if possible.
    #[inline]
    pub(crate) fn take(&self) -> Option<Box<S>> {
        let near = self.place().and_then(|place| place.take());
        near.or_else(|| self.take_far())
    }

    #[cold]
    fn take_far(&self) -> Option<Box<S>> {
        let other = self.others().pop();
        other.or_else(|| self.places.iter().find_map(|place| place.take()))
    }

    /// Whether there is a store, as far as others do not take or put one at the same time.
    pub(crate) fn has_any(&self) -> bool {
        self.places.iter().any(|place| place.is_taken()) || !self.others().is_empty()
    }

    /// Keeps a store; returns it, or an older one, if there is no room.
    #[inline]
    #[must_use]
    pub(crate) fn put(&self, store: Box<S>) -> Option<Box<S>> {
        let Some(place) = self.place() else { return self.put_far(store) };
        place.swap(Some(store)).and_then(|older| self.put_far(older))
    }

    #[cold]
    fn put_far(&self, store: Box<S>) -> Option<Box<S>> {
        let mut others = self.others();
        if others.len() >= self.most_others {
            return Some(store);
        }
        others.push(store);
        None
    }

    /// Takes out at most `most` stores, of the ones that `choose` chooses.
    pub(crate) fn take_out(&self, most: usize, choose: impl Fn(&S) -> bool) -> Vec<Box<S>> {
        let mut others = self.others();
        let mut taken = Vec::new();
        let mut kept = Vec::with_capacity(others.len());
        // In the list the oldest are first.
        for store in others.drain(..).chain(self.places.iter().filter_map(|p| p.take())) {
            let list = if taken.len() < most && choose(&store) { &mut taken } else { &mut kept };
            list.push(store);
        }
        // The stores of the places are among them now: a few more than fit, which is no harm.
        *others = kept;
        taken
    }

    fn others(&self) -> MutexGuard<'_, Vec<Box<S>>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number of this thread's own.
#[inline]
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(0) };
    }
    let number = NUMBER.get();
    if number != 0 {
        return number;
    }
    let number = NEXT.fetch_add(1, Relaxed);
    NUMBER.set(number);
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores(count: usize) -> impl Iterator<Item = Box<usize>> {
        (0..count).map(Box::new)
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        for most in [0, 1, 2, 3, 7, 64] {
            let idle = Idle::new(most);
            let refused = stores(100).filter_map(|store| idle.put(store)).count();
            let kept = std::iter::from_fn(|| idle.take()).count();
            assert_eq!(refused, 100 - kept, "{most}");
            assert!((most * 3).div_ceil(4) <= kept && kept <= most, "{kept} of {most}");
        }
    }

    #[test]
    fn a_thread_gets_its_own_last_store_back_and_others_when_there_is_none() {
        let idle = Idle::new(64);
        stores(3).for_each(|store| assert!(idle.put(store).is_none()));
        assert_eq!(idle.take(), Some(Box::new(2)));
        std::thread::scope(|scope| {
            let others = || std::iter::from_fn(|| idle.take()).map(|store| *store).collect();
            let mut others: Vec<usize> = scope.spawn(others).join().unwrap();
            others.sort_unstable();
            assert_eq!(others, [0, 1]);
        });
    }

    #[test]
    fn chosen_stores_are_taken_out_and_the_others_stay() {
        let idle = Idle::new(64);
        stores(10).for_each(|store| assert!(idle.put(store).is_none()));
        let even = idle.take_out(3, |store| store % 2 == 0);
        assert_eq!(even.into_iter().map(|store| *store).collect::<Vec<_>>(), [0, 2, 4]);
        let mut left: Vec<usize> = std::iter::from_fn(|| idle.take()).map(|store| *store).collect();
        left.sort_unstable();
        assert_eq!(left, [1, 3, 5, 6, 7, 8, 9]);
    }
}
