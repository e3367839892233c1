//! Command components.

use crate::fused::{Fused, STUB};
use crate::handler::{pieces, streamed};
use http::Request;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wfaas_function::stores::{Operation, Outcome, Pending, Space, StoreBackend, StoreGrant};
use wfaas_function::{Exchange, InvokeError, Spec, WINDOW};
use wfaas_vm::component::{Case, Type};
use wfaas_wasi::preview2::Violation;

/// A command that has stdin, stdout and `exit`; `$run` is its text.
fn command(run: &str) -> Fused {
    let mut fused = Fused::default();
    let input = fused.resource("wasi:io/streams@0.2.6", "input-stream");
    let output = fused.resource("wasi:io/streams@0.2.6", "output-stream");
    let (own_input, own_output) = (fused.own(input), fused.own(output));
    let (borrow_input, borrow_output) = (fused.borrow(input), fused.borrow(output));
    let error = fused.stream_error();
    let (byte, long) = (fused.ty(Type::U8), fused.ty(Type::U64));
    let bytes = fused.ty(Type::List(byte));
    let done = fused.result(None, Some(error));
    let read = fused.result(Some(bytes), Some(error));
    let status = fused.result(None, None);
    fused.import(
        ("wasi:cli/stdin@0.2.6", "get-stdin"),
        ("stdin", "(result i32)"),
        &[],
        Some(own_input),
    );
    fused.import(
        ("wasi:cli/stdout@0.2.0", "get-stdout"),
        ("stdout", "(result i32)"),
        &[],
        Some(own_output),
    );
    fused.import(
        ("wasi:io/streams@0.2.6", "[method]input-stream.blocking-read"),
        ("read", "(param i32 i64 i32) (result i64)"),
        &[borrow_input, long],
        Some(read),
    );
    fused.import(
        ("wasi:io/streams@0.2.6", "[method]output-stream.blocking-write-and-flush"),
        ("write", "(param i32 i32 i32 i32)"),
        &[borrow_output, bytes],
        Some(done),
    );
    let room = fused.result(Some(long), Some(error));
    fused.import(
        ("wasi:io/streams@0.2.6", "[method]output-stream.check-write"),
        ("room", "(param i32 i32)"),
        &[borrow_output],
        Some(room),
    );
    fused.import(
        ("wasi:io/streams@0.2.6", "[method]output-stream.splice"),
        ("splice", "(param i32 i32 i64 i32)"),
        &[borrow_output, borrow_input, long],
        Some(room),
    );
    fused.import(("wasi:cli/exit@0.2.6", "exit"), ("exit", "(param i32)"), &[status], None);
    fused.import(("wasi:unheard/of@0.2.6", "thing"), ("unheard", "(param i64)"), &[long], None);
    fused.realloc_next();
    fused.resource_drop("drop_input", input);
    fused.resource_drop("drop_output", output);
    fused.body(&format!(
        "(func (export \"run\") (result i32) (local $request i64) (local $in i32) (local $out i32)
        {run})"
    ));
    fused.export(("wasi:cli/run@0.2.6", "run"), "run", &[], Some(status));
    fused
}

fn answer(run: &str, body: &[u8]) -> Result<Vec<u8>, InvokeError> {
    let function = command(run).try_function().expect("it is a function");
    assert_eq!(function.abi().name, "component-command");
    function.handle(Exchange::with_body(body)).map(|answer| answer.into_body().into_bytes())
}

/// Reads from stdin into memory: `result` at 16, address and length of the bytes at 20 and 24.
fn read() -> String {
    format!("(call $read (call $stdin) (i64.const 100) (i32.const 16)) {STUB}")
}

fn violation(run: &str) -> Violation {
    let error = answer(run, b"body").expect_err("it breaks a rule");
    error.downcast_ref::<Violation>().unwrap_or_else(|| panic!("{error}")).clone()
}

