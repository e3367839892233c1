//! Threads that run guests, as the watchdog sees them.
//!
//! ```text
//!   thread                               watchdog, once a millisecond
//!   Record (thread-local) ←──── reads ── list of records
//!   | deadline: of calls under way |
//!   | stint, processor time        | ←── writes `over` if that is used up, and signals
//! ```
//!
//! The watchdog looks at numbers only, never at a call: a store may be dropped while it looks, and
//! nothing that it finds is more than a reason for a signal. The signal's handler, on the thread
//! itself, looks at the calls and decides. A call that is watched pays for a few plain stores, however
//! many others there are.

use crate::call::control::Control;
use crate::call::cpu_time;
use crate::call::time::NEVER;
use crate::sys::{self, ThreadClock};
use std::io;
use std::ptr;
use std::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

thread_local! {
    /// This thread's record. Const and without drop: it is there as long as the thread, and using it
    /// in a handler is nothing but that.
    static HERE: Record = const { Record::new() };
}

/// The part of a slice that may be left when it is over: half of the time between two looks, so that it ends at the nearest
/// one. Most begin soon after a look, and would last for two otherwise.
const EARLY: u64 = 500_000;

/// The part of a thread's calls that the watchdog may know.
#[derive(Debug)]
struct Record {
    thread: AtomicI32,
    /// Its processor time, a [`ThreadClock`].
    clock: AtomicI32,
    /// The earliest deadline of the calls under way.
    deadline: AtomicU64,
    /// Number of the stint under way that has [`Terms`]; zero if there is none, or while one of the fields
    /// below is being changed. No number comes twice.
    stint: AtomicU64,
    /// Number of the last stint.
    last_stint: AtomicU64,
    /// The stint's [`Terms`].
    slice: AtomicU64,
    left: AtomicU64,
    /// The counter at the stint's beginning.
    start: AtomicU64,
    /// The call that the stint is of. For this thread only: the watchdog could come too late.
    control: AtomicPtr<Control>,
    /// Number of the stint that the watchdog has seen, and the thread's processor time then.
    seen: AtomicU64,
    seen_nanos: AtomicU64,
    /// The thread's processor time when that stint began, at the earliest.
    from: AtomicU64,
    /// Processor time of the thread at the last look at one of its stints.
    looked: AtomicU64,
    /// Number of the stint that has used its slice, by the watchdog.
    over: AtomicU64,
    /// Number of the stint that has used all that was left, by the watchdog.
    exhausted: AtomicU64,
}

impl Record {
    const fn new() -> Record {
        Record {
            thread: AtomicI32::new(0),
            clock: AtomicI32::new(0),
            deadline: AtomicU64::new(NEVER),
            stint: AtomicU64::new(0),
            last_stint: AtomicU64::new(0),
            slice: AtomicU64::new(NEVER),
            left: AtomicU64::new(NEVER),
            start: AtomicU64::new(0),
            control: AtomicPtr::new(ptr::null_mut()),
            seen: AtomicU64::new(0),
            seen_nanos: AtomicU64::new(0),
            from: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            over: AtomicU64::new(0),
            exhausted: AtomicU64::new(0),
        }
    }

    /// Whether the watchdog has to look at it again.
    fn is_watched(&self) -> bool {
        self.deadline.load(Relaxed) != NEVER || self.stint.load(Relaxed) != 0
    }

    fn terms(&self) -> Terms {
        Terms { slice: self.slice.load(Relaxed), left: self.left.load(Relaxed) }
    }

    /// Whether a call of the thread has to be ended or suspended, as the watchdog sees it, which notes what
    /// it sees.
    fn is_due(&self, now: u64, sight: &mut Sight) -> bool {
        let used = match self.stint.load(Acquire) {
            0 => false,
            stint => self.has_used(stint, sight),
        };
        let deadline = self.deadline.load(Relaxed);
        sight.watched |= self.is_watched();
        sight.deadline = sight.deadline.min(deadline);
        used || deadline <= now
    }

