//! Calls of the host that were lowered with `async`: those that cannot go on become subtasks.

use super::lent::lent;
use super::progress::{Outlook, Site};
use super::tasks::Waiting;
use super::transfer::Step;
use super::waitable::Waitable;
use crate::canonical::{Lower, Pending, Value, Violation};
use crate::context::HasWasi;
use crate::preview1::{Calling, Errno, Failure};
use crate::preview2::{Host, Lowered};
use crate::timer::Timer;
use crate::wait::Wait;
use crate::work::Working;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use wfaas_vm::{BoxError, Caller, FuncType, Linker, MaybeFuture};

/// A call that has not returned, or whose result was not delivered.
pub(super) struct Subtask {
    /// `None` while it is polled, and when it was delivered or cancelled.
    call: Option<Call>,
    pause: Option<Pause>,
    /// The result, until it is delivered.
    value: Option<Value>,
    /// Handles that it has borrowed, until then.
    lent: Vec<u32>,
    state: State,
    is_delivered: bool,
}

/// States of a subtask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its parameters are still the guest's: strings and lists among them are read when it goes on.
    Starting = 0,
    Started = 1,
    Returned = 2,
    CancelledBeforeStarted = 3,
    CancelledBeforeReturned = 4,
}

/// The result of a subtask on its way to the guest.
pub(super) struct Delivery {
    pub(super) state: State,
    pub(super) pending: Option<Pending>,
}

/// A call: what stays the same between its attempts, and what they leave for each other.
struct Call {
    lowered: Arc<Lowered>,
    args: Vec<Value>,
    result_at: u32,
    kept: Kept,
}

#[derive(Default)]
struct Kept {
    began: Option<Instant>,
    has_waited: bool,
    transferred: u32,
    progress: u64,
    result: u64,
}

/// The reason why a subtask has not returned.
enum Pause {
    Wait(Box<(Wait, Timer)>),
    Work(Working),
}

/// An attempt of a call, of a guest that does not run.
struct Attempt<'a> {
    memory: &'a mut [u8],
    data: &'a mut dyn HasWasi,
    kept: &'a mut Kept,
}

impl Calling for Attempt<'_> {
    fn data(&mut self) -> &mut dyn HasWasi {
        self.data
    }

    fn memory_and_data(&mut self) -> Result<(&mut [u8], &mut dyn HasWasi), Errno> {
        Ok((self.memory, self.data))
    }

    fn interrupted(&self) -> bool {
        false
    }

    fn began(&mut self) -> Instant {
        *self.kept.began.get_or_insert_with(Instant::now)
    }

    fn has_waited(&self) -> bool {
        self.kept.has_waited
    }

    fn transferred(&mut self) -> &mut u32 {
        &mut self.kept.transferred
    }

    fn progress(&mut self) -> &mut u64 {
        &mut self.kept.progress
    }

    fn result(&mut self) -> &mut u64 {
        &mut self.kept.result
    }

    fn offloads(&mut self) -> bool {
        self.wasi().files().is_some_and(|files| files.pool().is_some())
    }
}

impl Call {
    fn attempt<'a>(&'a mut self, site: &'a mut Site<'_>) -> Attempt<'a> {
        Attempt { memory: site.memory, data: site.data, kept: &mut self.kept }
    }

    /// Calls the function; its result, or why it has none yet.
    fn call(&mut self, site: &mut Site<'_>) -> Result<Option<Value>, Failure> {
        let (lowered, result_at) = (self.lowered.clone(), self.result_at);
        let args = std::mem::take(&mut self.args);
        let mut attempt = self.attempt(site);
        let called = lowered.call(&mut Host::new(&mut attempt, &lowered, result_at), &args);
        self.args = args;
        called.map(|()| site.resources().tasks().value.take())
    }

    /// Whether the guest's memory is still read by the parameters.
    fn borrows(&self) -> bool {
        self.args.iter().any(Value::has_slice)
    }
}

impl Subtask {
    pub(super) fn has_event(&self) -> bool {
        self.state == State::Returned && !self.is_delivered
    }
}

