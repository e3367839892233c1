//! A store without the embedder's data: its objects and its call.

use crate::call::stack_pool::StackPool;
use crate::call::state::{CallState, Task};
use crate::runtime::bulk_rest::Unfinished;
use crate::runtime::error::Error;
use crate::runtime::objects::Objects;
use crate::runtime::pending::{Pending, Waiting};
use crate::runtime::recorder::Recorder;
use crate::runtime::records::Records;
use crate::runtime::thrown::Throwing;
use std::sync::Arc;
use std::time::Duration;
use wfaas_abi::continuation::{FrameArea, SavedFrame};

/// Least processor time for the first write to a page, which faults, in nanoseconds: 1000 to 1700 of guests
/// that do nothing else.
const NANOS_TO_WRITE_A_PAGE: usize = 400;

/// The records of a store of which no call was ended by the host.
const NOT_ENDED: Result<Records, &str> = Err("no call was ended by the host");

/// A store without the embedder's data. Compiled code knows its address, which is the address of
/// its call state too.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct StoreInner {
    /// The state of its call.
    pub(crate) call: CallState,
    /// Everything that was made in it.
    pub(crate) objects: Objects,
    /// Reason for which the guest was just left.
    pub(super) pending: Option<Pending>,
    /// The host function that the guest is about to be suspended for, until the future of its call
    /// takes it.
    pub(super) waiting: Option<Waiting>,
    /// The rest of a bulk operation, if its guest was preempted.
    pub(super) unfinished: Option<Unfinished>,
    /// The exception that its guest was throwing when it was preempted.
    pub(super) throwing: Option<Throwing>,
    /// The outermost call, if it can be suspended.
    pub(super) task: Task,
    /// Records frames, for a program that is run until it waits.
    pub(super) recorder: Option<Box<Recorder>>,
    /// The records of the last call that the host ended, or why there are none, if they are asked for: of a program that
    /// waits again.
    pub(super) again: Option<Result<Records, &'static str>>,
    /// Whether a guest was called since the store was new or reset.
    pub(super) has_run: bool,
}

// SAFETY: the raw pointers in a store point into itself, and to futures of its calls, and are used only
// through `&mut` access, or by compiled code while a call holds it; host functions and host objects
// are Send and Sync.
unsafe impl Send for StoreInner {}

// SAFETY: through `&StoreInner` nothing is changed, and everything that is read (cells,
// sizes, memory) is changed only through `&mut`.
unsafe impl Sync for StoreInner {}

impl StoreInner {
    /// An empty store. Its guests get stacks as those of `stacks`, its instances `memory_bytes` bytes
    /// of memory, tables included.
    pub(crate) fn new(stacks: Arc<StackPool>, memory_bytes: u64) -> StoreInner {
        StoreInner {
            call: CallState::new(stacks),
            objects: Objects::new(memory_bytes),
            pending: None,
            waiting: None,
            unfinished: None,
            throwing: None,
            task: Task::new(),
            recorder: None,
            again: None,
            has_run: false,
        }
    }

    /// The store that a call state belongs to.
    ///
    /// # Safety
    /// `call` must be the call state of a store that is exclusively ours.
    #[inline(always)]
    pub(super) unsafe fn of<'a>(call: *mut CallState) -> &'a mut StoreInner {
        const { assert!(std::mem::offset_of!(StoreInner, call) == 0) };
        // SAFETY: the caller's contract; the call state is the first field.
        unsafe { &mut *call.cast() }
    }

    /// Has frames recorded from now on, of code that keeps its values in these places of them.
    pub(crate) fn record_frames(&mut self, areas: Vec<FrameArea>) {
        self.recorder = Some(Box::new(Recorder::new(areas)));
    }

    /// Ends recording; the frames of the last call that the host ended, outermost first.
    ///
    /// # Errors
    /// [`Error::Capture`] if there are none.
    pub(crate) fn take_frames(&mut self) -> Result<Vec<SavedFrame>, Error> {
        let recorder = self.recorder.take();
        recorder.map_or(Ok(Vec::new()), |recorder| recorder.into_frames())
    }

    /// Whether frames are recorded again.
    pub(crate) fn records_again(&self) -> bool {
        self.again.is_some()
    }

    /// Has records made from now on, of code with stack maps.
    pub(crate) fn record_again(&mut self) {
        self.again = Some(NOT_ENDED);
    }

    /// Notes that a guest is called: frames of an earlier call are none of its.
    #[inline]
    pub(super) fn note_call(&mut self) {
        self.has_run = true;
        if self.again.is_some() {
            self.again = Some(NOT_ENDED);
        }
    }

    /// The frames that a copy of the pool's instance goes on with, if they are not those of the artifact.
    ///
    /// # Errors
    /// [`Error::Capture`] if they were asked for and there are none, or if the program has run since it had some and
    /// they were not asked for.
    pub(crate) fn records(&self) -> Result<Option<Records>, Error> {
        if let Some(again) = &self.again {
            return again.clone().map(Some).map_err(|reason| Error::Capture(reason.to_owned()));
        }
        let own = self.objects.records();
        if own.is_some() && self.has_run {
            let why = "its program has run, and its frames were not recorded since";
            return Err(Error::Capture(why.to_owned()));
        }
        Ok(own)
    }

    /// Time that a reset takes at most: of its memories, which is more than a few microseconds only if the
    /// guest wrote to many pages, and for each it has used processor time.
    pub(crate) fn reset_time(&self) -> Duration {
        let written = match self.call.counted_cpu_time() {
            Some(used) => used.as_nanos() as usize / NANOS_TO_WRITE_A_PAGE,
            None => usize::MAX,
        };
        Duration::from_nanos(self.objects.reset_nanos(written))
    }

    /// Time that a reset takes at least: of pages that are copied back whoever wrote to them.
    pub(crate) fn least_reset_time(&self) -> Duration {
        Duration::from_nanos(self.objects.reset_nanos(0))
    }

    /// Brings the store back to the moment when its objects were [kept](Objects::keep_present);
    /// whether that was possible. If not, it must not be used again. Every field has its line here, so that
    /// a new one does not compile until somebody has decided about it.
    #[inline]
    pub(crate) fn reset(&mut self) -> bool {
        // The task is over if the call state can be reset, and its bulk operation with it: the next is
        // written before it is read.
        let StoreInner {
            call,
            objects,
            pending,
            waiting,
            unfinished: _,
            throwing,
            task: _,
            recorder,
            again,
            has_run,
        } = self;
        debug_assert!(waiting.is_none(), "the future of its call has it");
        if pending.is_some() {
            *pending = None;
        }
        if throwing.is_some() {
            *throwing = None;
        }
        debug_assert!(recorder.is_none(), "a store of a pool has frames of its artifact");
        if again.is_some() {
            *again = None;
        }
        *has_run = false;
        call.reset() && objects.reset()
    }
}