    /// Whether a stint has used its processor time. If the thread begins another meanwhile, the result
    /// is about none: it is noted with the number of the one before.
    fn has_used(&self, stint: u64, sight: &mut Sight) -> bool {
        let (first, terms) = (self.seen.load(Relaxed) != stint, self.terms());
        let seen = if first { &mut sight.new } else { &mut sight.long };
        *seen = true;
        if !first && terms == Terms::NONE {
            return false;
        }
        let clock = ThreadClock::from_raw(self.clock.load(Relaxed));
        let Some(nanos) = clock.nanos() else { return false };
        if first {
            self.see(stint, nanos);
        }
        self.looked.store(nanos, Relaxed);
        let since = |then: &AtomicU64| nanos.saturating_sub(then.load(Relaxed));
        let over = since(&self.from).saturating_add(EARLY) >= terms.slice;
        let exhausted = since(&self.seen_nanos) >= terms.left;
        // Where slices are over at the first look, no stint is seen twice.
        sight.long |= over || exhausted;
        if over {
            self.over.store(stint, Release);
        }
        if exhausted {
            self.exhausted.store(stint, Release);
        }
        over || exhausted
    }

    /// Notes a stint that is seen for the first time, when its thread has used so much processor time. The stint has
    /// used what the thread has since the last look, or the time that has passed, at most.
    fn see(&self, stint: u64, nanos: u64) {
        let passed = cpu_time::ticks().saturating_sub(self.start.load(Relaxed));
        let used = cpu_time::nanos(passed).min(nanos.saturating_sub(self.looked.load(Relaxed)));
        self.from.store(nanos.saturating_sub(used), Relaxed);
        self.seen_nanos.store(nanos, Relaxed);
        self.seen.store(stint, Release);
    }
}

/// A record, as the list has it.
struct Listed(*const Record);

// SAFETY: records are atomic numbers, and taken out of the list before they are gone.
unsafe impl Send for Listed {}

static LIST: Mutex<Vec<Listed>> = Mutex::new(Vec::new());

/// A thread's entry in the list. While there is one, the thread may run guests.
#[derive(Debug)]
pub(super) struct Registration(());