impl Pause {
    fn of(failure: Failure, site: &mut Site<'_>) -> Result<Pause, BoxError> {
        match failure {
            Failure::Wait(wait) => Ok(Pause::Wait(Box::new((wait, Timer::default())))),
            Failure::Work(work) => {
                let pool = site.data.wasi().files().and_then(|files| files.pool());
                Ok(Pause::Work(work.begin(pool)))
            }
            Failure::End(error) => Err(error),
            Failure::Errno(errno) => Err(format!("an attempt failed: {errno:?}").into()),
        }
    }
}

impl Site<'_> {
    /// Goes on with a subtask, if what it waits for has come.
    pub(super) fn poll_subtask(
        &mut self,
        handle: u32,
        context: &mut Context<'_>,
    ) -> Result<Step, BoxError> {
        let Ok(subtask) = Waitable::get_subtask(self.resources(), handle) else {
            return Ok(Step::Done);
        };
        let (Some(pause), Some(mut call)) = (subtask.pause.take(), subtask.call.take()) else {
            return Ok(Step::Done);
        };
        let lent = size_of_val(&*subtask.lent);
        let polled = self.poll_call(&mut call, pause, context)?;
        let resources = self.resources();
        if let Ok(value) = &polled {
            call.args = Vec::new();
            resources.keep(handle, lent + value.as_ref().map_or(0, Value::bytes))?;
        }
        let subtask = Waitable::get_subtask(resources, handle)?;
        subtask.call = Some(call);
        match polled {
            Err(pause) => {
                subtask.pause = Some(pause);
                Ok(Step::Waits(Outlook::Host))
            }
            Ok(value) => {
                subtask.state = State::Returned;
                subtask.value = value;
                Waitable::notify(resources, handle);
                Ok(Step::Done)
            }
        }
    }

    /// Goes on with a call; its result, or what it waits for.
    fn poll_call(
        &mut self,
        call: &mut Call,
        mut pause: Pause,
        context: &mut Context<'_>,
    ) -> Result<Result<Option<Value>, Pause>, BoxError> {
        // A second wait is polled too, or it would wake nobody.
        for _ in 0..2 {
            let gone_on = match &mut pause {
                Pause::Wait(wait) => {
                    let (wait, timer) = &mut **wait;
                    match wait.poll(&mut call.attempt(self), timer, context) {
                        Poll::Pending => return Ok(Err(pause)),
                        Poll::Ready(Ok(())) => {
                            call.kept.has_waited = true;
                            call.call(self)
                        }
                        Poll::Ready(Err(errno)) => Err(errno.into()),
                    }
                }
                Pause::Work(working) => match working.poll(context) {
                    Poll::Pending => return Ok(Err(pause)),
                    Poll::Ready(Ok(then)) => then(&mut call.attempt(self))
                        .map(|()| self.resources().tasks().value.take()),
                    Poll::Ready(Err(errno)) => Err(errno.into()),
                },
            };
            match gone_on {
                Ok(value) => return Ok(Ok(value)),
                Err(failure) => pause = Pause::of(failure, self)?,
            }
        }
        context.waker().wake_by_ref();
        Ok(Err(pause))
    }

    /// Stores the result of a subtask that has returned.
    pub(super) fn deliver_subtask(&mut self, handle: u32) -> Result<Delivery, Violation> {
        let subtask = Waitable::get_subtask(self.resources(), handle)?;
        subtask.is_delivered = true;
        let (state, value) = (subtask.state, subtask.value.take());
        let Call { lowered, result_at, .. } =
            subtask.call.take().ok_or(Violation::BadHandle(handle))?;
        self.end_subtask(handle)?;
        let pending = self.store_result(&lowered, value, result_at)?;
        Ok(Delivery { state, pending })
    }

    fn store_result(
        &mut self,
        lowered: &Lowered,
        value: Option<Value>,
        at: u32,
    ) -> Result<Option<Pending>, Violation> {
        let (Some(ty), Some(value)) = (lowered.function().result, value) else { return Ok(None) };
        let Site { component, memory, data } = self;
        let lower = Lower::new(component, memory, data.wasi().resources(), lowered.encoding);
        lower.store(ty, value, at).map_err(|error| lowered.named(error))
    }

    /// `subtask.cancel`: the state that it ends in. A result that was not delivered is dropped.
    pub(super) fn cancel_subtask(&mut self, handle: u32) -> Result<u32, Violation> {
        let subtask = Waitable::get_subtask(self.resources(), handle)?;
        if subtask.is_delivered {
            return Err(Violation::Rule {
                function: "subtask.cancel",
                reason: "the subtask has ended",
            });
        }
        subtask.is_delivered = true;
        // Work has taken its parameters, though it may read them once more.
        let has_begun = matches!(subtask.pause, Some(Pause::Work(_)));
        (subtask.pause, subtask.call) = (None, None);
        subtask.state = match (subtask.state, has_begun) {
            (State::Starting, false) => State::CancelledBeforeStarted,
            _ => State::CancelledBeforeReturned,
        };
        let (state, value) = (subtask.state, subtask.value.take());
        self.end_subtask(handle)?;
        if let Some(value) = value {
            super::events::discard(self.resources(), &value);
        }
        Ok(state as u32)
    }

    /// Nothing of a subtask waits any more, nor has it anything of the guest's.
    fn end_subtask(&mut self, handle: u32) -> Result<(), Violation> {
        let resources = self.resources();
        let lent = std::mem::take(&mut Waitable::get_subtask(resources, handle)?.lent);
        resources.return_lent(&lent);
        resources.tasks().end_subtask(handle);
        resources.keep(handle, 0)
    }

    /// `subtask.drop`
    pub(super) fn drop_subtask(&mut self, handle: u32) -> Result<(), Violation> {
        let subtask = Waitable::get_subtask(self.resources(), handle)?;
        if !subtask.is_delivered {
            return Err(Violation::Rule {
                function: "subtask.drop",
                reason: "the subtask has not ended",
            });
        }
        Waitable::remove(self.resources(), handle)
    }

    /// Begins a call; its state, with the handle of the subtask above if there is one. The request of a stub
    /// comes first.
    fn begin_call(
        &mut self,
        lowered: &Arc<Lowered>,
        args: Vec<Value>,
        result_at: u32,
    ) -> Result<u64, BoxError> {
        let kept = Kept::default();
        let mut call = Call { lowered: lowered.clone(), args, result_at, kept };
        let failure = match call.call(self) {
            Ok(value) => {
                let pending = self.store_result(lowered, value, result_at)?;
                return Ok(self.store_pending(pending, State::Returned as u32));
            }
            Err(failure) => lowered.named_failure(failure),
        };
        let pause = Pause::of(failure, self)?;
        let state = if call.borrows() { State::Starting } else { State::Started };
        let (value, is_delivered, lent) = (None, false, lent(lowered, &call.args));
        let kept = call.args.iter().map(Value::bytes).sum::<usize>() + size_of_val(&*lent);
        let resources = self.resources();
        resources.lend(&lent)?;
        let (call, pause) = (Some(call), Some(pause));
        let subtask = Subtask { call, pause, value, lent, state, is_delivered };
        resources.tasks().begin_subtask()?;
        let handle = resources.insert_kept(Waitable::subtask(Box::new(subtask)), kept)?;
        resources.tasks().list(Waiting::Subtask(handle))?;
        Ok((state as u32 | handle << 4).into())
    }
}

/// Defines an import that was lowered with `async`.
pub(crate) fn link_async<T: HasWasi + Send>(
    linker: &mut Linker<T>,
    (module, field): (&str, &str),
    ty: FuncType,
    lowered: Arc<Lowered>,
) {
    linker.func_new_maybe_async(module, field, ty, move |mut caller, cells| {
        MaybeFuture::Ready(begin(&mut caller, &lowered, cells))
    });
}

fn begin<T: HasWasi>(
    caller: &mut Caller<'_, T>,
    lowered: &Arc<Lowered>,
    cells: &[u64],
) -> Result<u64, BoxError> {
    let args = lowered.lift(caller, cells).map_err(|violation| lowered.named(violation))?;
    let result_at = cells.get(lowered.params).copied().unwrap_or_default() as u32;
    let (memory, data): (&mut [u8], &mut T) = match caller.memory() {
        Some(memory) => caller.memory_and_data(memory),
        None => (&mut [], caller.data_mut()),
    };
    let mut site = Site { component: &lowered.component, memory, data };
    site.begin_call(lowered, args, result_at)
}
