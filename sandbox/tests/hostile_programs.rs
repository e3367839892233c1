//! Programs that do their worst: each ends within its limits, says how, and leaves nothing to the next run.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use wfaas_sandbox::{Exit, Limits, Options, Output, Sandbox, SandboxError};

/// Imports, and helpers that write bytes of the memory and exit.
const PRELUDE: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read"
        (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 2)
    (func $write (param $fd i32) (param $at i32) (param $len i32) (result i32)
        (i32.store (i32.const 16) (local.get $at))
        (i32.store (i32.const 20) (local.get $len))
        (call $fd_write (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 24)))"#;

/// A sandbox of a program with this `_start`, and perhaps more.
fn sandbox(body: &str, limits: Limits) -> Sandbox {
    let text = format!("(module {PRELUDE} {body})");
    let built = wfaas_build::build(text.as_bytes(), &Default::default(), &Default::default(), &());
    let options = Options { limits, ..Options::default() };
    Sandbox::from_artifact(&built.unwrap().artifact, options).unwrap()
}

fn start(body: &str) -> String {
    format!("(func (export \"_start\") {body})")
}

/// Limits that a test does not wait long for.
fn short() -> Limits {
    let (cpu, time) = (Duration::from_millis(200), Duration::from_secs(20));
    Limits { cpu, time, output: 10_000, memory: 8 << 20, files: 0 }
}

/// Copies standard input to standard output, a word of it to standard error, and counts its runs in
/// memory: exits with the count.
const ECHO: &str = r#"
    (func (export "_start")
        (i32.store (i32.const 16) (i32.const 1000)) (i32.store (i32.const 20) (i32.const 5000))
        (drop (call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
        (drop (call $write (i32.const 1) (i32.const 1000) (i32.load (i32.const 24))))
        (drop (call $write (i32.const 2) (i32.const 1000) (i32.const 4)))
        (i32.store (i32.const 100) (i32.add (i32.load (i32.const 100)) (i32.const 7)))
        (call $exit (i32.load (i32.const 100))))"#;

#[test]
fn a_run_has_input_outputs_an_exit_code_and_usage() {
    let sandbox = sandbox(ECHO, short());
    for input in ["some input", "more"] {
        let Output { stdout, stderr, exit, usage } = sandbox.run(input).unwrap();
        assert_eq!(stdout, input.as_bytes());
        assert_eq!(stderr, &input.as_bytes()[..4]);
        assert_eq!(exit, Exit::Code(7), "each run is pristine");
        assert_eq!(usage.memory, 2 << 16);
        assert!(usage.cpu < Duration::from_millis(200) && usage.cpu <= usage.time * 2, "{usage:?}");
    }
}

#[test]
fn a_program_that_returns_has_exited_with_zero() {
    let output = sandbox(&start(""), short()).run("").unwrap();
    assert!(output.exit.is_success());
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}

#[test]
fn an_endless_loop_ends_at_its_processor_time() {
    let sandbox = sandbox(&start("(loop $l (br $l))"), short());
    let started = Instant::now();
    let output = sandbox.run("").unwrap();
    assert_eq!(output.exit, Exit::Cpu);
    assert!(output.usage.cpu >= Duration::from_millis(190), "{:?}", output.usage);
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn an_endless_sleep_ends_at_its_time() {
    let sleep = start(
        "(i32.store (i32.const 208) (i32.const 1)) (i64.store (i32.const 216) (i64.const 3600000000000))
        (drop (call $poll_oneoff (i32.const 192) (i32.const 256) (i32.const 1) (i32.const 24)))",
    );
    let limits = Limits { time: Duration::from_millis(100), ..short() };
    let output = sandbox(&sleep, limits).run("").unwrap();
    assert_eq!(output.exit, Exit::Time);
    assert!(output.usage.cpu < Duration::from_millis(50), "{:?}", output.usage);
}

#[test]
fn a_memory_bomb_gets_no_more_than_its_limit() {
    let grow = start(
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (call $exit (memory.size))",
    );
    let output = sandbox(&grow, short()).run("").unwrap();
    assert_eq!(output.exit, Exit::Code((8 << 20) >> 16), "pages of 64 KiB");
    assert_eq!(output.usage.memory, 8 << 20);
}

#[test]
fn an_output_bomb_is_ended_and_keeps_what_fits() {
    for (fd, out) in [(1, 10_000), (2, 0)] {
        let bomb = start(&format!(
            "(loop $l (drop (call $write (i32.const {fd}) (i32.const 1000) (i32.const 3333))) (br $l))"
        ));
        let output = sandbox(&bomb, short()).run("").unwrap();
        assert_eq!(output.exit, Exit::Output);
        assert_eq!((output.stdout.len(), output.stderr.len()), (out, 10_000 - out));
    }
}

#[test]
fn a_program_that_writes_just_as_much_as_it_may_is_not_ended() {
    let most = start("(call $exit (call $write (i32.const 1) (i32.const 1000) (i32.const 10000)))");
    let output = sandbox(&most, short()).run("").unwrap();
    assert_eq!((output.exit, output.stdout.len()), (Exit::Code(0), 10_000));
}

#[test]
fn endless_recursion_is_a_trap() {
    let deep = "(func $deep (param i64) (result i64)
            (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
        (func (export \"_start\") (drop (call $deep (i64.const 0))))";
    let output = sandbox(deep, short()).run("").unwrap();
    let Exit::Trap(message) = output.exit else { panic!("{:?}", output.exit) };
    assert!(message.contains("stack"), "{message}");
}

#[test]
fn a_trap_says_where() {
    let body = "(func $culprit unreachable) (func (export \"_start\")
        (drop (call $write (i32.const 1) (i32.const 1000) (i32.const 3))) (call $culprit))";
    let output = sandbox(body, short()).run("").unwrap();
    let Exit::Trap(message) = output.exit else { panic!("{:?}", output.exit) };
    assert!(message.contains("culprit"), "{message}");
    assert_eq!(output.stdout.len(), 3, "the output before the trap is there");
}

/// Opens a file of the first directory, to write to; exits with the error number.
fn open(more: &str) -> String {
    format!(
        "(data (i32.const 40) \"bomb\") (func (export \"_start\") (local $errno i32)
        (local.set $errno (call $path_open (i32.const 3) (i32.const 0) (i32.const 40) (i32.const 4)
            (i32.const 1) (i64.const 0x1fffffff) (i64.const 0) (i32.const 0) (i32.const 60)))
        (if (local.get $errno) (then (call $exit (i32.add (local.get $errno) (i32.const 100)))))
        {more})"
    )
}

#[test]
fn a_program_has_no_files_unless_it_is_given_some() {
    let output = sandbox(&open(""), short()).run("").unwrap();
    assert_eq!(output.exit, Exit::Code(100 + 8), "EBADF: there is no directory");
}

#[test]
fn a_file_bomb_fills_its_limit_and_is_gone_with_the_run() {
    let bomb = open(
        "(loop $l
            (local.set $errno (call $write (i32.load (i32.const 60)) (i32.const 0) (i32.const 65536)))
            (br_if $l (i32.eqz (local.get $errno))))
        (call $exit (local.get $errno))",
    );
    let sandbox = sandbox(&bomb, Limits { files: 1 << 20, ..short() });
    for _ in 0..3 {
        let output = sandbox.run("").unwrap();
        assert_eq!(output.exit, Exit::Code(51), "ENOSPC");
    }
}

#[test]
fn many_runs_at_once_do_not_see_each_other() {
    let sandbox = &sandbox(ECHO, short());
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    (0..50).all(|run| {
                        let input = format!("input {thread} {run}");
                        let output = sandbox.run(input.as_str()).unwrap();
                        output.stdout == input.as_bytes() && output.exit == Exit::Code(7)
                    })
                })
            })
            .collect();
        assert!(runs.into_iter().all(|run| run.join().unwrap()));
    });
}

