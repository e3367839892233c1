//! The driver: makes the calls that a conversation asks for, one after the other.

use crate::cells::{Cells, Numbers};
use crate::exchange::Body;
use crate::invoke::InvokeError;
use crate::protocol::{Conversation, Next, Outcome, Turn};
use crate::spec::Spec;
use crate::state::State;
use http::Response;
use std::marker::PhantomData;
use wfaas_vm::{
    Error, ExternType, Faaslet, Func, FuncType, Instance, Memory, Module, Pool, PoolCellsFunc,
    PoolMemory, Store, TypedFunc, Val,
};

/// An entry point of a guest, looked up once.
#[derive(Debug)]
pub struct Entry<P, R> {
    pub(crate) index: usize,
    types: PhantomData<fn(P) -> R>,
}

/// An entry point with any number of numbers, looked up once. A call costs more than that of an
/// [`Entry`].
#[derive(Debug)]
pub struct ListEntry {
    pub(crate) index: usize,
    ty: FuncType,
}

impl ListEntry {
    /// Its parameters and results.
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }
}

/// The entry point to call, by its place in the lists of a target.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Callee {
    Cells(usize),
    List(usize),
}

/// A memory of a guest, looked up once.
#[derive(Debug)]
pub struct GuestMemory {
    pub(crate) index: usize,
}

/// Looks up what a protocol needs of a function.
pub struct Resolver<'a> {
    source: Source<'a>,
    spec: &'a Spec,
}

enum Source<'a> {
    Pool(&'a Pool<State>, &'a mut PoolExports),
    Store(&'a mut StoreTarget),
}

impl std::fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl<'a> Resolver<'a> {
    /// Of a pool's module, for all its faaslets.
    pub(crate) fn of_pool(
        pool: &'a Pool<State>,
        exports: &'a mut PoolExports,
        spec: &'a Spec,
    ) -> Resolver<'a> {
        Resolver { source: Source::Pool(pool, exports), spec }
    }

    /// Of one instance.
    pub(crate) fn of_store(target: &'a mut StoreTarget, spec: &'a Spec) -> Resolver<'a> {
        Resolver { source: Source::Store(target), spec }
    }

    /// The function's specification.
    pub fn spec(&self) -> &'a Spec {
        self.spec
    }

    /// The function exported as `name`.
    ///
    /// # Errors
    /// If there is none of this type.
    pub fn func<P: Numbers, R: Numbers>(&mut self, name: &str) -> Result<Entry<P, R>, Error> {
        let index = match &mut self.source {
            Source::Pool(pool, exports) => {
                let func = pool.typed_func::<P, R>(name)?.with_cells();
                exports.funcs.push(func.expect("`Numbers` are at most four numbers"));
                exports.funcs.len() - 1
            }
            Source::Store(StoreTarget { store, instance, funcs, .. }) => {
                funcs.push(Box::new(instance.get_typed_func::<P, R>(store, name)?));
                funcs.len() - 1
            }
        };
        Ok(Entry { index, types: PhantomData })
    }

    /// The function exported as `name`, whatever numbers it takes and returns.
    ///
    /// # Errors
    /// If there is none.
    pub fn list_func(&mut self, name: &str) -> Result<ListEntry, Error> {
        let Some(ty) = self.func_type(name) else {
            let reason = "not a function that is exported".to_owned();
            return Err(Error::Export { name: name.to_owned(), reason });
        };
        let lists = match &mut self.source {
            Source::Pool(_, exports) => &mut exports.lists,
            Source::Store(target) => &mut target.lists,
        };
        lists.push(name.to_owned());
        Ok(ListEntry { index: lists.len() - 1, ty })
    }

    /// Whether there is an export of this name.
    pub fn has(&self, name: &str) -> bool {
        self.module().get_export(name).is_some()
    }

    /// The type of the function exported as `name`, if there is one.
    pub fn func_type(&self, name: &str) -> Option<FuncType> {
        match self.module().get_export(name)? {
            ExternType::Func(ty) => Some(ty),
            _ => None,
        }
    }

    pub(crate) fn module(&self) -> &Module {
        match &self.source {
            Source::Pool(pool, _) => pool.module(),
            Source::Store(target) => target.instance.module(&target.store),
        }
    }

    /// The names and types of the exported functions.
    pub fn funcs(&self) -> Vec<(String, FuncType)> {
        let func = |(name, ty): (&str, ExternType)| match ty {
            ExternType::Func(ty) => Some((name.to_owned(), ty)),
            _ => None,
        };
        self.module().exports().filter_map(func).collect()
    }

    /// The memory exported as `name`.
    ///
    /// # Errors
    /// If there is none, or it is shared.
    pub fn memory(&mut self, name: &str) -> Result<GuestMemory, Error> {
        let index = match &mut self.source {
            Source::Pool(pool, exports) => {
                exports.memories.push(pool.memory(name)?);
                exports.memories.len() - 1
            }
            Source::Store(StoreTarget { store, instance, memories, .. }) => {
                let reason = "not a memory that is not shared".to_owned();
                let missing = Error::Export { name: name.to_owned(), reason };
                memories.push(instance.get_memory(store, name).ok_or(missing)?);
                memories.len() - 1
            }
        };
        Ok(GuestMemory { index })
    }
}

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
}

