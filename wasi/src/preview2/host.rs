//! Host functions of interfaces, and what they reach.

use super::link::Lowered;
use crate::canonical::{Component, Lower, Resources, Slice, Value, Violation};
use crate::context::{HasWasi, Wasi};
use crate::preview1::{Failure, Guest, now};
use crate::stdio::{WriteError, Written};
use crate::wait::{Events, Wait};
use crate::work;
use rustix::time::ClockId;
use std::sync::Arc;
use std::time::Instant;
use wfaas_vm::BoxError;
use wfaas_vm::component::is_version_of;

/// An interface.
#[derive(Debug)]
pub struct Interface {
    /// Its name without patch level, as `wasi:io/streams@0.2`.
    pub name: &'static str,
    /// Its functions.
    pub functions: &'static [Function],
}

/// A function of an interface.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its name in the interface, as `[method]input-stream.read`.
    pub name: &'static str,
    /// Calls it.
    pub call: HostFn,
}

/// An implementation. It gets the parameters, and is called again after each wait that it asks for: it must not
/// have changed anything before, but for [`Host::transferred`].
pub type HostFn = fn(&mut Host<'_, '_>, &[Value]) -> Result<Value, Stop>;

/// Why a function has no result (yet).
#[derive(Debug)]
pub struct Stop(pub(crate) Failure);

impl Interface {
    /// The function of this name, if the interface is this one.
    pub fn find(&self, interface: &str, name: &str) -> Option<&'static Function> {
        if !is_version_of(interface, self.name) {
            return None;
        }
        self.functions.iter().find(|function| function.name == name)
    }
}

impl Stop {
    /// The error that ends the guest; a wait is none that anybody asks for here.
    pub(crate) fn into_error(self) -> BoxError {
        match self.0 {
            Failure::End(error) => error,
            other => format!("a wait where there is none: {other:?}").into(),
        }
    }

    /// Ends the guest's call.
    pub fn end(error: impl Into<BoxError>) -> Stop {
        Stop(Failure::End(error.into()))
    }

    /// Ends the guest's call, since it broke a rule of a function.
    pub fn rule(function: &'static str, reason: &'static str) -> Stop {
        Violation::Rule { function, reason }.into()
    }

    /// Waits for a handle's thing: a [`Pollable`](super::Pollable) or a stream.
    pub fn wait_for(host: &mut Host<'_, '_>, handle: u32) -> Stop {
        super::poll::wait_for(host, &[handle])
    }

    pub(crate) fn events(events: Events) -> Stop {
        Stop(Wait::For(events).into())
    }

    /// Lets others have their turn.
    pub(crate) fn turn() -> Stop {
        Stop(Wait::Turn.into())
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Stop {
        Stop::end(violation)
    }
}

impl From<crate::preview1::Errno> for Stop {
    fn from(errno: crate::preview1::Errno) -> Stop {
        Stop(errno.into())
    }
}

/// The guest that called, and its call.
pub struct Host<'a, 'g> {
    guest: &'a mut Guest<'g>,
    call: &'a Arc<Lowered>,
    /// Where a result goes that is stored in memory.
    result_at: u32,
}

impl std::fmt::Debug for Host<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}

impl<'a, 'g> Host<'a, 'g> {
    pub(crate) fn new(
        guest: &'a mut Guest<'g>,
        call: &'a Arc<Lowered>,
        result_at: u32,
    ) -> Host<'a, 'g> {
        Host { guest, call, result_at }
    }

    /// The guest's handles.
    pub fn resources(&mut self) -> &mut Resources {
        self.guest.wasi().resources()
    }

    /// The guest's WASI.
    pub fn wasi(&mut self) -> &mut Wasi {
        self.guest.wasi()
    }

    /// The data of the store.
    pub fn data(&mut self) -> &mut dyn HasWasi {
        self.guest.data()
    }

    /// Writes a line to the guest's stderr, as it writes one itself, without a wait.
    ///
    /// # Errors
    /// As a write of the guest's own.
    pub fn log_line(&mut self, line: &str) -> Result<(), Stop> {
        let mut rest = line.as_bytes();
        let mut end = &b"\n"[..];
        loop {
            let bytes = if rest.is_empty() { &mut end } else { &mut rest };
            if bytes.is_empty() {
                return Ok(());
            }
            match self.guest.wasi().write(2, bytes) {
                Ok(Written { bytes: 0, .. })
                | Err(WriteError::Os(_) | WriteError::Socket(_) | WriteError::NoOutput) => {
                    return Ok(()); // nobody takes it
                }
                Ok(Written { bytes: written, event }) => {
                    *bytes = &bytes[written..];
                    event.into_iter().for_each(|event| self.guest.data().log(event));
                }
                Err(WriteError::Limit(limit)) => return Err(Stop::end(limit)),
                Err(WriteError::Stream(error)) => return Err(Stop::end(error)),
            }
        }
    }

