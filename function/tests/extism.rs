//! Extism plug-ins: every function of the kernel, as a guest calls it.

mod common;

use common::{build, engine, handle, spec, try_function};
use http::{Request, Response};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use wfaas_function::protocols::extism::{NoRoom, PluginError};
use wfaas_function::{Body, HttpClient, Sending, Timeouts};
use wfaas_function::{ByteSize, Exchange, Function, FunctionError, LogEvent, LogSink, Spec};
use wfaas_function::{InvokeError, Limits, Support};
use wfaas_vm::Module;

/// The imports, each named as it is.
const IMPORTS: &[(&str, &str)] = &[
    ("alloc", "(param i64) (result i64)"),
    ("free", "(param i64)"),
    ("length", "(param i64) (result i64)"),
    ("length_unsafe", "(param i64) (result i64)"),
    ("load_u8", "(param i64) (result i32)"),
    ("load_u64", "(param i64) (result i64)"),
    ("store_u8", "(param i64 i32)"),
    ("store_u64", "(param i64 i64)"),
    ("memory_bytes", "(result i64)"),
    ("reset", ""),
    ("input_set", "(param i64 i64)"),
    ("input_length", "(result i64)"),
    ("input_offset", "(result i64)"),
    ("input_load_u8", "(param i64) (result i32)"),
    ("input_load_u64", "(param i64) (result i64)"),
    ("output_set", "(param i64 i64)"),
    ("output_length", "(result i64)"),
    ("output_offset", "(result i64)"),
    ("error_set", "(param i64)"),
    ("error_get", "(result i64)"),
    ("config_get", "(param i64) (result i64)"),
    ("var_get", "(param i64) (result i64)"),
    ("var_set", "(param i64 i64)"),
    ("http_request", "(param i64 i64) (result i64)"),
    ("http_status_code", "(result i32)"),
    ("http_headers", "(result i64)"),
    ("log_trace", "(param i64)"),
    ("log_debug", "(param i64)"),
    ("log_info", "(param i64)"),
    ("log_warn", "(param i64)"),
    ("log_error", "(param i64)"),
    ("get_log_level", "(result i32)"),
];

/// A plug-in with these exports. `$block` is the address of a block with a text of its memory,
/// `$answer` has a block as output and returns 0.
fn guest(exports: &str) -> String {
    let import = |(name, ty): &(&str, &str)| {
        format!(r#"(import "extism:host/env" "{name}" (func ${name} {ty}))"#)
    };
    let imports: Vec<String> = IMPORTS.iter().map(import).collect();
    format!(
        r#"(module {}
        (memory (export "memory") 1)
        (func $block (param $ptr i32) (param $len i32) (result i64)
            (local $at i32) (local $block i64)
            (local.set $block (call $alloc (i64.extend_i32_u (local.get $len))))
            (loop $more
                (call $store_u8
                    (i64.add (local.get $block) (i64.extend_i32_u (local.get $at)))
                    (i32.load8_u (i32.add (local.get $ptr) (local.get $at))))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $at) (local.get $len))))
            (local.get $block))
        (func $answer (param $block i64) (result i32)
            (call $output_set (local.get $block) (call $length (local.get $block)))
            (i32.const 0))
        {exports})"#,
        imports.join("\n")
    )
}

fn try_plugin(exports: &str, spec: Spec) -> Result<Function, FunctionError> {
    try_function(&guest(exports), spec)
}

fn plugin(exports: &str) -> Function {
    try_plugin(exports, spec()).unwrap()
}

#[test]
fn input_becomes_output() {
    let echo = plugin(
        r#"(func (export "echo") (result i32)
            (call $output_set (call $input_offset) (call $input_length)) (i32.const 0))"#,
    );
    assert_eq!(echo.abi().name, "extism");
    for body in ["", "x", "hello, world"] {
        assert_eq!(handle(&echo, body).unwrap(), body.as_bytes());
    }
    let large = vec![7; 5 << 20];
    assert_eq!(handle(&echo, large.clone()).unwrap(), large);
}

