//! Streams that arrive piece by piece, as guests read them.

mod common;

use common::executor::{alarm, block_on, poll_with, run_all};
use common::{Program, Ready, engine, is_late, program};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use wfaas_vm::{BoxError, Linker};
use wfaas_wasi::{ByteStream, HasWasi, Input, Output, add_to_linker, add_to_linker_async};

/// A stream's answer to a poll.
enum Step {
    Piece(Vec<u8>),
    /// Wakes at once.
    Yield,
    /// Wakes when the [`Gate`] is opened.
    Wait,
    Error,
}

/// A stream that does what is written, and then ends.
struct Script {
    steps: VecDeque<Step>,
    polls: Arc<AtomicUsize>,
    gate: Gate,
}

/// Opens a stream that waits.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    fn open(&self) {
        let mut gate = self.0.lock().unwrap();
        gate.0 = true;
        gate.1.take().into_iter().for_each(Waker::wake);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the sender is gone")]
struct Gone;

impl ByteStream for Script {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<bytes::Bytes, BoxError>>> {
        self.polls.fetch_add(1, SeqCst);
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Piece(bytes)) => Poll::Ready(Some(Ok(bytes.into()))),
            Some(Step::Error) => Poll::Ready(Some(Err(Gone.into()))),
            Some(Step::Yield) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Wait) => {
                let mut gate = self.gate.0.lock().unwrap();
                if !gate.0 {
                    gate.1 = Some(context.waker().clone());
                    self.steps.push_front(Step::Wait);
                    return Poll::Pending;
                }
                drop(gate);
                self.poll_next(context)
            }
        }
    }
}

/// A program that reads a script, with the number of polls and the gate.
fn reading(wat: &str, steps: Vec<Step>) -> (Program, Arc<AtomicUsize>, Gate) {
    let (polls, gate) = (Arc::<AtomicUsize>::default(), Gate::default());
    let script = Script { steps: steps.into(), polls: polls.clone(), gate: gate.clone() };
    let program = program(wat).with(|wasi| wasi.stdin(Input::stream(Box::new(script))));
    (program, polls, gate)
}

fn ready(program: Program) -> Ready {
    program.ready(&engine(), add_to_linker_async).unwrap()
}

/// Copies stdin to stdout, through two buffers of these sizes.
fn cat(first: u32, second: u32) -> String {
    let number = |number: u32| {
        number.to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect::<String>()
    };
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_read"
            (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 20)
          (data (i32.const 0) "{}{}{}{}")
          (func (export "_start")
            (loop $more
              (if (call $read (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 64))
                (then unreachable))
              (if (i32.load (i32.const 64))
                (then
                  (i32.store (i32.const 32) (i32.const 4096))
                  (i32.store (i32.const 36) (i32.load (i32.const 64)))
                  (if (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 68))
                    (then unreachable))
                  (br $more))))))"#,
        number(4096),
        number(first),
        number(4096 + first),
        number(second)
    )
}

/// Numbers that look random, from a seed (SplitMix64, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Pieces of random sizes, empty ones too, with waits in between.
fn cut(body: &[u8], random: &mut Random) -> Vec<Step> {
    let (mut steps, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        if random.below(2) == 0 {
            steps.push(Step::Yield);
        }
        let most = if random.below(8) == 0 { rest.len() as u64 + 1 } else { 2000 };
        let (piece, after) = rest.split_at((random.below(most) as usize).min(rest.len()));
        steps.push(Step::Piece(piece.to_vec()));
        rest = after;
    }
    if random.below(2) == 0 {
        steps.push(Step::Yield);
    }
    steps
}

#[test]
fn pieces_with_waits_in_between_are_the_body() {
    let mut random = Random(1);
    let guests = [cat(3, 5), cat(4096, 0), cat(0, 1000), cat(500_000, 500_000)];
    for round in 0..80 {
        let len = [0, 1, 8, 1000, 30_000, 700_000][random.below(6) as usize];
        let body: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
        let guest = &guests[random.below(4) as usize];
        let guest = if len > 1000 && guest == &guests[0] { &guests[1] } else { guest };
        let (program, ..) = reading(guest, cut(&body, &mut random));
        let read = if round % 2 == 0 {
            program.run_async()
        } else {
            let mut guest = program.ready(&engine(), add_to_linker).unwrap();
            let result = guest.start.call(&mut guest.store, ());
            guest.outcome(result)
        };
        assert!(read.unwrap() == body, "round {round}, {len} bytes");
    }
}

