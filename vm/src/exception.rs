//! Exceptions: what guests throw, and finding who catches it.
//!
//! A thrown exception is kept by its store, and a guest's reference to it is its place in the
//! store's list, marked so that it looks like nothing else. Since compiled code owns nothing, the
//! store finds out by itself which exceptions can still be reached, once there are many: from
//! globals and tables, from the embedder's handles, and from whatever looks like a reference on
//! the guest's stack.

use crate::backtrace::RawBacktrace;
use crate::entry::Activation;
use crate::error::Error;
use crate::init::without_frames;
use crate::store::{AsContext, AsContextMut, Store, StoreInner};
use crate::trap::Backtrace;
use crate::values::Val;
use std::fmt;
use std::sync::Arc;
use wfaas_abi::types::cells_of;
use wfaas_abi::{FuncType, TrapCode, ValType};

/// A tag of a store: what kind of exception one is, and what values it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    pub(crate) store: u32,
    pub(crate) index: u32,
}

impl Tag {
    /// A tag of the host's making, for exceptions with values of these types.
    pub fn new<T: 'static>(store: &mut Store<T>, types: impl IntoIterator<Item = ValType>) -> Tag {
        let store = &mut store.0.inner;
        store.tags.push(FuncType::new(types, []));
        Tag { store: store.id, index: (store.tags.len() - 1) as u32 }
    }

    /// The type: its parameters are those of the values.
    pub fn ty(&self, store: &impl AsContext) -> FuncType {
        let store = store.inner();
        store.check_id(self.store);
        store.tags[self.index as usize].clone()
    }
}

/// An exception, as the embedder holds it; alive as long as that.
#[derive(Clone)]
pub struct Exception(Arc<Thrown>);

#[derive(Debug)]
struct Thrown {
    store: u32,
    /// Place in the store's list of exceptions.
    index: u32,
    tag: u32,
    /// In cells, references to functions in terms that hold in every instance.
    values: Box<[u64]>,
}

impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exception(tag {})", self.0.tag)
    }
}

impl Exception {
    /// An exception with a tag and the values that belong to it. A host function that returns
    /// [`Error::Exception`] throws it.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the values do not fit the tag, [`Error::Trap`] if the store has
    /// no room for one more.
    pub fn new(
        store: &mut impl AsContextMut,
        tag: Tag,
        values: &[Val],
    ) -> Result<Exception, Error> {
        let ty = tag.ty(store);
        let store = store.inner_mut();
        store.check_types(values, ty.params())?;
        let mut cells = vec![0; cells_of(ty.params())];
        store.write_cells(&mut cells, values.iter(), None)?;
        store.add_exception(tag.index, cells.into_boxed_slice())
    }

    /// The tag.
    pub fn tag(&self) -> Tag {
        Tag { store: self.0.store, index: self.0.tag }
    }

    /// The values.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if one is a damaged reference, or the exception is from before the
    /// store was reset.
    pub fn values(&self, store: &impl AsContext) -> Result<Vec<Val>, Error> {
        let ty = self.tag().ty(store);
        store.inner().exception_to_bits(self)?;
        store.inner().read_cells(&self.0.values, ty.params(), None)
    }

    fn to_bits(&self) -> u64 {
        MARK | u64::from(self.0.index)
    }
}

/// An exception that nobody in the guest caught.
#[derive(Debug, Clone)]
pub struct Uncaught {
    /// The exception.
    pub exception: Exception,
    pub(crate) backtrace: Backtrace,
}

impl Uncaught {
    /// The guest's frames where it was thrown last, innermost first.
    pub fn frames(&self) -> Vec<crate::trap::Frame> {
        self.backtrace.frames()
    }
}

impl fmt::Display for Uncaught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uncaught exception{}", self.backtrace)
    }
}

impl std::error::Error for Uncaught {}

impl From<Exception> for Error {
    fn from(exception: Exception) -> Self {
        Error::Exception(Uncaught { exception, backtrace: Backtrace::default() })
    }
}

/// The upper half of references to exceptions, unlikely in anything else.
const MARK: u64 = 0x6578_6e72 << 32;

/// Bytes that exceptions may take before the store looks which are still needed.
const FIRST_LOOK: usize = 1 << 20;

/// Bytes that exceptions may take.
const MOST_BYTES: usize = 64 << 20;

/// The exceptions of a store.
#[derive(Debug)]
pub(crate) struct Exceptions {
    slots: Vec<Option<Arc<Thrown>>>,
    free: Vec<u32>,
    bytes: usize,
    /// Look again when they take so many.
    next_look: usize,
}

impl Default for Exceptions {
    fn default() -> Self {
        Exceptions { slots: Vec::new(), free: Vec::new(), bytes: 0, next_look: FIRST_LOOK }
    }
}

impl Exceptions {
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn index_of(&self, bits: u64) -> Option<usize> {
        let index = (bits ^ MARK) as usize;
        self.slots.get(index)?.as_ref().map(|_| index)
    }

    /// The exception a reference names.
    pub(crate) fn get(&self, bits: u64) -> Option<Exception> {
        let index = self.index_of(bits)?;
        self.slots[index].clone().map(Exception)
    }
}

/// Bytes that an exception with so many cells takes.
fn bytes_of(cells: usize) -> usize {
    cells * 8 + size_of::<Thrown>() + 64
}