#[test]
fn input_is_read_in_bytes_and_words() {
    // The first word and the last byte of ten; zeros behind the end.
    let read = plugin(
        r#"(func (export "read") (result i32) (local $block i64)
            (local.set $block (call $alloc (i64.const 17)))
            (call $store_u64 (local.get $block) (call $input_load_u64 (i64.const 0)))
            (call $store_u8 (i64.add (local.get $block) (i64.const 8))
                (call $input_load_u8 (i64.const 9)))
            (call $store_u64 (i64.add (local.get $block) (i64.const 9))
                (call $input_load_u64 (i64.const 3)))
            (call $answer (local.get $block)))"#,
    );
    assert_eq!(handle(&read, "0123456789").unwrap(), b"012345679\0\0\0\0\0\0\0\0");
}

#[test]
fn blocks_have_lengths_until_they_are_freed() {
    let lengths = plugin(
        r#"(func (export "lengths") (result i32) (local $block i64)
            (local.set $block (call $block (i32.const 0) (i32.const 10)))
            (if (i64.ne (call $length (local.get $block)) (i64.const 10)) (then unreachable))
            (if (i64.ne (call $length_unsafe (local.get $block)) (i64.const 10))
                (then unreachable))
            (if (i64.ne (call $length (i64.add (local.get $block) (i64.const 1))) (i64.const 0))
                (then unreachable))
            (call $free (local.get $block))
            (if (i64.ne (call $length (local.get $block)) (i64.const 0)) (then unreachable))
            (if (i64.ne (call $alloc (i64.const 0)) (i64.const 0)) (then unreachable))
            (if (i64.ne (call $alloc (i64.const -1)) (i64.const 0)) (then unreachable))
            (if (i64.ne (call $load_u64 (i64.const -1)) (i64.const 0)) (then unreachable))
            (if (call $load_u8 (i64.const 0x7fffffffffffffff)) (then unreachable))
            (call $store_u64 (i64.const -4) (i64.const 1))
            (if (i64.eqz (call $memory_bytes)) (then unreachable))
            (call $reset)
            (if (i64.ne (call $memory_bytes) (i64.const 0)) (then unreachable))
            (if (i64.ne (call $input_length) (i64.const 0)) (then unreachable))
            (local.set $block (call $alloc (i64.const 4)))
            (call $input_set (local.get $block) (i64.const 4))
            (if (i64.ne (call $input_offset) (local.get $block)) (then unreachable))
            (call $output_set (local.get $block) (i64.const 4))
            (if (i64.ne (call $output_offset) (local.get $block)) (then unreachable))
            (if (i64.ne (call $output_length) (i64.const 4)) (then unreachable))
            (i32.const 0))"#,
    );
    assert_eq!(handle(&lengths, "input").unwrap(), [0; 4]);
}

#[test]
fn memory_is_bounded() {
    let exports = r#"(func (export "fill") (result i32) (local $count i32) (local $block i64)
            (loop $more
                (local.set $count (i32.add (local.get $count) (i32.const 1)))
                (br_if $more (i64.ne (call $alloc (i64.const 1000)) (i64.const 0))))
            (local.get $count))"#;
    let limits = Limits { memory: Some(ByteSize(1 << 20)), ..Limits::default() };
    let fill = try_plugin(exports, Spec { limits, ..spec() }).unwrap();
    let error = handle(&fill, "").unwrap_err();
    let PluginError { code, message } = error.downcast_ref().unwrap();
    assert_eq!(*code, (1 << 20) / (1000 + 64) + 1);
    assert_eq!(message, "no error is set");
    let error = handle(&fill, vec![0; 2 << 20]).unwrap_err();
    let no_room = NoRoom { bytes: 2 << 20, limit: 1 << 20 };
    assert_eq!(error.downcast_ref::<NoRoom>(), Some(&no_room));
}

/// A tenant is charged for what its plug-ins may have on the host's side.
#[test]
fn memory_of_the_host_counts() {
    let code = r#"(func (export "call") (result i32) (i32.const 0))"#;
    let bytes = |hosts: &[&str]| {
        let allowed_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let limits = Limits { memory: Some(ByteSize(8 << 20)), ..Limits::default() };
        try_plugin(code, Spec { limits, allowed_hosts, ..spec() }).unwrap().more_bytes()
    };
    let command = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    let stack = try_function(command, spec()).unwrap().more_bytes();
    assert_eq!(bytes(&[]) - stack, 9 << 20, "kernel and variables");
    assert_eq!(bytes(&["*"]) - stack, 17 << 20, "an answer that the kernel takes");
}

