//! Host functions of reactors: the head of the request, its body, and the answer as it is made.

mod common;

use common::{function, spec};
use http::Request;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wfaas_function::{
    Body, Exchange, Function, HeadError, InvokeError, Replies, Reply, WINDOW,
    protocols::reactor::TwoAnswers,
};

/// A reactor whose `faas_handle` is this; `$f` are the host functions, the answer is what `$say` has
/// collected: numbers as text would take code, so each is one byte, below zero from 256 down.
fn reactor(imports: &[(&str, usize)], body: &str) -> String {
    let imports: String = imports
        .iter()
        .map(|(name, params)| {
            let params = " i32".repeat(*params);
            let params = if params.is_empty() { params } else { format!("(param{params})") };
            format!(r#"(import "faas" "{name}" (func ${name} {params} (result i32)))"#)
        })
        .collect();
    format!(
        r#"(module {imports}
          (memory (export "memory") 4)
          (data (i32.const 16) "x-a") (data (i32.const 24) "value") (data (i32.const 32) "a b")
          (data (i32.const 40) "v\0aw")
          (global $len (mut i32) (i32.const 0))
          (func $say (param i32)
            (i32.store8 (i32.add (i32.const 4096) (global.get $len)) (local.get 0))
            (global.set $len (i32.add (global.get $len) (i32.const 1))))
          (func (export "faas_alloc") (param i32) (result i32) (i32.const 8192))
          (func (export "faas_handle") (param i32 i32) (result i64)
            {body}
            (i64.or (i64.const 0x0000_1000_0000_0000) (i64.extend_i32_u (global.get $len)))))"#
    )
}

fn request() -> Exchange {
    let request = Request::put("/route/rest?q=1").header("x-a", "one").header("x-a", "two");
    let request = request.body(Body::complete("body")).unwrap();
    Exchange { route_bytes: 6, ..Exchange::new(request) }
}

fn answer(function: &Function) -> Vec<u8> {
    function.handle(request()).unwrap().into_body().into_bytes()
}

#[test]
fn the_head_of_the_request_can_be_read() {
    // Each text goes right behind the answer so far, which grows by it.
    let tell = |name: &str| {
        format!(
            "(global.set $len (i32.add (global.get $len)
               (call ${name} (i32.add (i32.const 4096) (global.get $len)) (i32.const 1000))))"
        )
    };
    let names = ["request_method", "request_path", "request_query", "request_headers"];
    let body: String = names.iter().map(|name| tell(name)).collect();
    let function = function(&reactor(&names.map(|name| (name, 2)), &body), spec());
    assert!(function.replies() == Replies::Never && !function.reads_streams());
    assert_eq!(answer(&function), b"PUT/route/restq=1x-a:one\nx-a:two\n");
}

#[test]
fn texts_are_cut_and_their_length_is_not() {
    let body = "(call $say (call $request_path (i32.const 4097) (i32.const 3)))
        (global.set $len (i32.const 6))";
    let function = function(&reactor(&[("request_path", 2)], body), spec());
    assert_eq!(answer(&function), b"\x0b/ro\0\0");
}

#[test]
fn what_does_not_fit_is_a_number_below_zero() {
    let header = |name: u32, len: u32, index: u32, to: u32, room: u32| {
        format!(
            "(call $say (call $request_header (i32.const {name}) (i32.const {len})
               (i32.const {index}) (i32.const {to}) (i32.const {room})))"
        )
    };
    let set = |name: u32, name_len: u32, value: u32, value_len: u32| {
        format!(
            "(call $say (call $response_header (i32.const {name}) (i32.const {name_len})
               (i32.const {value}) (i32.const {value_len})))"
        )
    };
    let status = |code: i32| format!("(call $say (call $response_status (i32.const {code})))");
    let body = [
        header(16, 3, 0, 8192, 9), // "one"
        header(16, 3, 1, 8192, 0), // "two", its length alone
        header(16, 3, 2, 8192, 9),
        header(24, 5, 0, 8192, 9),
        header(32, 3, 0, 8192, 9),
        header(u32::MAX, 1, 0, 8192, 9),
        header(16, 3, 0, 262_143, 2),
        header(16, u32::MAX, 0, 8192, 9),
        set(16, 3, 24, 5),
        set(16, 3, 40, 3),
        set(32, 3, 24, 5),
        set(16, 3, 24, 200_000),
        set(262_144, 1, 24, 5),
        status(418),
        status(101),
        status(-1),
        "(call $say (call $request_route))".to_owned(),
    ];
    let imports = [
        ("request_header", 5),
        ("response_header", 4),
        ("response_status", 1),
        ("request_route", 0),
    ];
    let function = function(&reactor(&imports, &body.concat()), spec());
    let answer = function.handle(request()).unwrap();
    assert_eq!(answer.status(), 418);
    assert_eq!(answer.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["value"]);
    let numbers: Vec<i8> = answer.body().as_bytes().iter().map(|byte| *byte as i8).collect();
    assert_eq!(numbers, [3, 3, -1, -1, -3, -2, -2, -2, 0, -3, -3, -4, -2, 0, -3, -3, 6]);
}

