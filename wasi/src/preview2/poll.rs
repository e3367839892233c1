//! `wasi:io/poll`: waiting for the first of several things.

use super::host::{Function, Host, Interface, Stop};
use super::{InputStream, OutputStream, sockets};
use crate::canonical::{Resources, Value, Violation};
use crate::table::Table;
use crate::wait::{self, Events, Watched};
use std::any::Any;
use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

pub(super) const POLL: Interface = Interface {
    name: "wasi:io/poll@0.2",
    functions: &[
        Function { name: "[method]pollable.ready", call: ready },
        Function { name: "[method]pollable.block", call: block },
        Function { name: "poll", call: poll },
    ],
};

/// Most pollables of one call.
const MAX_POLLED: usize = 1024;

/// Something that becomes ready.
pub enum Pollable {
    /// It always is.
    Always,
    /// At a time; `None` for never.
    At(Option<Instant>),
    /// When the stream or the [`Ready`] of this handle is, which it is a child of.
    Handle(u32),
}

/// A thing of an embedder's that becomes ready: a pollable of its handle waits for it.
pub struct Ready {
    poll: Box<PollReady>,
    /// Whether the guest's clock stands still while it waits for it.
    stops_clock: bool,
}

type PollReady = dyn FnMut(&mut Context<'_>) -> Poll<()> + Send;

impl Ready {
    /// One that is ready when `poll` is.
    pub fn new(poll: impl FnMut(&mut Context<'_>) -> Poll<()> + Send + 'static) -> Ready {
        Ready { poll: Box::new(poll), stops_clock: false }
    }

    /// The same of something that the client alone makes ready: the guest's clock stands still while it waits, as it
    /// does for [`InputStream::of_client`].
    pub fn of_client(poll: impl FnMut(&mut Context<'_>) -> Poll<()> + Send + 'static) -> Ready {
        Ready { stops_clock: true, ..Ready::new(poll) }
    }
}

impl Ready {
    /// Makes the pollable of a handle's thing by `ready`; its handle.
    ///
    /// # Errors
    /// As [`Resources::get`] and [`Resources::insert_child`].
    pub fn subscribe<T: Any>(
        resources: &mut Resources,
        handle: u32,
        ready: impl FnOnce(&T) -> Ready,
    ) -> Result<Value, Violation> {
        let ready = ready(resources.get(handle)?);
        Ok(Value::Handle(resources.insert_child(ready, handle)?))
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}

impl fmt::Debug for Pollable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pollable")
    }
}

impl Pollable {
    /// Makes one of a handle's thing; its handle.
    ///
    /// # Errors
    /// As [`Resources::insert_child`]; [`Violation::BadHandle`] if it is a pollable itself: there are no chains.
    pub fn of(resources: &mut Resources, handle: u32) -> Result<Value, Violation> {
        if resources.get::<Pollable>(handle).is_ok() {
            return Err(Violation::BadHandle(handle));
        }
        Ok(Value::Handle(resources.insert_child(Pollable::Handle(handle), handle)?))
    }
}

/// Ready when the thing of a handle is. One that is not there is.
pub(crate) fn poll_handle(
    resources: &mut Resources,
    table: &mut Table,
    handle: u32,
    context: &mut Context<'_>,
) -> Poll<()> {
    let is = |is: bool| if is { Poll::Ready(()) } else { Poll::Pending };
    let Some(thing) = resources.any(handle) else { return Poll::Ready(()) };
    if let Some(pollable) = thing.downcast_ref::<Pollable>() {
        return match pollable {
            Pollable::Always => Poll::Ready(()),
            Pollable::At(at) => is(at.is_some_and(|at| at <= Instant::now())),
            Pollable::Handle(of) => {
                let of = *of;
                poll_handle(resources, table, of, context)
            }
        };
    }
    if let Some(stream) = thing.downcast_mut::<InputStream>() {
        return stream.poll(table, context);
    }
    if let Some(stream) = thing.downcast_mut::<OutputStream>() {
        return stream.poll(table, context);
    }
    if let Some(ready) = sockets::poll(thing, context) {
        return ready;
    }
    match thing.downcast_mut::<Ready>() {
        Some(ready) => (ready.poll)(context),
        None => Poll::Ready(()),
    }
}

/// A wait for things that are not ready.
pub(super) fn wait_for(host: &mut Host<'_, '_>, handles: &[u32]) -> Stop {
    let mut events = Events { handles_stop_clock: true, ..Events::default() };
    let (resources, table, _) = host.wasi().resources_and_table();
    for handle in handles {
        add(&mut events, resources, table, *handle);
    }
    Stop::events(events)
}

fn add(events: &mut Events, resources: &mut Resources, table: &mut Table, handle: u32) {
    let mut of = handle;
    if let Ok(pollable) = resources.get::<Pollable>(handle) {
        match pollable {
            Pollable::Always => return,
            Pollable::At(at) => {
                events.until = events.until.into_iter().chain(*at).min();
                // A wait that nothing ends is one for a time that never comes.
                events.handles_stop_clock = false;
                return;
            }
            Pollable::Handle(handle) => of = *handle,
        }
    }
    match watched(resources, table, of) {
        Some(watched) => events.descriptors.push(watched),
        None => {
            events.handles_stop_clock &= stops_clock(resources, of);
            events.handles.push(of);
        }
    }
}

/// The descriptor of this process to wait for, if it is one.
fn watched(resources: &mut Resources, table: &mut Table, handle: u32) -> Option<Watched> {
    let thing = resources.any(handle)?;
    if let Some(stream) = thing.downcast_ref::<InputStream>() {
        return stream.watched(table);
    }
    thing.downcast_ref::<OutputStream>()?.watched(table)
}

/// Whether the guest's clock stands still while it waits for a handle's thing.
fn stops_clock(resources: &mut Resources, handle: u32) -> bool {
    let Some(thing) = resources.any(handle) else { return false };
    if let Some(stream) = thing.downcast_ref::<InputStream>() {
        return stream.stops_clock;
    }
    if let Some(ready) = thing.downcast_ref::<Ready>() {
        return ready.stops_clock;
    }
    thing.downcast_ref::<OutputStream>().is_some_and(|stream| stream.stops_clock)
}

/// Whether a handle's thing is ready now.
pub(super) fn is_ready(host: &mut Host<'_, '_>, handle: u32) -> Result<bool, Stop> {
    let (resources, table, _) = host.wasi().resources_and_table();
    let of = match resources.get::<Pollable>(handle) {
        Ok(Pollable::Handle(of)) => *of,
        _ => handle,
    };
    if let Some(watched) = watched(resources, table, of) {
        return Ok(wait::is_ready(&watched)?);
    }
    let mut now = Context::from_waker(Waker::noop());
    Ok(poll_handle(resources, table, of, &mut now).is_ready())
}

/// The same for a guest that goes on if it is not. A guest that asks again and again never waits: its output goes
/// on its way here.
pub(super) fn is_ready_now(host: &mut Host<'_, '_>, handle: u32) -> Result<bool, Stop> {
    let is_ready = is_ready(host, handle)?;
    if !is_ready {
        host.wasi().flush();
    }
    Ok(is_ready)
}

fn ready(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [pollable] = super::args(args)?;
    Ok(Value::Bool(is_ready_now(host, pollable.handle()?)?))
}

fn block(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [pollable] = super::args(args)?;
    let handle = pollable.handle()?;
    match is_ready(host, handle)? {
        true => Ok(Value::NOTHING),
        false => Err(wait_for(host, &[handle])),
    }
}

fn poll(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [pollables] = super::args(args)?;
    let pollables = pollables.list()?;
    if pollables.is_empty() || pollables.len() > MAX_POLLED {
        return Err(Stop::rule("poll", "the list is empty, or has more than 1024 pollables"));
    }
    let handles: Vec<u32> = pollables.iter().map(Value::handle).collect::<Result<_, _>>()?;
    let mut ready = Vec::new();
    for (index, handle) in (0..).zip(&handles) {
        if is_ready(host, *handle)? {
            ready.push(Value::U32(index));
        }
    }
    if ready.is_empty() { Err(wait_for(host, &handles)) } else { Ok(Value::List(ready)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_still_for_what_the_client_makes_ready() {
        let mut resources = Resources::default();
        let mut stops = |ready: Ready| {
            let handle = resources.insert(ready).unwrap();
            stops_clock(&mut resources, handle)
        };
        assert!(stops(Ready::of_client(|_| Poll::Pending)));
        assert!(!stops(Ready::new(|_| Poll::Pending)));
    }

    #[test]
    fn there_is_no_pollable_of_a_pollable() {
        let mut resources = Resources::default();
        let thing = resources.insert(()).unwrap();
        let pollable = Pollable::of(&mut resources, thing).unwrap().handle().unwrap();
        let chained = Pollable::of(&mut resources, pollable);
        assert_eq!(chained.unwrap_err(), Violation::BadHandle(pollable));
    }
}
