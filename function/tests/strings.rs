//! Functions of strings, as `wasm-bindgen` passes them: its present form, two older ones, and the one
//! of modules that the tool has not been run on; and text bots on top of that.

mod common;

use common::{engine, function, handle, spec, try_function};
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use wfaas_function::protocols::bindgen::BadString;
use wfaas_function::{Abi, Body, Exchange, Function, InvokeError, Spec};
use wfaas_vm::Module;

/// How a module passes strings.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// The result is two numbers.
    Results,
    /// The result is where the caller says, in the guest's stack.
    Stack,
    /// The result is where the caller says, in memory that it allocates.
    Heap,
    /// The same, with an allocator that takes a size only.
    OldHeap,
}

const FORMS: [Form; 4] = [Form::Results, Form::Stack, Form::Heap, Form::OldHeap];

/// Appends strings, from 64 KiB on. A text of `?` throws, one of `!` calls JavaScript, and one of `#`
/// returns a string that is not there. `__wbindgen_start` has to be called for the `>` in front.
fn guest(form: Form) -> String {
    let malloc = match form {
        Form::OldHeap => "(param $size i32)",
        _ => "(param $size i32) (param $align i32)",
    };
    let stack = match form {
        Form::Stack => {
            r#"(global $stack (mut i32) (i32.const 512))
            (func (export "__wbindgen_add_to_stack_pointer") (param i32) (result i32)
                (global.set $stack (i32.add (global.get $stack) (local.get 0)))
                (global.get $stack))"#
        }
        _ => "",
    };
    let (room, result, leave) = match form {
        Form::Results => ("", "(result i32 i32)", "(i32.const 65536) (call $length)"),
        _ => (
            "(param $room i32)",
            "",
            "(i32.store (local.get $room) (i32.const 65536))
            (i32.store offset=4 (local.get $room) (call $length))",
        ),
    };
    format!(
        r#"(module
        (import "./bot_bg.js" "__wbg___wbindgen_throw_0123456789abcdef"
            (func $throw (param i32 i32)))
        (import "./bot_bg.js" "__wbindgen_init_externref_table" (func $init))
        (import "wbg" "__wbg_alert_0123" (func $alert (param i32) (result f64)))
        (memory (export "memory") 2)
        (data (i32.const 8) ": [") (data (i32.const 16) "not this")
        (global $heap (mut i32) (i32.const 1024))
        (global $end (mut i32) (i32.const 65536)) (global $far (mut i32) (i32.const 0))
        {stack}
        (func (export "__wbindgen_malloc") {malloc} (result i32)
            (global.set $heap (i32.add (global.get $heap) (local.get $size)))
            (i32.sub (global.get $heap) (local.get $size)))
        (func (export "__wbindgen_start") (call $init) (call $byte (i32.const 62)))
        (func $byte (param i32)
            (i32.store8 (global.get $end) (local.get 0))
            (global.set $end (i32.add (global.get $end) (i32.const 1))))
        (func $append (param $ptr i32) (param $len i32)
            (memory.copy (global.get $end) (local.get $ptr) (local.get $len))
            (global.set $end (i32.add (global.get $end) (local.get $len))))
        (func $length (result i32)
            (select (i32.const 200000) (i32.sub (global.get $end) (i32.const 65536))
                (global.get $far)))
        (func (export "text_received") {room}
            (param $text i32) (param $len i32) (param $user i32) (param $user_len i32)
            (param $step i32) (param $step_len i32) {result}
            (if (i32.eq (local.get $len) (i32.const 1)) (then
                (if (i32.eq (i32.load8_u (local.get $text)) (i32.const 63))
                    (then (call $throw (i32.const 16) (i32.const 8))))
                (if (i32.eq (i32.load8_u (local.get $text)) (i32.const 33))
                    (then (drop (call $alert (i32.const 1)))))
                (if (i32.eq (i32.load8_u (local.get $text)) (i32.const 35))
                    (then (global.set $far (i32.const 1))))))
            (call $append (local.get $user) (local.get $user_len))
            (call $append (i32.const 8) (i32.const 2))
            (call $append (local.get $text) (local.get $len))
            (call $append (i32.const 9) (i32.const 2))
            (call $append (local.get $step) (local.get $step_len))
            {leave})
        (func (export "nothing") (param i32 i32))
        (func (export "number") (param i64) (result i32 i32) (i32.const 0) (i32.const 0)))"#
    )
}

