//! Targets: guests that can be called, each a faaslet of a pool or an instance in a store of its own.

use crate::cells::{Cells, Numbers};
use crate::exchange::{Body, Exchange};
use crate::invoke::InvokeError;
use crate::parking::{ParkedGuest, Parking, Waits};
use crate::state::State;
use http::Response;
use std::time::{Duration, Instant};
use wfaas_vm::{
    Error, Faaslet, Func, Instance, Memory, PoolCellsFunc, PoolMemory, Store, TypedFunc, Val,
};

use wfaas_wasi::Wasi;

/// A guest that can be called.
pub(crate) trait Target {
    /// Calls an entry point.
    fn call(&mut self, index: usize, cells: &mut Cells) -> Result<(), Error>;
    /// Calls an entry point with a list; it has the results then.
    fn call_list(&mut self, index: usize, list: &mut Vec<Val>) -> Result<(), Error>;
    /// The data of its store.
    fn state(&mut self) -> &mut State;
    /// A memory.
    fn memory(&mut self, index: usize) -> &mut [u8];
    /// A memory, and the data of its store.
    fn memory_and_state(&mut self, index: usize) -> (&mut [u8], &mut State);
    /// When calls end.
    fn deadline(&mut self) -> Option<Instant>;
    /// Ends calls at this time.
    fn set_deadline(&mut self, deadline: Option<Instant>);
}

/// What a protocol has looked up for all faaslets of a pool.
#[derive(Default)]
pub(crate) struct PoolExports {
    pub(crate) funcs: Vec<PoolCellsFunc>,
    pub(crate) lists: Vec<String>,
    pub(crate) memories: Vec<PoolMemory>,
}

/// A faaslet of a function.
pub(crate) struct FaasletTarget<'a> {
    place: Place<'a>,
    exports: &'a PoolExports,
    background: Option<&'a Background>,
    parking: Option<&'a dyn Parking>,
    /// What earlier waits say about the next one.
    pub(crate) waits: Waits,
}

/// The place of a guest.
enum Place<'a> {
    /// A slot.
    Slot(Faaslet<'a, State>),
    /// None: it is parked.
    Parked(Box<ParkedGuest<'a>>),
    /// Nothing is left of it.
    Nowhere,
}

/// Takes resets that would hold up an answer, and does them where they hold up nobody.
pub type Background = Box<dyn Fn(Reset) + Send + Sync>;

/// The reset of a guest that has ended.
pub enum Reset {
    /// Takes as long as its slot's pages take to be copied back. Dropping it does it.
    Short(Box<dyn Send>),
    /// May take long.
    Long(LongReset),
}

/// The shortest reset that is left to do behind the answer: to leave it costs a microsecond.
const WORTH_LEAVING: Duration = Duration::from_micros(10);

/// A reset that takes long. A call does a part of it, some 200 µs; `false` if nothing is left but what dropping
/// it does.
pub type LongReset = Box<dyn FnMut() -> bool + Send>;

impl<'a> FaasletTarget<'a> {
    /// A faaslet of a pool. If its reset takes a while it is done in the `background`. It is parked as `parking`
    /// says.
    pub(crate) fn new(
        faaslet: Faaslet<'a, State>,
        exports: &'a PoolExports,
        background: Option<&'a Background>,
        parking: Option<&'a dyn Parking>,
    ) -> FaasletTarget<'a> {
        let waits = Waits::default();
        FaasletTarget { place: Place::Slot(faaslet), exports, background, parking, waits }
    }

    /// The same, which keeps its slot.
    pub(crate) fn in_its_slot(mut self) -> FaasletTarget<'a> {
        self.parking = None;
        self
    }

    /// The faaslet, which is not parked.
    #[inline]
    pub(crate) fn faaslet(&mut self) -> &mut Faaslet<'a, State> {
        match &mut self.place {
            Place::Slot(faaslet) => faaslet,
            Place::Parked(_) | Place::Nowhere => unreachable!("a parked guest is not called"),
        }
    }

    /// Whether and how it is parked.
    pub(crate) fn parking(&self) -> Option<&'a dyn Parking> {
        self.parking
    }

    /// Parks the guest, if that is possible; whether it is parked.
    pub(crate) fn park(&mut self, parking: &'a dyn Parking) -> bool {
        let Place::Slot(faaslet) = &mut self.place else { return true };
        let Some(parked) = ParkedGuest::new(faaslet, parking) else { return false };
        let place = std::mem::replace(&mut self.place, Place::Parked(Box::new(parked)));
        self.vacate(place);
        true
    }

    /// Has a parked guest take a slot.
    ///
    /// # Errors
    /// As [`Pool::unpark`](wfaas_vm::Pool::unpark); it is parked as before then.
    pub(crate) fn unpark(&mut self) -> Result<(), Error> {
        if let Place::Parked(parked) = &mut self.place {
            self.place = Place::Slot(parked.go_on()?);
        }
        Ok(())
    }

    /// When its calls end, if it is parked.
    pub(crate) fn parked_deadline(&self) -> Option<Instant> {
        match &self.place {
            Place::Parked(parked) => parked.deadline(),
            Place::Slot(_) | Place::Nowhere => None,
        }
    }

    /// Has the slot of a guest that has left it be reset.
    fn vacate(&self, place: Place<'a>) {
        let Place::Slot(faaslet) = place else { return };
        match self.background {
            Some(background) if faaslet.reset_is_long() => {
                let mut reset = faaslet.end();
                background(Reset::Long(Box::new(move || reset.step())));
            }
            Some(background) if faaslet.least_reset_time() >= WORTH_LEAVING => {
                background(Reset::Short(Box::new(faaslet.end())));
            }
            _ => drop(faaslet),
        }
    }

    /// Calls an entry point; host functions that it calls may wait.
    #[inline]
    pub(crate) async fn call_async(
        &mut self,
        index: usize,
        cells: &mut Cells,
    ) -> Result<(), Error> {
        let func = &self.exports.funcs[index];
        *cells = self.faaslet().call_cells_async(func, *cells).await?;
        Ok(())
    }

    /// Calls an entry point with a list; host functions that it calls may wait.
    pub(crate) async fn call_list_async(
        &mut self,
        index: usize,
        list: &mut Vec<Val>,
    ) -> Result<(), Error> {
        let func = self.list_func(index)?;
        *list = func.call_async(self.faaslet().store(), list).await?;
        Ok(())
    }

    fn list_func(&mut self, index: usize) -> Result<Func, Error> {
        let name = &self.exports.lists[index];
        let instance = self.faaslet().instance();
        exported(self.faaslet().store(), instance, name)
    }

    /// WASI, as the guest has it.
    pub(crate) fn wasi(&mut self) -> &mut Wasi {
        &mut self.state().live().wasi
    }

    /// The answer that the guest has made; see [`Exchange::take_answer`](crate::Exchange).
    pub(crate) fn take_answer(&mut self) -> Result<Response<Body>, InvokeError> {
        self.state().live().exchange.take_answer().map_err(InvokeError::Head)
    }

    /// Ends the guest: its exchange, with the answer that it has made.
    pub(crate) fn end(mut self) -> Result<Box<Exchange>, InvokeError> {
        let mut exchange = self.state().end().unwrap_or_default();
        exchange.complete_answer().map_err(InvokeError::Head)?;
        Ok(exchange)
    }
}

