//! Stores: everything that guests which know each other share.

use crate::api::cancel::CancelHandle;
use crate::api::engine::Engine;
use crate::pool::lent::Lent;
use crate::runtime::error::Error;
use crate::runtime::store::StoreInner;
use std::time::{Duration, Instant};
use wfaas_abi::continuation::{FrameArea, SavedFrame};
use wfaas_snapshot::Tracking;

/// Holds instances, everything they share, and the embedder's data `T`. Handles such as
/// [`Instance`](crate::Instance) and [`Func`](crate::Func) belong to one store; using them with
/// another panics.
#[derive(Debug)]
pub struct Store<T>(pub(super) Box<StoreBox<T>>);

/// A store at its final address, which compiled code and hostcalls know.
#[derive(Debug)]
#[repr(C)]
pub struct StoreBox<T> {
    /// First, so that a pointer to it is one to the whole.
    pub(super) inner: StoreInner,
    pub(super) lent: Lent,
    pub(super) data: T,
}

impl<T: 'static> Store<T> {
    /// An empty store.
    pub fn new(engine: &Engine, data: T) -> Store<T> {
        Store::with_tracking(engine, data, Tracking::Discard)
    }

    /// An empty store. Its slots track by `tracking` the pages that a reset has to restore.
    pub(super) fn with_tracking(engine: &Engine, data: T, tracking: Tracking) -> Store<T> {
        let config = engine.config();
        let inner = StoreInner::new(engine.stacks().clone(), config.max_memory_bytes);
        let lent = Lent::new(engine.slots(), config.max_memory_bytes, tracking);
        Store(Box::new(StoreBox { inner, lent, data }))
    }

    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// The embedder's data, to change.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.0.data
    }

    /// Ends the store and returns the embedder's data.
    pub fn into_data(self) -> T {
        self.0.data
    }

    /// When calls end, as [it was set](Store::set_deadline).
    pub fn deadline(&self) -> Option<Instant> {
        self.0.inner.call.control().deadline()
    }

    /// Ends calls at `deadline`, with
    /// [`TrapCode::DeadlineExceeded`](crate::TrapCode::DeadlineExceeded); `None` lets them run.
    /// Compiled code pays nothing for it. Applies to the calls started from now on, until it is set
    /// again; a faaslet starts without one.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.0.inner.call.set_deadline(deadline);
    }

    /// Suspends calls made by `call_async` each time they have used `slice` of processor time, so that their
    /// thread can do something else; their futures are woken at once. 1 ms is the least that is kept: threads
    /// are looked at once a millisecond, and a slice ends at the look that is nearest, half a millisecond early or
    /// late; earlier if the kernel took the processor from the thread, which may have worked for others just before.
    /// The first slice after a quarter of a second in which all calls were short may be 6 ms longer. Compiled
    /// code pays nothing for it. `None` lets them run until they wait. Applies to the calls started or resumed from
    /// now on, until it is set again; a faaslet starts without one.
    pub fn set_time_slice(&mut self, slice: Option<Duration>) {
        self.0.inner.call.set_slice(slice);
    }

    /// Counts the processor time of the store's calls from now on, for [`Store::cpu_time`], which takes
    /// some 20 ns a call. A faaslet starts without.
    pub fn count_cpu_time(&mut self, count: bool) {
        self.0.inner.call.count_cpu_time(count);
    }

    /// Processor time that the calls of the store have used while it was [counted](Store::count_cpu_time),
    /// with the host functions that guests called; calls that have returned, or are suspended. A faaslet
    /// starts with none.
    ///
    /// Time in which another thread has the processor is counted if a call goes on for less than about
    /// a millisecond, and at most a millisecond of it otherwise.
    pub fn cpu_time(&self) -> Duration {
        self.0.inner.call.cpu_time()
    }

    /// Ends calls with [`TrapCode::CpuLimitExceeded`](crate::TrapCode::CpuLimitExceeded) once
    /// [`Store::cpu_time`] is as much as `limit`, and refuses more; `None` lets them use any. It is counted
    /// then. A call under way is looked at once a millisecond, so it may use 2 ms more. Compiled code pays
    /// nothing for it. Holds until it is set again; a faaslet starts without one.
    pub fn set_cpu_limit(&mut self, limit: Option<Duration>) {
        self.0.inner.call.set_cpu_limit(limit);
    }

    /// Lets everything that guests of the store can make grow not grow beyond `bytes` together:
    /// memories, tables (8 bytes an element), exceptions, references to functions of other instances.
    /// `memory.grow` and `table.grow` return -1 there, a `throw` traps with
    /// [`TrapCode::TooManyExceptions`](crate::TrapCode::TooManyExceptions), and an instance that starts
    /// with more is refused with [`Error::MemoryLimit`](crate::Error::MemoryLimit). A faaslet of a pool
    /// is there already: compare [`Module::initial_memory_bytes`](crate::Module::initial_memory_bytes).
    /// Holds until it is set again; a faaslet starts without one, and
    /// [`Config::max_memory_bytes`](crate::Config::max_memory_bytes) holds always.
    pub fn set_memory_limit(&mut self, bytes: Option<u64>) {
        self.0.inner.objects.set_memory_limit(bytes);
    }

    /// Bytes that count for the [memory limit](Store::set_memory_limit) now. Memories never shrink.
    pub fn memory_bytes(&self) -> u64 {
        self.0.inner.objects.bytes()
    }

    /// Has the frames of the guest recorded whenever a host function's error ends a call, for
    /// [`Store::take_frames`]. The store must have one instance, of code that was made for that, of
    /// which these are the places of values in frames.
    pub fn record_frames(&mut self, areas: Vec<FrameArea>) {
        self.0.inner.record_frames(areas);
    }

    /// Ends the recording; the frames of the call that ended last, outermost first.
    ///
    /// # Errors
    /// [`Error::Capture`] if they are not all of one instance, or no host function ended a call.
    pub fn take_frames(&mut self) -> Result<Vec<SavedFrame>, Error> {
        self.0.inner.take_frames()
    }

    /// Has the frames of the guest kept whenever a host function's error ends a call: as a part of
    /// [`Instance::snapshot`](crate::Instance::snapshot), of which faaslets go on behind that call. The module has to have
    /// [stack maps](crate::Module::has_stack_maps). Holds until a faaslet is reset.
    pub fn record_again(&mut self) {
        self.0.inner.record_again();
    }

    /// A handle with which other threads can end the call under way, or else the next one.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle::new(self.0.inner.call.control().clone())
    }
}

