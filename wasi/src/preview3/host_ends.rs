//! Ends of streams and futures that the host has.

use super::pipe::{GuestEnd, Pipe, Readable, Side, Writable};
use super::tasks::Waiting;
use super::waitable::Waitable;
use crate::canonical::{Component, Resources, Value, Violation};
use crate::preview2::{Host, InputStream, OutputStream};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use wfaas_vm::component::{Type, TypeIndex};

/// The origin of the elements that the host writes.
pub(super) enum Source {
    Bytes {
        input: InputStream,
        /// Resolved at the end of the stream.
        _ended: Option<Promise>,
    },
    /// Elements of other types.
    Values(Values),
    /// Of a future.
    Value(Eventual),
}

/// Elements of a stream that are not bytes. The default has none.
#[derive(Default)]
pub(super) struct Values {
    arrived: VecDeque<Value>,
    /// `None` at the end.
    stream: Option<Box<dyn ValueStream>>,
}

/// Elements that arrive piece by piece.
pub(super) trait ValueStream: Send {
    /// The next ones, at least one; `None` at the end. Not called again after it.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<Value>>>;
}

/// The destination of the elements that the host reads.
pub(super) enum Sink {
    /// Nothing reads yet: somebody has the [`StreamReader`].
    Held(Weak<()>),
    Bytes {
        output: OutputStream,
        /// Bytes that another end of the host has written already.
        rest: Vec<u8>,
        _done: Option<Promise>,
    },
    /// Of a future.
    Value(TakeValue),
}

/// Takes the value of a future.
pub(super) type TakeValue = Box<dyn FnOnce(&mut Resources, &Value) -> Result<(), Violation> + Send>;

/// Makes the value of a future.
type MakeValue = Box<dyn FnOnce(&mut Resources) -> Result<Value, Violation> + Send>;

/// A value that will be there.
pub(super) struct Eventual(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    value: Option<Late>,
    waker: Option<Waker>,
}

/// A value that is there, or is made once the guest gets it.
enum Late {
    Value(Value),
    Made(MakeValue),
}

/// Resolves a future that the guest reads.
pub struct Promise {
    slot: Arc<Mutex<Slot>>,
    /// The value if it is dropped.
    otherwise: Option<Late>,
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}

impl Promise {
    fn new(otherwise: Value) -> (Promise, Eventual) {
        let slot = Arc::<Mutex<Slot>>::default();
        (Promise { slot: slot.clone(), otherwise: Some(Late::Value(otherwise)) }, Eventual(slot))
    }

    /// The same, which resolves the future with this value when it is dropped.
    pub fn with(mut self, value: Value) -> Promise {
        self.otherwise = Some(Late::Value(value));
        self
    }

    /// The same with a value that is made when the guest gets it, with handles of its own perhaps.
    pub fn made(
        mut self,
        make: impl FnOnce(&mut Resources) -> Result<Value, Violation> + Send + 'static,
    ) -> Promise {
        self.otherwise = Some(Late::Made(Box::new(make)));
        self
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.value = self.otherwise.take();
        let waker = slot.waker.take();
        drop(slot);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Values {
    pub(super) fn new(stream: Box<dyn ValueStream>) -> Values {
        Values { arrived: VecDeque::new(), stream: Some(stream) }
    }

    /// Ready when there are some, or when there will be none.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        while self.arrived.is_empty() {
            let Some(stream) = &mut self.stream else { return Poll::Ready(false) };
            match std::task::ready!(stream.poll_next(context)) {
                Some(values) => self.arrived.extend(values),
                None => self.stream = None,
            }
        }
        Poll::Ready(true)
    }

    /// Takes so many at most.
    pub(super) fn take(&mut self, most: usize) -> Vec<Value> {
        let count = most.min(self.arrived.len());
        self.arrived.drain(..count).collect()
    }

    /// Puts back those that were not delivered.
    pub(super) fn restore(&mut self, values: Vec<Value>) {
        values.into_iter().rev().for_each(|value| self.arrived.push_front(value));
    }
}

