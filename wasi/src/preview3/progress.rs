//! Progress of what waits for the host: looked at by whoever waits, whenever it is woken.

use super::pipe::{Pipe, Side};
use super::tasks::{Tasks, Waiting};
use super::transfer::{Step, done};
use super::waitable::{Waitable, WaitableSet};
use crate::canonical::Component;
use crate::context::HasWasi;
use crate::preview1::Guest;
use crate::preview2::Stop;
use crate::timer::Timer;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use wfaas_vm::BoxError;

/// Bytes that progress moves before others have their turn.
pub(super) const MAX_MOVED: usize = 256 << 10;

/// A guest that does not run: its memory, and the data of its store.
pub struct Site<'a> {
    /// The types of the component.
    pub component: &'a Component,
    /// The memory.
    pub memory: &'a mut [u8],
    /// The data.
    pub data: &'a mut dyn HasWasi,
}

impl std::fmt::Debug for Site<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Site")
    }
}

/// Does something with a guest that has called the host. One without a memory has an empty one.
pub(super) fn at_site<R>(
    guest: &mut Guest<'_>,
    component: &Component,
    act: impl FnOnce(&mut Site<'_>) -> R,
) -> R {
    match guest.memory_and_data() {
        Ok((memory, data)) => act(&mut Site { component, memory, data }),
        Err(_) => act(&mut Site { component, memory: &mut [], data: guest.data() }),
    }
}

/// The end of a wait between two calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The guest goes on.
    Over,
    /// It does not yet, and whoever polls has no more patience. The wait goes on when it is polled again.
    Long,
}

/// The side that can end a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outlook {
    /// Nothing: the guest would have to do something first.
    Nothing,
    /// The other side of a stream of the client's alone, for which the guest's clock stands still.
    Client,
    /// The host.
    Host,
}

impl Outlook {
    /// The other side of a stream of the host's, for which the guest's clock may stand still.
    pub(super) fn of_stream(stops_clock: bool) -> Outlook {
        if stops_clock { Outlook::Client } else { Outlook::Host }
    }
}

/// The awaited event of a native stack.
#[derive(Clone)]
pub(crate) struct Progress {
    pub(super) component: Arc<Component>,
    pub(super) until: Until,
}

/// The end of a wait.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// A member of this set has an event.
    Set(u32),
    /// This waitable has one.
    Waitable(u32),
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}

/// Ready when the guest should look at its set. An error is kept for it.
pub(crate) fn progress(
    guest: &mut Guest<'_>,
    progress: &Progress,
    context: &mut Context<'_>,
) -> bool {
    at_site(guest, &progress.component, |site| {
        let outlook = site.progress(context);
        let resources = site.resources();
        match outlook {
            Ok(Outlook::Nothing) => true,
            Ok(_) => match progress.until {
                Until::Set(set) => WaitableSet::is_ready(resources, set),
                Until::Waitable(handle) => Waitable::has_event(resources, handle),
            },
            Err(error) => {
                resources.tasks().failed = Some(error);
                true
            }
        }
    })
}

/// Moves what waits for the host while the guest waits for something else. Whether it failed: the error is kept.
pub(crate) fn move_others(
    guest: &mut Guest<'_>,
    component: &Component,
    context: &mut Context<'_>,
) -> bool {
    if !guest.wasi().resources().look_at_tasks().is_some_and(Tasks::are_waiting) {
        return false;
    }
    at_site(guest, component, |site| {
        let failed = site.progress(context).err();
        let has_failed = failed.is_some();
        if has_failed {
            site.resources().tasks().failed = failed;
        }
        has_failed
    })
}