impl Registration {
    /// Puts the present thread in the list.
    ///
    /// # Errors
    /// [`io::Error`] if the thread has no clock.
    pub(super) fn new() -> io::Result<Registration> {
        let clock = ThreadClock::of_this_thread()?;
        HERE.with(|here| {
            here.thread.store(sys::thread_id(), Relaxed);
            here.clock.store(clock.as_raw(), Relaxed);
            lock().push(Listed(here));
        });
        Ok(Registration(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        HERE.with(|here| lock().retain(|listed| !ptr::eq(listed.0, here)));
    }
}

/// Things that the watchdog sees in a look at all threads.
#[derive(Debug)]
pub(super) struct Sight {
    /// Number of threads.
    pub(super) threads: usize,
    /// Whether one of them has to be watched further.
    pub(super) watched: bool,
    /// Whether a stint is under way that no look has seen before.
    pub(super) new: bool,
    /// Whether a stint is under way that was seen before.
    pub(super) long: bool,
    /// The earliest deadline of the calls under way.
    pub(super) deadline: u64,
}

/// Calls `due` with each thread that has to look at its calls.
pub(super) fn look(now: u64, mut due: impl FnMut(i32)) -> Sight {
    let list = lock();
    let (threads, deadline) = (list.len(), NEVER);
    let mut sight = Sight { threads, watched: false, new: false, long: false, deadline };
    for record in records(&list) {
        if record.is_due(now, &mut sight) {
            due(record.thread.load(Relaxed));
        }
    }
    sight
}

/// The earliest deadline of the calls under way.
pub(super) fn deadline() -> u64 {
    let deadlines = |list: &[Listed]| records(list).map(|it| it.deadline.load(Relaxed)).min();
    deadlines(&lock()).unwrap_or(NEVER)
}

/// Whether a thread has to be watched.
pub(super) fn are_watched() -> bool {
    records(&lock()).any(Record::is_watched)
}

fn records(list: &[Listed]) -> impl Iterator<Item = &Record> {
    // SAFETY: a thread takes its record out of the list before it ends, which takes the lock.
    list.iter().map(|listed| unsafe { &*listed.0 })
}

/// No code that could panic runs under this lock.
fn lock() -> MutexGuard<'static, Vec<Listed>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A deadline that counts on this thread until this is dropped, beside those of the calls around.
#[derive(Debug)]
pub(super) struct Deadline {
    outer: u64,
}

impl Deadline {
    /// Has the watchdog end this thread's calls at `deadline`.
    pub(super) fn begin(deadline: u64) -> Deadline {
        HERE.with(|here| {
            let outer = here.deadline.load(Relaxed);
            here.deadline.store(outer.min(deadline), Relaxed);
            Deadline { outer }
        })
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        HERE.with(|here| here.deadline.store(self.outer, Relaxed));
    }
}

/// Processor time that a call may use, in nanoseconds; [`NEVER`] if it may use any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// Before it is suspended.
    pub(super) slice: u64,
    /// Before it is ended.
    pub(super) left: u64,
}

impl Terms {
    /// Any.
    const NONE: Terms = Terms { slice: NEVER, left: NEVER };
}

/// Terms that count on this thread until this is dropped, instead of those around it.
#[derive(Debug)]
pub(super) struct Budget {
    /// The numbers around it.
    stint: u64,
    terms: Terms,
    start: u64,
    control: *mut Control,
    seen: u64,
    seen_nanos: u64,
    from: u64,
    looked: u64,
}

impl Budget {
    /// Has the watchdog look at the processor time that this thread uses, since the counter was at `start`, for the call
    /// with `control`, which stays alive until this is dropped.
    pub(super) fn begin(terms: Terms, start: u64, control: &Control) -> Budget {
        // The end of the slice before may have come too late.
        control.begin_slice();
        HERE.with(|here| {
            let outer = Budget {
                stint: here.stint.load(Relaxed),
                terms: here.terms(),
                start: here.start.load(Relaxed),
                control: here.control.load(Relaxed),
                seen: here.seen.load(Relaxed),
                seen_nanos: here.seen_nanos.load(Relaxed),
                from: here.from.load(Relaxed),
                looked: here.looked.load(Relaxed),
            };
            let number = here.last_stint.load(Relaxed) + 1;
            here.last_stint.store(number, Relaxed);
            here.change(number, terms, start, ptr::from_ref(control).cast_mut());
            outer
        })
    }

    /// The thread's processor time when the stint with this began, at the earliest, if the watchdog has seen it.
    pub(super) fn from(&self) -> Option<u64> {
        HERE.with(|here| {
            let seen = here.seen.load(Acquire) == here.stint.load(Relaxed);
            seen.then(|| here.from.load(Relaxed))
        })
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        HERE.with(|here| {
            here.stint.store(0, Release);
            here.seen_nanos.store(self.seen_nanos, Release);
            here.from.store(self.from, Release);
            if self.stint != 0 {
                // Looks at the stint within say nothing about the one around.
                here.looked.store(self.looked, Release);
            }
            here.seen.store(self.seen, Release);
            here.change(self.stint, self.terms, self.start, self.control);
        });
    }
}

impl Record {
    /// Makes another stint the one under way. The watchdog and the handler take nothing in between
    /// for the one or the other.
    fn change(&self, stint: u64, terms: Terms, start: u64, control: *mut Control) {
        self.stint.store(0, Release);
        self.slice.store(terms.slice, Release);
        self.left.store(terms.left, Release);
        self.start.store(start, Release);
        self.control.store(control, Release);
        self.stint.store(stint, Release);
    }
}

/// Has the call of this thread's stint know that it has used its processor time, if the watchdog has
/// seen that. Async-signal-safe.
pub(super) fn note_used() {
    HERE.with(|here| {
        let stint = here.stint.load(Relaxed);
        let over = stint == here.over.load(Acquire);
        let exhausted = stint == here.exhausted.load(Acquire);
        if stint == 0 || !(over || exhausted) {
            return;
        }
        // SAFETY: the stint is under way, and its control alive until it is not.
        let control = unsafe { &*here.control.load(Relaxed) };
        if over {
            control.end_slice();
        }
        if exhausted {
            control.exhaust();
        }
    });
}

// The interpreter has neither the processor's counter nor clocks of threads.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::call::ticks::thread_processor_time;
    use crate::call::time;
    use std::time::Duration;