/// Polls a future to its end on this thread; how often.
fn polled<F: Future>(future: F) -> (F::Output, usize) {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = Box::pin(future);
    for polls in 1.. {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return (output, polls),
            Poll::Pending => std::thread::park(),
        }
    }
    unreachable!("it is polled for ever")
}

#[test]
fn an_asynchronous_run_lets_others_have_the_thread() {
    let text = format!("(module {PRELUDE} {})", start("(loop $l (br $l))"));
    let built = wfaas_build::build(text.as_bytes(), &Default::default(), &Default::default(), &());
    let slice = Some(Duration::from_millis(5));
    let options = Options { limits: short(), slice, ..Options::default() };
    let sandbox = Sandbox::from_artifact(&built.unwrap().artifact, options).unwrap();
    let (output, polls) = polled(sandbox.run_async(""));
    assert_eq!(output.unwrap().exit, Exit::Cpu);
    assert!(polls > 10, "{polls} polls in 200 ms");
    let (output, _) = polled(self::sandbox(ECHO, short()).run_async("input"));
    assert_eq!(output.unwrap().stdout, b"input");
}

#[test]
fn artifacts_and_options_that_do_not_fit_are_refused_by_name() {
    let reactor = r#"(module (memory (export "memory") 1)
        (func (export "faas_alloc") (param i32) (result i32) (i32.const 0))
        (func (export "faas_handle") (param i32 i32) (result i64) (i64.const 0)))"#;
    let build = |text: &str| {
        let built =
            wfaas_build::build(text.as_bytes(), &Default::default(), &Default::default(), &());
        built.unwrap().artifact
    };
    let refused = |artifact: &[u8], limits| {
        let options = Options { limits, ..Options::default() };
        Sandbox::from_artifact(artifact, options).expect_err("refused")
    };
    let error = refused(&build(reactor), short());
    assert!(matches!(error, SandboxError::NoProgram { .. }), "{error}");
    let program = build(&format!("(module {PRELUDE} {})", start("")));
    let error = refused(&program, Limits { memory: 65_536, ..short() }).to_string();
    assert!(error.contains("memory"), "{error}");
    let error = refused(&program, Limits { cpu: Duration::ZERO, ..short() }).to_string();
    assert!(error.contains("limits.cpu"), "{error}");
    let error = refused(b"no artifact", short());
    assert!(matches!(error, SandboxError::Vm(_)), "{error}");
}
