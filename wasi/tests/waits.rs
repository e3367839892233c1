//! Guests that wait where they can be suspended: no thread waits with them.

mod common;

use common::executor::{alarm, block_on, poll_with, run_all};
use common::{Program, engine, is_late, program};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use wfaas_vm::{BoxError, Config, Engine, Module};
use wfaas_wasi::{ByteSink, Output, add_to_linker, add_to_linker_async};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A subscription at `at` to a clock: a duration, or a time if `absolute`, in nanoseconds.
fn clock(at: u32, id: u32, nanoseconds: u64, absolute: bool) -> String {
    let mut record = [0; 48];
    record[..4].copy_from_slice(&at.to_le_bytes());
    record[16..20].copy_from_slice(&id.to_le_bytes());
    record[24..32].copy_from_slice(&nanoseconds.to_le_bytes());
    record[40] = u8::from(absolute);
    let bytes: String = record.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(r#"(data (i32.const {at}) "{bytes}")"#)
}

/// Waits `rounds` times for `count` subscriptions from 4096 on, and answers the number of events.
fn sleeper(subscriptions: &str, count: u32, rounds: u32) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 4)
          (data (i32.const 0) "\10\00\00\00\04\00\00\00")
          {subscriptions}
          (func (export "_start") (local $left i32)
            (local.set $left (i32.const {rounds}))
            (loop $again
              (if (call $poll (i32.const 4096) (i32.const 131072) (i32.const {count}) (i32.const 16))
                (then unreachable))
              (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

fn sleep(time: Duration) -> String {
    sleeper(&clock(4096, 1, time.as_nanos() as u64, false), 1, 1)
}

fn module(engine: &Engine, wat: &str) -> Module {
    let compiled = wfaas_compiler::compile(wat.as_bytes(), &Default::default()).unwrap();
    Module::from_bytes(engine, &compiled.artifact).unwrap()
}

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn thousands_of_sleepers_hold_no_thread() {
    const SLEEPERS: usize = 3000;
    let time = 1500 * MILLISECOND;
    let engine = Engine::new(Config { max_suspended: SLEEPERS, ..Config::default() }).unwrap();
    let (text, before) = (sleep(time), threads());
    let module = module(&engine, &text);
    let ready = |_| program(&text).ready_of(&engine, &module, add_to_linker_async).unwrap();
    let mut guests: Vec<_> = (0..SLEEPERS).map(ready).collect();
    guests.iter_mut().for_each(|guest| guest.store.set_deadline(None));
    let began = Instant::now();
    let calls = guests.iter_mut().map(|guest| {
        let mut call = Box::pin(guest.start.call_async(&mut guest.store, ()));
        async move {
            let mut most = 0;
            let result = std::future::poll_fn(|context| {
                most = most.max(threads());
                call.as_mut().poll(context)
            });
            let result = result.await;
            (result, Instant::now(), most)
        }
    });
    let (results, polls) = run_all(calls.collect());
    for (result, ended, threads) in results {
        result.unwrap();
        assert!(ended - began >= time, "{:?}", ended - began);
        // Threads of other tests may come, not thousands.
        assert!(threads < before + 100, "{threads} threads, {before} before");
    }
    assert_eq!(polls, 2 * SLEEPERS, "each sleeps and is woken once");
}

#[test]
fn a_sleep_suspends_and_wakes_once() {
    let mut guest =
        program(&sleep(500 * MILLISECOND)).ready(&engine(), add_to_linker_async).unwrap();
    let (alarm, rings) = alarm();
    let began = Instant::now();
    let mut call = pin!(guest.start.call_async(&mut guest.store, ()));
    assert!(poll_with(call.as_mut(), &alarm).is_pending());
    assert!(began.elapsed() < 400 * MILLISECOND, "it does not hold the thread");
    rings.recv_timeout(Duration::from_secs(20)).expect("it is woken");
    assert!(began.elapsed() >= 500 * MILLISECOND, "{:?}", began.elapsed());
    assert!(matches!(poll_with(call.as_mut(), &alarm), Poll::Ready(Ok(()))));
    assert_eq!(alarm.rings.load(SeqCst), 1);
}

#[test]
fn the_first_clock_ends_a_wait_and_only_those_that_are_due_are_told() {
    let nanoseconds = |millis: u64| millis * 1_000_000;
    let clocks = clock(4096, 1, nanoseconds(3_600_000), false)
        + &clock(4144, 1, nanoseconds(60), false)
        + &clock(4192, 0, nanoseconds(20), false);
    let began = Instant::now();
    let told = program(&sleeper(&clocks, 3, 1)).run_async().unwrap();
    assert_eq!(told, [1, 0, 0, 0]);
    assert!(began.elapsed() >= 20 * MILLISECOND, "{:?}", began.elapsed());
}

#[test]
fn absolute_times_are_times_of_their_clock() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let soon = (now + 80 * MILLISECOND).as_nanos() as u64;
    let began = Instant::now();
    let told = program(&sleeper(&clock(4096, 0, soon, true), 1, 1)).run_async().unwrap();
    assert_eq!(told, [1, 0, 0, 0]);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(now.as_nanos() as u64 >= soon);
    // Times that have passed, of both clocks, are no wait.
    for id in [0, 1] {
        let mut past = program(&sleeper(&clock(4096, id, 1, true), 1, 1));
        past.time = Duration::from_secs(60);
        let mut past = past.ready(&engine(), add_to_linker_async).unwrap();
        let mut call = pin!(past.start.call_async(&mut past.store, ()));
        assert!(matches!(poll_with(call.as_mut(), &alarm().0), Poll::Ready(Ok(()))));
    }
}

/// Ends of a guest that would sleep for an hour; how long they took.
fn ended(end: impl FnOnce(&mut common::Ready)) -> Duration {
    let hour = program(&sleep(3_600_000 * MILLISECOND));
    let mut guest = hour.ready(&engine(), add_to_linker_async).unwrap();
    end(&mut guest);
    let began = Instant::now();
    let error = block_on(guest.start.call_async(&mut guest.store, ())).unwrap_err();
    assert!(error.trap().is_some(), "{error}");
    began.elapsed()
}

#[test]
fn a_deadline_and_a_cancellation_end_a_sleep() {
    let late = ended(|guest| guest.store.set_deadline(Some(Instant::now() + 50 * MILLISECOND)));
    assert!(late < Duration::from_secs(20), "{late:?}");
    let cancelled = ended(|guest| {
        guest.store.set_deadline(None);
        let handle = guest.store.cancel_handle();
        std::thread::spawn(move || {
            std::thread::sleep(50 * MILLISECOND);
            handle.cancel();
        });
    });
    assert!(cancelled < Duration::from_secs(20), "{cancelled:?}");
}

#[test]
fn a_call_that_is_dropped_takes_its_timer_along() {
    let engine = engine();
    let text = sleep(3_600_000 * MILLISECOND);
    let module = module(&engine, &text);
    let (alarm, rings) = alarm();
    for _ in 0..100 {
        let mut guest = program(&text).ready_of(&engine, &module, add_to_linker_async).unwrap();
        guest.store.set_deadline(None);
        let mut call = Box::pin(guest.start.call_async(&mut guest.store, ()));
        assert!(poll_with(call.as_mut(), &alarm).is_pending());
        assert!(Arc::strong_count(&alarm) > 1);
    }
    assert_eq!(Arc::strong_count(&alarm), 1, "nobody keeps a waker");
    assert!(rings.try_recv().is_err());
}

/// Yields once, and answers `ok`.
const YIELD: &str = r#"(module
    (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\02\00\00\00") (data (i32.const 16) "ok")
    (func (export "_start")
      (if (call $yield) (then unreachable))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

#[test]
fn a_guest_that_yields_lets_others_go_first() {
    let mut guest = program(YIELD).ready(&engine(), add_to_linker_async).unwrap();
    let (alarm, rings) = alarm();
    let result = {
        let mut call = pin!(guest.start.call_async(&mut guest.store, ()));
        assert!(poll_with(call.as_mut(), &alarm).is_pending());
        assert!(rings.try_recv().is_ok(), "it is woken at once");
        let Poll::Ready(result) = poll_with(call.as_mut(), &alarm) else { panic!("it waits") };
        result
    };
    assert_eq!(guest.outcome(result).unwrap(), b"ok");
}

#[test]
fn where_a_guest_cannot_be_suspended_its_thread_waits() {
    for program in [program(YIELD), program(&sleep(30 * MILLISECOND))] {
        let mut guest = program.ready(&engine(), add_to_linker_async).unwrap();
        guest.start.call(&mut guest.store, ()).unwrap();
    }
    // Nor is one suspended whose functions are those that hold a thread.
    let sleep = program(&sleep(30 * MILLISECOND));
    let mut guest = sleep.ready(&engine(), add_to_linker).unwrap();
    let mut call = pin!(guest.start.call_async(&mut guest.store, ()));
    assert!(matches!(poll_with(call.as_mut(), &alarm().0), Poll::Ready(Ok(()))));
}

/// Longest time that one poll of a hostile guest may take on a busy machine: hours, if nothing ended
/// its waits or its work.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a program that never ends, until its deadline; how often it was polled.
fn hostile(wat: &str, time: Duration) -> usize {
    let mut hostile: Program = program(wat);
    hostile.time = time;
    let mut guest = hostile.ready(&engine(), add_to_linker_async).unwrap();
    let began = Instant::now();
    let (results, polls) = run_all(vec![guest.start.call_async(&mut guest.store, ())]);
    assert!(is_late(results[0].as_ref().unwrap_err()));
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    polls
}

/// Polls in a millisecond of a program that never ends, and is given the time for some even where
/// the machine is busy.
fn polls_a_millisecond(wat: &str) -> f64 {
    let mut tries =
        [300, 3000, 15_000].into_iter().map(|time| (hostile(wat, time * MILLISECOND), time));
    let (polls, time) = tries.find(|(polls, _)| *polls > 2).expect("it was polled again");
    polls as f64 / f64::from(time)
}

#[test]
fn a_thousand_clocks_in_a_loop_are_one_timer_at_a_time() {
    let clocks: String =
        (0..1024).map(|index| clock(4096 + 48 * index, 1, 50_000_000, false)).collect();
    let polls = polls_a_millisecond(&sleeper(&clocks, 1024, u32::MAX));
    assert!(polls < 0.026, "{polls} polls a millisecond");
}

#[test]
fn tiny_sleeps_are_rounded_up() {
    // Without a grain there would be some 30.
    let polls = polls_a_millisecond(&sleeper(&clock(4096, 1, 10_000, false), 1, u32::MAX));
    assert!(polls < 4.3, "{polls} polls a millisecond");
}

#[test]
fn endless_yields_end_at_the_deadline() {
    let endless = YIELD.replace(
        "(if (call $yield) (then unreachable))",
        "(loop (br_if 0 (i32.eqz (call $yield))))",
    );
    assert_ne!(endless, YIELD);
    assert!(polls_a_millisecond(&endless) > 0.0);
}

#[test]
fn long_copies_let_others_have_a_turn() {
    for (import, call) in [
        ("random_get\" (func $f (param i32 i32)", "(i32.const 0) (i32.const 8388608)"),
        (
            "fd_write\" (func $f (param i32 i32 i32 i32)",
            "(i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)",
        ),
    ] {
        let wat = format!(
            r#"(module
              (import "wasi_snapshot_preview1" "{import} (result i32)))
              (memory (export "memory") 130)
              (data (i32.const 0) "\10\00\00\00\00\00\80\00")
              (func (export "_start") (if (call $f {call}) (then unreachable))))"#
        );
        let program = program(&wat).with(|wasi| wasi.stdout(wfaas_wasi::Output::capture(8 << 20)));
        let mut guest = program.ready(&engine(), add_to_linker_async).unwrap();
        let (results, polls) = run_all(vec![guest.start.call_async(&mut guest.store, ())]);
        results[0].as_ref().unwrap();
        assert!(polls > 16, "{import}: 8 MiB in {polls} polls");
    }
}

/// A sink that never takes a byte, and says that it does.
struct Contradictory;

impl ByteSink for Contradictory {
    fn is_full(&self) -> bool {
        true
    }

    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn write(&mut self, _: &[u8]) -> Result<usize, BoxError> {
        Ok(0)
    }
}

#[test]
fn a_wait_that_is_always_over_holds_no_thread() {
    let mut guest = program(&sleep(MILLISECOND))
        .with(|wasi| wasi.stdout(Output::stream(Box::new(Contradictory))));
    guest.time = 100 * MILLISECOND;
    assert!(is_late(&guest.run_async().unwrap_err()));
}