#[test]
fn stdin_is_the_body_and_stdout_the_answer() {
    let echo = format!(
        "{} (call $write (call $stdout) (i32.load (i32.const 20)) (i32.load (i32.const 24)) (i32.const 64))
            (i32.load8_u (i32.const 64))",
        read()
    );
    assert_eq!(answer(&echo, b"some body").unwrap(), b"some body");
    // An empty body is the end: `err(closed)`, and nothing was allocated.
    let end = format!(
        "{} (i32.or (i32.ne (i32.load8_u (i32.const 16)) (i32.const 1))
            (i32.or (i32.ne (i32.load8_u (i32.const 20)) (i32.const 1))
                (i32.ne (global.get $end) (i32.const 65536))))",
        read()
    );
    assert_eq!(answer(&end, b"").unwrap(), b"");
}

/// Writes the window of a reply.
const FILL: &str = "(call $write (local.get $out) (i32.const 0) (i32.const 65536) (i32.const 16))";

#[test]
fn an_answer_goes_out_when_its_guest_waits() {
    let copy = format!(
        "(block $end (loop $more {}
            (br_if $end (i32.load8_u (i32.const 16)))
            (call $write (call $stdout) (i32.load (i32.const 20)) (i32.load (i32.const 24)) (i32.const 64))
            (br $more)))",
        read()
    );
    let request = || Exchange::new(Request::new(pieces(&["some ", "pieces"])));
    let command = |run: &str| command(run).try_function().expect("it is a function");
    let (sent, ended) = streamed(&command(&format!("{copy} (i32.const 0)")), request());
    assert_eq!(sent, [b"some ".as_slice(), b"pieces"]);
    assert!(ended.expect("it ends").body().is_empty());
    // It fails when most of its answer is with the client already.
    let (sent, ended) = streamed(&command(&format!("{copy} (i32.const 1)")), request());
    assert_eq!(sent.concat(), b"some pieces");
    assert!(matches!(ended, Err(InvokeError::Exit(1))), "{ended:?}");
    // One that never waits is answered in one piece, or not at all.
    let write = "(call $write (call $stdout) (i32.const 0) (i32.const 5) (i32.const 64))";
    let request = || Exchange::with_body(b"");
    let (sent, ended) = streamed(&command(&format!("{write} (i32.const 0)")), request());
    assert_eq!((sent.len(), ended.expect("it ends").body().len()), (0, 5));
    let (sent, ended) = streamed(&command(&format!("{write} (i32.const 1)")), request());
    assert!(sent.is_empty() && matches!(ended, Err(InvokeError::Exit(1))), "{ended:?}");
}

#[test]
fn a_guest_waits_for_its_client_or_asks_again_and_again() {
    let stdout = "(local.set $out (call $stdout))";
    let waits = format!("{stdout} {FILL} {FILL} {FILL} (i32.const 0)");
    let ask = "(loop $ask (call $room (local.get $out) (i32.const 16))
        (br_if $ask (i64.eqz (i64.load (i32.const 24)))))";
    let asks = format!("{stdout} {FILL} {ask} {FILL} {ask} {FILL} (i32.const 0)");
    for run in [waits, asks] {
        let mut function = command(&run).try_function().expect("it is a function");
        function.set_time_slice(Some(Duration::from_millis(1)));
        let (sent, ended) = streamed(&function, Exchange::with_body(b""));
        ended.expect("it ends");
        assert_eq!(sent.concat().len(), 3 * WINDOW);
        assert!(sent.iter().all(|piece| piece.len() <= WINDOW));
    }
}

#[test]
fn a_guest_that_splices_again_and_again_is_answered() {
    let splices = format!(
        "(local.set $in (call $stdin)) (local.set $out (call $stdout)) {FILL}
        (loop $again (call $splice (local.get $out) (local.get $in) (i64.const 100) (i32.const 16))
            (br_if $again (i32.eqz (i32.load8_u (i32.const 16)))))
        (i32.const 0)"
    );
    let mut function = command(&splices).try_function().expect("it is a function");
    function.set_time_slice(Some(Duration::from_millis(1)));
    let request = Exchange::new(Request::new(pieces(&["some ", "pieces"])));
    let (sent, ended) = streamed(&function, request);
    let rest = ended.expect("it ends").into_body().into_bytes();
    assert_eq!([sent.concat(), rest].concat()[WINDOW..], *b"some pieces");
}