impl Eventual {
    /// Ready with the value, once.
    pub(super) fn poll(
        &mut self,
        resources: &mut Resources,
        context: &mut Context<'_>,
    ) -> Poll<Result<Value, Violation>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.value.take() {
            Some(Late::Value(value)) => Poll::Ready(Ok(value)),
            Some(Late::Made(make)) => Poll::Ready(make(resources)),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Puts a value back that was not delivered.
    pub(super) fn restore(value: Value) -> Eventual {
        Eventual(Arc::new(Mutex::new(Slot { value: Some(Late::Value(value)), waker: None })))
    }
}

/// The readable end of a stream that a guest gave to the host. Dropping it drops the end.
pub struct StreamReader {
    pipe: u32,
    _held: Arc<()>,
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamReader")
    }
}

impl Resources {
    fn readable(&mut self, writable: Source) -> Result<u32, Violation> {
        let is_future = matches!(writable, Source::Value(_));
        let (readable, writable) = (Readable::Gone, Writable::Host(writable));
        let pipe = Pipe { is_future, ty: None, readable, writable };
        let pipe = self.tasks().pipes.add(pipe)?;
        let handle = self.insert(Waitable::end(pipe, Side::Readable))?;
        if let Some(pipe) = self.tasks().pipes.get(pipe) {
            pipe.readable = Readable::Guest(GuestEnd::of(handle));
        }
        Ok(handle)
    }

    /// A stream of bytes of the host's, for the guest to read; its handle. Its end drops `ended`.
    ///
    /// # Errors
    /// [`Violation::TooManyHandles`].
    pub fn stream(&mut self, input: InputStream, ended: Option<Promise>) -> Result<u32, Violation> {
        self.readable(Source::Bytes { input, _ended: ended })
    }

    /// A stream of other elements; its handle.
    pub(super) fn values(&mut self, values: Values) -> Result<u32, Violation> {
        self.readable(Source::Values(values))
    }

    /// Gives a stream back to the guest; its handle.
    ///
    /// # Errors
    /// [`Violation::TooManyHandles`].
    pub fn return_stream(&mut self, reader: StreamReader) -> Result<u32, Violation> {
        let handle = self.insert(Waitable::end(reader.pipe, Side::Readable))?;
        match self.tasks().pipes.get(reader.pipe) {
            Some(pipe) => pipe.readable = Readable::Guest(GuestEnd::of(handle)),
            None => return Err(Violation::BadHandle(handle)),
        }
        Ok(handle)
    }

    /// A future of the host's, for the guest to read: its handle, and who resolves it. One that nobody resolves
    /// has the value `otherwise`.
    ///
    /// # Errors
    /// [`Violation::TooManyHandles`].
    pub fn future(&mut self, otherwise: Value) -> Result<(u32, Promise), Violation> {
        let (promise, eventual) = Promise::new(otherwise);
        Ok((self.readable(Source::Value(eventual))?, promise))
    }

    /// Takes the readable end that the guest gives to the host; its pipe. A component may have declared a stream
    /// where the interface has a future, since interfaces are matched by name alone.
    fn take_readable(&mut self, handle: u32, sink: Sink) -> Result<u32, Violation> {
        let pipe = Waitable::pipe(self, handle, Side::Readable)?;
        let is_future = matches!(sink, Sink::Value(_));
        if self.tasks().pipes.get(pipe).is_some_and(|pipe| pipe.is_future != is_future) {
            return Err(Value::mismatch());
        }
        Waitable::remove(self, handle)?;
        let found = self.tasks().pipes.get(pipe).ok_or(Violation::BadHandle(handle))?;
        found.readable = Readable::Host(sink);
        Ok(pipe)
    }