    fn is_due_here(now: u64) -> bool {
        let mut due = false;
        look(now, |thread| due |= thread == sys::thread_id());
        due
    }

    /// Works for so much processor time, however busy the machine is.
    fn spin(time: Duration) {
        let start = thread_processor_time();
        while thread_processor_time() - start < time {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn the_deadline_of_a_call_around_counts_too() {
        let registration = Registration::new().unwrap();
        let outer = Deadline::begin(50);
        let inner = Deadline::begin(70);
        assert!(is_due_here(50) && !is_due_here(49));
        let innermost = Deadline::begin(20);
        assert!(is_due_here(20));
        drop(innermost);
        drop(inner);
        assert!(is_due_here(50) && !is_due_here(20));
        drop(outer);
        assert!(!is_due_here(NEVER - 1));
        let _outer = Deadline::begin(1);
        drop(registration);
        assert!(!is_due_here(2), "the list does not have the thread any more");
    }

    #[test]
    fn a_slice_is_over_once_its_stint_has_used_it() {
        let _registration = Registration::new().unwrap();
        let slice = time::whole(Duration::from_millis(20));
        let (control, other) = (Control::default(), Control::default());
        let taken = |control: &Control| {
            note_used();
            let over = control.slice_is_over();
            control.begin_slice();
            over
        };
        control.begin_suspendable(1);
        other.begin_suspendable(1);
        let stint = Budget::begin(Terms { slice, left: NEVER }, cpu_time::ticks(), &control);
        assert!(!is_due_here(0), "it is seen for the first time");
        std::thread::sleep(Duration::from_millis(25));
        assert!(!is_due_here(0), "sleep is no processor time");
        assert!(!taken(&control));
        spin(Duration::from_millis(40));
        assert!(is_due_here(0) && taken(&control));
        assert!(is_due_here(0) && taken(&control), "again and again, while it is not suspended");
        let inner = Budget::begin(Terms { slice, left: NEVER }, cpu_time::ticks(), &other);
        assert!(!is_due_here(0));
        assert!(!taken(&control) && !taken(&other), "another stint");
        drop(inner);
        assert!(is_due_here(0) && taken(&control) && !taken(&other));
        let limited = Budget::begin(Terms { slice: NEVER, left: slice }, cpu_time::ticks(), &other);
        assert!(!is_due_here(0) && limited.from().is_some());
        assert_eq!(other.due(), None);
        spin(Duration::from_millis(40));
        // The watchdog, if another test has started it, may have come first.
        assert!(is_due_here(0) && !taken(&other));
        assert_eq!(other.due(), Some(wfaas_abi::TrapCode::CpuLimitExceeded));
        drop(limited);
        drop(stint);
        let start = cpu_time::ticks();
        spin(Duration::from_millis(40));
        let late = Budget::begin(Terms { slice, left: NEVER }, start, &control);
        let sight = look(0, |_| {});
        assert!(sight.long, "a call that uses up its slices is no short one");
        assert!(taken(&control), "it is over when it is seen for the first time");
        drop(late);
        let start = cpu_time::ticks();
        std::thread::sleep(Duration::from_millis(40));
        let asleep = Budget::begin(Terms { slice, left: NEVER }, start, &control);
        assert!(!is_due_here(0), "the thread has not used it since the last look");
        drop(asleep);
        control.begin_slice();
        assert!(!is_due_here(0) && !taken(&control));
    }
}