/// Stores of a backend that takes its time.
#[derive(Debug)]
struct Slow;

impl StoreBackend for Slow {
    fn begin(&self, _: &Space, _: Operation) -> Pending {
        let mut polls = 0;
        Box::pin(poll_fn(move |context| {
            polls += 1;
            if polls > 3 {
                return Poll::Ready(Ok(Outcome::Exists(true)));
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }
}

/// A command that writes five bytes, and then asks a store for a key.
fn asking_a_store() -> Fused {
    const STORE: &str = "wasi:keyvalue/store@0.2.0-draft";
    let mut fused = command(
        "(call $write (call $stdout) (i32.const 512) (i32.const 5) (i32.const 64))
        (drop (call $open (i32.const 512) (i32.const 5) (i32.const 16)))
        (drop (call $exists (i32.load (i32.const 20)) (i32.const 512) (i32.const 5) (i32.const 32)))
        (i32.or (i32.load8_u (i32.const 16)) (i32.load8_u (i32.const 32)))",
    );
    fused.body("(data (i32.const 512) \"hello\")");
    let bucket = fused.resource(STORE, "bucket");
    let (own, borrow) = (fused.own(bucket), fused.borrow(bucket));
    let (text, truth) = (fused.ty(Type::String), fused.ty(Type::Bool));
    let case = |name: &str, ty| Case { name: name.to_owned(), ty };
    let (none, denied) = (case("no-such-store", None), case("access-denied", None));
    let error = fused.ty(Type::Variant(vec![none, denied, case("other", Some(text))]));
    let (opened, exists) =
        (fused.result(Some(own), Some(error)), fused.result(Some(truth), Some(error)));
    let core = "(param i32 i32 i32) (result i64)";
    fused.import((STORE, "open"), ("open", core), &[text], Some(opened));
    let core = "(param i32 i32 i32 i32) (result i64)";
    let (name, params) = ("[method]bucket.exists", [borrow, text]);
    fused.import((STORE, name), ("exists", core), &params, Some(exists));
    fused
}

#[test]
fn an_answer_goes_out_while_its_guest_waits_for_the_host() {
    let name = "hello".to_owned().try_into().expect("a name");
    let stores = [(name, StoreGrant::default())].into();
    let spec = Spec { stores, ..Spec::named("test".parse().expect("a name")) };
    let mut function = asking_a_store().function_with(spec);
    function.set_stores(Arc::new(Slow));
    let (sent, ended) = streamed(&function, Exchange::with_body(b""));
    assert!(ended.expect("it ends").body().is_empty());
    assert_eq!(sent, [b"hello"]);
}

/// Logs a message of so many bytes, all of them zero.
fn logging(bytes: u32) -> Fused {
    let mut fused = command(&format!(
        "(drop (memory.grow (i32.const 200)))
        (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const {bytes}))
        (i32.const 0)"
    ));
    let names = ["trace", "debug", "info", "warn", "error", "critical"];
    let level = fused.ty(Type::Enum(names.map(str::to_owned).to_vec()));
    let text = fused.ty(Type::String);
    let core = "(param i32 i32 i32 i32 i32)";
    let name = ("wasi:logging/logging@0.1.0-draft", "log");
    fused.import(name, ("log", core), &[level, text, text], None);
    fused
}

#[test]
fn a_long_string_is_read_in_pieces() {
    let log = |bytes| {
        let function = logging(bytes).try_function().expect("it is a function");
        function.handle(Exchange::default()).map(drop)
    };
    log(3 << 20).expect("it is logged");
    let error = log((4 << 20) + 1).expect_err("it is too long");
    assert_eq!(error.downcast_ref::<Violation>(), Some(&Violation::TooLarge));
    // Others have their turn between two pieces.
    let function = logging(1 << 20).try_function().expect("it is a function");
    let mut handling = std::pin::pin!(function.handle_async(Exchange::default()));
    let mut context = Context::from_waker(Waker::noop());
    let polls = (1..).find(|_| handling.as_mut().poll(&mut context).is_ready());
    assert_eq!(polls, Some(8), "a MiB in pieces of 128 KiB");
}

#[test]
fn the_result_of_run_and_exit_are_exit_codes() {
    assert!(matches!(answer("(i32.const 1)", b""), Err(InvokeError::Exit(1))));
    assert!(matches!(
        answer("(call $exit (i32.const 1)) (i32.const 0)", b""),
        Err(InvokeError::Exit(1))
    ));
    assert!(answer("(call $exit (i32.const 0)) unreachable", b"").is_ok());
}

#[test]
fn an_import_that_nobody_has_ends_the_guest_with_its_name() {
    let Violation::Missing(name) = violation("(call $unheard (i64.const 0)) (i32.const 0)") else {
        panic!("another violation")
    };
    assert_eq!(name, "wasi:unheard/of@0.2.6 thing");
}

#[test]
fn a_guest_that_breaks_a_rule_is_ended() {
    let write = |handle: &str, ptr: &str, len: &str, to: &str| {
        format!(
            "(call $write {handle} (i32.const {ptr}) (i32.const {len}) (i32.const {to}))
                (i32.const 0)"
        )
    };
    let stdout = "(call $stdout)";
    assert_eq!(violation(&write("(i32.const 1)", "0", "1", "64")), Violation::BadHandle(1));
    assert_eq!(violation(&write("(call $stdin)", "0", "1", "64")), Violation::BadHandle(1));
    assert_eq!(violation(&write(stdout, "131072", "1", "64")), Violation::OutOfBounds);
    assert_eq!(violation(&write(stdout, "-1", "-1", "64")), Violation::OutOfBounds);
    assert_eq!(violation(&write(stdout, "0", "1", "65")), Violation::Misaligned);
    assert_eq!(violation(&write(stdout, "0", "1", "131064")), Violation::OutOfBounds);
    let twice =
        "(call $drop_output (call $stdout)) (call $drop_output (i32.const 1)) (i32.const 0)";
    assert_eq!(violation(twice), Violation::BadHandle(1));
    let other = "(call $drop_input (call $stdout)) (i32.const 0)";
    assert_eq!(violation(other), Violation::BadHandle(1));
    assert_eq!(
        violation("(drop (call $next (i32.const 8))) (i32.const 0)"),
        Violation::NothingPending
    );
    let begun = "(drop (call $read (call $stdin) (i64.const 100) (i32.const 16)))";
    let outside = format!("{begun} (drop (call $next (i32.const 131070))) (i32.const 0)");
    assert_eq!(violation(&outside), Violation::OutOfBounds);
    let leaves = format!("{begun} (call $drop_output (i32.const 1)) (i32.const 0)");
    assert_eq!(violation(&leaves), Violation::MayNotLeave);
    let leaves = format!("{begun} (drop (call $stdout)) (i32.const 0)");
    assert_eq!(violation(&leaves), Violation::MayNotLeave);
}

#[test]
fn handles_do_not_outlive_a_request() {
    let function = command(
        "(call $write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 0)",
    );
    let function = function.try_function().expect("it is a function");
    let leaves = command("(drop (call $stdout)) (i32.const 0)");
    leaves.try_function().expect("it is a function").handle(Exchange::default()).unwrap();
    for _ in 0..3 {
        let error = function.handle(Exchange::default()).expect_err("there is no handle yet");
        assert_eq!(error.downcast_ref::<Violation>(), Some(&Violation::BadHandle(1)));
    }
}

#[test]
fn a_component_without_an_entry_is_no_function() {
    let mut fused = Fused::default();
    fused.body("(func (export \"_start\"))");
    let nothing = fused.ty(Type::Bool);
    fused.export(("a:b/c", "d"), "_start", &[nothing], None);
    let error = fused.try_function().expect_err("it has no entry");
    assert!(error.to_string().contains("wasi:cli/run"), "{error}");
}
