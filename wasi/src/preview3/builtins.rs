//! The built-ins of tasks and waitables.

use super::events::Event;
use super::progress::{Outlook, Progress, Site, Until, at_site};
use super::waitable::{Waitable, WaitableSet};
use crate::canonical::{Component, Violation};
use crate::preview1::{Failure, Guest};
use crate::preview2::Stop;
use crate::wait::Events;
use std::sync::Arc;
use std::task::{Context, Waker};
use wfaas_vm::component::Builtin;

/// The core result of a built-in.
pub(super) type Called = Result<u64, Stop>;

/// A call of a built-in, which may wait.
pub(super) struct Call {
    component: Arc<Component>,
    is_begun: bool,
}

impl Call {
    /// Whether it was begun before a wait. It is now.
    pub(super) fn is_begun(&mut self) -> bool {
        std::mem::replace(&mut self.is_begun, true)
    }

    /// A wait.
    pub(super) fn wait(&self, until: Until) -> Stop {
        let progress = Progress { component: self.component.clone(), until };
        Stop::events(Events { progress: Some(progress), ..Events::default() })
    }
}

/// Calls a built-in with core arguments; after a wait it is called again.
pub(super) fn call(
    guest: &mut Guest<'_>,
    component: &Arc<Component>,
    builtin: &Builtin,
    args: [u32; 3],
) -> Result<(), Failure> {
    let is_begun = *guest.transferred() != 0;
    let mut call = Call { component: component.clone(), is_begun };
    let called = at_site(guest, component, |site| site.builtin(builtin, args, &mut call));
    *guest.transferred() = call.is_begun.into();
    *guest.result() = called.map_err(|stop| stop.0)?;
    Ok(())
}

impl Site<'_> {
    fn builtin(&mut self, builtin: &Builtin, args: [u32; 3], call: &mut Call) -> Called {
        let resources = self.resources();
        if resources.pending.is_some() {
            return Err(Violation::MayNotLeave.into());
        }
        if let Some(error) = resources.tasks().failed.take() {
            return Err(Stop::end(error));
        }
        let [first, second, _] = args;
        match builtin {
            Builtin::TaskReturn { .. } => Err(Violation::NothingPending.into()), // linked elsewhere
            Builtin::TaskCancel => Err(Stop::rule("task.cancel", "nobody has cancelled the task")),
            Builtin::ContextGet(slot) => Ok((*resources.tasks().context(*slot)?).into()),
            Builtin::ContextSet(slot) => {
                *resources.tasks().context(*slot)? = first;
                Ok(0)
            }
            Builtin::BackpressureInc => Ok(resources.tasks().backpressure(true).map(|()| 0)?),
            Builtin::BackpressureDec => Ok(resources.tasks().backpressure(false).map(|()| 0)?),
            Builtin::ThreadYield if call.is_begun() => Ok(0), // not cancelled
            Builtin::ThreadYield => Err(Stop::turn()),
            Builtin::SubtaskCancel => Ok(self.cancel_subtask(first)?.into()),
            Builtin::SubtaskDrop => Ok(self.drop_subtask(first).map(|()| 0)?),
            Builtin::WaitableSetNew => Ok(resources.insert(WaitableSet::default())?.into()),
            Builtin::WaitableSetWait { .. } => self.wait(first, second, call),
            Builtin::WaitableSetPoll { .. } => self.poll(first, second),
            Builtin::WaitableSetDrop => Ok(WaitableSet::drop(resources, first).map(|()| 0)?),
            Builtin::WaitableJoin => Ok(Waitable::join(resources, first, second).map(|()| 0)?),
            Builtin::Copy(builtin) => self.copy(builtin, args, call),
        }
    }

    /// `waitable-set.wait`: the code of an event, whose other numbers are stored.
    fn wait(&mut self, set: u32, at: u32, call: &mut Call) -> Called {
        if let Some(called) = self.event(set, at)? {
            return Ok(called);
        }
        let mut context = Context::from_waker(Waker::noop());
        let outlook = self.progress(&mut context).map_err(Stop::end)?;
        match self.event(set, at)? {
            Some(called) => Ok(called),
            None if outlook == Outlook::Nothing => Err(stuck()),
            None => Err(call.wait(Until::Set(set))),
        }
    }

    /// `waitable-set.poll`: the same, or no event.
    fn poll(&mut self, set: u32, at: u32) -> Called {
        let mut context = Context::from_waker(Waker::noop());
        self.progress(&mut context).map_err(Stop::end)?;
        match self.event(set, at)? {
            Some(called) => Ok(called),
            None => {
                // A guest that asks again and again never waits.
                self.data.wasi().flush();
                self.store_event(at, Event::default())?;
                Ok(0)
            }
        }
    }

    fn event(&mut self, set: u32, at: u32) -> Result<Option<u64>, Violation> {
        let Some(delivered) = self.take_event(set)? else { return Ok(None) };
        self.store_event(at, delivered.event)?;
        Ok(Some(delivered.request))
    }

    /// Stores all of an event but its code.
    fn store_event(&mut self, at: u32, event: Event) -> Result<(), Violation> {
        let Event(_, handle, payload) = event;
        if !at.is_multiple_of(4) {
            return Err(Violation::Misaligned);
        }
        let at = at as usize;
        let place = self.memory.get_mut(at..).and_then(|rest| rest.get_mut(..8));
        let place = place.ok_or(Violation::OutOfBounds)?;
        place[..4].copy_from_slice(&handle.to_le_bytes());
        place[4..].copy_from_slice(&payload.to_le_bytes());
        Ok(())
    }
}

/// The error of a wait that would never end.
pub(super) fn stuck() -> Stop {
    Stop::rule("a wait", "nothing is left that could end it")
}
