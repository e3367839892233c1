//! Services: components of WASI 0.3, written as text.

use crate::handler::{UrlClient, pieces, polled, streamed};
use crate::parked::Account;
use http::{Request, Response};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use wfaas_function::protocols::component::HandlerError;
use wfaas_function::{
    Body, Exchange, Function, HttpClient, InvokeError, Sending, Spec, Timeouts, WINDOW,
};
use wfaas_vm::{Config, Engine, Module};

/// The component around `$handle`, with `$request`, and `$callback`, with `$event`, `$handle` and `$code`.
const FRAME: &str = r#"(component
    (import "wasi:http/types@VERSION" (instance $types
        (export "request" (type $request (sub resource)))
        (export "response" (type $response (sub resource)))
        (export "fields" (type $fields (sub resource)))
        (type $codes (variant CASES (case "internal-error" (option string))))
        (export "error-code" (type $code (eq $codes)))
        (type $sent (future (result (error $code))))
        (type $trailers (future (result (option (own $fields)) (error $code))))
        (export "[constructor]fields" (func (result (own $fields))))
        (export "[static]response.new" (func (param "headers" (own $fields))
            (param "contents" (option (stream u8))) (param "trailers" $trailers)
            (result (tuple (own $response) $sent))))
        (export "[static]request.new" (func (param "headers" (own $fields))
            (param "contents" (option (stream u8))) (param "trailers" $trailers)
            (param "options" (option (own $fields))) (result (tuple (own $request) $sent))))
        (export "[method]request.set-authority" (func (param "self" (borrow $request))
            (param "authority" (option string)) (result (result))))
        (export "[static]response.consume-body" (func (param "this" (own $response))
            (param "res" $sent) (result (tuple (stream u8) $trailers))))
        (export "[static]request.consume-body" (func (param "this" (own $request))
            (param "res" $sent) (result (tuple (stream u8) $trailers))))))
    (import "wasi:clocks/monotonic-clock@VERSION" (instance $clock
        (export "wait-for" (func async (param "how-long" u64)))))
    (alias export $types "request" (type $request))
    (alias export $types "response" (type $response))
    (alias export $types "fields" (type $fields))
    (alias export $types "error-code" (type $code))
    (import "wasi:http/client@VERSION" (instance $client
        (alias outer 1 $request (type $outer-request))
        (alias outer 1 $response (type $outer-response))
        (alias outer 1 $code (type $outer-code))
        (export "request" (type $request (eq $outer-request)))
        (export "response" (type $response (eq $outer-response)))
        (export "error-code" (type $code (eq $outer-code)))
        (export "send" (func async (param "request" (own $request))
            (result (result (own $response) (error $code)))))))
    (type $bytes (stream u8))
    (type $units (stream))
    (type $answer (result (own $response) (error $code)))
    (type $sent (future (result (error $code))))
    (type $trailers (future (result (option (own $fields)) (error $code))))
    (core module $libc
        (memory (export "memory") 2)
        (global $end (mut i32) (i32.const 65536))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (global.set $end (i32.and (i32.add (global.get $end) (i32.const 7)) (i32.const -8)))
            (global.get $end)
            (global.set $end (i32.add (global.get $end) (local.get 3)))))
    (core instance $libc (instantiate $libc))
    (alias core export $libc "memory" (core memory $memory))
    (alias core export $libc "realloc" (core func $realloc))
    CANONS
    (core instance $host (export "memory" (memory $memory)) EXPORTS)
    (core module $main
        (import "" "memory" (memory 2))
        IMPORTS
        (data (i32.const 16) "hello, world")
        ;; The answer, whose body is the readable end $body.
        (func $answer (param $body i32)
            (call $response (call $fields) (i32.const 1) (local.get $body)
                (i32.wrap_i64 (call $trailers)) (i32.const 256))
            (call $return (i32.const 0) (i32.load (i32.const 256))
                (i32.const 0) (i32.const 0) (i32.const 0)))
        ;; The answer with $len bytes at $at.
        (func $say (param $at i32) (param $len i32)
            (local $ends i64) (local $writer i32)
            (local.set $ends (call $stream))
            (local.set $writer (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
            (call $answer (i32.wrap_i64 (local.get $ends)))
            (if (i32.ne (i32.shl (local.get $len) (i32.const 4))
                (call $write (local.get $writer) (local.get $at) (local.get $len)))
                (then unreachable))
            (call $drop-writer (local.get $writer)))
        (func (export "handle") (param $request i32) (result i32)
            (local $ends i64) (local $reader i32) (local $writer i32) (local $code i32)
            (local $set i32) HANDLE)
        (func (export "callback") (param $event i32) (param $handle i32) (param $code i32)
            (result i32)
            (local $ends i64) (local $reader i32) (local $writer i32) CALLBACK))
    (core instance $main (instantiate $main (with "" (instance $host))))
    (func $exported async (param "request" (own $request)) (result $answer)
        (canon lift (core func $main "handle") async (memory $memory)
            (callback (core func $main "callback"))))
    (instance $handler (export "handle" (func $exported)))
    (export "wasi:http/handler@VERSION" (instance $handler)))"#;

/// Imports of the main module: name, type, and the function of the canonical ABI.
pub(crate) const IMPORTS: &[(&str, &str, &str)] = &[
    ("fields", "(result i32)", r#"(canon lower (func $types "[constructor]fields"))"#),
    (
        "response",
        "(param i32 i32 i32 i32 i32)",
        r#"(canon lower (func $types "[static]response.new") (memory $memory))"#,
    ),
    (
        "request",
        "(param i32 i32 i32 i32 i32 i32 i32)",
        r#"(canon lower (func $types "[static]request.new") (memory $memory))"#,
    ),
    (
        "authority",
        "(param i32 i32 i32 i32) (result i32)",
        r#"(canon lower (func $types "[method]request.set-authority") (memory $memory))"#,
    ),
    (
        "received",
        "(param i32 i32 i32)",
        r#"(canon lower (func $types "[static]response.consume-body") (memory $memory))"#,
    ),
    (
        "consume",
        "(param i32 i32 i32)",
        r#"(canon lower (func $types "[static]request.consume-body") (memory $memory))"#,
    ),
    ("sleep", "(param i64) (result i32)", r#"(canon lower (func $clock "wait-for") async)"#),
    ("sleep-here", "(param i64)", r#"(canon lower (func $clock "wait-for"))"#),
    (
        "send",
        "(param i32 i32) (result i32)",
        r#"(canon lower (func $client "send") async (memory $memory) (realloc $realloc))"#,
    ),
    (
        "send-here",
        "(param i32 i32)",
        r#"(canon lower (func $client "send") (memory $memory) (realloc $realloc))"#,
    ),
    ("drop-response", "(param i32)", r#"(canon resource.drop $response)"#),
    (
        "return",
        "(param i32 i32 i32 i32 i32)",
        r#"(canon task.return (result $answer) (memory $memory))"#,
    ),
    ("cancel", "", r#"(canon task.cancel)"#),
    ("get", "(result i32)", r#"(canon context.get i32 0)"#),
    ("set", "(param i32)", r#"(canon context.set i32 0)"#),
    ("inc", "", r#"(canon backpressure.inc)"#),
    ("dec", "", r#"(canon backpressure.dec)"#),
    ("yield", "(result i32)", r#"(canon thread.yield)"#),
    ("subtask-cancel", "(param i32) (result i32)", r#"(canon subtask.cancel)"#),
    ("subtask-drop", "(param i32)", r#"(canon subtask.drop)"#),
    ("set-new", "(result i32)", r#"(canon waitable-set.new)"#),
    ("set-wait", "(param i32 i32) (result i32)", r#"(canon waitable-set.wait (memory $memory))"#),
    ("set-poll", "(param i32 i32) (result i32)", r#"(canon waitable-set.poll (memory $memory))"#),
    ("set-drop", "(param i32)", r#"(canon waitable-set.drop)"#),
    ("join", "(param i32 i32)", r#"(canon waitable.join)"#),
    ("stream", "(result i64)", r#"(canon stream.new $bytes)"#),
    (
        "read",
        "(param i32 i32 i32) (result i32)",
        r#"(canon stream.read $bytes async (memory $memory))"#,
    ),
    (
        "write",
        "(param i32 i32 i32) (result i32)",
        r#"(canon stream.write $bytes async (memory $memory))"#,
    ),
    (
        "read-here",
        "(param i32 i32 i32) (result i32)",
        r#"(canon stream.read $bytes (memory $memory))"#,
    ),
    (
        "write-here",
        "(param i32 i32 i32) (result i32)",
        r#"(canon stream.write $bytes (memory $memory))"#,
    ),
    ("cancel-read", "(param i32) (result i32)", r#"(canon stream.cancel-read $bytes)"#),
    ("cancel-write", "(param i32) (result i32)", r#"(canon stream.cancel-write $bytes)"#),
    ("drop-reader", "(param i32)", r#"(canon stream.drop-readable $bytes)"#),
    ("drop-writer", "(param i32)", r#"(canon stream.drop-writable $bytes)"#),
    ("units", "(result i64)", r#"(canon stream.new $units)"#),
    ("read-units", "(param i32 i32 i32) (result i32)", r#"(canon stream.read $units async)"#),
    ("write-units", "(param i32 i32 i32) (result i32)", r#"(canon stream.write $units async)"#),
    ("trailers", "(result i64)", r#"(canon future.new $trailers)"#),
    (
        "write-trailers",
        "(param i32 i32) (result i32)",
        r#"(canon future.write $trailers async (memory $memory))"#,
    ),
    ("drop-trailers", "(param i32)", r#"(canon future.drop-writable $trailers)"#),
    ("sent", "(result i64)", r#"(canon future.new $sent)"#),
    (
        "read-sent",
        "(param i32 i32) (result i32)",
        r#"(canon future.read $sent async (memory $memory) (realloc $realloc))"#,
    ),
];

/// Ends of a new stream in `$reader` and `$writer`.
const ENDS: &str =
    "(local.set $ends (call $stream)) (local.set $reader (i32.wrap_i64 (local.get $ends)))
    (local.set $writer (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))";

/// The end of a task.
pub(crate) const EXIT: &str = "(i32.const 0)";

fn component(version: &str, handle: &str, callback: &str) -> String {
    type Row = (&'static str, &'static str, &'static str);
    let import = |(name, ty, _): &Row| format!("(import \"\" \"{name}\" (func ${name} {ty}))");
    let canon = |(name, _, canon): &Row| format!("(core func ${name} {canon})");
    let export = |(name, ..): &Row| format!("(export \"{name}\" (func ${name}))");
    let imports: String = IMPORTS.iter().map(import).collect();
    let canons: String = IMPORTS.iter().map(canon).collect();
    let exports: String = IMPORTS.iter().map(export).collect();
    let cases: String = (0..38).map(|number| format!("(case \"c{number}\")")).collect();
    FRAME
        .replace("VERSION", version)
        .replace("CASES", &cases)
        .replace("CANONS", &canons)
        .replace("EXPORTS", &exports)
        .replace("IMPORTS", &imports)
        .replace("HANDLE", handle)
        .replace("CALLBACK", callback)
}

/// The function of a component. Guests are parked at each wait, but those that hold their thread.
fn function_of(component: &str) -> Function {
    let mut function = function_on(Config::default(), component);
    function.set_parking(Box::new(Account::default()));
    function
}

fn function_on(config: Config, component: &str) -> Function {
    let (spec, options) = (Spec::default(), wfaas_build::Options::default());
    let built = wfaas_build::build(component.as_bytes(), &spec, &options, &()).expect("it builds");
    let engine = Engine::new(config).expect("an engine");
    let module = Module::from_bytes(&engine, &built.artifact).expect("it loads");
    let hosts = vec!["x-*".to_owned()];
    let spec = Spec { allowed_hosts: hosts, ..Spec::named("test".parse().expect("a name")) };
    let mut function = Function::new(&engine, &module, spec).expect("it is a function");
    function.set_client(Arc::new(UrlClient));
    function
}

pub(crate) fn service(handle: &str, callback: &str) -> Function {
    function_of(&component("0.3.0", handle, callback))
}

/// The same in an engine of its own, without parking.
pub(crate) fn service_on(config: Config, handle: &str, callback: &str) -> Function {
    function_on(config, &component("0.3.0", handle, callback))
}

fn exchange() -> Exchange {
    Exchange::new(Request::new(Body::default()))
}

fn answered(function: &Function) -> Vec<u8> {
    let (_, answer) = polled(function, exchange());
    let answer = answer.expect("it answers");
    let held = function.handle(exchange()).expect("it answers").into_body().into_bytes();
    assert_eq!(held, answer, "as one that holds its thread");
    answer
}

const SAY: &str = "(call $say (i32.const 16) (i32.const 12))";

#[test]
fn a_service_answers_by_a_stream_after_it_has_returned() {
    for version in ["0.3.0", "0.3.0-rc-2026-03-15", "0.3.2"] {
        let function = function_of(&component(version, &format!("{SAY} {EXIT}"), "unreachable"));
        assert_eq!(answered(&function), b"hello, world", "{version}");
    }
}

#[test]
fn a_task_waits_by_its_callback() {
    // A subtask of a clock, and its event: EVENT_SUBTASK, the handle, RETURNED.
    let handle = "(call $set (i32.const 7)) (local.set $set (call $set-new))
        (local.set $code (call $sleep (i64.const 50000000)))
        (if (i32.ne (i32.and (local.get $code) (i32.const 15)) (i32.const 1)) (then unreachable))
        (call $join (i32.shr_u (local.get $code) (i32.const 4)) (local.get $set))
        (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4)))";
    let callback = format!(
        "(if (i32.or (i32.ne (local.get $event) (i32.const 1))
            (i32.or (i32.ne (local.get $code) (i32.const 2)) (i32.ne (call $get) (i32.const 7))))
            (then unreachable))
        (call $join (local.get $handle) (i32.const 0))
        (call $subtask-drop (local.get $handle)) {SAY} {EXIT}"
    );
    let function = service(handle, &callback);
    let (polls, answer) = polled_slowly(&function);
    assert_eq!(answer.expect("it answers"), b"hello, world");
    assert!(polls > 1, "it waits");
    assert_eq!(function.handle(exchange()).unwrap().into_body().into_bytes(), b"hello, world");
}

/// Polls a request until it is answered, with some time between.
fn polled_slowly_from(
    function: &Function,
    exchange: Exchange,
) -> (usize, Result<Vec<u8>, InvokeError>) {
    let mut answer = std::pin::pin!(function.handle_async(exchange));
    for polls in 1..10_000 {
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return (polls, answer.map(|answer| answer.into_body().into_bytes()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it does not end");
}

fn polled_slowly(function: &Function) -> (usize, Result<Vec<u8>, InvokeError>) {
    polled_slowly_from(function, exchange())
}

#[test]
fn a_task_yields_and_waits_on_its_stack() {
    let here = "(call $sleep-here (i64.const 1000)) (drop (call $yield))";
    let function = service(&format!("{here} (i32.const 1)"), &format!("{here} {SAY} {EXIT}"));
    assert_eq!(polled_slowly(&function).1.expect("it answers"), b"hello, world");
}

#[test]
fn a_body_goes_through_without_the_guest() {
    let handle = format!(
        "(call $consume (local.get $request) (i32.wrap_i64 (call $sent)) (i32.const 64))
        (call $answer (i32.load (i32.const 64))) {EXIT}"
    );
    let function = service(&handle, "unreachable");
    let request = || Exchange::new(Request::new(pieces(&["some ", "", "pieces"])));
    assert_eq!(polled(&function, request()).1.unwrap(), b"some pieces");
    assert_eq!(function.handle(request()).unwrap().into_body().into_bytes(), b"some pieces");
}

#[test]
fn a_task_reads_its_body_as_it_arrives() {
    // The first read is BLOCKED; its event is a stream's, with 4 bytes.
    let handle = "(call $consume (local.get $request) (i32.wrap_i64 (call $sent)) (i32.const 64))
        (local.set $reader (i32.load (i32.const 64))) (local.set $set (call $set-new))
        (if (i32.ne (i32.const -1) (call $read (local.get $reader) (i32.const 128) (i32.const 64)))
            (then unreachable))
        (call $join (local.get $reader) (local.get $set))
        (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4)))";
    let callback = format!(
        "(if (i32.or (i32.ne (local.get $event) (i32.const 2))
            (i32.ne (local.get $code) (i32.const 64))) (then unreachable))
        (call $join (local.get $handle) (i32.const 0))
        (call $drop-reader (local.get $handle))
        (call $say (i32.const 128) (i32.const 4)) {EXIT}"
    );
    let function = service(handle, &callback);
    let request = Exchange::new(Request::new(pieces(&["four", "more"])));
    assert_eq!(polled(&function, request).1.unwrap(), b"four");
}

#[test]
fn a_service_sends_requests_to_the_hosts_it_is_granted() {
    let handle = format!(
        "(call $request (call $fields) (i32.const 0) (i32.const 0) (i32.wrap_i64 (call $trailers))
            (i32.const 0) (i32.const 0) (i32.const 64))
        (drop (call $authority (i32.load (i32.const 64)) (i32.const 1) (i32.const 80) (i32.const 5)))
        (i32.store (i32.const 80) (i32.const 0x6e612d78)) (i32.store8 (i32.const 84) (i32.const 0x79))
        (drop (call $authority (i32.load (i32.const 64)) (i32.const 1) (i32.const 80) (i32.const 5)))
        (local.set $code (call $send (i32.load (i32.const 64)) (i32.const 96)))
        (if (i32.eq (local.get $code) (i32.const 2)) (then unreachable))
        (local.set $set (call $set-new))
        (call $join (i32.shr_u (local.get $code) (i32.const 4)) (local.get $set))
        (if (i32.ne (call $set-wait (local.get $set) (i32.const 160)) (i32.const 1))
            (then unreachable))
        (if (i32.load8_u (i32.const 96)) (then unreachable))
        (call $received (i32.load (i32.const 100)) (i32.wrap_i64 (call $sent)) (i32.const 64))
        (call $answer (i32.load (i32.const 64))) {EXIT}"
    );
    let function = service(&handle, "unreachable");
    assert_eq!(polled(&function, exchange()).1.unwrap(), b"https://x-any/");
}

/// Answers a request with its body.
#[derive(Debug)]
struct EchoClient;

impl HttpClient for EchoClient {
    fn send(&self, request: Request<Body>, _: Timeouts) -> Sending {
        let mut body = request.into_body();
        Box::pin(async move {
            body.collect(1 << 20).await.expect("a body that is whole");
            Ok(Response::new(body))
        })
    }
}

#[test]
fn streams_move_while_a_call_without_async_waits() {
    // The request's body is the one of a request to another server, whose answer is waited for on the guest's stack.
    let handle = format!(
        "(call $consume (local.get $request) (i32.wrap_i64 (call $sent)) (i32.const 64))
        (local.set $ends (call $trailers))
        (call $request (call $fields) (i32.const 1) (i32.load (i32.const 64))
            (i32.wrap_i64 (local.get $ends)) (i32.const 0) (i32.const 0) (i32.const 72))
        (drop (call $write-trailers
            (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))) (i32.const 4096)))
        (i32.store (i32.const 80) (i32.const 0x6e612d78)) (i32.store8 (i32.const 84) (i32.const 0x79))
        (drop (call $authority (i32.load (i32.const 72)) (i32.const 1) (i32.const 80) (i32.const 5)))
        (call $send-here (i32.load (i32.const 72)) (i32.const 96))
        (if (i32.load8_u (i32.const 96)) (then unreachable))
        (call $received (i32.load (i32.const 100)) (i32.wrap_i64 (call $sent)) (i32.const 64))
        (call $answer (i32.load (i32.const 64))) {EXIT}"
    );
    let mut function = service(&handle, "unreachable");
    function.set_client(Arc::new(EchoClient));
    let request = || Exchange::new(Request::new(pieces(&["some ", "", "pieces"])));
    assert_eq!(polled(&function, request()).1.unwrap(), b"some pieces");
    assert_eq!(function.handle(request()).unwrap().into_body().into_bytes(), b"some pieces");
}

#[test]
fn values_are_stored_in_memory_that_the_guest_allocates_when_an_event_comes() {
    // A response that is dropped was not sent: its future has an `internal-error` with a message.
    let read = "(call $response (call $fields) (i32.const 0) (i32.const 0)
            (i32.wrap_i64 (call $trailers)) (i32.const 64))
        (local.set $reader (i32.load (i32.const 68)))
        (if (i32.ne (i32.const -1) (call $read-sent (local.get $reader) (i32.const 128)))
            (then unreachable))
        (call $drop-response (i32.load (i32.const 64)))
        (local.set $set (call $set-new)) (call $join (local.get $reader) (local.get $set))";
    let say = "(call $say (i32.load (i32.const 140)) (i32.load (i32.const 144)))";
    let handle = format!("{read} (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4)))");
    let callback = format!(
        "(if (i32.or (i32.ne (local.get $event) (i32.const 4)) (local.get $code))
            (then unreachable)) {say} {EXIT}"
    );
    let function = service(&handle, &callback);
    assert_eq!(answered(&function), b"the message was not sent");
    for wait in ["$set-wait", "$set-poll"] {
        let wait = format!("(drop (call {wait} (local.get $set) (i32.const 160)))");
        let function = service(&format!("{read} {wait} {say} {EXIT}"), "unreachable");
        assert_eq!(answered(&function), b"the message was not sent");
    }
}

#[test]
fn both_ends_of_a_stream_can_be_the_guests() {
    // A read waits, a write gives it more than it has room for.
    let bytes = format!(
        "{ENDS} (if (i32.ne (i32.const -1) (call $read (local.get $reader) (i32.const 128)
            (i32.const 5))) (then unreachable))
        (if (i32.ne (i32.const 0x50) (call $write (local.get $writer) (i32.const 16)
            (i32.const 12))) (then unreachable))
        (local.set $set (call $set-new)) (call $join (local.get $reader) (local.get $set))
        (if (i32.ne (i32.const 2) (call $set-poll (local.get $set) (i32.const 160)))
            (then unreachable))
        (if (i32.ne (i32.const 0x50) (i32.load (i32.const 164))) (then unreachable))
        (if (call $set-poll (local.get $set) (i32.const 160)) (then unreachable))
        (call $drop-writer (local.get $writer))
        (if (i32.ne (i32.const 1) (call $read (local.get $reader) (i32.const 128) (i32.const 5)))
            (then unreachable))
        (call $say (i32.const 128) (i32.const 5)) {EXIT}"
    );
    assert_eq!(answered(&service(&bytes, "unreachable")), b"hello");
    let units = format!(
        "(local.set $ends (call $units)) (local.set $reader (i32.wrap_i64 (local.get $ends)))
        (local.set $writer (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
        (drop (call $read-units (local.get $reader) (i32.const -2) (i32.const 1)))
        (if (i32.ne (i32.const 16) (call $write-units (local.get $writer) (i32.const -1)
            (i32.const 1))) (then unreachable)) {SAY} {EXIT}"
    );
    assert_eq!(answered(&service(&units, "unreachable")), b"hello, world");
}

#[test]
fn an_operation_or_a_subtask_is_cancelled() {
    let handle = format!(
        "{ENDS} (drop (call $read (local.get $reader) (i32.const 128) (i32.const 5)))
        (if (i32.ne (i32.const 2) (call $cancel-read (local.get $reader))) (then unreachable))
        (drop (call $write (local.get $writer) (i32.const 16) (i32.const 5)))
        (if (i32.ne (i32.const 2) (call $cancel-write (local.get $writer))) (then unreachable))
        (call $drop-reader (local.get $reader))
        (if (i32.ne (i32.const 1) (call $write (local.get $writer) (i32.const 16) (i32.const 5)))
            (then unreachable))
        (local.set $code (i32.shr_u (call $sleep (i64.const -1)) (i32.const 4)))
        (if (i32.ne (i32.const 4) (call $subtask-cancel (local.get $code))) (then unreachable))
        (call $subtask-drop (local.get $code)) {SAY} {EXIT}"
    );
    assert_eq!(answered(&service(&handle, "unreachable")), b"hello, world");
}

#[test]
fn a_write_ends_when_the_host_drops_the_stream() {
    let handle = format!(
        "{ENDS} (drop (call $write (local.get $writer) (i32.const 16) (i32.const 5)))
        (call $response (call $fields) (i32.const 1) (local.get $reader)
            (i32.wrap_i64 (call $trailers)) (i32.const 64))
        (call $drop-response (i32.load (i32.const 64)))
        (local.set $set (call $set-new)) (call $join (local.get $writer) (local.get $set))
        (if (i32.ne (i32.const 3) (call $set-poll (local.get $set) (i32.const 160)))
            (then unreachable))
        (if (i32.ne (i32.const 1) (i32.load (i32.const 164))) (then unreachable)) {SAY} {EXIT}"
    );
    assert_eq!(answered(&service(&handle, "unreachable")), b"hello, world");
}

#[test]
fn a_request_knows_nothing_of_the_one_before() {
    // The handle of the first stream, and the context, are those of a new instance each time.
    let handle = format!(
        "{ENDS} (i32.store8 (i32.const 16) (i32.add (i32.const 65) (local.get $reader)))
        (i32.store8 (i32.const 17) (i32.add (i32.const 65) (call $get)))
        (call $set (i32.const 3)) (call $say (i32.const 16) (i32.const 2)) {EXIT}"
    );
    let function = service(&handle, "unreachable");
    assert_eq!([answered(&function), answered(&function)], [b"CA", b"CA"]);
}

/// The message with which a service fails.
fn failure(handle: &str, callback: &str) -> String {
    let error = polled(&service(handle, callback), exchange()).1.expect_err(handle);
    error.to_string()
}

#[test]
fn a_guest_that_breaks_a_rule_is_ended() {
    let cases = [
        ("(call $drop-writer (i32.const 77))", "used handle 77"),
        ("(call $drop-reader (local.get $request))", "used handle 1"),
        ("(call $join (local.get $request) (i32.const 0))", "used handle 1"),
        ("(call $join (i32.wrap_i64 (call $stream)) (i32.const 1))", "used handle 1"),
        ("(call $subtask-drop (call $set-new))", "used handle 2"),
        ("(call $cancel)", "task.cancel"),
        ("(call $dec)", "backpressure"),
        ("(drop (call $read (i32.wrap_i64 (call $stream)) (i32.const -8) (i32.const 16)))", "range"),
        (
            "(drop (call $read (i32.wrap_i64 (call $stream)) (i32.const 0) (i32.const -1)))",
            "more values",
        ),
        ("(drop (call $read (i32.wrap_i64 (call $units)) (i32.const 0) (i32.const 1)))", "handle 2"),
        ("(drop (call $cancel-read (i32.wrap_i64 (call $stream))))", "no operation"),
        (
            "(drop (call $set-wait (call $set-new) (i32.const 64)))",
            "nothing is left that could end it",
        ),
        ("(drop (call $set-poll (call $set-new) (i32.const 3)))", "not aligned"),
        ("(drop (call $set-poll (i32.const 5) (i32.const 64)))", "used handle 5"),
        (
            "(call $drop-trailers (i32.wrap_i64 (i64.shr_u (call $trailers) (i64.const 32))))",
            "the future has no value",
        ),
        (
            "(local.set $code (i32.shr_u (call $sleep (i64.const -1)) (i32.const 4)))
            (call $subtask-drop (local.get $code))",
            "the subtask has not ended",
        ),
        (
            "(local.set $set (call $set-new)) (call $join (i32.wrap_i64 (call $stream)) (local.get $set))
            (call $set-drop (local.get $set))",
            "the set has members",
        ),
    ];
    for (rule, message) in cases {
        let failed = failure(&format!("{rule} {EXIT}"), "unreachable");
        assert!(failed.contains(message), "{rule}: {failed}");
    }
    let busy = format!(
        "{ENDS} (drop (call $read (local.get $reader) (i32.const 0) (i32.const 1)))
        (call $drop-reader (local.get $reader)) {EXIT}"
    );
    assert!(failure(&busy, "unreachable").contains("under way"));
    let twice = format!("{SAY} {SAY} {EXIT}");
    assert!(failure(&twice, "unreachable").contains("the task has returned before"));
    assert!(failure("(i32.const 5)", "unreachable").contains("no code of a callback"));
    assert!(failure("(i32.const 0x12)", "unreachable").contains("used handle 1"), "no set");
}

#[test]
fn a_future_of_the_hosts_is_no_stream() {
    // The component declares its futures of results as streams, and reads no element beyond its memory.
    let handle = format!(
        "(call $response (call $fields) (i32.const 0) (i32.const 0)
            (i32.wrap_i64 (call $trailers)) (i32.const 64))
        (call $drop-response (i32.load (i32.const 64)))
        (drop (call $read-sent (i32.load (i32.const 68)) (i32.const -16) (i32.const 0))) {EXIT}"
    );
    let streams = component("0.3.0", &handle, "unreachable")
        .replace("(future (result (error $code)))", "(stream (result (error $code)))")
        .replace("future.new $sent", "stream.new $sent")
        .replace("future.read $sent", "stream.read $sent")
        .replace("$read-sent (param i32 i32)", "$read-sent (param i32 i32 i32)");
    let failed = polled(&function_of(&streams), exchange()).1.unwrap_err().to_string();
    assert!(failed.contains("response.new"), "{failed}");
}

#[test]
fn tables_are_bounded() {
    let endless = format!("(loop (drop (call $stream)) (br 0)) {EXIT}");
    assert!(failure(&endless, "unreachable").contains("too many handles"));
    let endless = format!("(loop (drop (call $sleep (i64.const -1))) (br 0)) {EXIT}");
    assert!(failure(&endless, "unreachable").contains("too many things"));
    // Subtasks that have returned, and whose events nobody takes.
    let endless = format!(
        "(local.set $set (call $set-new))
        (loop (drop (call $sleep (i64.const 10000)))
            (drop (call $set-poll (local.get $set) (i32.const 160))) (br 0)) {EXIT}"
    );
    assert!(failure(&endless, "unreachable").contains("too many things"));
    let cancelled = format!(
        "(local.set $code (i32.const 4000))
        (loop
            (drop (call $subtask-cancel (i32.shr_u (call $sleep (i64.const -1)) (i32.const 4))))
            (br_if 0 (local.tee $code (i32.sub (local.get $code) (i32.const 1))))) {SAY} {EXIT}"
    );
    assert_eq!(answered(&service(&cancelled, "unreachable")), b"hello, world");
    let churned = format!(
        "(local.set $code (i32.const 40000))
        (loop {ENDS} (call $drop-reader (local.get $reader)) (call $drop-writer (local.get $writer))
            (br_if 0 (local.tee $code (i32.sub (local.get $code) (i32.const 1))))) {SAY} {EXIT}"
    );
    assert_eq!(answered(&service(&churned, "unreachable")), b"hello, world");
}

#[test]
fn a_task_that_does_not_answer_fails() {
    let error = |handle: &str| polled(&service(handle, "unreachable"), exchange()).1.unwrap_err();
    let silent = error(EXIT);
    assert_eq!(silent.downcast_ref(), Some(&HandlerError::NoAnswer));
    let refused = error(&format!(
        "(call $return (i32.const 1) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0)) {EXIT}"
    ));
    let named = HandlerError::Error("destination-IP-unroutable".to_owned());
    assert_eq!(refused.downcast_ref(), Some(&named));
    let open = error(&format!("{ENDS} (call $answer (local.get $reader)) {EXIT}"));
    assert_eq!(open.downcast_ref(), Some(&HandlerError::Unfinished));
}

#[test]
fn a_task_that_has_exited_waits_for_nothing_of_its_own() {
    let handle = format!("(drop (call $sleep (i64.const -1))) {SAY} {EXIT}");
    assert_eq!(answered(&service(&handle, "unreachable")), b"hello, world");
}

#[test]
fn a_task_that_waits_ends_at_its_deadline() {
    let handle = "(local.set $set (call $set-new))
        (call $join (i32.shr_u (call $sleep (i64.const -1)) (i32.const 4)) (local.get $set))
        (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4)))";
    let function = service(handle, "(loop (br 0)) unreachable");
    let soon = || {
        let deadline = Some(Instant::now() + Duration::from_millis(50));
        Exchange { deadline, ..exchange() }
    };
    let (_, ended) = polled_slowly_from(&function, soon());
    assert!(matches!(ended, Err(InvokeError::Deadline(_))), "{ended:?}");
    let ended = function.handle(soon());
    assert!(matches!(ended, Err(InvokeError::Deadline(_))), "{ended:?}");
}

/// A command that gives its stdin to stdout, and returns `$code`.
fn command(code: u32) -> String {
    format!(
        r#"(component
        (type $codes (enum "io" "illegal-byte-sequence" "pipe"))
        (import "wasi:cli/types@0.3.0" (instance $types (export "error-code" (type (eq $codes)))))
        (alias export $types "error-code" (type $code))
        (import "wasi:cli/stdin@0.3.0" (instance $stdin
            (alias outer 1 $code (type $outer)) (export "error-code" (type $code (eq $outer)))
            (export "read-via-stream" (func
                (result (tuple (stream u8) (future (result (error $code)))))))))
        (import "wasi:cli/stdout@0.3.0" (instance $stdout
            (alias outer 1 $code (type $outer)) (export "error-code" (type $code (eq $outer)))
            (export "write-via-stream" (func (param "data" (stream u8))
                (result (future (result (error $code))))))))
        (core module $libc (memory (export "memory") 1))
        (core instance $libc (instantiate $libc))
        (alias core export $libc "memory" (core memory $memory))
        (core func $read (canon lower (func $stdin "read-via-stream") (memory $memory)))
        (core func $write (canon lower (func $stdout "write-via-stream")))
        (core func $return (canon task.return (result (result))))
        (core module $main
            (import "" "memory" (memory 1))
            (import "" "read" (func $read (param i32)))
            (import "" "write" (func $write (param i32) (result i32)))
            (import "" "return" (func $return (param i32)))
            (func (export "run") (result i32)
                (call $read (i32.const 16))
                (drop (call $write (i32.load (i32.const 16))))
                (call $return (i32.const {code}))
                (i32.const 0))
            (func (export "callback") (param i32 i32 i32) (result i32) unreachable))
        (core instance $main (instantiate $main (with "" (instance
            (export "memory" (memory $memory)) (export "read" (func $read))
            (export "write" (func $write)) (export "return" (func $return))))))
        (func $run async (result (result)) (canon lift (core func $main "run") async
            (callback (core func $main "callback"))))
        (instance $exported (export "run" (func $run)))
        (export "wasi:cli/run@0.3.0" (instance $exported)))"#
    )
}

#[test]
fn a_command_is_a_task_too() {
    let function = function_of(&command(0));
    let request = || Exchange::new(Request::new(pieces(&["some ", "pieces"])));
    assert_eq!(polled(&function, request()).1.unwrap(), b"some pieces");
    assert_eq!(function.handle(request()).unwrap().into_body().into_bytes(), b"some pieces");
    let failed = polled(&function_of(&command(1)), request()).1;
    assert!(matches!(failed, Err(InvokeError::Exit(1))), "{failed:?}");
    let (sent, ended) = streamed(&function, request());
    assert_eq!(sent, [b"some ".as_slice(), b"pieces"], "the answer goes out when its guest waits");
    assert!(ended.expect("it ends").body().is_empty());
    let large = "x".repeat(3 * WINDOW / 2).leak();
    let (sent, _) = streamed(&function, Exchange::new(Request::new(pieces(&[large, large]))));
    assert_eq!(sent.concat().len(), 3 * WINDOW);
    assert!(sent.iter().all(|piece| piece.len() <= WINDOW));
}