impl Site<'_> {
    /// Waits between two calls of the guest: until a set has an event, or, without one, until nothing waits for
    /// the host any more. A `deadline` ends it, too; the guest's clock stands still while it waits for
    /// its client alone. `patience` is counted from the first poll with some, or from when it was last over.
    ///
    /// # Errors
    /// One that ends the guest; that nothing is left that could end the wait.
    pub fn poll_wait(
        &mut self,
        set: Option<u32>,
        deadline: Option<Instant>,
        patience: Option<Duration>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Waited, BoxError>> {
        let is_ready = |site: &mut Site<'_>, set| WaitableSet::is_ready(site.resources(), set);
        // One that is no set is for whoever takes the event to refuse.
        let is_none = |site: &mut Site<'_>, set| !WaitableSet::is_one(site.resources(), set);
        if set.is_some_and(|set| is_none(self, set) || is_ready(self, set)) {
            return self.end_wait();
        }
        let outlook = self.progress(context)?;
        let is_over = set.map_or(outlook == Outlook::Nothing, |set| is_ready(self, set));
        if is_over {
            return self.end_wait();
        }
        if outlook == Outlook::Nothing {
            return Poll::Ready(Err(super::builtins::stuck().into_error()));
        }
        self.data.wasi().flush();
        let (now, tasks) = (Instant::now(), self.resources().tasks());
        let deadline = match outlook {
            Outlook::Client => {
                tasks.stopped.get_or_insert(now);
                None
            }
            Outlook::Host | Outlook::Nothing => {
                tasks.start_clock();
                deadline.and_then(|deadline| deadline.checked_add(tasks.stood_still))
            }
        };
        if deadline.is_some_and(|deadline| deadline <= now) {
            return self.end_wait();
        }
        let long = tasks.patient_until(patience, now);
        if long.is_some_and(|long| long <= now) {
            tasks.patient_since = None;
            return Poll::Ready(Ok(Waited::Long));
        }
        match deadline.into_iter().chain(long).min() {
            Some(at) => match tasks.timer.set(at, context.waker()) {
                Ok(()) => Poll::Pending,
                Err(errno) => Poll::Ready(Err(format!("no timer: {errno:?}").into())),
            },
            None => {
                tasks.timer = Timer::default();
                Poll::Pending
            }
        }
    }

    /// The task has exited: nothing waits any more but what is on its way without the guest.
    pub fn exited(&mut self) {
        let tasks = self.resources().tasks();
        let mut waiting = std::mem::take(&mut tasks.waiting);
        waiting.retain(|waiting| match waiting {
            Waiting::Pipe(place) => tasks.pipes.get(*place).is_some_and(|pipe| pipe.is_hosts()),
            Waiting::Subtask(_) => false,
        });
        tasks.waiting = waiting;
    }

    fn end_wait(&mut self) -> Poll<Result<Waited, BoxError>> {
        let tasks = self.resources().tasks();
        tasks.start_clock();
        tasks.timer = Timer::default();
        tasks.patient_since = None;
        Poll::Ready(Ok(Waited::Over))
    }

    /// How long the guest's clock has stood still in waits, since it was last asked.
    pub fn take_stood_still(&mut self) -> Duration {
        std::mem::take(&mut self.resources().tasks().stood_still)
    }

    /// Does what can be done for all operations and subtasks that wait; they wake the waker later. What can
    /// end a wait for the rest.
    ///
    /// # Errors
    /// One that ends the guest.
    pub fn progress(&mut self, context: &mut Context<'_>) -> Result<Outlook, BoxError> {
        let mut outlook = Outlook::Nothing;
        let listed = std::mem::take(&mut self.resources().tasks().waiting);
        let mut moved = 0;
        let mut still = Vec::with_capacity(listed.len());
        for waiting in listed {
            if moved > MAX_MOVED {
                context.waker().wake_by_ref();
                outlook = Outlook::Host;
                still.push(waiting);
                continue;
            }
            let step = match waiting {
                Waiting::Pipe(place) => {
                    self.advance(place, context, &mut moved).map_err(Stop::into_error)?
                }
                Waiting::Subtask(handle) => self.poll_subtask(handle, context)?,
            };
            if let Step::Waits(of) = step {
                outlook = outlook.max(of);
                still.push(waiting);
            }
        }
        let waiting = &mut self.resources().tasks().waiting;
        still.append(waiting);
        *waiting = still;
        Ok(outlook)
    }

    /// Moves what can be moved through a pipe.
    pub(super) fn advance(
        &mut self,
        place: u32,
        context: &mut Context<'_>,
        moved: &mut usize,
    ) -> Result<Step, Stop> {
        let Some(mut pipe) = self.resources().tasks().pipes.take(place) else {
            return Ok(Step::Done);
        };
        let ended = |pipe: &mut Pipe| [Side::Readable, Side::Writable].map(|side| done(pipe, side));
        let before = ended(&mut pipe);
        let step = self.move_through(&mut pipe, context, moved);
        let after = ended(&mut pipe);
        let resources = self.resources();
        resources.tasks().pipes.put(place, pipe);
        for (before, after) in before.into_iter().zip(after) {
            if let (None, Some(handle)) = (before, after) {
                Waitable::notify(resources, handle);
            }
        }
        step
    }
}