fn ask(bot: &Function, content_type: &str, body: &str) -> (StatusCode, String) {
    let request = Request::post("/bot").header(CONTENT_TYPE, content_type);
    let exchange = Exchange::new(request.body(Body::complete(body)).unwrap());
    let answer = bot.handle(exchange).unwrap();
    let status = answer.status();
    (status, String::from_utf8(answer.into_body().into_bytes()).unwrap())
}

#[test]
fn bots_of_all_forms_answer() {
    for form in FORMS {
        let bot = function(&guest(form), spec());
        assert_eq!(bot.abi().name, "bot", "{form:?}");
        for _ in 0..2 {
            let json = r#"{"text": "grüße", "username": "ada", "step_data": "7"}"#;
            let reply = ask(&bot, "application/json", json);
            assert_eq!(reply, (StatusCode::OK, ">ada: grüße [7".to_owned()), "{form:?}");
        }
        let (_, reply) = ask(&bot, "application/x-www-form-urlencoded", "text=2%2B2&user_name=x");
        assert_eq!(reply, ">x: 2+2 [", "{form:?}");
        assert_eq!(handle(&bot, "").unwrap(), b">:  [", "{form:?}");
        assert_eq!(handle(&bot, "plain").unwrap(), b">: plain [", "{form:?}");
        let (status, reason) = ask(&bot, "application/json", "[]");
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(reason.contains("`text`"), "{reason}");
    }
}

#[test]
fn a_guest_is_to_blame_for_its_exceptions() {
    for form in FORMS {
        let bot = function(&guest(form), spec());
        for (text, reason) in [
            ("?", "the guest threw an exception: not this"),
            ("!", "__wbg_alert_0123"),
            ("#", "outside"),
        ] {
            let error = handle(&bot, text).unwrap_err();
            assert!(matches!(error, InvokeError::Protocol(_)), "{error:?}");
            assert_eq!(error.fault(), wfaas_vm::Fault::Module);
            assert!(error.to_string().contains(reason), "{form:?}: {error}");
        }
    }
}

#[test]
fn strings_need_room() {
    let bot = function(&guest(Form::Results), spec());
    let error = handle(&bot, "x".repeat(140_000)).unwrap_err();
    let error = error.downcast_ref::<BadString>().unwrap();
    assert_eq!(*error, BadString::NoRoom { bytes: 140_000, ptr: 1024 });
}

/// A module where the tool found nothing to run at its start: the export is an import itself.
#[test]
fn a_start_that_is_an_import_is_left_out() {
    let export = r#"(export "__wbindgen_start" (func $init)) (memory"#;
    let wat = guest(Form::Results)
        .replace(r#"(func (export "__wbindgen_start")"#, "(func")
        .replacen("(memory", export, 1);
    assert_eq!(handle(&function(&wat, spec()), "x").unwrap(), b": x [");
}

fn bindgen(export: &str) -> Result<Function, wfaas_function::FunctionError> {
    let (abi, export) = (Some(Abi::new("bindgen")), Some(export.to_owned()));
    try_function(&guest(Form::Results), Spec { abi, export, ..spec() })
}

#[test]
fn any_function_of_strings_is_called_by_its_name() {
    let strings = bindgen("text_received").unwrap();
    assert_eq!(strings.abi().name, "bindgen");
    assert_eq!(handle(&strings, r#"["a", "b", "c\u00e4"]"#).unwrap(), ">b: a [cä".as_bytes());
    let refused = strings.handle(Exchange::with_body("a")).unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(handle(&bindgen("nothing").unwrap(), "x").unwrap(), b"");
    let error = bindgen("number").unwrap_err().to_string();
    assert!(error.contains("no function of strings"), "{error}");
    let error = bindgen("missing").unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
}

#[test]
fn a_reply_that_is_an_object_is_json() {
    let wat = r#"(module (memory (export "memory") 1)
        (data (i32.const 8) "{\"result\": \"hi\", \"new_step\": true}")
        (func (export "__wbindgen_malloc") (param i32 i32) (result i32) (i32.const 1024))
        (func (export "text_received") (param i32 i32) (result i32 i32)
            (i32.const 8) (i32.const 34)))"#;
    let answer = function(wat, spec()).handle(Exchange::with_body("x")).unwrap();
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(answer.body().as_bytes(), br#"{"result": "hi", "new_step": true}"#);
}

#[test]
fn imports_are_said_to_be_there() {
    let engine = engine();
    let module = Module::from_bytes(&engine, &common::build(&guest(Form::Results))).unwrap();
    let works: Vec<bool> = module
        .imports()
        .map(|(module, name, ty)| {
            Function::support(module, name, &ty) == wfaas_function::Support::Works
        })
        .collect();
    assert_eq!(works, [true, true, false]);
}
