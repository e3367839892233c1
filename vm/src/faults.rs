//! Signals: faults of guest and host code become traps, and a due call is ended.
//!
//! | signal | where the pc is | what happens |
//! |---|---|---|
//! | BUS, SEGV | anywhere, first write to a page or granule of a slot that learns | it is noted and writable |
//! | BUS | anywhere, page of a slot that provides pages on demand | the page is there |
//! | SEGV, BUS, FPE, ILL | guest code | trap, by the trap record of the instruction |
//! | SEGV, BUS | anywhere, address in the guard of the guest's stack | stack overflow |
//! | SEGV, BUS | host code called by a guest | trap; the store is poisoned |
//! | the watchdog's | guest code | trap, if a deadline passed or the call was cancelled |
//! | the watchdog's | host code called by a guest | a mark, which the return to the guest reads |
//! | any other | | what was installed before |
//!
//! A handler runs on a stack of its own, allocates nothing, takes no lock, and either returns to
//! where it came from or to [`leave`], which returns from the innermost `enter`.

use crate::backtrace::RawBacktrace;
use crate::code;
use crate::control::signal_number;
use crate::entry::{Activation, FAULTED, leave};
use crate::stack;
use crate::store::Fault;
use std::cell::{Cell, OnceCell};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use wfaas_abi::TrapCode;
use wfaas_snapshot::{FaultSignal, handle_write_fault};

thread_local! {
    /// The innermost call of guest code on this thread. Const and without drop, so that reading it
    /// in a handler does nothing but read.
    static CURRENT: Cell<*const Activation> = const { Cell::new(ptr::null()) };
    /// The stack for handlers on this thread.
    static ALT_STACK: OnceCell<AltStack> = const { OnceCell::new() };
}

/// The innermost call on this thread.
#[inline]
pub(crate) fn current() -> *const Activation {
    CURRENT.get()
}

/// Sets the innermost call on this thread; prepares the thread for signals first.
#[inline]
pub(crate) fn set_current(activation: *const Activation) {
    CURRENT.set(activation);
}

/// Makes sure that this thread can handle signals while a guest's stack is used up.
///
/// # Errors
/// [`io::Error`] if no stack can be allocated.
pub(crate) fn prepare_thread() -> io::Result<()> {
    let prepared = ALT_STACK.try_with(|stack| {
        if stack.get().is_none() {
            let _ = stack.set(AltStack::install()?);
        }
        Ok(())
    });
    prepared.map_err(io::Error::other)?
}

const ALT_STACK_BYTES: usize = 64 << 10;

struct AltStack(Vec<u8>);

