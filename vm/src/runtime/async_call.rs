//! The future of a call that can be suspended.
//!
//! Each poll of it polls the host function that the guest waits for, on the stack of the caller, and
//! if that is ready lets the guest run until it returns, waits again or is preempted.

use crate::arch::Landing;
use crate::call::enter::{Callee, Ended};
use crate::call::state::{CallState, Task};
use crate::call::task::{self, Progress};
use crate::runtime::error::Error;
use crate::runtime::handlers::Handler;
use crate::runtime::host_func::HostEntry;
use crate::runtime::pending::{Pending, Waiting};
use crate::runtime::store::StoreInner;
use crate::runtime::thrown::Exception;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::task::{Context, Poll};

/// The function that is called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// A guest's.
    Guest(Callee),
    /// The host's, by its place in the store.
    Host(u32),
}

/// A call that can be suspended.
#[derive(Debug)]
pub(crate) struct AsyncCall<'a> {
    /// Not a reference, since the host function that is waited for has one too.
    store: NonNull<StoreInner>,
    target: Target,
    stage: Stage,
    /// Whether the task was begun for this call.
    begun: bool,
    /// The host function that is waited for.
    waiting: Option<Waiting>,
    /// Of a call that is nested in another. The outermost one's task is the store's.
    nested: Option<Box<Task>>,
    borrowed: PhantomData<&'a mut StoreInner>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Waiting,
    Preempted,
    Done,
}

// SAFETY: it stands for an exclusive reference to a store without the embedder's data, and owns a
// task and a host function that is Send. Futures around it are Send only if the data are.
unsafe impl Send for AsyncCall<'_> {}