mod sealed {
    /// Keeps the traits to this crate's types.
    pub trait Sealed {}
    impl<T> Sealed for crate::api::store::Store<T> {}
    impl<S: Sealed + ?Sized> Sealed for &S {}
    impl<S: Sealed + ?Sized> Sealed for &mut S {}
    impl<T> Sealed for crate::api::caller::Caller<'_, T> {}
}

use sealed::Sealed;

/// Something that gives access to a store: the [`Store`] itself, or a [`Caller`](crate::Caller).
pub trait AsContext: Sealed {
    /// The embedder's data.
    type Data: 'static;

    /// The store.
    #[doc(hidden)]
    fn store_box(&self) -> &StoreBox<Self::Data>;
}

/// Something that gives exclusive access to a store.
pub trait AsContextMut: AsContext {
    /// The store.
    #[doc(hidden)]
    fn store_box_mut(&mut self) -> &mut StoreBox<Self::Data>;
}

/// The store without the embedder's data.
#[inline]
pub(super) fn inner(store: &impl AsContext) -> &StoreInner {
    &store.store_box().inner
}

/// The store without the embedder's data, to change.
#[inline]
pub(super) fn inner_mut(store: &mut impl AsContextMut) -> &mut StoreInner {
    &mut store.store_box_mut().inner
}

impl<T: 'static> AsContext for Store<T> {
    type Data = T;
    #[inline]
    fn store_box(&self) -> &StoreBox<T> {
        &self.0
    }
}

impl<T: 'static> AsContextMut for Store<T> {
    #[inline]
    fn store_box_mut(&mut self) -> &mut StoreBox<T> {
        &mut self.0
    }
}

impl<S: AsContext + ?Sized> AsContext for &S {
    type Data = S::Data;
    fn store_box(&self) -> &StoreBox<S::Data> {
        (**self).store_box()
    }
}

impl<S: AsContext + ?Sized> AsContext for &mut S {
    type Data = S::Data;
    fn store_box(&self) -> &StoreBox<S::Data> {
        (**self).store_box()
    }
}

impl<S: AsContextMut + ?Sized> AsContextMut for &mut S {
    fn store_box_mut(&mut self) -> &mut StoreBox<S::Data> {
        (**self).store_box_mut()
    }
}