impl AltStack {
    fn install() -> io::Result<AltStack> {
        let mut memory = Vec::with_capacity(ALT_STACK_BYTES);
        let stack = libc::stack_t {
            ss_sp: memory.as_mut_ptr() as *mut libc::c_void,
            ss_flags: 0,
            ss_size: ALT_STACK_BYTES,
        };
        // SAFETY: the memory lives until `drop` has taken it out of use again.
        if unsafe { libc::sigaltstack(&stack, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(AltStack(memory))
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        stack::forget_first();
        debug_assert!(self.0.capacity() >= ALT_STACK_BYTES);
        let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: the thread ends, without a stack for handlers: the one from before ours may be
        // gone already (the standard library frees its own before thread-locals are dropped).
        unsafe { libc::sigaltstack(&none, ptr::null_mut()) };
    }
}

const FAULT_SIGNALS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];

/// The handlers that were there before ours, in the order of [`FAULT_SIGNALS`].
static PREVIOUS: OnceLock<[libc::sigaction; 4]> = OnceLock::new();

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
    let mut previous = [MaybeUninit::<libc::sigaction>::uninit(); 4];
    for (signal, slot) in FAULT_SIGNALS.iter().zip(&mut previous) {
        // SAFETY: asks for the present handler without changing it.
        if unsafe { libc::sigaction(*signal, ptr::null(), slot.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: each call succeeded, so each was written.
    let _ = PREVIOUS.set(previous.map(|slot| unsafe { slot.assume_init() }));
    for signal in FAULT_SIGNALS {
        set_handler(signal, on_fault, libc::SA_NODEFER)?;
    }
    set_handler(signal_number(), on_watchdog, 0)
}

/// The page is mapped and does not allow the access: `SEGV_ACCERR` of `sigaction(2)`.
const SEGV_ACCERR: i32 = 2;

type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

fn set_handler(signal: i32, handler: Handler, flags: i32) -> io::Result<()> {
    // SAFETY: all zeros is a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | flags;
    // SAFETY: the handler is async-signal-safe, see the head of this file.
    if unsafe { libc::sigaction(signal, &action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The interrupted code's registers.
struct Registers<'a>(&'a mut [i64; 23]);

impl Registers<'_> {
    fn pc(&self) -> usize {
        self.0[libc::REG_RIP as usize] as usize
    }

    fn fp(&self) -> usize {
        self.0[libc::REG_RBP as usize] as usize
    }

    fn sp(&self) -> usize {
        self.0[libc::REG_RSP as usize] as usize
    }

    /// Makes the handler return into `leave(activation, FAULTED)`.
    fn redirect(&mut self, activation: &Activation) {
        self.0[libc::REG_RIP as usize] = leave as *const () as i64;
        self.0[libc::REG_RDI as usize] = ptr::from_ref(activation) as i64;
        self.0[libc::REG_RSI as usize] = FAULTED as i64;
    }
}

/// # Safety
/// `context` must be what the kernel gave to a handler, which is still running.
unsafe fn registers<'a>(context: *mut libc::c_void) -> Registers<'a> {
    let context = context as *mut libc::ucontext_t;
    // SAFETY: the kernel passes a ucontext_t; it lies on the handler's stack.
    Registers(unsafe { &mut (*context).uc_mcontext.gregs })
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the arguments are the kernel's.
    let mut registers = unsafe { registers(context) };
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
    if !handle_fault(signal, address, &mut registers) {
        restore_previous(signal);
    }
}

/// Whether the fault was a guest's, and is dealt with.
fn handle_fault(signal: i32, address: usize, registers: &mut Registers<'_>) -> bool {
    // SAFETY: activations under way are alive, on the stack of their callers.
    let Some(activation) = (unsafe { CURRENT.get().as_ref() }) else { return false };
    let in_guest = code::contains(registers.pc());
    let memory_fault = signal == libc::SIGSEGV || signal == libc::SIGBUS;
    // SAFETY: a call under way keeps its store alive; this thread is the one that uses it.
    let stack = unsafe { &(*activation.store).stack };
    let on_guard = memory_fault && stack.guards(address);
    let code = match (in_guest, on_guard) {
        (_, true) => Some(TrapCode::StackOverflow),
        (true, false) => None, // looked up later, by the pc
        (false, false) if memory_fault => Some(TrapCode::HostFault),
        (false, false) => return false,
    };
    if in_guest {
        end_call(activation, code, registers);
    } else {
        // Host code has no frame pointers to follow; its caller's stub left one. It may hold
        // locks and own memory: `HostFault` poisons the store, and so does an overflow there.
        end_host_call(activation, code, registers);
    }
    true
}

/// Leaves guest code that was interrupted at `registers`.
fn end_call(activation: &Activation, code: Option<TrapCode>, registers: &mut Registers<'_>) {
    let mut backtrace = RawBacktrace::at(registers.pc());
    // SAFETY: `pc` is in compiled code, which keeps frame pointers. At the very start or end of a
    // function `fp` is still the caller's, which costs one frame of the backtrace.
    unsafe { backtrace.walk(registers.fp(), activation) };
    finish(activation, code, backtrace, registers);
}

fn end_host_call(activation: &Activation, code: Option<TrapCode>, registers: &mut Registers<'_>) {
    let mut backtrace = RawBacktrace::EMPTY;
    // SAFETY: as in `handle_fault`.
    let exit_fp = unsafe { (*activation.store).runtime.exit_fp } as usize;
    // SAFETY: host code was called by a stub, which wrote its frame pointer before.
    unsafe { backtrace.walk(exit_fp, activation) };
    // SAFETY: as in `handle_fault`.
    unsafe { (*activation.store).poisoned = true };
    finish(activation, code, backtrace, registers);
}

fn finish(
    activation: &Activation,
    code: Option<TrapCode>,
    backtrace: RawBacktrace,
    registers: &mut Registers<'_>,
) {
    let fault = Fault { code, pc: registers.pc() };
    // SAFETY: as in `handle_fault`; nobody else looks at these fields while a guest runs.
    unsafe { (*activation.store).fault = fault };
    backtrace.note();
    registers.redirect(activation);
}

/// Gives a signal that is not ours back to who had it before; it is raised again on return.
fn restore_previous(signal: i32) {
    let index = FAULT_SIGNALS.iter().position(|other| *other == signal);
    if let (Some(index), Some(previous)) = (index, PREVIOUS.get()) {
        // SAFETY: restores a handler that the process had installed.
        unsafe { libc::sigaction(signal, &previous[index], ptr::null_mut()) };
    }
}

extern "C" fn on_watchdog(_signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: `errno` is this thread's own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    // SAFETY: the argument is the kernel's.
    let mut registers = unsafe { registers(context) };
    interrupt_due_calls(&mut registers);
    // SAFETY: as above; what was interrupted may be about to read it.
    unsafe { *errno = saved };
}

fn interrupt_due_calls(registers: &mut Registers<'_>) {
    let due = mark_due_calls();
    // SAFETY: activations under way are alive, on the stack of their callers.
    let Some(innermost) = (unsafe { CURRENT.get().as_ref() }) else { return };
    // A guest at the very end of its stack has no room even for the frames it is about to push,
    // but leaving needs none.
    if due.is_some() && code::contains(registers.pc()) && on_guest_stack(innermost, registers.sp())
    {
        end_call(innermost, due, registers);
    }
}

/// Leaves the mark for each call under way on this thread that has to end; the trap for the
/// innermost, if there is any such. Async-signal-safe.
pub(crate) fn mark_due_calls() -> Option<TrapCode> {
    let mut due = None;
    // SAFETY: activations under way are alive, on the stack of their callers.
    let mut next = unsafe { CURRENT.get().as_ref() };
    while let Some(activation) = next {
        // SAFETY: a call under way keeps its store alive.
        let control = unsafe { &(*activation.store).control };
        if let Some(code) = control.due() {
            control.interrupt(code);
            due = due.or(Some(code));
        }
        // SAFETY: as for the innermost.
        next = unsafe { activation.previous.as_ref() };
    }
    due
}

fn on_guest_stack(activation: &Activation, sp: usize) -> bool {
    // SAFETY: a call under way keeps its store alive.
    let stack = unsafe { &(*activation.store).stack };
    stack.contains(sp)
}
