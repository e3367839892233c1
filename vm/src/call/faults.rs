//! Signals: faults of guest and host code become traps, and a due call is ended.
//!
//! | signal | place of the pc | outcome |
//! |---|---|---|
//! | BUS, SEGV | anywhere, first write to a page or granule of a slot that learns | it is noted and writable |
//! | BUS | anywhere, page of a slot that provides pages on demand | the page is there |
//! | SEGV, BUS, FPE, ILL | guest code | trap, by the trap record of the instruction |
//! | SEGV, BUS | anywhere, address in the guard of the guest's stack | stack overflow |
//! | SEGV, BUS | host code called by a guest | trap; the store is poisoned |
//! | the watchdog's | guest code | trap, if a deadline passed or the call was cancelled |
//! | the watchdog's | guest code or host code | a mark, if the time slice of the call is over |
//! | the watchdog's | host code called by a guest | a mark, which the return to the guest reads |
//! | any other | | the handler that was installed before |
//!
//! A handler runs on a stack of its own, allocates nothing, takes no lock, and returns either to the
//! interrupted code or to `leave`, which returns from the innermost `enter`.

use crate::arch::SignalFrame;
use crate::call::backtrace::RawBacktrace;
use crate::call::current::{current, mark_due_calls};
use crate::call::stacks;
use crate::call::state::{Activation, Fault};
use crate::call::text;
use crate::call::threads::{self, Registration};
use crate::sys::{self, Disposition, SignalStack};
use std::cell::OnceCell;
use std::io;
use std::sync::OnceLock;
use wfaas_abi::TrapCode;
use wfaas_snapshot::{FaultSignal, handle_write_fault};

thread_local! {
    /// The stack for handlers on this thread.
    static SIGNAL_STACK: OnceCell<Prepared> = const { OnceCell::new() };
}

/// A thread's signal stack, and its entry in the watchdog's list. Without them the thread has no first stack either.
struct Prepared(#[expect(dead_code)] SignalStack, Registration);

impl Drop for Prepared {
    fn drop(&mut self) {
        stacks::forget_first();
    }
}

/// Makes sure that this thread can handle signals while a guest's stack is used up.
///
/// # Errors
/// [`io::Error`] if no stack can be allocated.
pub(crate) fn prepare_thread() -> io::Result<()> {
    let prepared = SIGNAL_STACK.try_with(|stack| {
        if stack.get().is_none() {
            let _ = stack.set(Prepared(SignalStack::install()?, Registration::new()?));
        }
        Ok(())
    });
    prepared.map_err(io::Error::other)?
}

const FAULT_SIGNALS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];

/// The handlers that were there before ours, in the order of [`FAULT_SIGNALS`].
static PREVIOUS: OnceLock<[Disposition; 4]> = OnceLock::new();

/// Installs the handlers, once for the process.
///
/// # Errors
/// What the kernel says.
pub(crate) fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let installed =
        INSTALLED.get_or_init(|| install_all().map_err(|error| error.raw_os_error().unwrap_or(0)));
    installed.map_err(io::Error::from_raw_os_error)
}

fn install_all() -> io::Result<()> {
    let [segv, bus, fpe, ill] = FAULT_SIGNALS.map(sys::disposition);
    let _ = PREVIOUS.set([segv?, bus?, fpe?, ill?]);
    for signal in FAULT_SIGNALS {
        // SAFETY: the handler is async-signal-safe, see the head of this file.
        unsafe { sys::handle(signal, on_fault, true)? };
    }
    // SAFETY: as above.
    unsafe { sys::handle(sys::due_signal(), on_watchdog, false) }
}

