//! Tasks: functions of WASI 0.3 that were lifted with `async` and a callback.
//!
//! ```text
//!   start ──→ EXIT
//!         ──→ WAIT, YIELD ──→ wait, without a stack ──→ callback, with an event ──→ EXIT, WAIT, YIELD
//! ```
//!
//! The guest's allocator is called first if values come with an event.

use crate::cells::Numbers;
use crate::invoke::InvokeError;
use crate::protocol::{Next, Turn};
use crate::protocols::component_http::ServiceAnswer;
use crate::resolver::{Entry, GuestMemory, Resolver};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use wfaas_vm::Error;
use wfaas_vm::component::{Bindings, Export};
use wfaas_wasi::preview2::{Component, Violation};
use wfaas_wasi::preview3::{Delivered, Event, Site, Waited};

/// A function that is a task, prepared.
pub(in crate::protocols) struct Task<P> {
    start: Entry<P, u32>,
    callback: Entry<(u32, u32, u32), u32>,
    realloc: Option<Entry<(u32, u32, u32, u32), u32>>,
    memory: GuestMemory,
    component: Arc<Component>,
}

/// A task under way.
#[derive(Default)]
pub(in crate::protocols) struct Course {
    phase: Phase,
    /// The answer of a service.
    pub(in crate::protocols) answer: Arc<ServiceAnswer>,
}

#[derive(Default, Clone, Copy)]
enum Phase {
    /// The guest ran: its result says how to go on.
    #[default]
    Ran,
    Waits(Until),
    /// The guest's allocator ran, for this event.
    Allocates(Event),
}

/// The end of a wait.
#[derive(Clone, Copy)]
enum Until {
    /// Others had their turn.
    Turn,
    TurnTaken,
    /// A waitable set has an event.
    Set(u32),
    /// The task has exited, and nothing waits for the host any more.
    End,
}

impl<P: Numbers> Task<P> {
    /// Looks up what an export needs.
    ///
    /// # Errors
    /// [`Error::Export`] if it is no task.
    pub(in crate::protocols) fn prepare(
        resolver: &mut Resolver<'_>,
        bindings: Bindings,
        export: &Export,
    ) -> Result<Task<P>, Error> {
        let wrong = |reason: &str| Error::Export {
            name: format!("{} {}", export.name.interface, export.name.name),
            reason: reason.to_owned(),
        };
        let callback = export.callback.as_deref();
        let callback = callback.ok_or_else(|| wrong("it is not lifted with a callback"))?;
        let realloc = bindings.realloc.clone();
        let component = Component::new(bindings).ok_or_else(|| wrong("a type is too large"))?;
        Ok(Task {
            start: resolver.func(&export.core)?,
            callback: resolver.func(callback)?,
            realloc: realloc.map(|name| resolver.func(&name)).transpose()?,
            memory: resolver.memory(Bindings::MEMORY)?,
            component: Arc::new(component),
        })
    }

    /// Calls it.
    pub(in crate::protocols) fn start(&self, turn: &mut Turn<'_>, params: P) -> Next {
        turn.call(&self.start, params)
    }

    /// Goes on after a call or a wait; `None` when it has ended, and its streams have.
    ///
    /// # Errors
    /// [`InvokeError`] if the guest breaks a rule.
    pub(in crate::protocols) fn go_on(
        &self,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Next>, InvokeError> {
        let phase = std::mem::take(&mut turn.local::<Course>().phase);
        match phase {
            Phase::Ran => {
                let until = until(turn.results::<u32>()?)?;
                if matches!(until, Until::End) {
                    self.site(turn).exited();
                }
                turn.local::<Course>().phase = Phase::Waits(until);
                Ok(Some(Next::Wait))
            }
            Phase::Waits(until) => self.waited(turn, until),
            Phase::Allocates(event) => {
                let at = turn.results::<u32>()?;
                let request = self.site(turn).fill_next(at).map_err(InvokeError::protocol)?;
                self.deliver(turn, event, request).map(Some)
            }
        }
    }

    /// Ready when the task can go on: see [`Conversation::wait`](crate::protocol::Conversation::wait).
    pub(in crate::protocols) fn wait(
        &self,
        turn: &mut Turn<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Waited, InvokeError>> {
        let set = match &mut turn.local::<Course>().phase {
            Phase::Waits(until @ Until::Turn) => {
                *until = Until::TurnTaken;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Phase::Waits(Until::Set(set)) => Some(*set),
            Phase::Waits(Until::End) => None,
            _ => return Poll::Ready(Ok(Waited::Over)),
        };
        let (deadline, patience) = (turn.deadline(), turn.patience());
        let polled = self.site(turn).poll_wait(set, deadline, patience, context);
        polled.map_err(InvokeError::between_calls)
    }

    fn site<'t>(&'t self, turn: &'t mut Turn<'_>) -> Site<'t> {
        let (memory, data) = turn.memory_and_state(&self.memory);
        Site { component: &self.component, memory, data }
    }

    fn waited(&self, turn: &mut Turn<'_>, until: Until) -> Result<Option<Next>, InvokeError> {
        let stood_still = self.site(turn).take_stood_still();
        if !stood_still.is_zero() {
            let deadline = turn.deadline();
            turn.set_deadline(deadline.and_then(|deadline| deadline.checked_add(stood_still)));
        }
        match until {
            Until::Turn | Until::TurnTaken => self.deliver(turn, Event::default(), 0).map(Some),
            Until::Set(set) => {
                let delivered = self.site(turn).take_event(set).map_err(InvokeError::protocol)?;
                if let Some(Delivered { event, request }) = delivered {
                    return self.deliver(turn, event, request).map(Some);
                }
                if turn.deadline().is_none_or(|deadline| Instant::now() < deadline) {
                    turn.local::<Course>().phase = Phase::Waits(Until::Set(set));
                    return Ok(Some(Next::Wait));
                }
                // The time is over: the call ends at once.
                self.deliver(turn, Event::default(), 0).map(Some)
            }
            Until::End => Ok(None),
        }
    }

    /// Calls the callback, once the guest has allocated for the event's values.
    fn deliver(
        &self,
        turn: &mut Turn<'_>,
        event: Event,
        request: u64,
    ) -> Result<Next, InvokeError> {
        let (size, align) = (request as u32, (request >> 32) as u32);
        if align == 0 {
            let Event(code, first, second) = event;
            return Ok(turn.call(&self.callback, (code, first, second)));
        }
        let Some(realloc) = &self.realloc else {
            return Err(InvokeError::protocol(Violation::NothingPending));
        };
        turn.local::<Course>().phase = Phase::Allocates(event);
        Ok(turn.call(realloc, (0, 0, align, size)))
    }
}

/// The wait that a task asks for by its result: `EXIT`, `YIELD` or `WAIT`.
fn until(code: u32) -> Result<Until, InvokeError> {
    match (code & 0xF, code >> 4) {
        (0, 0) => Ok(Until::End),
        (1, 0) => Ok(Until::Turn),
        (2, set) => Ok(Until::Set(set)),
        _ => Err(InvokeError::protocol(Violation::Rule {
            function: "a callback",
            reason: "the result is no code of a callback",
        })),
    }
}
