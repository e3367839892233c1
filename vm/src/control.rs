//! Deadlines and cancellation. No instruction in compiled code pays for them, and no system call
//! per call: a watchdog thread looks at the threads that run guests, once a millisecond while any
//! has a deadline, and signals those that are due. The signal handler (see `faults`) ends the
//! guest if it finds guest code under way, and otherwise leaves a mark that hostcalls see on
//! return. A thread that waits at a shared memory is woken too. The watchdog repeats this until
//! the call has ended, so no signal is ever lost.

use crate::parking;
use std::cell::Cell;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU8, AtomicU64,
    Ordering::{Relaxed, Release, SeqCst},
};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use wfaas_abi::TrapCode;

/// How often the watchdog looks, and so how late a call may end.
const TICK: Duration = Duration::from_millis(1);

/// How long the watchdog goes on looking after there was anything to look at.
const IDLE_TICKS: u32 = 1000;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// What other threads may know of a store's calls.
#[derive(Debug)]
pub(crate) struct Control {
    /// Nanoseconds since [`anchor`], or [`NEVER`].
    deadline: AtomicU64,
    cancelled: AtomicBool,
    /// The trap a signal could not deliver at once, as a number; zero for none.
    interrupt: AtomicU8,
    /// Thread that runs the store's outermost call, or zero.
    thread: AtomicI32,
}

impl Default for Control {
    fn default() -> Self {
        Control {
            deadline: AtomicU64::new(NEVER),
            cancelled: AtomicBool::new(false),
            interrupt: AtomicU8::new(0),
            thread: AtomicI32::new(0),
        }
    }
}

impl Control {
    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        self.deadline.store(deadline.map_or(NEVER, nanos), Release);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let nanos = self.deadline.load(SeqCst);
        (nanos != NEVER).then(|| anchor() + Duration::from_nanos(nanos))
    }

    /// Marks the start of a call on this thread; whether it is the store's outermost.
    ///
    /// Plain loads and stores are enough: a cancellation that just misses this one stays with the
    /// watchdog until it has been seen.
    #[inline]
    pub(crate) fn begin(self: &Arc<Self>) -> bool {
        if self.is_running() {
            return false;
        }
        self.thread.store(thread_id(), Release);
        if self.deadline.load(Relaxed) != NEVER || self.cancelled.load(Relaxed) {
            watch(self);
        }
        true
    }

    /// Marks the end of the outermost call.
    #[inline]
    pub(crate) fn end(&self) {
        self.thread.store(0, Release);
        let interrupt = self.interrupt.load(Relaxed);
        if interrupt != 0 {
            self.interrupt.store(0, Relaxed);
            if interrupt == TrapCode::Cancelled as u8 {
                self.cancelled.store(false, SeqCst);
            }
        }
    }

    /// Forgets deadline, cancellation and mark, between two faaslets.
    pub(crate) fn reset(&self) {
        self.deadline.store(NEVER, Release);
        self.cancelled.store(false, Release);
        self.interrupt.store(0, Release);
    }

    /// Why calls of this store should end now. Async-signal-safe.
    pub(crate) fn due(&self) -> Option<TrapCode> {
        if self.cancelled.load(SeqCst) {
            return Some(TrapCode::Cancelled);
        }
        let deadline = self.deadline.load(SeqCst);
        (deadline != NEVER && nanos(Instant::now()) >= deadline)
            .then_some(TrapCode::DeadlineExceeded)
    }

    /// Leaves the mark. Async-signal-safe.
    pub(crate) fn interrupt(&self, code: TrapCode) {
        self.interrupt.store(code as u8, SeqCst);
    }

    /// The mark.
    #[inline]
    pub(crate) fn interrupted(&self) -> Option<TrapCode> {
        match self.interrupt.load(Relaxed) {
            0 => None,
            mark => TrapCode::from_u8(mark),
        }
    }

    #[inline]
    fn is_running(&self) -> bool {
        self.thread.load(Relaxed) != 0
    }
}

/// Ends calls of a store from other threads; cheap to clone.
#[derive(Debug, Clone)]
pub struct CancelHandle(Arc<Control>);

impl CancelHandle {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        CancelHandle(control)
    }

    /// Ends the call under way with [`TrapCode::Cancelled`], or else the next one.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, SeqCst);
        watch(&self.0);
    }
}

/// The signal that tells a thread to look whether a call is due.
pub(crate) fn signal_number() -> i32 {
    libc::SIGRTMIN() + 9
}

thread_local! {
    /// This thread's id in the kernel, or zero if nobody has asked yet.
    static THREAD_ID: Cell<i32> = const { Cell::new(0) };
}

#[inline]
pub(crate) fn thread_id() -> i32 {
    let known = THREAD_ID.get();
    if known != 0 { known } else { ask_thread_id() }
}

#[cold]
fn ask_thread_id() -> i32 {
    let id = rustix::thread::gettid().as_raw_nonzero().get();
    THREAD_ID.set(id);
    id
}

/// The origin of deadlines.
fn anchor() -> Instant {
    static ANCHOR: OnceLock<Instant> = OnceLock::new();
    *ANCHOR.get_or_init(Instant::now)
}

fn nanos(instant: Instant) -> u64 {
    u64::try_from(instant.saturating_duration_since(anchor()).as_nanos()).unwrap_or(NEVER - 1)
}

/// The stores with a call that may have to be ended.
struct Watchdog {
    watched: Mutex<Vec<Arc<Control>>>,
    wake: Condvar,
}

fn watch(control: &Arc<Control>) {
    static WATCHDOG: OnceLock<&'static Watchdog> = OnceLock::new();
    let watchdog = WATCHDOG.get_or_init(|| {
        let watchdog: &'static Watchdog =
            Box::leak(Box::new(Watchdog { watched: Mutex::default(), wake: Condvar::new() }));
        let thread = std::thread::Builder::new().name("wfaas-watchdog".into());
        thread.spawn(|| watchdog.run()).expect("a thread for the watchdog");
        watchdog
    });
    let mut watched = watchdog.watched.lock().unwrap_or_else(PoisonError::into_inner);
    if !watched.iter().any(|other| Arc::ptr_eq(other, control)) {
        watched.push(control.clone());
        if watched.len() == 1 {
            watchdog.wake.notify_one();
        }
    }
}

impl Watchdog {
    fn run(&self) {
        let mut idle = 0;
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            watched.retain(|control| {
                let alive = Arc::strong_count(control) > 1;
                alive && (control.is_running() || control.cancelled.load(SeqCst))
            });
            for control in watched.iter().filter(|control| control.due().is_some()) {
                let thread = control.thread.load(SeqCst);
                signal(thread);
                parking::wake(thread);
            }
            idle = if watched.is_empty() { idle + 1 } else { 0 };
            watched = if idle > IDLE_TICKS {
                idle = 0;
                self.wake.wait(watched).unwrap_or_else(PoisonError::into_inner)
            } else {
                drop(watched);
                std::thread::sleep(TICK);
                self.watched.lock().unwrap_or_else(PoisonError::into_inner)
            };
        }
    }
}

/// Signals a thread of this process; nothing happens if it is gone.
fn signal(thread: i32) {
    let process = std::process::id();
    if thread != 0 {
        // SAFETY: sends a signal this process handles to one of its own threads; a stale id is
        // refused by the kernel, since the process id is checked too.
        unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal_number()) };
    }
}
