//! Preemption: suspending a call at the end of its time slice, wherever it is.
//!
//! | place of the pc | outcome |
//! |---|---|
//! | guest code | the handler saves the registers, and the call is suspended |
//! | host code called by a guest | a mark; before the host returns it replaces the return address of the guest's stub by a landing, which is an interruption of guest code again |
//! | the same, in an entry that cannot be suspended | the mark stays until that has ended |
//!
//! A handler can allocate nothing, so each thread has an area for registers at hand. A call that was
//! preempted takes it along, like its stack, and the thread gets another.

use crate::arch::{PREEMPTED, PreemptLanding, SaveArea, SignalFrame};
use crate::call::control::Control;
use crate::call::current::current;
use crate::call::state::{Activation, CallState, Diverted, Phase, Suspension};
use crate::sys;
use std::cell::Cell;
use std::ptr;

thread_local! {
    /// The area for the next call that is preempted on this thread; null if there is none. Const and
    /// without drop, so that handlers may read it.
    static AREA: Cell<*mut SaveArea> = const { Cell::new(ptr::null_mut()) };
}

/// Ends the time slice of the call under way, and has its thread look. Async-signal-safe.
pub(crate) fn end_slice(control: &Control) {
    control.end_slice();
    sys::signal_due(control.thread());
}

/// Gives this thread an area, if it has none.
pub(super) fn prepare_thread() {
    if AREA.get().is_null() {
        AREA.set(SaveArea::new().map_or(ptr::null_mut(), Box::into_raw));
    }
}

/// Takes the area away from a thread that ends.
pub(super) fn forget_thread() {
    drop(take_area());
}

/// The registers of the call that was just preempted on this thread.
pub(super) fn take_saved() -> Option<Box<SaveArea>> {
    let saved = take_area();
    prepare_thread();
    saved
}

fn take_area() -> Option<Box<SaveArea>> {
    let area = AREA.replace(ptr::null_mut());
    // SAFETY: it came from `Box::into_raw`, and nobody else has the address any more.
    (!area.is_null()).then(|| unsafe { Box::from_raw(area) })
}

/// Suspends a guest that was interrupted at `frame`, if its slice is over and it can be suspended here.
/// Async-signal-safe.
///
/// # Safety
/// `entry` must be the innermost on this thread, and its guest code be what was interrupted.
pub(super) unsafe fn at_interruption(entry: &Activation, frame: &mut SignalFrame<'_>) {
    // SAFETY: a call under way keeps its state alive.
    let over = unsafe { &(*entry.call).control }.slice_is_over();
    let Some(suspension) = preemptible(entry).filter(|_| over) else { return };
    // It lands in a few instructions, if the return address was replaced.
    if suspension.diverted.target == 0 {
        let pc = frame.pc();
        save(entry, frame, |frame, area| frame.save(area, pc, pc, true));
    }
}

/// Suspends a guest that came to a landing; whether it did. Async-signal-safe.
pub(super) fn at_landing(entry: &Activation, frame: &mut SignalFrame<'_>) -> bool {
    let Some(Suspension { diverted: Diverted { landing, target }, .. }) = entry.suspension() else {
        return false;
    };
    if *target == 0 || frame.pc() != landing.address() {
        return false;
    }
    let (resume_at, pc) = (landing.resume_at(*target), *target);
    frame.go_on_at(resume_at);
    save(entry, frame, |frame, area| frame.save(area, resume_at, pc, false));
    true
}

fn save(
    entry: &Activation,
    frame: &mut SignalFrame<'_>,
    save: impl FnOnce(&SignalFrame<'_>, &mut SaveArea),
) {
    // SAFETY: the area is this thread's, and used by nobody else while guest code runs.
    if let Some(area) = unsafe { AREA.get().as_mut() } {
        save(frame, area);
        frame.leave_by(entry.way_back(), PREEMPTED);
    }
}

/// The entry's suspension, if its guest may be suspended on this thread now.
fn preemptible(entry: &Activation) -> Option<&Suspension> {
    let suspension = entry.suspension()?;
    let runs = suspension.phase == Phase::Running && !suspension.context.is_null();
    (runs && !AREA.get().is_null()).then_some(suspension)
}

/// Has the guest suspended that called the host, when the host returns to it, if it can be: at
/// `landing`, unless it has another already. Whether it has that landing.
///
/// # Safety
/// Must be called by host code that a stub of the innermost guest called, which then returns, with a
/// mark and no trap.
#[cold]
pub(crate) unsafe fn on_return(state: &CallState, landing: PreemptLanding) -> bool {
    let frame = state.exit_fp() as *mut usize;
    let slot = frame.wrapping_add(1);
    // SAFETY: the stub wrote its frame pointer; the return address is the second word of its frame.
    let target = unsafe { slot.read() };
    let diverted = divert(landing, target);
    if diverted {
        // SAFETY: as above.
        unsafe { slot.write(landing.address()) };
    }
    diverted
}

/// The place to go on at instead of `target` in guest code, if the guest has to be suspended first.
pub(crate) fn on_jump(state: &CallState, target: usize) -> usize {
    let landing = PreemptLanding::behind();
    let diverted = state.is_marked() && divert(landing, target);
    if diverted { landing.address() } else { target }
}

fn divert(landing: PreemptLanding, target: usize) -> bool {
    // SAFETY: entries under way are alive.
    let Some(entry) = (unsafe { current().as_ref() }) else { return false };
    let free = preemptible(entry).is_some_and(|suspension| suspension.diverted.target == 0);
    if free {
        // SAFETY: while its guest runs, nobody changes a suspension through anything but raw pointers.
        unsafe { (*entry.suspension).diverted = Diverted { landing, target } };
    }
    free
}

/// Completes the frame of a hostcall that is called again: it returns to guest code.
///
/// # Safety
/// Must be called by [`go_on`](crate::arch::ContinuedHostcall::go_on) with its frame.
pub(crate) unsafe fn called_again(frame: *mut [usize; 2]) -> *mut CallState {
    // SAFETY: a guest runs, so there is an entry.
    let entry = unsafe { &*current() };
    // SAFETY: as in `divert`.
    let diverted = unsafe { &mut (*entry.suspension).diverted };
    let target = std::mem::replace(diverted, Diverted::NONE).target;
    // SAFETY: the caller's contract.
    unsafe { (*frame)[1] = target };
    // SAFETY: a call under way keeps its state alive.
    unsafe { (*entry.call).runtime.exit_fp = frame as u64 };
    entry.call
}