#[test]
fn errors_are_a_code_and_a_message() {
    let exports = r#"(data (i32.const 0) "no way")
        (func (export "fail") (result i32)
            (call $error_set (call $block (i32.const 0) (i32.const 6)))
            (if (i64.eqz (call $error_get)) (then unreachable))
            (i32.const 7))
        (func (export "only_set") (result i32)
            (call $error_set (call $block (i32.const 0) (i32.const 2))) (i32.const 0))
        (func (export "cleared") (result i32)
            (call $error_set (call $block (i32.const 0) (i32.const 2)))
            (call $error_set (i64.const 0)) (i32.const 0))"#;
    let call = |export: &str| {
        let export = Some(export.to_owned());
        handle(&try_plugin(exports, Spec { export, ..spec() }).unwrap(), "")
    };
    let plugin_error = |error: InvokeError| error.downcast_ref::<PluginError>().cloned().unwrap();
    let failed = PluginError { code: 7, message: "no way".to_owned() };
    assert_eq!(plugin_error(call("fail").unwrap_err()), failed);
    let set = PluginError { code: 0, message: "no".to_owned() };
    assert_eq!(plugin_error(call("only_set").unwrap_err()), set);
    assert_eq!(call("cleared").unwrap(), b"");
}

#[test]
fn settings_are_asked_for_by_name() {
    let exports = r#"(data (i32.const 0) "nameother")
        (func (export "ask") (result i32)
            (if (i64.ne (call $config_get (call $block (i32.const 4) (i32.const 5))) (i64.const 0))
                (then unreachable))
            (call $answer (call $config_get (call $block (i32.const 0) (i32.const 4)))))"#;
    let mut spec = spec();
    spec.config.insert("name".to_owned(), "ada".to_owned());
    assert_eq!(handle(&try_plugin(exports, spec).unwrap(), "").unwrap(), b"ada");
}

#[test]
fn variables_last_as_long_as_the_call() {
    let vars = plugin(
        r#"(data (i32.const 0) "vvalue")
        (func (export "vars") (result i32) (local $name i64)
            (local.set $name (call $block (i32.const 0) (i32.const 1)))
            (if (i64.ne (call $var_get (local.get $name)) (i64.const 0)) (then unreachable))
            (call $var_set (local.get $name) (call $block (i32.const 1) (i32.const 5)))
            (call $reset)
            (local.set $name (call $block (i32.const 0) (i32.const 1)))
            (drop (call $answer (call $var_get (local.get $name))))
            (call $var_set (local.get $name) (i64.const 0))
            (if (i64.ne (call $var_get (local.get $name)) (i64.const 0)) (then unreachable))
            (i32.const 0))"#,
    );
    for _ in 0..2 {
        assert_eq!(handle(&vars, "").unwrap(), b"value");
    }
}

#[test]
fn broken_rules_end_the_guest() {
    let exports = r#"(data (i32.const 0) "\ff{\"url\": \"http://a.example/x\"}")
        (func (export "output") (result i32)
            (call $output_set (i64.const 1) (i64.const 1000)) (i32.const 0))
        (func (export "input") (result i32)
            (call $input_set (i64.const -1) (i64.const 2)) (i32.const 0))
        (func (export "config") (result i32) (drop (call $config_get (i64.const 1))) (i32.const 0))
        (func (export "text") (result i32)
            (drop (call $var_get (call $block (i32.const 0) (i32.const 1)))) (i32.const 0))
        (func (export "value") (result i32)
            (call $var_set (call $block (i32.const 1) (i32.const 1)) (i64.const 5)) (i32.const 0))
        (func (export "log") (result i32) (call $log_error (i64.const 5)) (i32.const 0))
        (func (export "request") (result i32)
            (if (call $http_status_code) (then unreachable))
            (if (i64.ne (call $http_headers) (i64.const 0)) (then unreachable))
            (drop (call $http_request (call $block (i32.const 1) (i32.const 29)) (i64.const 0)))
            (i32.const 0))
        (func (export "description") (result i32)
            (drop (call $http_request (call $alloc (i64.const 131073)) (i64.const 0)))
            (i32.const 0))
        (func (export "name") (result i32)
            (drop (call $config_get (call $alloc (i64.const 65537)))) (i32.const 0))
        (func (export "variable") (result i32)
            (call $var_set (call $block (i32.const 1) (i32.const 1)) (call $alloc (i64.const 1048577)))
            (i32.const 0))"#;
    let call = |export: &str, hosts: &[&str]| {
        let export = Some(export.to_owned());
        let allowed_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let plugin = try_plugin(exports, Spec { export, allowed_hosts, ..spec() }).unwrap();
        let error = handle(&plugin, "").unwrap_err();
        assert!(matches!(error, InvokeError::Protocol(_)), "{error:?}");
        error.to_string()
    };
    for (export, reason) in [
        ("output", "the output is outside"),
        ("input", "the input is outside"),
        ("config", "no block"),
        ("text", "UTF-8"),
        ("value", "no block"),
        ("log", "no block"),
        ("description", "http_request: the block is too long"),
        ("name", "the block is too long"),
        ("variable", "the variables are full"),
        ("request", "http://a.example/x: the host a.example is not in `allowed_hosts`"),
    ] {
        let error = call(export, &["b.example"]);
        assert!(error.contains(reason), "{export}: {error}");
    }
    let error = call("request", &["*.example"]);
    assert!(error.contains("http://a.example/x: there is no network here"), "{error}");
}

