//! Backtraces of guests that are interrupted at each of their instructions in turn.
//!
//! The processor's trap flag stops a guest behind every instruction. One of the stops cancels the
//! call and sends the watchdog's signal, which arrives there and nowhere else.

mod common;
use common::traps::{handle_traps, texts};
use common::{engine, module};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use wfaas_vm::{
    Caller, CancelHandle, Config, Engine, Error, Linker, Store, Trap, TrapCode, TypedFunc,
};

/// The trap flag of `rflags`.
const TF: i64 = 1 << 8;

thread_local! {
    /// Instructions of guest code until the call is cancelled.
    static REMAINING: Cell<usize> = const { Cell::new(0) };
    /// Where guest code is.
    static TEXTS: RefCell<Vec<Range<usize>>> = const { RefCell::new(Vec::new()) };
    static CANCEL: RefCell<Option<CancelHandle>> = const { RefCell::new(None) };
}

extern "C" fn on_trap(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the third argument is a ucontext_t, which only this handler uses.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    let pc = registers[libc::REG_RIP as usize] as usize;
    if REMAINING.get() == 0 {
        registers[libc::REG_EFL as usize] &= !TF;
        return; // the call is over
    }
    registers[libc::REG_EFL as usize] |= TF;
    if !TEXTS.with_borrow(|texts| texts.iter().any(|text| text.contains(&pc))) {
        return; // still in the host function that asked for the first stop
    }
    REMAINING.set(REMAINING.get() - 1);
    if REMAINING.get() == 0 {
        registers[libc::REG_EFL as usize] &= !TF;
        CANCEL.with_borrow(|cancel| cancel.as_ref().unwrap().cancel());
        // SAFETY: sends this thread a signal that waits until this handler has returned.
        unsafe { libc::raise(libc::SIGRTMIN() + 9) };
    }
}

/// A guest that calls `host.step` before what is to be looked at.
fn guest(wat: &str) -> (Store<()>, TypedFunc<(), i64>) {
    handle_traps(on_trap);
    let engine = engine();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "step", |_: Caller<'_, ()>| {
        if REMAINING.get() > 0 {
            // SAFETY: the signal is handled.
            unsafe { libc::raise(libc::SIGTRAP) };
        }
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let run = instance.get_typed_func(&mut store, "run").unwrap();
    (store, run)
}

/// The backtraces of the function at each instruction from its call of `host.step` on, as names,
/// innermost first.
fn backtraces(store: &mut Store<()>, run: &TypedFunc<(), i64>) -> Vec<Vec<String>> {
    TEXTS.set(texts());
    CANCEL.set(Some(store.cancel_handle()));
    let mut all = Vec::new();
    loop {
        REMAINING.set(all.len() + 1);
        let result = run.call(&mut *store, ());
        REMAINING.set(0);
        match result {
            Ok(_) if all.len() > 100 => break,
            Ok(_) => panic!("the guest is not stopped"),
            Err(Error::Trap(trap)) => all.push(names(&trap)),
            Err(other) => panic!("{other} at instruction {}", all.len()),
        }
    }
    all
}

fn names(trap: &Trap) -> Vec<String> {
    assert_eq!(trap.code, TrapCode::Cancelled);
    trap.frames().into_iter().map(|frame| frame.func_name.unwrap_or_default()).collect()
}

/// `count` times `text`.
fn times(count: usize, text: &str) -> String {
    [text].repeat(count).join(" ")
}

/// `$grow` makes room for a tail call with `count` more arguments than it has itself, where
/// `$spray` has left numbers that are no addresses; `$shrink` has them and needs none.
fn growing(count: usize) -> String {
    let params = times(count, "i64");
    let numbers = times(count, "(i64.const 0x5555555555555550)");
    format!(
        r#"(module (import "host" "step" (func $step))
        (table funcref (elem $grow $take $shrink $grow_by_reference $end))
        (type $many (func (param {params}) (result i64)))
        (type $none (func (result i64)))
        (func $take (type $many) local.get {last})
        (func $end (type $none) i64.const 7)
        (func $spray (result i64) {numbers} i32.const 1 call_indirect (type $many))
        (func $grow (type $none) {numbers} i32.const 2 return_call_indirect (type $many))
        (func $shrink (type $many) i32.const 3 return_call_indirect (type $none))
        (func $grow_by_reference (type $none)
            {numbers} i32.const 1 return_call_indirect (type $many))
        (func $outer (result i64)
            (i64.add (call $spray) (i32.const 0) (call_indirect (type $none))))
        (func (export "run") (result i64) call $step (i64.add (i64.const 1) (call $outer))))"#,
        last = count - 1,
    )
}

#[test]
fn backtraces_are_right_at_every_instruction_of_functions_that_move_their_frame() {
    for count in [9, 24] {
        let (mut store, run) = guest(&growing(count));
        let all = backtraces(&mut store, &run);
        let mut met = BTreeMap::<&str, usize>::new();
        for (at, names) in all.iter().enumerate() {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            if names.is_empty() {
                continue; // the trampoline, after `run`
            }
            let right: &[&str] = match names[0] {
                "run" => &[],
                "outer" => &["run"],
                "spray" => &["outer", "run"],
                "take" if names.get(1) == Some(&"spray") => &["spray", "outer", "run"],
                _ => &["outer", "run"],
            };
            assert_eq!(names[1..], *right, "{count} arguments, instruction {at}: {names:?}");
            *met.entry(names[0]).or_default() += 1;
        }
        for name in ["outer", "spray", "take", "grow", "shrink", "grow_by_reference"] {
            assert!(met.get(name).is_some_and(|count| *count > 4), "{name}: {met:?}");
        }
    }
}

/// The stack ends while a frame is being moved: the walk must not touch the guard.
#[test]
fn a_stack_that_ends_where_a_frame_is_moved_is_an_overflow_like_any_other() {
    let params = times(1000, "i64");
    let wat = format!(
        r#"(module (type $many (func (param {params}) (result i64))) (table funcref (elem $take))
        (func $take (type $many) local.get 999)
        (func $deep (export "deep") (param i32) (result i64)
            (if (local.get 0) (then
                (return (i64.add (i64.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))))
            {} i32.const 0 return_call_indirect (type $many)))"#,
        times(1000, "(i64.const 1)")
    );
    for stack_bytes in (64 << 10..72 << 10).step_by(1 << 10) {
        let engine = Engine::new(Config { stack_bytes, ..Config::default() }).unwrap();
        let mut store = Store::new(&engine, ());
        let module = module(&engine, &wat);
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        let deep = instance.get_typed_func::<i32, i64>(&mut store, "deep").unwrap();
        let Err(Error::Trap(trap)) = deep.call(&mut store, 1 << 20) else { panic!("no trap") };
        assert_eq!(trap.code, TrapCode::StackOverflow);
        assert!(trap.frames().len() > 8, "{trap}");
        assert_eq!(deep.call(&mut store, 3).unwrap(), 4, "the store goes on");
    }
}