    /// Takes the stream that a guest gave to a function.
    ///
    /// # Errors
    /// [`Violation::BadHandle`]; [`Violation::Type`] if it is a future; [`Violation::TooManyWaiting`].
    pub fn take_stream(&mut self, handle: u32) -> Result<StreamReader, Violation> {
        let held = Arc::new(());
        let pipe = self.take_readable(handle, Sink::Held(Arc::downgrade(&held)))?;
        // The guest's pending write, if there is one, is told when the reader is dropped.
        self.tasks().list(Waiting::Pipe(pipe))?;
        Ok(StreamReader { pipe, _held: held })
    }

    /// Sends all bytes of a stream to `output`, and drops it and `done` when it has ended.
    ///
    /// # Errors
    /// [`Violation::Type`] if it is none of bytes.
    pub fn connect(
        &mut self,
        component: &Component,
        reader: StreamReader,
        output: OutputStream,
        done: Option<Promise>,
    ) -> Result<(), Violation> {
        let place = reader.pipe;
        let pipe = self.tasks().pipes.get(place).ok_or(Value::mismatch())?;
        if !is_of_bytes(component, pipe.element(component)) {
            return Err(Value::mismatch());
        }
        pipe.readable = Readable::Host(Sink::Bytes { output, rest: Vec::new(), _done: done });
        self.tasks().list(Waiting::Pipe(place))
    }

    /// Sends all bytes of `input` to `output`, and drops it and `done` at the end.
    ///
    /// # Errors
    /// [`Violation::TooManyHandles`].
    pub fn forward(
        &mut self,
        input: InputStream,
        output: OutputStream,
        done: Option<Promise>,
    ) -> Result<(), Violation> {
        let writable = Writable::Host(Source::Bytes { input, _ended: None });
        let readable = Readable::Host(Sink::Bytes { output, rest: Vec::new(), _done: done });
        let place =
            self.tasks().pipes.add(Pipe { is_future: false, ty: None, readable, writable })?;
        self.tasks().list(Waiting::Pipe(place))
    }

    /// Takes the future that a guest gave to a function; `take` gets its value.
    ///
    /// # Errors
    /// [`Violation::BadHandle`]; [`Violation::Type`] if it is a stream.
    pub fn take_future(
        &mut self,
        handle: u32,
        take: impl FnOnce(&mut Resources, &Value) -> Result<(), Violation> + Send + 'static,
    ) -> Result<(), Violation> {
        let pipe = self.take_readable(handle, Sink::Value(Box::new(take)))?;
        self.tasks().list(Waiting::Pipe(pipe))
    }
}

impl Host<'_, '_> {
    /// Sends all bytes of a stream to `output`: see [`Resources::connect`].
    ///
    /// # Errors
    /// As [`Resources::connect`].
    pub fn connect(
        &mut self,
        reader: StreamReader,
        output: OutputStream,
        done: Option<Promise>,
    ) -> Result<(), Violation> {
        let component = self.component();
        self.resources().connect(&component, reader, output, done)
    }
}

/// Whether elements are bytes.
pub(super) fn is_of_bytes(component: &Component, element: Option<TypeIndex>) -> bool {
    element.is_some_and(|element| component.is_byte(element))
}

impl Resources {
    /// Checks a readable end that the guest gives to a function, of this type and without an operation.
    pub(crate) fn check_end(&self, handle: u32, ty: TypeIndex) -> Result<Value, Violation> {
        match Waitable::is_readable(self, handle, ty) {
            true => Ok(Value::Handle(handle)),
            false => Err(Violation::BadHandle(handle)),
        }
    }

    /// Says of which type an end is that is given to the guest.
    pub(crate) fn give_end(
        &mut self,
        component: &Component,
        handle: u32,
        ty: TypeIndex,
    ) -> Result<(), Violation> {
        let place = Waitable::pipe(self, handle, Side::Readable)?;
        let is_future = matches!(component.ty(ty), Type::Future(_));
        match self.tasks().pipes.get(place) {
            Some(pipe) if pipe.is_future != is_future => Err(Value::mismatch()),
            Some(pipe) => match *pipe.ty.get_or_insert(ty) == ty {
                true => Ok(()),
                false => Err(Violation::BadHandle(handle)),
            },
            None => Err(Violation::BadHandle(handle)),
        }
    }
}