#[test]
fn nothing_is_polled_that_the_guest_does_not_read() {
    let idle = r#"(module (func (export "_start")))"#;
    let (program, polls, _) = reading(idle, vec![Step::Piece(vec![1])]);
    assert_eq!(program.run_async().unwrap(), b"");
    assert_eq!(polls.load(SeqCst), 0);
    // Of pieces of 10 bytes, one read of at most 8 and another one take the first.
    let twice = r#"(module
        (import "wasi_snapshot_preview1" "fd_read"
          (func $read (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\00\01\00\00\08\00\00\00")
        (func $once (result i32)
          (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 64)))
          (i32.load (i32.const 64)))
        (func (export "_start")
          (if (i32.ne (call $once) (i32.const 8)) (then unreachable))
          (if (i32.ne (call $once) (i32.const 2)) (then unreachable))))"#;
    let pieces = (0..5).map(|_| Step::Piece(vec![7; 10])).collect();
    let (program, polls, _) = reading(twice, pieces);
    program.run_async().unwrap();
    assert_eq!(polls.load(SeqCst), 1);
}

#[test]
fn a_guest_is_suspended_until_more_arrives() {
    let (program, _, gate) = reading(
        &cat(100, 0),
        vec![Step::Piece(b"one ".to_vec()), Step::Wait, Step::Piece(b"two".to_vec())],
    );
    let mut guest = ready(program);
    let (alarm, rings) = alarm();
    let result = {
        let mut call = pin!(guest.start.call_async(&mut guest.store, ()));
        for _ in 0..3 {
            assert!(poll_with(call.as_mut(), &alarm).is_pending());
        }
        assert!(rings.try_recv().is_err());
        gate.open();
        assert!(rings.recv().is_ok());
        let Poll::Ready(result) = poll_with(call.as_mut(), &alarm) else { panic!("it waits") };
        result
    };
    assert_eq!(guest.outcome(result).unwrap(), b"one two");
}

#[test]
fn an_error_of_a_stream_is_the_error_of_the_call() {
    for steps in [vec![Step::Error], vec![Step::Piece(vec![1, 2]), Step::Yield, Step::Error]] {
        let (program, ..) = reading(&cat(100, 0), steps);
        let error = program.run_async().unwrap_err();
        assert!(error.downcast_ref::<Gone>().is_some(), "{error}");
    }
}