/// Answers with what it was asked for: method, headers and body.
#[derive(Debug)]
struct Mirror;

impl HttpClient for Mirror {
    fn send(&self, request: Request<Body>, _timeouts: Timeouts) -> Sending {
        let (head, body) = request.into_parts();
        let mut answer = Response::builder().status(418);
        for (name, value) in &head.headers {
            answer = answer.header(name, value);
        }
        let line = format!("{} {} ", head.method, head.uri);
        let body = Body::complete([line.as_bytes(), body.as_bytes()].concat());
        // As late as over a network.
        Box::pin(async move {
            let mut is_first = true;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            Ok(answer.body(body).unwrap())
        })
    }
}

/// Sends the request of the first JSON text with the body behind it, and answers with status, headers
/// and body of the other server's answer.
fn requesting(json: &str, hosts: &[&str]) -> Function {
    let data = json.replace('"', "\\\"");
    let exports = format!(
        r#"(data (i32.const 0) "{data}sent")
        (func $copy (param $from i64) (param $to i64) (local $at i64)
            (block $done (loop $more
                (br_if $done (i64.eq (local.get $at) (call $length (local.get $from))))
                (call $store_u8 (i64.add (local.get $to) (local.get $at))
                    (call $load_u8 (i64.add (local.get $from) (local.get $at))))
                (local.set $at (i64.add (local.get $at) (i64.const 1)))
                (br $more))))
        (func (export "call") (result i32) (local $body i64) (local $headers i64) (local $all i64)
            (local.set $body (call $http_request
                (call $block (i32.const 0) (i32.const {length}))
                (call $block (i32.const {length}) (i32.const 4))))
            (if (i32.ne (call $http_status_code) (i32.const 418)) (then unreachable))
            (local.set $headers (call $http_headers))
            (local.set $all (call $alloc
                (i64.add (call $length (local.get $headers)) (call $length (local.get $body)))))
            (call $copy (local.get $headers) (local.get $all))
            (call $copy (local.get $body)
                (i64.add (local.get $all) (call $length (local.get $headers))))
            (call $answer (local.get $all)))"#,
        length = json.len(),
    );
    let allowed_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut function = try_plugin(&exports, Spec { allowed_hosts, ..spec() }).unwrap();
    function.set_client(Arc::new(Mirror));
    function
}

#[test]
fn requests_go_to_allowed_hosts() {
    let json = r#"{"url": "https://a.example/x?y", "method": "PUT", "headers": {"x-one": "1", "host": "b"}}"#;
    let function = requesting(json, &["a.example"]);
    let wanted = r#"{"x-one":"1"}PUT https://a.example/x?y sent"#;
    // The guest holds its thread, and is suspended.
    assert_eq!(String::from_utf8(handle(&function, "").unwrap()).unwrap(), wanted);
    let answer = block_on(function.handle_async(Exchange::with_body(""))).unwrap();
    assert_eq!(answer.into_body().into_bytes(), wanted.as_bytes());
}