/// What a protocol has looked up for all faaslets of a pool.
#[derive(Default)]
pub(crate) struct PoolExports {
    funcs: Vec<PoolCellsFunc>,
    lists: Vec<String>,
    memories: Vec<PoolMemory>,
}

/// A faaslet of a function.
pub(crate) struct FaasletTarget<'a> {
    /// `None` only while it is dropped.
    faaslet: Option<Faaslet<'a, State>>,
    exports: &'a PoolExports,
    background: Option<&'a Background>,
}

/// Does work that takes long where it holds up nobody.
pub type Background = Box<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

impl<'a> FaasletTarget<'a> {
    /// A faaslet of a pool. If its reset will take long it is done in the `background`.
    pub(crate) fn new(
        faaslet: Faaslet<'a, State>,
        exports: &'a PoolExports,
        background: Option<&'a Background>,
    ) -> FaasletTarget<'a> {
        FaasletTarget { faaslet: Some(faaslet), exports, background }
    }

    /// The faaslet.
    pub(crate) fn faaslet(&mut self) -> &mut Faaslet<'a, State> {
        self.faaslet.as_mut().expect("only `drop` takes it")
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

    /// The answer that the guest has made; see [`Exchange::take_answer`](crate::Exchange).
    pub(crate) fn take_answer(&mut self) -> Result<Response<Body>, InvokeError> {
        self.state().live().exchange.take_answer().map_err(InvokeError::Head)
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
        self.faaslet().store().data_mut()
    }

    fn memory(&mut self, index: usize) -> &mut [u8] {
        let memory = &self.exports.memories[index];
        let memory = self.faaslet().memory(memory);
        memory.data_mut(self.faaslet().store())
    }
}

impl Drop for FaasletTarget<'_> {
    fn drop(&mut self) {
        let Some(faaslet) = self.faaslet.take() else { return };
        match self.background {
            Some(background) if faaslet.reset_is_long() => {
                let reset = faaslet.end();
                background(Box::new(|| drop(reset)));
            }
            _ => drop(faaslet),
        }
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
    funcs: Vec<Box<dyn CallStore>>,
    lists: Vec<String>,
    memories: Vec<Memory>,
}

/// A function of a store, whatever its types.
trait CallStore {
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
}

/// An exchange under way, between two calls.
struct Course {
    number: usize,
    outcome: Outcome,
    cells: Cells,
    list: Vec<Val>,
}

impl Course {
    fn new() -> Course {
        let (outcome, cells) = (Outcome::Returned, Cells::default());
        Course { number: 0, outcome, cells, list: Vec::new() }
    }

    /// Asks the conversation for the next call: its entry point. The arguments are in the cells.
    fn next(
        &mut self,
        conversation: &dyn Conversation,
        target: &mut dyn Target,
        output_limit: u64,
    ) -> Result<Option<Callee>, InvokeError> {
        let Course { number, outcome, cells, .. } = *self;
        let list = &mut self.list;
        let mut turn = Turn { number, outcome, cells, list, target, output_limit };
        let Next::Call(ready) = conversation.turn(&mut turn)? else { return Ok(None) };
        self.cells = turn.cells;
        self.number += 1;
        Ok(Some(ready.0))
    }

    /// Takes what became of the call.
    fn called(&mut self, result: Result<(), Error>) -> Result<(), InvokeError> {
        self.outcome = match result.map_err(InvokeError::from) {
            Ok(()) => Outcome::Returned,
            Err(InvokeError::Exit(code)) => Outcome::Exited(code),
            Err(error) => return Err(error),
        };
        Ok(())
    }
}

/// Has a guest take part in the exchange in its state, to its end.
pub(crate) fn drive(
    conversation: &dyn Conversation,
    target: &mut dyn Target,
    output_limit: u64,
) -> Result<(), InvokeError> {
    let mut course = Course::new();
    while let Some(callee) = course.next(conversation, target, output_limit)? {
        let result = match callee {
            Callee::Cells(index) => target.call(index, &mut course.cells),
            Callee::List(index) => target.call_list(index, &mut course.list),
        };
        course.called(result)?;
    }
    Ok(())
}

/// The same; host functions that the guest calls may wait.
pub(crate) async fn drive_async(
    conversation: &dyn Conversation,
    target: &mut FaasletTarget<'_>,
    output_limit: u64,
) -> Result<(), InvokeError> {
    let mut course = Course::new();
    while let Some(callee) = course.next(conversation, target, output_limit)? {
        let result = match callee {
            Callee::Cells(index) => target.call_async(index, &mut course.cells).await,
            // Boxed: exchanges without lists have no memory for it.
            Callee::List(index) => Box::pin(target.call_list_async(index, &mut course.list)).await,
        };
        course.called(result)?;
    }
    Ok(())
}