#[test]
fn a_body_is_read_in_pieces() {
    let body = "(loop $more
        (local.set 0 (call $request_body_read
            (i32.add (i32.const 4096) (global.get $len)) (i32.const 3)))
        (global.set $len (i32.add (global.get $len) (local.get 0)))
        (br_if $more (local.get 0)))
        (call $say (local.get 1))";
    let function = function(&reactor(&[("request_body_read", 2)], body), spec());
    assert!(function.reads_streams());
    assert_eq!(answer(&function), b"body\0", "and none as an argument");
}

/// Sets a status, writes `len` bytes from address 0 on, and a header too late.
fn writes(len: u32, rest: &str) -> String {
    let body = format!(
        "(drop (call $response_status (i32.const 201)))
         (drop (call $response_write (i32.const 0) (i32.const {len})))
         (if (i32.ne (call $response_status (i32.const 200)) (i32.const -5)) (then unreachable))
         {rest}"
    );
    reactor(&[("response_status", 1), ("response_write", 2)], &body)
}

#[test]
fn an_answer_is_written() {
    let function = function(&writes(20, ""), spec());
    assert_eq!(function.replies(), Replies::Always);
    let answer = function.handle(request()).unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.body().as_bytes(), b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x-a\0");
}

#[test]
fn there_is_one_answer_and_it_has_a_limit() {
    let twice = function(&writes(20, "(call $say (i32.const 1))"), spec());
    let error = twice.handle(request()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&TwoAnswers { len: 1 }));
    let mut limited = spec();
    limited.limits.output = Some(wfaas_function::ByteSize(19));
    let error = function(&writes(20, ""), limited).handle(request()).unwrap_err();
    assert!(matches!(error, InvokeError::OutputLimit(_)), "{error}");
}

#[test]
fn a_guest_waits_until_its_answer_is_taken() {
    let len = 3 * WINDOW;
    let function = function(&writes(len as u32, ""), spec());
    let reply = Reply::new();
    let exchange = Exchange { reply: Some(reply.clone()), ..request() };
    let mut context = Context::from_waker(Waker::noop());
    let mut guest = pin!(function.handle_async(exchange));
    assert!(reply.poll_head(&mut context).is_pending());
    let (mut taken, mut ended) = (0, false);
    for _ in 0..100 {
        ended = ended || guest.as_mut().poll(&mut context).is_ready();
        if taken == 0 {
            let Poll::Ready(head) = reply.poll_head(&mut context) else { panic!("no head") };
            assert_eq!(head.status, 201);
        }
        match reply.poll_next(&mut context) {
            Poll::Ready(Some(Ok(bytes))) => taken += bytes.len(),
            Poll::Ready(end) => panic!("{end:?}: nobody has said so"),
            Poll::Pending if ended => break,
            Poll::Pending => panic!("a guest that waits for nothing"),
        }
        assert!(taken <= len);
    }
    assert!(ended);
    assert_eq!(taken, len);
}

#[test]
fn a_head_of_the_embedders_making_is_looked_at_too() {
    let function = function(&reactor(&[], "(call $say (i32.const 65))"), spec());
    let mut exchange = request();
    exchange.answer.headers_mut().insert("connection", "x-b".parse().unwrap());
    exchange.answer.headers_mut().insert("x-b", "1".parse().unwrap());
    exchange.answer.headers_mut().insert("x-c", "1".parse().unwrap());
    let answer = function.handle(exchange).unwrap();
    assert_eq!(answer.headers().keys().collect::<Vec<_>>(), ["x-c"]);
    let mut exchange = request();
    *exchange.answer.status_mut() = http::StatusCode::CONTINUE;
    let error = function.handle(exchange).unwrap_err();
    assert!(matches!(error, InvokeError::Head(HeadError::Status(_))), "{error}");
}
