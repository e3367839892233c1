//! The task of an instance, and what all waitables have in common.

use super::pipe::Pipes;
use crate::canonical::{Resources, Value, Violation};
use crate::preview2::{Host, Stop};
use crate::timer::Timer;
use std::time::{Duration, Instant};
use wfaas_vm::BoxError;

/// Slots of a task's context.
const SLOTS: usize = 2;

/// Most operations and subtasks that wait for the host at a time.
const MAX_WAITING: usize = 1024;

/// Takes the result of a task, as soon as it has one.
pub type OnReturn = fn(&mut Host<'_, '_>, Option<&Value>) -> Result<(), Stop>;

/// The task of an instance, and what waits for the host.
#[derive(Default)]
pub(crate) struct Tasks {
    context: [u32; SLOTS],
    backpressure: u16,
    task: Task,
    pub(super) pipes: Pipes,
    /// Operations and subtasks that wait for the host.
    pub(super) waiting: Vec<Waiting>,
    /// Subtasks that were neither delivered nor cancelled.
    undelivered: usize,
    /// Result of the call that an attempt has just made.
    pub(crate) value: Option<Value>,
    /// An error of progress that ends the guest, for whoever waits.
    pub(crate) failed: Option<BoxError>,
    /// Wakes whoever waits for the task at its deadline.
    pub(super) timer: Timer,
    /// Since when the guest's clock stands still, and how long it did before.
    pub(super) stopped: Option<Instant>,
    pub(super) stood_still: Duration,
    /// Since when whoever polls the wait under way is patient.
    pub(super) patient_since: Option<Instant>,
}

/// Something that waits for the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// A pipe, by its place.
    Pipe(u32),
    /// A subtask, by its handle.
    Subtask(u32),
}

#[derive(Default)]
enum Task {
    /// No task that was lifted with `async`.
    #[default]
    None,
    Running(OnReturn),
    /// It has returned an `err`, or not.
    Returned {
        is_err: bool,
    },
}

impl Tasks {
    /// Lists something that waits for the host, unless it is listed.
    pub(super) fn list(&mut self, waiting: Waiting) -> Result<(), Violation> {
        if self.waiting.contains(&waiting) {
            return Ok(());
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(Violation::TooManyWaiting);
        }
        self.waiting.push(waiting);
        Ok(())
    }

    /// Whether anything waits for the host.
    pub(crate) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Counts a subtask until it is delivered or cancelled: one that has returned keeps its result.
    pub(super) fn begin_subtask(&mut self) -> Result<(), Violation> {
        if self.undelivered >= MAX_WAITING {
            return Err(Violation::TooManyWaiting);
        }
        self.undelivered += 1;
        Ok(())
    }

    /// A subtask was delivered or cancelled: nothing of it waits any more.
    pub(super) fn end_subtask(&mut self, handle: u32) {
        self.undelivered = self.undelivered.saturating_sub(1);
        self.waiting.retain(|waiting| *waiting != Waiting::Subtask(handle));
    }

    /// Has the guest's clock go on.
    pub(super) fn start_clock(&mut self) {
        if let Some(since) = self.stopped.take() {
            self.stood_still += since.elapsed();
        }
    }

    /// The end of the patience of whoever polls the wait under way; `None` if there is none.
    pub(super) fn patient_until(
        &mut self,
        patience: Option<Duration>,
        now: Instant,
    ) -> Option<Instant> {
        let since = patience.map(|_| *self.patient_since.get_or_insert(now));
        self.patient_since = since;
        since?.checked_add(patience?)
    }

    /// `context.get`
    pub(super) fn context(&mut self, slot: u32) -> Result<&mut u32, Violation> {
        self.context
            .get_mut(slot as usize)
            .ok_or(Violation::Rule { function: "context.get", reason: "a task has no such slot" })
    }

    /// `backpressure.inc` and `backpressure.dec`. Nobody calls an instance a second time.
    pub(super) fn backpressure(&mut self, up: bool) -> Result<(), Violation> {
        let changed = match up {
            true => self.backpressure.checked_add(1),
            false => self.backpressure.checked_sub(1),
        };
        self.backpressure = changed.ok_or(Violation::Rule {
            function: "backpressure",
            reason: "the counter has no such value",
        })?;
        Ok(())
    }

    /// `task.return`: who takes the result.
    pub(super) fn take_return(&mut self, is_err: bool) -> Result<OnReturn, Violation> {
        let rule = |reason| Violation::Rule { function: "task.return", reason };
        let returned = Task::Returned { is_err };
        match std::mem::replace(&mut self.task, returned) {
            Task::Running(on_return) => Ok(on_return),
            Task::Returned { .. } => Err(rule("the task has returned before")),
            Task::None => Err(rule("no task was lifted with `async`")),
        }
    }
}

impl Resources {
    /// Begins the task of the instance; `on_return` takes its result.
    pub fn begin_task(&mut self, on_return: OnReturn) {
        self.tasks().task = Task::Running(on_return);
    }

    /// Whether the task has returned no result, or an `err`.
    pub fn task_failed(&mut self) -> bool {
        !matches!(self.tasks().task, Task::Returned { is_err: false })
    }
}
