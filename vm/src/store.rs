//! Stores: everything that guests which know each other share.

use crate::backtrace::RawBacktrace;
use crate::control::{CancelHandle, Control};
use crate::engine::Engine;
use crate::entry::Activation;
use crate::error::{BoxError, Error};
use crate::exception::{Exception, Exceptions, Uncaught};
use crate::func::{Func, HostFunc};
use crate::global::GlobalInner;
use crate::instance::InstanceInner;
use crate::memory::MemoryInner;
use crate::stack::GuestStack;
use crate::table::TableInner;
use crate::trap::{Backtrace, HostError, Trap};
use crate::values::ExternRef;
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use wfaas_abi::context::{FuncImport, RuntimeContext};
use wfaas_abi::{FuncType, TrapCode};
use wfaas_snapshot::Tracking;

/// Holds instances, what they share, and the embedder's data `T`. Handles such as
/// [`Instance`](crate::Instance) and [`Func`] belong to one store; using them with another panics.
#[derive(Debug)]
pub struct Store<T>(pub(crate) Box<StoreBox<T>>);

/// A store at its final address, which compiled code and hostcalls know.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct StoreBox<T> {
    /// First, so that a pointer to it is one to the whole.
    pub(crate) inner: StoreInner,
    pub(crate) data: T,
}

/// What does not depend on the embedder's data.
#[derive(Debug)]
#[repr(C)]
pub struct StoreInner {
    /// What compiled code writes and reads.
    pub(crate) runtime: RuntimeContext,
    pub(crate) id: u32,
    pub(crate) engine: Engine,
    /// That of the last call, which may be another's now, or gone, unless one is under way.
    pub(crate) stack: GuestStack,
    pub(crate) control: Arc<Control>,
    pub(crate) memory_limit: Option<u64>,
    /// How the slots of new instances know what a reset has to restore.
    pub(crate) tracking: Tracking,
    /// Bytes it keeps in memory between requests, as the engine's [`Slots`](crate::slots::Slots) know.
    pub(crate) resident: u64,
    /// In a pool: the epoch in which it was last used.
    pub(crate) idle_since: u32,
    /// Whether a host function was left in the middle.
    pub(crate) poisoned: bool,
    pub(crate) pending: Option<Pending>,
    /// What the signal handler noted when it left guest code.
    pub(crate) fault: Fault,
    // Boxed, since compiled code and other instances hold their addresses.
    #[expect(clippy::vec_box)]
    pub(crate) instances: Vec<Box<InstanceInner>>,
    #[expect(clippy::vec_box)]
    pub(crate) memories: Vec<Box<MemoryInner>>,
    #[expect(clippy::vec_box)]
    pub(crate) tables: Vec<Box<TableInner>>,
    #[expect(clippy::vec_box)]
    pub(crate) globals: Vec<Box<GlobalInner>>,
    /// Of each tag, the type whose parameters its exceptions carry.
    pub(crate) tags: Vec<FuncType>,
    pub(crate) exceptions: Exceptions,
    pub(crate) host_funcs: Vec<Arc<HostFunc>>,
    pub(crate) foreign: Foreign,
    pub(crate) extern_refs: Vec<ExternRef>,
    /// The function type of each type id that may meet a foreign reference.
    pub(crate) type_ids: HashMap<u32, FuncType>,
}

/// Functions that are referred to from outside their instance.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    #[expect(clippy::vec_box)] // compiled code holds the addresses while it calls
    pub(crate) records: Vec<Box<FuncImport>>,
    pub(crate) funcs: Vec<Func>,
    pub(crate) indices: HashMap<Func, u32>,
}

/// Why guest code was left by a hostcall or host function.
pub(crate) enum Pending {
    Trap(TrapCode),
    Host(BoxError),
    Exception(Exception),
    Panic(Box<dyn Any + Send>),
}

impl Pending {
    /// What the error of a host function means: it may pass on a guest's exception.
    pub(crate) fn of_host(error: BoxError) -> Pending {
        match error.downcast::<Error>() {
            Ok(error) => match *error {
                Error::Exception(uncaught) => Pending::Exception(uncaught.exception),
                other => Pending::Host(Box::new(other)),
            },
            Err(other) => Pending::Host(other),
        }
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pending::Trap(code) => write!(f, "Trap({code:?})"),
            Pending::Host(error) => write!(f, "Host({error:?})"),
            Pending::Exception(exception) => exception.fmt(f),
            Pending::Panic(_) => f.write_str("Panic"),
        }
    }
}

/// What the signal handler noted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fault {
    /// The trap, if the handler knew; otherwise it is looked up by `pc`.
    pub(crate) code: Option<TrapCode>,
    pub(crate) pc: usize,
}

// SAFETY: the raw pointers in a store point into itself and are used only through `&mut` access,
// or by compiled code while a call holds it; host functions and host objects are Send and Sync.
unsafe impl Send for StoreInner {}

// SAFETY: through `&StoreInner` nothing is changed, and what is read (cells, sizes, memory) is
// changed only through `&mut`.
unsafe impl Sync for StoreInner {}

impl<T: 'static> Store<T> {
    /// An empty store.
    pub fn new(engine: &Engine, data: T) -> Store<T> {
        Store(Box::new(StoreBox { inner: StoreInner::new(engine), data }))
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

    /// Ends calls under way at `deadline`, with [`TrapCode::DeadlineExceeded`]; `None` lets them
    /// run. Compiled code pays nothing for it. Applies to the calls started from now on.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.0.inner.control.set_deadline(deadline);
    }

    /// Lets the memories of the store together not grow beyond `bytes`: `memory.grow` returns -1
    /// there.
    pub fn set_memory_limit(&mut self, bytes: Option<u64>) {
        self.0.inner.memory_limit = bytes;
    }

    /// A handle with which other threads can end the call under way, or else the next one.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle::new(self.0.inner.control.clone())
    }
}

