//! The data of a function's stores: everything that one instance has outside of its memory.

use crate::exchange::Exchange;
use crate::outgoing::Outgoing;
use crate::protocol::Finish;
use crate::stores::Stores;
use std::any::Any;
use wfaas_wasi::{HasWasi, LogEvent, Wasi};

/// The data of a function's stores. That of an idle instance, the default, has nothing; it is made
/// for an exchange, and taken apart after it.
#[derive(Debug, Default)]
pub struct State(Option<Box<Live>>);

/// What an instance has while it takes part in an exchange.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) wasi: Wasi,
    pub(crate) exchange: Box<Exchange>,
    /// What a protocol's host functions share with its conversation.
    local: Option<Box<dyn Any + Send>>,
    /// What is left to do for the answer when the guest has ended.
    pub(crate) finish: Option<Finish>,
    /// The requests that the guest may send.
    pub(crate) outgoing: Outgoing,
    /// The stores that the guest may open.
    pub(crate) stores: Stores,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

impl State {
    /// The state of an instance that takes part in `exchange`, with the streams of `wasi`.
    #[inline]
    pub(crate) fn new(exchange: Box<Exchange>, wasi: impl FnOnce() -> Wasi) -> State {
        // With the room there first, both are made where they stay.
        let room = Box::new_uninit();
        let (outgoing, stores) = (Outgoing::default(), Stores::default());
        let live = Live { wasi: wasi(), exchange, local: None, finish: None, outgoing, stores };
        State(Some(Box::write(room, live)))
    }

    /// The state of an instance that runs outside of any exchange, as while it is initialised.
    pub fn of_wasi(wasi: Wasi) -> State {
        State::new(Box::default(), || wasi)
    }

    /// Request and answer.
    pub fn exchange(&mut self) -> &mut Exchange {
        &mut self.live().exchange
    }

    /// The requests that the guest may send to other servers.
    pub fn outgoing(&mut self) -> &Outgoing {
        &self.live().outgoing
    }

    /// The stores that the guest may open.
    pub fn stores(&mut self) -> &Stores {
        &self.live().stores
    }

    /// The state that a protocol's host functions share with its conversation, of the type that the
    /// protocol has for it. It begins with the default, and ends with the exchange.
    pub fn local<T: Any + Default + Send>(&mut self) -> &mut T {
        let local = &mut self.live().local;
        if !local.as_ref().is_some_and(|local| local.is::<T>()) {
            *local = Some(Box::<T>::default());
        }
        let local = local.as_mut().and_then(|local| local.downcast_mut());
        local.expect("it was made one")
    }

    /// Ends the guest's part in the exchange, and takes that out; `None` from an idle instance.
    pub(crate) fn end(&mut self) -> Option<Box<Exchange>> {
        let mut live = self.0.take()?;
        live.end();
        Some(live.exchange)
    }

    /// WASI and the exchange.
    #[inline]
    pub(crate) fn live(&mut self) -> &mut Live {
        if self.0.is_none() {
            self.begin();
        }
        self.0.as_deref_mut().expect("it has begun")
    }

    #[cold]
    #[inline(never)]
    fn begin(&mut self) {
        self.0 = Some(Box::default());
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(live) = &mut self.0 {
            live.end();
        }
    }
}

impl HasWasi for State {
    fn wasi(&mut self) -> &mut Wasi {
        &mut self.live().wasi
    }

    fn variables(&self, each: &mut dyn FnMut(&str, &str)) {
        if let Some(live) = &self.0 {
            live.exchange.each_variable(each);
        }
    }

    /// A guest that waits for its body waits for the client, and the server bounds a client's pace.
    fn stops_clock(&self) -> bool {
        true
    }

    fn log(&self, event: LogEvent) {
        if let Some(live) = &self.0 {
            live.log(event);
        }
    }

    fn missing(&self, name: &'static str) {
        let function = self.0.as_ref().map_or("", |live| live.function());
        tracing::debug!(
            target: "wfaas::wasi",
            function,
            "{name} is not supported: it answers ENOSYS"
        );
    }
}

impl Live {
    /// The name of the function.
    fn function(&self) -> &str {
        self.wasi.environment().args().first().map_or("", String::as_str)
    }

    /// To the log, with the names of function and request.
    fn log(&self, event: LogEvent) {
        if let Some(log) = &self.exchange.log {
            return log.take(event);
        }
        let function = self.function();
        let request = self.exchange.id.as_str();
        match event {
            LogEvent::Line(line) => {
                tracing::info!(target: "wfaas::guest", function, request, "{line}");
            }
            LogEvent::Limit => {
                tracing::warn!(target: "wfaas::guest", function, request, "{}", LogEvent::LIMIT);
            }
        }
    }

    /// However the guest has ended, its last words are in the log.
    fn end(&mut self) {
        while let Some(event) = self.wasi.take_unfinished_line() {
            self.log(event);
        }
        if let Some(log) = &self.exchange.log {
            let unanswered = self.wasi.take_captured();
            if !unanswered.is_empty() {
                log.stdout(&unanswered);
            }
        }
    }
}