impl StoreInner {
    /// Keeps an exception.
    pub(crate) fn add_exception(
        &mut self,
        tag: u32,
        values: Box<[u64]>,
    ) -> Result<Exception, Error> {
        let bytes = bytes_of(values.len());
        if self.exceptions.bytes + bytes > self.exceptions.next_look {
            self.forget_exceptions();
        }
        if self.exceptions.bytes + bytes > MOST_BYTES {
            return Err(without_frames(TrapCode::TooManyExceptions));
        }
        let index = self.exceptions.free.pop().unwrap_or_else(|| {
            self.exceptions.slots.push(None);
            (self.exceptions.slots.len() - 1) as u32
        });
        let thrown = Arc::new(Thrown { store: self.id, index, tag, values });
        self.exceptions.slots[index as usize] = Some(thrown.clone());
        self.exceptions.bytes += bytes;
        Ok(Exception(thrown))
    }

    /// A guest's reference to an exception, which must be one of this store, and not from before it
    /// was reset: only then do its place and its tag mean anything here.
    pub(crate) fn exception_to_bits(&self, exception: &Exception) -> Result<u64, Error> {
        let known = self.exceptions.get(exception.to_bits());
        let stranger = || Error::Unsupported("an exception that the store does not have".into());
        let known = known.filter(|known| Arc::ptr_eq(&known.0, &exception.0));
        known.map(|known| known.to_bits()).ok_or_else(stranger)
    }

    /// The exception a guest's reference names.
    pub(crate) fn exception(&self, bits: u64) -> Result<Exception, Error> {
        let dangling = || Error::Unsupported("an exception reference names no exception".into());
        self.exceptions.get(bits).ok_or_else(dangling)
    }

    /// The address of an exception's cells.
    pub(crate) fn exception_cells(&self, bits: u64) -> Result<u64, Error> {
        Ok(self.exception(bits)?.0.values.as_ptr() as u64)
    }

    /// Drops the exceptions that nothing can refer to any more.
    fn forget_exceptions(&mut self) {
        let mut reached = vec![false; self.exceptions.slots.len()];
        let mut todo = self.exception_roots();
        while let Some(index) = todo.pop() {
            if !std::mem::replace(&mut reached[index], true) {
                let thrown = self.exceptions.slots[index].as_ref();
                let values = thrown.map_or(&[][..], |thrown| &thrown.values);
                todo.extend(values.iter().filter_map(|bits| self.exceptions.index_of(*bits)));
            }
        }
        for (index, reached) in reached.into_iter().enumerate() {
            if !reached && let Some(thrown) = self.exceptions.slots[index].take() {
                self.exceptions.bytes -= bytes_of(thrown.values.len());
                self.exceptions.free.push(index as u32);
            }
        }
        self.exceptions.next_look = (2 * self.exceptions.bytes).clamp(FIRST_LOOK, MOST_BYTES);
    }

    /// Places of exceptions that are referred to from outside of exceptions.
    fn exception_roots(&self) -> Vec<usize> {
        let mut roots = Vec::new();
        let mut add = |bits: u64| roots.extend(self.exceptions.index_of(bits));
        for global in self.globals.iter().filter(|global| global.ty.content.is_exn_ref()) {
            add(global.read().0);
        }
        for table in self.tables.iter().filter(|table| table.element().is_exn_ref()) {
            table.read(0, table.size()).unwrap_or_default().into_iter().for_each(&mut add);
        }
        if self.runtime.exit_fp != 0 {
            // SAFETY: the guest left through a stub, to this: its call is under way.
            unsafe { self.stack.scan(add) };
        }
        let held = |thrown: &Option<Arc<Thrown>>| {
            thrown.as_ref().is_some_and(|thrown| Arc::strong_count(thrown) > 1)
        };
        let slots = self.exceptions.slots.iter().enumerate();
        roots.extend(slots.filter(|(_, thrown)| held(thrown)).map(|(index, _)| index));
        roots
    }
}

/// Where an exception is caught.
pub(crate) struct Handler {
    pub(crate) pc: usize,
    pub(crate) sp: usize,
    pub(crate) fp: usize,
}

impl StoreInner {
    /// The innermost call of the activation that has a handler.
    ///
    /// # Safety
    /// `activation` must be the innermost one, of this store, and guest code must have left
    /// through a stub.
    pub(crate) unsafe fn find_handler(&self, activation: &Activation) -> Option<Handler> {
        let mut found = None;
        let visit = |return_address: usize, fp: usize| {
            found = self.handler_at(return_address, fp);
            found.is_none()
        };
        // SAFETY: the stub wrote its frame pointer before it called the host.
        unsafe { RawBacktrace::visit(self.runtime.exit_fp as usize, activation, visit) };
        found
    }

    /// The handler of the call that returns to `return_address`, in the frame `fp`.
    fn handler_at(&self, return_address: usize, fp: usize) -> Option<Handler> {
        let (module, offset) = self.code_at(return_address)?;
        let handler = module.artifact().handler_at(offset)?;
        let pc = module.code_address(handler.handler_offset.get()).ok()?;
        Some(Handler { pc, sp: fp.checked_sub(handler.frame_bytes.get() as usize)?, fp })
    }
}