impl StoreInner {
    fn new(engine: &Engine) -> StoreInner {
        static NEXT_ID: AtomicU32 = AtomicU32::new(0);
        StoreInner {
            runtime: RuntimeContext { exit_fp: 0, stack_limit: 0 },
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            engine: engine.clone(),
            stack: GuestStack::default(),
            control: Arc::default(),
            memory_limit: None,
            tracking: Tracking::Discard,
            resident: 0,
            idle_since: 0,
            poisoned: false,
            pending: None,
            fault: Fault::default(),
            instances: Vec::new(),
            memories: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            tags: Vec::new(),
            exceptions: Exceptions::default(),
            host_funcs: Vec::new(),
            foreign: Foreign::default(),
            extern_refs: Vec::new(),
            type_ids: HashMap::new(),
        }
    }

    /// Notes the guest frames from the last exit on.
    ///
    /// # Safety
    /// `activation` must be the innermost one, of this store, and guest code must have left
    /// through a stub.
    pub(crate) unsafe fn note_backtrace(&mut self, activation: &Activation) {
        let mut backtrace = RawBacktrace::EMPTY;
        // SAFETY: the stub wrote its frame pointer before it called the host.
        unsafe { backtrace.walk(self.runtime.exit_fp as usize, activation) };
        backtrace.note();
    }

    /// The error of a call that was left.
    pub(crate) fn take_pending(&mut self) -> Error {
        let backtrace = self.take_backtrace();
        match self.pending.take() {
            Some(Pending::Trap(code)) => Error::Trap(Trap::new(code, backtrace)),
            Some(Pending::Host(source)) => Error::Host(HostError { source, backtrace }),
            Some(Pending::Exception(exception)) => {
                Error::Exception(Uncaught { exception, backtrace })
            }
            Some(Pending::Panic(payload)) => std::panic::resume_unwind(payload),
            None => Error::Trap(Trap::new(TrapCode::InternalFault, backtrace)),
        }
    }

    /// The error of a call that a signal ended.
    pub(crate) fn take_fault(&mut self) -> Error {
        let Fault { code, pc } = std::mem::take(&mut self.fault);
        let recorded = || {
            let (module, offset) = self.code_at(pc)?;
            TrapCode::from_u8(module.artifact().trap_at(offset)? as u8)
        };
        let code = code.or_else(recorded).unwrap_or(TrapCode::InternalFault);
        if matches!(code, TrapCode::HostFault | TrapCode::InternalFault) {
            self.poisoned = true;
        }
        Error::Trap(Trap::new(code, self.take_backtrace()))
    }

    /// The module whose text `pc` is in, and its offset there.
    pub(crate) fn code_at(&self, pc: usize) -> Option<(&crate::Module, u32)> {
        let modules = self.instances.iter().map(|instance| &instance.module);
        modules.filter_map(|module| Some((module, module.text_offset(pc)?))).next()
    }

    fn take_backtrace(&mut self) -> Backtrace {
        let raw = RawBacktrace::take();
        let mut backtrace = Backtrace {
            pcs: raw.pcs().to_vec(),
            exact_first: raw.exact_first,
            modules: Vec::new(),
        };
        for instance in &self.instances {
            let module = &instance.module;
            let known = |other: &crate::Module| other.text_start() == module.text_start();
            if raw.pcs().iter().any(|pc| module.text_offset(*pc).is_some())
                && !backtrace.modules.iter().any(known)
            {
                backtrace.modules.push(module.clone());
            }
        }
        backtrace
    }

    /// Panics if a handle is of another store: a bug of the embedder, as documented.
    #[inline]
    pub(crate) fn check_id(&self, id: u32) {
        assert_eq!(self.id, id, "a handle was used with a store it does not belong to");
    }
}

impl Drop for StoreInner {
    fn drop(&mut self) {
        self.engine.slots().account(self.resident, 0);
    }
}

mod sealed {
    /// Keeps the traits to this crate's types.
    pub trait Sealed {}
    impl<T> Sealed for super::Store<T> {}
    impl<S: Sealed + ?Sized> Sealed for &S {}
    impl<S: Sealed + ?Sized> Sealed for &mut S {}
    impl<T> Sealed for crate::Caller<'_, T> {}
}

pub(crate) use sealed::Sealed;

/// Something that gives access to a store: the [`Store`] itself, or a [`Caller`](crate::Caller).
pub trait AsContext: Sealed {
    /// The store.
    #[doc(hidden)]
    fn inner(&self) -> &StoreInner;
}

/// Something that gives exclusive access to a store.
pub trait AsContextMut: AsContext {
    /// The store.
    #[doc(hidden)]
    fn inner_mut(&mut self) -> &mut StoreInner;
}

impl<T> AsContext for Store<T> {
    fn inner(&self) -> &StoreInner {
        &self.0.inner
    }
}

impl<T> AsContextMut for Store<T> {
    fn inner_mut(&mut self) -> &mut StoreInner {
        &mut self.0.inner
    }
}

impl<S: AsContext + ?Sized> AsContext for &S {
    fn inner(&self) -> &StoreInner {
        (**self).inner()
    }
}

impl<S: AsContext + ?Sized> AsContext for &mut S {
    fn inner(&self) -> &StoreInner {
        (**self).inner()
    }
}

impl<S: AsContextMut + ?Sized> AsContextMut for &mut S {
    fn inner_mut(&mut self) -> &mut StoreInner {
        (**self).inner_mut()
    }
}