impl<'a> AsyncCall<'a> {
    /// A call that was not begun.
    ///
    /// # Safety
    /// `target` must be a function of the store, and of an instance of it if it is a guest's.
    #[inline]
    pub(crate) unsafe fn new(store: &'a mut StoreInner, target: Target) -> AsyncCall<'a> {
        AsyncCall {
            store: NonNull::from(store),
            target,
            stage: Stage::New,
            begun: false,
            waiting: None,
            nested: None,
            borrowed: PhantomData,
        }
    }

    /// The store, while no host function is being polled.
    #[inline]
    pub(crate) fn store(&mut self) -> &mut StoreInner {
        // SAFETY: it stands for an exclusive reference.
        unsafe { self.store.as_mut() }
    }

    /// The call's task, and the state that it needs.
    #[inline]
    fn task(&mut self) -> (&mut Task, &mut CallState) {
        // SAFETY: as in `store`.
        let StoreInner { task, call, .. } = unsafe { self.store.as_mut() };
        (self.nested.as_deref_mut().unwrap_or(task), call)
    }

    /// Begins the call with its arguments in `cells`, or goes on with it. The results are there when
    /// it is ready.
    ///
    /// # Safety
    /// `cells` must be the same in each call, have room for parameters and results, and be freed no
    /// sooner than this.
    #[inline]
    pub(crate) unsafe fn poll(
        &mut self,
        context: &mut Context<'_>,
        cells: *mut u64,
    ) -> Poll<Result<(), Error>> {
        if let (Stage::New, Target::Guest(callee)) = (self.stage, self.target) {
            self.stage = Stage::Done;
            self.begun = true;
            if self.store().call.exit_fp() != 0 {
                self.nested = Some(Box::new(Task::new()));
            }
            self.store().note_call();
            let (task, call) = self.task();
            // SAFETY: `new` was given a function of the store, and the caller the cells. The task is
            // the store's or in a box, and ended when this is dropped.
            let progress = unsafe { task.start(call, callee, cells, context) };
            return self.after(progress, context);
        }
        self.poll_further(context, cells)
    }

    fn poll_further(
        &mut self,
        context: &mut Context<'_>,
        cells: *mut u64,
    ) -> Poll<Result<(), Error>> {
        match (self.stage, self.target) {
            (Stage::New, Target::Host(index)) => {
                self.stage = Stage::Done;
                match self.begin_host(index, cells) {
                    Ok(()) if self.waiting.is_none() => return Poll::Ready(Ok(())),
                    Ok(()) => self.stage = Stage::Waiting,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            (Stage::Waiting, _) => {}
            (Stage::Preempted, _) => return self.go_on(context),
            _ => panic!("the future of a call was polled after it was ready"),
        }
        // Also if this panics, the call is over.
        self.stage = Stage::Done;
        let polled = self.poll_waiting(context);
        // A guest that went on, and was preempted then, waits for nothing.
        if polled.is_pending() && matches!(self.stage, Stage::Done) {
            self.stage = Stage::Waiting;
        }
        polled
    }

    /// Begins a function of the host's, which the embedder called, not a guest.
    fn begin_host(&mut self, index: u32, cells: *mut u64) -> Result<(), Error> {
        let mut store = self.store;
        // SAFETY: as in `store`.
        let host = unsafe { store.as_ref() }.objects.host_func(index).clone();
        let call = store.as_ptr().cast();
        let result = match host.entry {
            // SAFETY: the closure is the one the entry was made for, the store is exclusively ours and
            // has the type it was defined for, and the caller sized the cells by the type.
            HostEntry::Sync(invoke) => unsafe { invoke(host.env(), call, None, cells) },
            // SAFETY: as above; the store keeps the function, and so the closure, alive.
            HostEntry::Async(begin) => unsafe { begin(host.env(), call, None, cells) }
                .map(|future| self.waiting = Some(Waiting { future, base: 0 })),
        };
        // SAFETY: as in `store`.
        result.map_err(|pending| unsafe { store.as_mut() }.error_with(pending))
    }

    /// Polls the host function that is waited for, and goes on if it is ready.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Target::Guest(_) = self.target else { return self.poll_host(context) };
        let (task, call) = self.task();
        if let Some(code) = task.due(call) {
            return Poll::Ready(Err(self.end_with(Pending::Trap(code))));
        }
        let (task, call): (*mut Task, *mut CallState) = (task, call);
        let Some(waiting) = &mut self.waiting else { unreachable!("it is being waited for") };
        // SAFETY: the task is suspended, and only the host function uses the store meanwhile.
        let polled = unsafe { Task::poll(task, call, || waiting.future.as_mut().poll(context)) };
        let Poll::Ready(result) = polled else {
            let (task, call) = self.task();
            task.wake_when_due(call, context.waker());
            return Poll::Pending;
        };
        let base = self.waiting.take().map_or(0, |waiting| waiting.base);
        let (task, call) = self.task();
        match result {
            Ok(()) | Err(Pending::Exception(_)) if let Some(code) = task.due(call) => {
                Poll::Ready(Err(self.end_with(Pending::Trap(code))))
            }
            Ok(()) => self.resume(None, context),
            Err(Pending::Exception(exception)) => self.throw(exception, base, context),
            Err(pending) => Poll::Ready(Err(self.end_with(pending))),
        }
    }

    /// Polls a host function that the embedder called, not a guest.
    fn poll_host(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(waiting) = &mut self.waiting else { unreachable!("it is being waited for") };
        let Poll::Ready(result) = waiting.future.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.waiting = None;
        Poll::Ready(result.map_err(|pending| self.store().error_with(pending)))
    }

    /// Lets the guest go on.
    fn resume(
        &mut self,
        landing: Option<Landing>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let (task, call) = self.task();
        // SAFETY: the task is suspended, and the host function has left its results; a landing is one
        // of its frames'.
        let progress = unsafe { task.resume(call, landing.as_ref(), context) };
        self.after(progress, context)
    }

    /// Goes on where the guest catches an exception, or ends the call if it does not.
    fn throw(
        &mut self,
        exception: Exception,
        base: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        // SAFETY: as in `store`.
        let StoreInner { objects, task, .. } = unsafe { self.store.as_ref() };
        let (exit_fp, entry) = self.nested.as_deref().unwrap_or(task).exit_frame();
        let Ok(bits) = objects.exception_to_bits(&exception) else {
            let foreign = Pending::Host(Box::new(Error::from(exception)));
            return Poll::Ready(Err(self.end_with(foreign)));
        };
        // SAFETY: the guest waits in a stub, which wrote its frame pointer before.
        let Some(Handler { pc, sp, fp }) = (unsafe { objects.find_handler(exit_fp, entry) }) else {
            return Poll::Ready(Err(self.end_with(Pending::Exception(exception))));
        };
        let tag = u64::from(exception.tag_place().1);
        self.resume(Some(Landing { pc, sp, fp, exception: bits, tag, base }), context)
    }

    /// The outcome of a poll in which the guest ran.
    #[inline]
    fn after(
        &mut self,
        progress: Result<Progress, Ended>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        match progress {
            Ok(Progress::Finished) => Poll::Ready(Ok(())),
            Ok(Progress::Suspended) => self.wait(context),
            Ok(Progress::Preempted) => self.preempted(context),
            Err(ended) => Poll::Ready(Err(self.ended(ended))),
        }
    }

    /// Takes the host function that the guest was suspended for.
    #[inline(never)]
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.waiting = self.store().waiting.take();
        let (task, call) = self.task();
        if let Some(code) = task.due(call) {
            return Poll::Ready(Err(self.end_with(Pending::Trap(code))));
        }
        task.wake_when_due(call, context.waker());
        self.stage = Stage::Waiting;
        Poll::Pending
    }

    /// Has the future polled again, after others.
    #[inline(never)]
    fn preempted(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.stage = Stage::Preempted;
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Lets a guest go on that was preempted.
    #[inline(never)]
    fn go_on(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.stage = Stage::Done;
        let (task, call) = self.task();
        if let Some(code) = task.due(call) {
            return Poll::Ready(Err(self.end_with(Pending::Trap(code))));
        }
        // SAFETY: the task was preempted.
        let progress = unsafe { task.go_on(call, context) };
        self.after(progress, context)
    }

    #[cold]
    fn ended(&mut self, ended: Ended) -> Error {
        // There is one if there was no stack to suspend the guest with.
        drop(self.store().waiting.take());
        self.store().error_of(ended)
    }

    /// Ends a call that waits.
    #[cold]
    fn end_with(&mut self, pending: Pending) -> Error {
        let store = self.store();
        task::note_suspended(&store.call);
        let error = store.error_with(pending);
        self.give_up();
        error
    }

    /// Drops the host function that is waited for, and gives up the guest's frames.
    fn give_up(&mut self) {
        // It may use the store for the last time.
        drop(self.waiting.take());
        let begun = self.begun;
        let (task, call) = self.task();
        if begun && task.is_suspended() {
            task.end(call);
        }
    }
}

impl Drop for AsyncCall<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}
