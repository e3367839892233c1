//! Waitables, and the sets that they are joined to.

use super::call::Subtask;
use super::pipe::{Readable, Side};
use super::tasks::Waiting;
use crate::canonical::{Resources, Violation};
use std::collections::VecDeque;
use wfaas_vm::component::TypeIndex;

/// The thing behind a subtask, or an end of a stream or a future.
pub(super) struct Waitable {
    of: Of,
    /// The handle of the set, or 0.
    set: u32,
    /// Whether the set has it among those with an event.
    is_queued: bool,
}

enum Of {
    Subtask(Box<Subtask>),
    End { pipe: u32, side: Side },
}

/// The thing behind a waitable set.
#[derive(Default)]
pub(super) struct WaitableSet {
    members: u32,
    /// Members that had an event.
    ready: VecDeque<u32>,
}

impl Waitable {
    pub(super) fn end(pipe: u32, side: Side) -> Waitable {
        Waitable { of: Of::End { pipe, side }, set: 0, is_queued: false }
    }

    pub(super) fn subtask(subtask: Box<Subtask>) -> Waitable {
        Waitable { of: Of::Subtask(subtask), set: 0, is_queued: false }
    }

    /// The pipe of a handle's end, and its side.
    pub(super) fn place(resources: &mut Resources, handle: u32) -> Option<(u32, Side)> {
        match resources.get::<Waitable>(handle).ok()?.of {
            Of::End { pipe, side } => Some((pipe, side)),
            Of::Subtask(_) => None,
        }
    }

    /// The pipe of an end on this side that no operation is under way on.
    pub(super) fn pipe(
        resources: &mut Resources,
        handle: u32,
        side: Side,
    ) -> Result<u32, Violation> {
        let place = Waitable::place(resources, handle).filter(|(_, found)| *found == side);
        let (place, _) = place.ok_or(Violation::BadHandle(handle))?;
        let end = resources.tasks().pipes.get(place).and_then(|pipe| pipe.end(side));
        match end {
            Some(end) if end.buffer.is_none() => Ok(place),
            _ => Err(Violation::Rule {
                function: "a stream or a future",
                reason: "an operation on this end is under way",
            }),
        }
    }

    /// Whether a handle is a readable end of this type that can be given away.
    pub(super) fn is_readable(resources: &Resources, handle: u32, ty: TypeIndex) -> bool {
        let Some(Of::End { pipe, side: Side::Readable }) =
            resources.look::<Waitable>(handle).map(|waitable| &waitable.of)
        else {
            return false;
        };
        let pipe = resources.look_at_tasks().and_then(|tasks| tasks.pipes.look(*pipe));
        pipe.is_some_and(|pipe| match &pipe.readable {
            Readable::Guest(end) => pipe.ty == Some(ty) && end.buffer.is_none() && !end.is_done,
            Readable::Host(_) | Readable::Gone => false,
        })
    }

    /// The subtask of a handle.
    pub(super) fn get_subtask(
        resources: &mut Resources,
        handle: u32,
    ) -> Result<&mut Box<Subtask>, Violation> {
        match &mut resources.get::<Waitable>(handle)?.of {
            Of::Subtask(subtask) => Ok(subtask),
            Of::End { .. } => Err(Violation::BadHandle(handle)),
        }
    }

    /// Whether a handle's waitable has an event.
    pub(super) fn has_event(resources: &mut Resources, handle: u32) -> bool {
        if let Ok(subtask) = Waitable::get_subtask(resources, handle) {
            return subtask.has_event();
        }
        let Some((pipe, side)) = Waitable::place(resources, handle) else { return false };
        let end = resources.tasks().pipes.get(pipe).and_then(|pipe| pipe.end(side));
        end.is_some_and(|end| end.result.is_some())
    }

    /// Has the set of a waitable know that it has an event.
    pub(super) fn notify(resources: &mut Resources, handle: u32) {
        let Ok(waitable) = resources.get::<Waitable>(handle) else { return };
        if waitable.set == 0 || std::mem::replace(&mut waitable.is_queued, true) {
            return;
        }
        let set = waitable.set;
        if let Ok(set) = resources.get::<WaitableSet>(set) {
            set.ready.push_back(handle);
        }
    }

    /// `waitable.join`: to a set, or with 0 to none.
    pub(super) fn join(resources: &mut Resources, handle: u32, set: u32) -> Result<(), Violation> {
        resources.get::<Waitable>(handle)?;
        if set != 0 {
            resources.get::<WaitableSet>(set)?.members += 1;
        }
        let waitable = resources.get::<Waitable>(handle)?;
        waitable.is_queued = false;
        let before = std::mem::replace(&mut waitable.set, set);
        if let Ok(before) = resources.get::<WaitableSet>(before) {
            before.members -= 1;
            before.ready.retain(|ready| *ready != handle);
        }
        if set != 0 && Waitable::has_event(resources, handle) {
            Waitable::notify(resources, handle);
        }
        Ok(())
    }

    /// Takes a waitable from its set and from the table.
    pub(super) fn remove(resources: &mut Resources, handle: u32) -> Result<(), Violation> {
        Waitable::join(resources, handle, 0)?;
        resources.take::<Waitable>(handle).map(drop)
    }

    /// Drops an end that nobody takes; the next progress tells the other one.
    pub(super) fn discard(resources: &mut Resources, handle: u32) -> Result<(), Violation> {
        let place = Waitable::place(resources, handle);
        let (place, side) = place.ok_or(Violation::BadHandle(handle))?;
        if let Some(pipe) = resources.tasks().pipes.get(place) {
            pipe.drop_end(side);
        }
        Waitable::remove(resources, handle)?;
        resources.tasks().list(Waiting::Pipe(place))
    }
}

impl WaitableSet {
    /// The next member that has an event.
    pub(super) fn next(resources: &mut Resources, set: u32) -> Result<Option<u32>, Violation> {
        loop {
            let Some(handle) = resources.get::<WaitableSet>(set)?.ready.pop_front() else {
                return Ok(None);
            };
            if let Ok(waitable) = resources.get::<Waitable>(handle) {
                waitable.is_queued = false;
            }
            if Waitable::has_event(resources, handle) {
                return Ok(Some(handle));
            }
        }
    }

    /// Whether a handle is one of a set.
    pub(super) fn is_one(resources: &mut Resources, set: u32) -> bool {
        resources.get::<WaitableSet>(set).is_ok()
    }

    /// Whether a member may have an event.
    pub(super) fn is_ready(resources: &mut Resources, set: u32) -> bool {
        resources.get::<WaitableSet>(set).is_ok_and(|set| !set.ready.is_empty())
    }

    /// `waitable-set.drop`
    pub(super) fn drop(resources: &mut Resources, set: u32) -> Result<(), Violation> {
        match resources.get::<WaitableSet>(set)?.members {
            0 => resources.take::<WaitableSet>(set).map(drop),
            _ => Err(Violation::Rule {
                function: "waitable-set.drop",
                reason: "the set has members",
            }),
        }
    }
}