impl Target for FaasletTarget<'_> {
    fn call(&mut self, index: usize, cells: &mut Cells) -> Result<(), Error> {
        let func = &self.exports.funcs[index];
        *cells = self.faaslet().call_cells(func, *cells)?;
        Ok(())
    }

    fn call_list(&mut self, index: usize, list: &mut Vec<Val>) -> Result<(), Error> {
        let func = self.list_func(index)?;
        *list = func.call(self.faaslet().store(), list)?;
        Ok(())
    }

    fn state(&mut self) -> &mut State {
        match &mut self.place {
            Place::Slot(faaslet) => faaslet.store().data_mut(),
            Place::Parked(parked) => parked.state(),
            Place::Nowhere => unreachable!("only `drop` leaves nothing of it"),
        }
    }

    fn memory(&mut self, index: usize) -> &mut [u8] {
        let memory = &self.exports.memories[index];
        let memory = self.faaslet().memory(memory);
        memory.data_mut(self.faaslet().store())
    }

    fn memory_and_state(&mut self, index: usize) -> (&mut [u8], &mut State) {
        let memory = &self.exports.memories[index];
        let memory = self.faaslet().memory(memory);
        memory.data_and_store_mut(self.faaslet().store())
    }

    fn deadline(&mut self) -> Option<Instant> {
        self.faaslet().store().deadline()
    }

    fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.faaslet().store().set_deadline(deadline);
    }
}

impl Drop for FaasletTarget<'_> {
    fn drop(&mut self) {
        let place = std::mem::replace(&mut self.place, Place::Nowhere);
        self.vacate(place);
    }
}

/// A function that was there when the protocol asked for it.
fn exported(store: &mut Store<State>, instance: Instance, name: &str) -> Result<Func, Error> {
    let missing = || Error::Export { name: name.to_owned(), reason: "not there".to_owned() };
    instance.get_func(store, name).ok_or_else(missing)
}

/// An instance in a store of its own.
pub(crate) struct StoreTarget {
    pub(crate) store: Store<State>,
    pub(crate) instance: Instance,
    pub(crate) funcs: Vec<Box<dyn CallStore>>,
    pub(crate) lists: Vec<String>,
    pub(crate) memories: Vec<Memory>,
}

/// A function of a store, whatever its types.
pub(crate) trait CallStore {
    fn call(&self, store: &mut Store<State>, cells: &mut Cells) -> Result<(), Error>;
}

impl<P: Numbers, R: Numbers> CallStore for TypedFunc<P, R> {
    fn call(&self, store: &mut Store<State>, cells: &mut Cells) -> Result<(), Error> {
        TypedFunc::call(self, store, P::read(cells))?.write(cells);
        Ok(())
    }
}

impl StoreTarget {
    pub(crate) fn new(store: Store<State>, instance: Instance) -> StoreTarget {
        let (funcs, lists, memories) = (Vec::new(), Vec::new(), Vec::new());
        StoreTarget { store, instance, funcs, lists, memories }
    }
}

impl Target for StoreTarget {
    fn call(&mut self, index: usize, cells: &mut Cells) -> Result<(), Error> {
        self.funcs[index].call(&mut self.store, cells)
    }

    fn call_list(&mut self, index: usize, list: &mut Vec<Val>) -> Result<(), Error> {
        let func = exported(&mut self.store, self.instance, &self.lists[index])?;
        *list = func.call(&mut self.store, list)?;
        Ok(())
    }

    fn state(&mut self) -> &mut State {
        self.store.data_mut()
    }

    fn memory(&mut self, index: usize) -> &mut [u8] {
        self.memories[index].data_mut(&mut self.store)
    }

    fn memory_and_state(&mut self, index: usize) -> (&mut [u8], &mut State) {
        self.memories[index].data_and_store_mut(&mut self.store)
    }

    fn deadline(&mut self) -> Option<Instant> {
        self.store.deadline()
    }

    fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.store.set_deadline(deadline);
    }
}