/// The page is mapped and does not allow the access: `SEGV_ACCERR` of `sigaction(2)`.
const SEGV_ACCERR: i32 = 2;

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the arguments are the kernel's.
    let mut frame = unsafe { SignalFrame::of(context) };
    // SAFETY: as above.
    let info = unsafe { &*info };
    // SAFETY: for these signals the kernel fills in the address.
    let address = unsafe { info.si_addr() } as usize;
    let ours = match signal {
        libc::SIGBUS if info.si_code == libc::BUS_ADRERR => {
            handle_write_fault(FaultSignal::Bus, address)
                || wfaas_snapshot::handle_missing_page(address)
        }
        libc::SIGSEGV if info.si_code == SEGV_ACCERR => {
            handle_write_fault(FaultSignal::Segv, address)
        }
        _ => false,
    };
    if ours {
        return;
    }
    if !handle_fault(signal, address, &mut frame) {
        restore_previous(signal);
    }
}

/// Whether the fault was a guest's, and is dealt with.
fn handle_fault(signal: i32, address: usize, frame: &mut SignalFrame<'_>) -> bool {
    // SAFETY: activations under way are alive, on the stack of their callers.
    let Some(activation) = (unsafe { current().as_ref() }) else { return false };
    let in_guest = text::contains(frame.pc());
    let memory_fault = signal == libc::SIGSEGV || signal == libc::SIGBUS;
    let on_guard = memory_fault && activation.stack().guards(address);
    let code = match (in_guest, on_guard) {
        (_, true) => Some(TrapCode::StackOverflow),
        (true, false) => None, // looked up later, by the pc
        (false, false) if memory_fault => Some(TrapCode::HostFault),
        (false, false) => return false,
    };
    if in_guest {
        end_call(activation, code, frame);
    } else {
        // Host code has no frame pointers to follow; its caller's stub left one. It may hold
        // locks and own memory: `HostFault` poisons the store, and so does an overflow there.
        end_host_call(activation, code, frame);
    }
    true
}

/// Leaves guest code that was interrupted at `frame`.
fn end_call(activation: &Activation, code: Option<TrapCode>, frame: &mut SignalFrame<'_>) {
    // SAFETY: the innermost entry was interrupted, in guest code.
    let backtrace = unsafe { RawBacktrace::interrupted(frame, activation) };
    finish(activation, code, backtrace, frame);
}

fn end_host_call(activation: &Activation, code: Option<TrapCode>, frame: &mut SignalFrame<'_>) {
    let mut backtrace = RawBacktrace::EMPTY;
    let call = activation.call;
    // SAFETY: a call under way keeps its state alive; this thread is the one that uses it.
    let exit_fp = unsafe { (*call).runtime.exit_fp } as usize;
    // SAFETY: host code was called by a stub, which wrote its frame pointer before.
    unsafe { backtrace.walk(exit_fp, activation) };
    // SAFETY: as above.
    unsafe { (*call).poisoned = true };
    finish(activation, code, backtrace, frame);
}

fn finish(
    activation: &Activation,
    code: Option<TrapCode>,
    backtrace: RawBacktrace,
    frame: &mut SignalFrame<'_>,
) {
    let (call, stack) = (activation.call, activation.stack());
    let fault = Fault { code, pc: frame.pc(), stack };
    // SAFETY: as in `end_host_call`; nobody else looks at this field while a guest runs.
    unsafe { (*call).fault = fault };
    backtrace.note();
    frame.leave_by(activation.way_back());
}

/// Gives a signal that is not ours back to the handler before; it is raised again on return.
fn restore_previous(signal: i32) {
    let index = FAULT_SIGNALS.iter().position(|other| *other == signal);
    if let (Some(index), Some(previous)) = (index, PREVIOUS.get()) {
        sys::restore(signal, &previous[index]);
    }
}

extern "C" fn on_watchdog(_signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the argument is the kernel's.
    let mut frame = unsafe { SignalFrame::of(context) };
    sys::keeping_errno(|| interrupt_due_calls(&mut frame));
}

fn interrupt_due_calls(frame: &mut SignalFrame<'_>) {
    threads::note_slice_over();
    let due = mark_due_calls();
    // SAFETY: entries under way are alive.
    let Some(innermost) = (unsafe { current().as_ref() }) else { return };
    // A guest at the very end of its stack has no room even for the frames it is about to push,
    // but leaving needs none.
    if due.is_some() && text::contains(frame.pc()) && innermost.stack().contains(frame.sp()) {
        end_call(innermost, due, frame);
    }
}