/// Waits for stdin and for a clock of `nanoseconds`, and answers the events: their number, and the
/// first one.
fn first_of(nanoseconds: u64) -> String {
    let number: String =
        nanoseconds.to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\00\10\00\00\24\00\00\00")
          (data (i32.const 512) "\01\00\00\00\00\00\00\00\01")
          (data (i32.const 560) "\02") (data (i32.const 576) "\01") (data (i32.const 584) "{number}")
          (func (export "_start")
            (if (call $poll (i32.const 512) (i32.const 4100) (i32.const 2) (i32.const 4096))
              (then unreachable))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

#[test]
fn poll_waits_for_streams_and_clocks_together() {
    let hour = 3_600_000_000_000;
    for end in [vec![Step::Yield, Step::Piece(vec![1; 70])], vec![Step::Piece(vec![1; 70])]] {
        let (program, ..) = reading(&first_of(hour), end);
        let told = program.run_async().unwrap();
        assert_eq!(told[..12], [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], "one event, of stdin");
        assert_eq!(told[12..15], [0, 0, 1], "no error, a read");
        assert_eq!(told[20..28], [70, 0, 0, 0, 0, 0, 0, 0]);
    }
    let (program, ..) = reading(&first_of(30_000_000), vec![Step::Wait]);
    let began = Instant::now();
    let told = program.run_async().unwrap();
    assert!(began.elapsed() >= Duration::from_millis(30));
    assert_eq!(told[..12], [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], "one event, of the clock");
    // An end is news too.
    let (program, ..) = reading(&first_of(hour), vec![Step::Yield]);
    assert_eq!(program.run_async().unwrap()[..8], [1, 0, 0, 0, 1, 0, 0, 0]);
}

#[test]
fn a_stream_without_an_end_or_without_news_ends_at_the_deadline() {
    let endless = (0..2_000_000).map(|_| Step::Piece(vec![0; 8])).collect();
    let count = cat(8, 0).replace("$write (i32.const 1)", "$write (i32.const 2)");
    for (guest, steps) in [(&count, endless), (&cat(8, 0), vec![Step::Wait])] {
        let (mut program, ..) = reading(guest, steps);
        program.time = Duration::from_millis(200);
        let began = Instant::now();
        assert!(is_late(&program.run_async().unwrap_err()));
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}

#[test]
fn a_dropped_call_drops_its_stream() {
    let (program, polls, _) = reading(&cat(8, 0), vec![Step::Wait]);
    let mut guest = ready(program);
    let (alarm, _) = alarm();
    {
        let mut call = pin!(guest.start.call_async(&mut guest.store, ()));
        assert!(poll_with(call.as_mut(), &alarm).is_pending());
    }
    assert_eq!(polls.load(SeqCst), 1);
    drop(guest);
    assert_eq!((Arc::strong_count(&polls), Arc::strong_count(&alarm)), (1, 1));
}

/// Data for which the time of a stream is not the guest's.
struct Patient(wfaas_wasi::Wasi);

impl HasWasi for Patient {
    fn wasi(&mut self) -> &mut wfaas_wasi::Wasi {
        &mut self.0
    }

    fn stops_clock(&self) -> bool {
        true
    }
}

#[test]
fn the_clock_can_stand_still_while_a_stream_is_waited_for() {
    // Reads all, then sleeps for a minute.
    let wat = cat(8, 0).replace("(func (export \"_start\")", "(func $cat").replace(
        "(memory",
        r#"(import "wasi_snapshot_preview1" "poll_oneoff"
             (func $poll (param i32 i32 i32 i32) (result i32)))
           (data (i32.const 528) "\01") (data (i32.const 536) "\00\58\47\f8\0d\00\00\00")
           (func (export "_start")
             (call $cat)
             (drop (call $poll (i32.const 512) (i32.const 1024) (i32.const 1) (i32.const 2048))))
           (memory"#,
    );
    let compiled = wfaas_compiler::compile(wat.as_bytes(), &Default::default()).unwrap();
    let engine = engine();
    let module = wfaas_vm::Module::from_bytes(&engine, &compiled.artifact).unwrap();
    let mut linker = Linker::new(&engine);
    add_to_linker_async(&mut linker);
    let gate = Gate::default();
    let steps = VecDeque::from([Step::Wait, Step::Piece(b"late".to_vec())]);
    let script = Script { steps, polls: Arc::default(), gate: gate.clone() };
    let wasi = wfaas_wasi::Wasi::builder()
        .stdin(Input::stream(Box::new(script)))
        .stdout(Output::capture(100));
    let mut store = wfaas_vm::Store::new(&engine, Patient(wasi.build().unwrap()));
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").unwrap();
    let began = Instant::now();
    store.set_deadline(Some(began + Duration::from_millis(200)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            gate.open();
        });
        let error = block_on(start.call_async(&mut store, ())).unwrap_err();
        assert!(is_late(&error), "{error}");
    });
    assert_eq!(store.data_mut().0.take_captured(), b"late", "it outlived its deadline");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(650), "{took:?}: what was left of its time came after");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn many_readers_take_turns_on_a_thread() {
    let mut random = Random(2);
    let bodies: Vec<Vec<u8>> = (0..50).map(|number| vec![number; 5000]).collect();
    let guest = cat(64, 64);
    let mut guests: Vec<Ready> =
        bodies.iter().map(|body| ready(reading(&guest, cut(body, &mut random)).0)).collect();
    let calls = guests.iter_mut().map(|guest| guest.start.call_async(&mut guest.store, ()));
    let (results, _) = run_all(calls.collect());
    for ((guest, result), body) in guests.iter_mut().zip(results).zip(bodies) {
        assert!(guest.outcome(result).unwrap() == body);
    }
}
