//! System calls about threads: their ids, the clock of their processor time, how promptly they run, and barriers.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;

thread_local! {
    /// This thread's id in the kernel, or zero if nobody has asked yet.
    static THREAD_ID: Cell<i32> = const { Cell::new(0) };
}

/// This thread's id in the kernel.
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

/// Clock of the processor time of a thread, which other threads may read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    /// The present thread's.
    ///
    /// # Errors
    /// What the C library says.
    pub(crate) fn of_this_thread() -> io::Result<ThreadClock> {
        let mut clock = MaybeUninit::uninit();
        // SAFETY: always a valid argument.
        let this = unsafe { libc::pthread_self() };
        // SAFETY: the thread exists, since it runs this.
        match unsafe { libc::pthread_getcpuclockid(this, clock.as_mut_ptr()) } {
            // SAFETY: the call succeeded, so it was written.
            0 => Ok(ThreadClock(unsafe { clock.assume_init() })),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// The clock as a number.
    pub(crate) fn as_raw(self) -> i32 {
        self.0
    }

    /// The clock of such a number.
    pub(crate) fn from_raw(raw: i32) -> ThreadClock {
        ThreadClock(raw)
    }

    /// Nanoseconds of processor time that the thread has used; `None` if it is gone.
    pub(crate) fn nanos(self) -> Option<u64> {
        let mut time = MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: the kernel checks the clock, and writes to the place if it returns zero.
        if unsafe { libc::clock_gettime(self.0, time.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call succeeded, so it was written.
        let time = unsafe { time.assume_init() };
        Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }
}

/// Nanoseconds of processor time that the present thread has used.
pub(crate) fn thread_nanos() -> u64 {
    ThreadClock(libc::CLOCK_THREAD_CPUTIME_ID).nanos().unwrap_or(0)
}

/// Lets the present thread have the processor as soon as it wakes up, even if all are busy, as far as
/// the process is permitted to: real-time priority, or else the highest of usual priorities, and short
/// slices. Threads that it starts inherit no real-time priority.
///
/// Lateness of a sleep of 1 ms beside two busy threads a processor, p99 and worst of 2700: 3.0 and 11 ms
/// for a thread like any other, 0.12 and 4.3 ms with short slices, 0.34 and 7.2 ms with the highest of
/// usual priorities, 0.07 and 0.7 ms with real-time priority (Linux 6.18).
pub(crate) fn be_prompt() {
    let lowest = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: changes the present thread only; the kernel reads the parameters.
    let real_time = unsafe { libc::sched_setscheduler(0, policy, &lowest) } == 0;
    if !real_time {
        let this = thread_id().cast_unsigned();
        // SAFETY: changes the present thread only.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, this, -20) };
        ask_for_short_slices(this);
    }
}

/// Asks for the processor often and for a short time, which everybody may (since Linux 6.12; others ignore
/// it): the scheduler then has the thread wait less.
fn ask_for_short_slices(thread: u32) {
    const SHORTEST: u64 = 100_000; // nanoseconds
    // SAFETY: asks for the present priority.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, thread) };
    // SAFETY: all zeros are valid numbers: the usual policy, no flags.
    let mut wanted: libc::sched_attr = unsafe { std::mem::zeroed() };
    wanted.size = size_of::<libc::sched_attr>() as u32;
    (wanted.sched_nice, wanted.sched_runtime) = (nice, SHORTEST);
    // SAFETY: changes the present thread only; the kernel reads the parameters, as many as `size` says.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) };
}

/// Commands of `membarrier(2)`, from `linux/membarrier.h`.
const MEMBARRIER_PRIVATE_EXPEDITED: i32 = 1 << 3;
const MEMBARRIER_REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;

/// Prepares the process for [`barrier_everywhere`], and makes one; whether the kernel has them.
pub(crate) fn prepare_barriers() -> bool {
    let register = MEMBARRIER_REGISTER_PRIVATE_EXPEDITED;
    // SAFETY: needs nothing; an old kernel returns an error.
    unsafe { libc::syscall(libc::SYS_membarrier, register, 0, 0) };
    barrier_everywhere()
}

/// A full memory barrier on every thread of the process that runs; whether the kernel has it, and is
/// prepared.
pub(crate) fn barrier_everywhere() -> bool {
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_PRIVATE_EXPEDITED, 0, 0) == 0 }
}

// The interpreter has no clocks of threads.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn a_threads_clock_counts_its_work_but_not_its_sleep() {
        let clock = ThreadClock::of_this_thread().unwrap();
        let before = clock.nanos().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(30));
        let slept = clock.nanos().unwrap() - before;
        assert!(slept < 20_000_000, "{slept} ns");
        while clock.nanos().unwrap() - before < 30_000_000 {
            std::hint::spin_loop();
        }
        let other = std::thread::spawn(thread_nanos).join().unwrap();
        assert!(other < thread_nanos(), "each thread has its own");
    }

    #[test]
    fn barriers_are_there_once_they_are_prepared() {
        assert!(prepare_barriers(), "Linux has them since 4.14");
        assert!(barrier_everywhere());
    }
}