#[test]
fn requests_are_refused_by_name() {
    for (json, reason) in [
        (r#"{"url": "http://b.example/"}"#, "the host b.example is not in `allowed_hosts`"),
        (r#"{"url": "file:///etc/passwd"}"#, "is not the URL of a request"),
        (r#"{"url": "http://a.example/", "method": "CONNECT"}"#, "CONNECT is not for requests"),
        (r#"{"url": "http://a.example/", "headers": {"a b": "1"}}"#, "invalid HTTP header name"),
        (r#"{"method": "GET"}"#, "missing field `url`"),
        ("no JSON", "expected ident"),
    ] {
        let error = handle(&requesting(json, &["a.example"]), "").unwrap_err();
        assert!(matches!(error, InvokeError::Protocol(_)), "{error:?}");
        assert!(error.to_string().contains(reason), "{json}: {error}");
    }
}

/// Polls as often as it is woken.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A block that was given back is zero however large it is, also where that is made in pieces.
#[test]
fn a_large_block_is_zero_again() {
    let large = plugin(
        r#"(func (export "large") (result i32) (local $block i64) (local $again i64)
            (local.set $block (call $alloc (i64.const 0x2000000)))
            (call $store_u64 (i64.add (local.get $block) (i64.const 0x1fffff8)) (i64.const -1))
            (call $free (local.get $block))
            (local.set $again (call $alloc (i64.const 0x2000000)))
            (if (i64.ne (local.get $block) (local.get $again)) (then unreachable))
            (if (i64.ne (call $load_u64 (i64.add (local.get $again) (i64.const 0x1fffff8))) (i64.const 0))
                (then unreachable))
            (i32.const 0))"#,
    );
    assert_eq!(handle(&large, "").unwrap(), b"");
    assert!(block_on(large.handle_async(Exchange::with_body(""))).is_ok());
}

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<LogEvent>>>);

impl LogSink for Kept {
    fn take(&self, event: LogEvent) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn messages_go_to_the_log() {
    let log = plugin(
        r#"(data (i32.const 0) "message")
        (func (export "log") (result i32) (local $block i64)
            (local.set $block (call $block (i32.const 0) (i32.const 7)))
            (call $log_trace (local.get $block))
            (call $log_debug (local.get $block))
            (call $log_info (local.get $block))
            (call $log_warn (local.get $block))
            (call $log_error (local.get $block))
            (if (i32.ne (call $get_log_level) (i32.const 2)) (then unreachable))
            (i32.const 0))"#,
    );
    let kept = Kept::default();
    log.handle(Exchange { log: Some(Box::new(kept.clone())), ..Exchange::default() }).unwrap();
    let lines = ["info", "warn", "error"];
    let lines = lines.map(|level| LogEvent::Line(format!("{level}: message")));
    assert_eq!(*kept.0.lock().unwrap(), lines);
}

#[test]
fn the_export_is_named_or_the_only_one() {
    let two = r#"(func (export "one") (result i32) (i32.const 0))
        (func (export "other") (result i32) (i32.const 0))
        (func (export "_hidden") (result i32) (i32.const 0))
        (func (export "no_plugin") (param i32) (result i32) (i32.const 0))"#;
    let error = try_plugin(two, spec()).unwrap_err().to_string();
    assert!(error.contains("one, other") && !error.contains("hidden"), "{error}");
    let export = |name: &str| Spec { export: Some(name.to_owned()), ..spec() };
    assert!(try_plugin(two, export("other")).is_ok());
    let error = try_plugin(two, export("no_plugin")).unwrap_err().to_string();
    assert!(error.contains("() -> (i32)"), "{error}");
    let called = format!(r#"{two} (func (export "call") (result i32) (i32.const 0))"#);
    assert!(try_plugin(&called, spec()).is_ok());
}

#[test]
fn all_imports_are_there_and_an_image_too() {
    let engine = engine();
    let wat = guest(
        r#"(func (export "call") (result i32) (i32.const 0)) (func (export "_initialize")
        (drop (call $alloc (i64.const 1))))"#,
    );
    let module = Module::from_bytes(&engine, &build(&wat)).unwrap();
    assert!(module.is_initialised(), "the kernel is there while it is built");
    assert_eq!(module.imports().count(), IMPORTS.len());
    for (namespace, name, ty) in module.imports() {
        assert_eq!(Function::support(namespace, name, &ty), Support::Works, "{name}");
    }
}