    /// Bytes that the guest passed.
    ///
    /// # Errors
    /// [`Violation::OutOfBounds`] if the memory has changed.
    pub fn bytes(&mut self, slice: Slice) -> Result<&[u8], Violation> {
        Ok(self.bytes_and_wasi(slice)?.0)
    }

    /// The same, and the guest's WASI.
    ///
    /// # Errors
    /// As [`Host::bytes`].
    pub fn bytes_and_wasi(&mut self, slice: Slice) -> Result<(&[u8], &mut Wasi), Violation> {
        let (memory, data) = self.guest.memory_and_data().map_err(|_| Violation::OutOfBounds)?;
        let start = slice.ptr as usize;
        let bytes = memory.get(start..).and_then(|rest| rest.get(..slice.len()));
        Ok((bytes.ok_or(Violation::OutOfBounds)?, data.wasi()))
    }

    /// Bytes that the function has transferred before its waits, to go on behind them.
    pub fn transferred(&mut self) -> &mut u32 {
        self.guest.transferred()
    }

    /// When the call began: waits do not change it.
    pub fn began(&mut self) -> Instant {
        self.guest.began()
    }

    /// The time of a clock in nanoseconds, as the guest sees it.
    pub(crate) fn now(&mut self, clock: ClockId) -> Result<u64, Stop> {
        Ok(now(self.guest, clock)?)
    }

    /// Whether the call has waited.
    pub fn has_waited(&self) -> bool {
        self.guest.has_waited()
    }

    /// Does `job`, then `then` with its result: at once, unless it `blocks` and the guest can be suspended.
    pub(super) fn work<R: Send + 'static>(
        &mut self,
        blocks: bool,
        job: impl FnOnce() -> R + Send + 'static,
        then: impl FnOnce(&mut Host<'_, '_>, R) -> Result<Value, Stop> + Send + 'static,
    ) -> Result<Value, Stop> {
        if !blocks || !self.guest.offloads() {
            let result = job();
            return then(self, result);
        }
        let (call, result_at) = (self.call.clone(), self.result_at);
        let begun = work::work(self.guest, true, job, move |guest, result| {
            let mut host = Host::new(guest, &call, result_at);
            let value = then(&mut host, result).map_err(|stop| stop.0)?;
            host.finish(value).map_err(|stop| stop.0)
        });
        Err(begun.err().map_or_else(Stop::turn, Stop))
    }

    /// Waits for a future, then does `then` with its output. It is the guest's own time, and a call that ends
    /// meanwhile drops the future.
    pub fn wait<R: Send + 'static>(
        &mut self,
        future: impl Future<Output = R> + Send + 'static,
        then: impl FnOnce(&mut Host<'_, '_>, R) -> Result<Value, Stop> + Send + 'static,
    ) -> Stop {
        let (call, result_at) = (self.call.clone(), self.result_at);
        Stop(work::wait(future, move |guest, output| {
            let mut host = Host::new(guest, &call, result_at);
            let value = then(&mut host, output).map_err(|stop| stop.0)?;
            host.finish(value).map_err(|stop| stop.0)
        }))
    }

    /// The types of the component.
    pub(crate) fn component(&self) -> Arc<Component> {
        self.call.component.clone()
    }

    /// Where the function goes on after its waits: zero at first.
    pub fn progress(&mut self) -> &mut u64 {
        self.guest.progress()
    }

    /// Lowers the result of the call. One that was lowered with `async` has it lowered later.
    pub(crate) fn finish(&mut self, value: Value) -> Result<(), Stop> {
        let (call, at) = (self.call, self.result_at);
        let value = match call.adapter {
            Some(adapt) => adapt(value),
            None => value,
        };
        if call.is_async {
            self.resources().tasks().value = Some(value);
            return Ok(());
        }
        let component = &*call.component;
        let ty = call.function().result;
        let Some(ty) = ty else { return Ok(()) };
        let is_stored = call.stores_result;
        let (memory, data) = match self.guest.memory_and_data() {
            Ok((memory, data)) => (memory, data),
            Err(_) if !is_stored => (&mut [][..], self.guest.data()),
            Err(_) => return Err(Violation::OutOfBounds.into()),
        };
        let resources = data.wasi().resources();
        let mut lower = Lower::new(component, memory, resources, call.encoding);
        let result = match is_stored {
            false => lower.flat(ty, value).map_err(|error| call.named(error))?,
            true => {
                let pending = lower.store(ty, value, at).map_err(|error| call.named(error))?;
                let request = pending.as_ref().map_or(0, |pending| pending.request(component));
                resources.pending = pending;
                resources.status = 0;
                request
            }
        };
        *self.guest.result() = result;
        Ok(())
    }
}
