//! Guests that are interrupted at each of their instructions, by the processor's trap flag.
#![allow(dead_code)] // each test binary uses a part

use super::futures::poll;
use super::traps::{handle_traps, texts};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::pin::pin;
use std::task::Poll;
use wfaas_vm::CancelHandle;

/// The trap flag of `rflags`.
const TF: i64 = 1 << 8;

/// Done at each instruction of guest code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Each {
    /// Nothing: they are counted.
    Count,
    /// The call is preempted.
    Preempt,
    /// The call is preempted at the first instruction of the host whenever it calls the host.
    PreemptHost,
    /// The call is preempted at the instruction with this number, the first being 1.
    PreemptAt(usize),
    /// The call is cancelled at the instruction with this number.
    CancelAt(usize),
}

thread_local! {
    /// Whether guest code may run on this thread.
    static POLLS: Cell<bool> = const { Cell::new(false) };
    /// Whether guest code has run in the poll under way.
    static BEGUN: Cell<bool> = const { Cell::new(false) };
    /// Whether nothing is left to do.
    static DONE: Cell<bool> = const { Cell::new(false) };
    /// Whether the instruction before was one of guest code.
    static IN_GUEST: Cell<bool> = const { Cell::new(false) };
    /// Place of this thread's own stack.
    static HOST: Cell<usize> = const { Cell::new(0) };
    static EACH: Cell<Each> = const { Cell::new(Each::Count) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// Place of guest code.
    static TEXTS: RefCell<Vec<Range<usize>>> = const { RefCell::new(Vec::new()) };
    static HANDLE: RefCell<Option<CancelHandle>> = const { RefCell::new(None) };
}

extern "C" fn on_trap(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the third argument is a ucontext_t, which only this handler uses.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    if !POLLS.get() {
        registers[libc::REG_EFL as usize] &= !TF;
        return;
    }
    if DONE.get() {
        registers[libc::REG_EFL as usize] &= !TF;
        return;
    }
    registers[libc::REG_EFL as usize] |= TF;
    let pc = registers[libc::REG_RIP as usize] as usize;
    let sp = registers[libc::REG_RSP as usize] as usize;
    if TEXTS.with_borrow(|texts| texts.iter().any(|text| text.contains(&pc))) {
        COUNT.set(COUNT.get() + 1);
        BEGUN.set(true);
        IN_GUEST.set(true);
        HANDLE.with_borrow(|handle| at_instruction(handle.as_ref().unwrap()));
    } else if BEGUN.get() && sp.abs_diff(HOST.get()) < 1 << 20 {
        // The guest was left or has returned. It goes on with its own flags.
        registers[libc::REG_EFL as usize] &= !TF;
    } else if IN_GUEST.replace(false) && EACH.get() == Each::PreemptHost {
        HANDLE.with_borrow(|handle| handle.as_ref().unwrap().end_slice());
    }
}

fn at_instruction(handle: &CancelHandle) {
    let now = COUNT.get();
    match EACH.get() {
        Each::Preempt => handle.end_slice(),
        Each::PreemptAt(at) if at == now => {
            DONE.set(true);
            handle.end_slice();
        }
        Each::CancelAt(at) if at == now => {
            DONE.set(true);
            handle.cancel();
            // SAFETY: sends this thread a signal that waits until this handler has returned.
            unsafe { libc::raise(libc::SIGRTMIN() + 9) };
        }
        _ => {}
    }
}

/// Outcome of a call that was stepped through.
#[derive(Debug)]
pub(crate) struct Stepped<T> {
    pub(crate) output: T,
    /// How many instructions of guest code were executed, interrupted ones counted again.
    pub(crate) instructions: usize,
    /// How often the future was pending.
    pub(crate) suspensions: usize,
}

/// Polls the future of a call until it is ready, and steps through its guest's code. Whenever it is
/// pending, `between` is done first.
pub(crate) fn step<F: Future>(
    each: Each,
    handle: CancelHandle,
    future: F,
    mut between: impl FnMut(),
) -> Stepped<F::Output> {
    handle_traps(on_trap);
    TEXTS.set(texts());
    HANDLE.set(Some(handle));
    EACH.set(each);
    COUNT.set(0);
    DONE.set(false);
    let mut future = pin!(future);
    let mut suspensions = 0;
    let mut first = true;
    loop {
        HOST.set((&raw const suspensions).addr());
        BEGUN.set(false);
        // A hostcall may go on first.
        IN_GUEST.set(suspensions > 0);
        POLLS.set(true);
        if std::mem::take(&mut first) {
            // SAFETY: the signal is handled.
            unsafe { libc::raise(libc::SIGTRAP) };
        }
        let polled = poll(future.as_mut());
        POLLS.set(false);
        match polled {
            Poll::Ready(output) => {
                return Stepped { output, instructions: COUNT.get(), suspensions };
            }
            Poll::Pending => suspensions += 1,
        }
        between();
    }
}
