//! CGI programs: environment and arguments go in, head and body come out.

mod common;

use common::{build, engine, spec};
use http::Request;
use wfaas_function::{Abi, Body, Exchange, Function, HeadError, InvokeError, Replies, Spec};
use wfaas_vm::Module;

/// Writes this to stdout.
fn says(output: &str) -> String {
    let escaped: String = output.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let len = output.len();
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 1024) "{escaped}")
          (func (export "_start")
            (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const {len}))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

/// Answers its environment, or with `args_get` its arguments, a NUL after each.
fn tells(sizes: &str, get: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "{sizes}" (func $sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "{get}" (func $get (param i32 i32) (result i32)))
          (memory (export "memory") 2)
          (data (i32.const 16) "\40\00\00\00\13\00\00\00\00\40\00\00")
          (data (i32.const 64) "content-type: a/b\0a\0a")
          (func (export "_start")
            (drop (call $sizes (i32.const 0) (i32.const 28)))
            (drop (call $get (i32.const 4096) (i32.const 16384)))
            (drop (call $write (i32.const 1) (i32.const 16) (i32.const 2) (i32.const 8)))))"#
    )
}

fn cgi(wat: &str, spec: Spec) -> Function {
    let engine = engine();
    let module = Module::from_bytes(&engine, &build(wat)).unwrap();
    Function::new(&engine, &module, Spec { abi: Some(Abi::new("cgi")), ..spec }).unwrap()
}

fn ask(function: &Function, request: http::request::Builder) -> Vec<String> {
    let exchange = Exchange::new(request.body(Body::complete("12345")).unwrap());
    let exchange = Exchange { id: "id".into(), route_bytes: 2, ..exchange };
    let body = function.handle(exchange).unwrap().into_body().into_bytes();
    let texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8(text.into()).unwrap());
    texts.filter(|text| !text.is_empty()).collect()
}

#[test]
fn a_program_sets_status_and_headers() {
    let page = cgi(&says("Status: 404 None\nContent-Type: a/b\nX-A: 1\nX-A: 2\n\nbody"), spec());
    assert!(page.replies() == Replies::Always && page.reads_streams());
    for _ in 0..2 {
        let answer = page.handle(Exchange::with_body("")).unwrap();
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["content-type"], "a/b");
        let values: Vec<_> = answer.headers().get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!(answer.body().as_bytes(), b"body");
    }
}

#[test]
fn a_head_that_is_none_is_an_error_of_its_own() {
    for (output, expected) in [
        ("hello\n\n", HeadError::Line("hello".to_owned())),
        ("", HeadError::Unfinished),
        ("Content-Type: a/b\n", HeadError::Unfinished),
        ("Location: /elsewhere\n\nbody", HeadError::LocalRedirect),
        ("Status: 200\n\nbody", HeadError::NoContentType),
    ] {
        let error = cgi(&says(output), spec()).handle(Exchange::with_body("")).unwrap_err();
        let InvokeError::Head(found) = error else { panic!("{output:?}: {error}") };
        assert_eq!(found, expected, "{output:?}");
    }
}

#[test]
fn the_environment_is_that_of_the_request() {
    let tells = tells("environ_sizes_get", "environ_get");
    let request = || {
        Request::post("/x/a%20b?c=d")
            .header("host", "h.example")
            .header("proxy", "http://evil.example")
            .header("authorization", "Basic secret")
            .header("x-a", "1")
    };
    let variables = ask(&cgi(&tells, spec()), request());
    for variable in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "REQUEST_METHOD=POST",
        "SCRIPT_NAME=/x",
        "PATH_INFO=/a b",
        "QUERY_STRING=c=d",
        "CONTENT_LENGTH=5",
        "HTTP_X_A=1",
        "REQUEST_ID=id",
    ] {
        assert!(variables.contains(&variable.to_owned()), "no {variable} in {variables:?}");
    }
    let names = |variables: &[String]| {
        let names = variables.iter().filter_map(|variable| variable.split('=').next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let found = names(&variables);
    assert!(!found.iter().any(|name| name == "HTTP_PROXY" || name == "HTTP_AUTHORIZATION"));
    let mut unique = found.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), found.len(), "no name is there twice");
    let passes = Spec { pass_authorization: Some(true), ..spec() };
    let variables = ask(&cgi(&tells, passes), request());
    assert!(variables.contains(&"HTTP_AUTHORIZATION=Basic secret".to_owned()));
}

#[test]
fn a_query_without_an_equals_sign_is_arguments() {
    let tells = cgi(&tells("args_sizes_get", "args_get"), spec());
    assert_eq!(ask(&tells, Request::get("/x?one+two%20words")), ["test", "one", "two words"]);
    assert_eq!(ask(&tells, Request::get("/x?a=b+c")), ["test"]);
    assert_eq!(ask(&tells, Request::get("/x")), ["test"]);
}

#[test]
fn a_path_that_no_variable_can_hold_is_the_clients_mistake() {
    let page = cgi(&says("Content-Type: a/b\n\n"), spec());
    let request = Request::get("/a%00").body(Body::default()).unwrap();
    let error = page.handle(Exchange::new(request)).unwrap_err();
    assert!(matches!(error, InvokeError::Request(_)), "{error}");
}

#[test]
fn a_body_has_its_limit_and_the_head_does_not_count() {
    let mut limited = spec();
    limited.limits.output = Some(wfaas_function::ByteSize(4));
    let function =
        |body: &str| cgi(&says(&format!("Content-Type: a/b\n\n{body}")), limited.clone());
    assert_eq!(function("1234").handle(Exchange::with_body("")).unwrap().body().len(), 4);
    let error = function("12345").handle(Exchange::with_body("")).unwrap_err();
    assert!(matches!(error, InvokeError::OutputLimit(_)), "{error}");
}
