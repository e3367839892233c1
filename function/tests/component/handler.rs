//! HTTP components.

use crate::fused::{Fused, STUB};
use bytes::Bytes;
use http::{Request, Response};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use wfaas_function::protocols::component::HandlerError;
use wfaas_function::{
    Body, ByteStream, Exchange, Function, HttpClient, InvokeError, Reply, Sending, Spec, Timeouts,
    Trailers,
};
use wfaas_vm::BoxError;
use wfaas_vm::component::{Case, Type};
use wfaas_wasi::preview2::Violation;

const HTTP: &str = "wasi:http/types@0.2.3";
const STREAMS: &str = "wasi:io/streams@0.2.3";

/// A handler with the functions for a small answer. `$handle` is its text, with `$in` and `$out`.
pub(crate) fn handler(handle: &str) -> Fused {
    let mut fused = Fused::default();
    let request = fused.resource(HTTP, "incoming-request");
    let out = fused.resource(HTTP, "response-outparam");
    let fields = fused.resource(HTTP, "fields");
    let response = fused.resource(HTTP, "outgoing-response");
    let body = fused.resource(HTTP, "outgoing-body");
    let stream = fused.resource(STREAMS, "output-stream");
    let incoming = fused.resource(HTTP, "incoming-body");
    let input = fused.resource(STREAMS, "input-stream");
    let pollable = fused.resource("wasi:io/poll@0.2.3", "pollable");
    let other = fused.resource(HTTP, "outgoing-request");
    let options = fused.resource(HTTP, "request-options");
    let future = fused.resource(HTTP, "future-incoming-response");
    let received = fused.resource(HTTP, "incoming-response");
    let behind = fused.resource(HTTP, "future-trailers");
    let [own_request, own_out, own_fields, own_response, own_body, own_stream] =
        [request, out, fields, response, body, stream].map(|resource| fused.own(resource));
    let [borrow_request, borrow_fields, borrow_response, borrow_body, borrow_stream] =
        [request, fields, response, body, stream].map(|resource| fused.borrow(resource));
    let [own_incoming, own_input, own_pollable, own_other, own_options, own_future, own_received] =
        [incoming, input, pollable, other, options, future, received].map(|of| fused.own(of));
    let [borrow_incoming, borrow_input, borrow_pollable, borrow_other, borrow_future] =
        [incoming, input, pollable, other, future].map(|of| fused.borrow(of));
    let borrow_received = fused.borrow(received);
    let (own_behind, borrow_behind) = (fused.own(behind), fused.borrow(behind));
    let long = fused.ty(Type::U64);
    let maybe_incoming = fused.result(Some(own_incoming), None);
    let maybe_input = fused.result(Some(own_input), None);
    let maybe_options = fused.ty(Type::Option(own_options));
    let (byte, short, text) = (fused.ty(Type::U8), fused.ty(Type::U16), fused.ty(Type::String));
    let bytes = fused.ty(Type::List(byte));
    let maybe_text = fused.ty(Type::Option(text));
    let error = fused.stream_error();
    let written = fused.result(None, Some(error));
    let maybe_body = fused.result(Some(own_body), None);
    let maybe_stream = fused.result(Some(own_stream), None);
    let case = |name: &str, ty| Case { name: name.to_owned(), ty };
    let mut codes: Vec<Case> = (0..38).map(|number| case(&number.to_string(), None)).collect();
    codes.push(case("internal-error", Some(maybe_text)));
    let code = fused.ty(Type::Variant(codes));
    let answer = fused.result(Some(own_response), Some(code));
    let finished = fused.result(None, Some(code));
    let changed = fused.ty(Type::Enum(vec!["a".into(), "b".into(), "c".into()]));
    let changed = fused.result(None, Some(changed));
    let status = fused.result(None, None);
    let read = fused.result(Some(bytes), Some(error));
    let sent = fused.result(Some(own_future), Some(code));
    let answered = fused.result(Some(own_received), Some(code));
    let answered = fused.result(Some(answered), None);
    let answered = fused.ty(Type::Option(answered));
    let trailers = fused.ty(Type::Option(own_fields));
    let pair = fused.ty(Type::Tuple(vec![text, bytes]));
    let pairs = fused.ty(Type::List(pair));
    let refused = fused.ty(Type::Enum(vec!["a".into(), "b".into(), "c".into()]));
    let listed = fused.result(Some(own_fields), Some(refused));
    let boolean = fused.ty(Type::Bool);
    let mut import = |name, id_and_core, params: &[_], result| {
        fused.import((HTTP, name), id_and_core, params, result);
    };
    import("[constructor]fields", ("fields", "(result i32)"), &[], Some(own_fields));
    import(
        "[method]fields.append",
        ("append", "(param i32 i32 i32 i32 i32 i32)"),
        &[borrow_fields, text, bytes],
        Some(changed),
    );
    import(
        "[static]fields.from-list",
        ("from_list", "(param i32 i32 i32)"),
        &[pairs],
        Some(listed),
    );
    import(
        "[method]fields.has",
        ("has", "(param i32 i32 i32) (result i32)"),
        &[borrow_fields, text],
        Some(boolean),
    );
    import(
        "[method]incoming-request.path-with-query",
        ("path", "(param i32 i32) (result i64)"),
        &[borrow_request],
        Some(maybe_text),
    );
    import(
        "[constructor]outgoing-response",
        ("response", "(param i32) (result i32)"),
        &[own_fields],
        Some(own_response),
    );
    import(
        "[method]outgoing-response.set-status-code",
        ("set_status", "(param i32 i32) (result i32)"),
        &[borrow_response, short],
        Some(status),
    );
    import(
        "[method]outgoing-response.body",
        ("body", "(param i32 i32)"),
        &[borrow_response],
        Some(maybe_body),
    );
    import(
        "[static]response-outparam.set",
        ("set", "(param i32 i32 i32 i32 i32 i32)"),
        &[own_out, answer],
        None,
    );
    import(
        "[method]outgoing-body.write",
        ("body_write", "(param i32 i32)"),
        &[borrow_body],
        Some(maybe_stream),
    );
    import(
        "[static]outgoing-body.finish",
        ("finish", "(param i32 i32 i32 i32)"),
        &[own_body, trailers],
        Some(finished),
    );
    import(
        "[method]incoming-request.consume",
        ("consume", "(param i32 i32)"),
        &[borrow_request],
        Some(maybe_incoming),
    );
    import(
        "[method]incoming-body.stream",
        ("stream", "(param i32 i32)"),
        &[borrow_incoming],
        Some(maybe_input),
    );
    import(
        "[static]incoming-body.finish",
        ("finish_incoming", "(param i32) (result i32)"),
        &[own_incoming],
        Some(own_behind),
    );
    import(
        "[method]future-trailers.subscribe",
        ("subscribe_trailers", "(param i32) (result i32)"),
        &[borrow_behind],
        Some(own_pollable),
    );
    import(
        "[constructor]outgoing-request",
        ("other", "(param i32) (result i32)"),
        &[own_fields],
        Some(own_other),
    );
    import(
        "[method]outgoing-request.set-authority",
        ("set_authority", "(param i32 i32 i32 i32) (result i32)"),
        &[borrow_other, maybe_text],
        Some(status),
    );
    import(
        "[method]future-incoming-response.subscribe",
        ("subscribe_future", "(param i32) (result i32)"),
        &[borrow_future],
        Some(own_pollable),
    );
    import(
        "[method]future-incoming-response.get",
        ("get", "(param i32 i32) (result i64)"),
        &[borrow_future],
        Some(answered),
    );
    import(
        "[method]incoming-response.consume",
        ("consume_received", "(param i32 i32)"),
        &[borrow_received],
        Some(maybe_incoming),
    );
    fused.import(
        ("wasi:http/outgoing-handler@0.2.3", "handle"),
        ("send", "(param i32 i32 i32 i32) (result i64)"),
        &[own_other, maybe_options],
        Some(sent),
    );
    fused.import(
        (STREAMS, "[method]input-stream.read"),
        ("read", "(param i32 i64 i32) (result i64)"),
        &[borrow_input, long],
        Some(read),
    );
    fused.import(
        (STREAMS, "[method]input-stream.subscribe"),
        ("subscribe", "(param i32) (result i32)"),
        &[borrow_input],
        Some(own_pollable),
    );
    fused.import(
        ("wasi:io/poll@0.2.3", "[method]pollable.block"),
        ("block", "(param i32)"),
        &[borrow_pollable],
        None,
    );
    fused.import(
        (STREAMS, "[method]output-stream.blocking-write-and-flush"),
        ("write", "(param i32 i32 i32 i32)"),
        &[borrow_stream, bytes],
        Some(written),
    );
    fused.import(
        ("wasi:cli/stderr@0.2.3", "get-stderr"),
        ("stderr", "(result i32)"),
        &[],
        Some(own_stream),
    );
    let moved = fused.result(Some(long), Some(error));
    fused.import(
        (STREAMS, "[method]output-stream.blocking-splice"),
        ("splice", "(param i32 i32 i64 i32)"),
        &[borrow_stream, borrow_input, long],
        Some(moved),
    );
    fused.realloc_next();
    fused.resource_drop("drop_stream", stream);
    fused.resource_drop("drop_request", request);
    fused.resource_drop("drop_pollable", pollable);
    fused.body(&format!(
        "(func (export \"handle\") (param $in i32) (param $out i32)
            (local $request i64) (local $response i32) (local $body i32) (local $stream i32)
            (local $input i32) (local $pollable i32)
            {handle})
         (data (i32.const 512) \"x-answer\" \"some value\" \"hello\" \"TE\")
         (data (i32.const 640) \"\\00\\02\\00\\00\\08\\00\\00\\00\\08\\02\\00\\00\\0a\\00\\00\\00\"
            \"\\17\\02\\00\\00\\02\\00\\00\\00\\08\\02\\00\\00\\0a\\00\\00\\00\")"
    ));
    let params = [own_request, own_out];
    fused.export(("wasi:http/incoming-handler@0.2.3", "handle"), "handle", &params, None);
    fused
}

/// Makes a response with status 201 and a header, and gets its body.
const MAKE: &str = "
    (local.set $response (call $fields))
    (call $append (local.get $response) (i32.const 512) (i32.const 8) (i32.const 520) (i32.const 10)
        (i32.const 64))
    (local.set $response (call $response (local.get $response)))
    (drop (call $set_status (local.get $response) (i32.const 201)))
    (call $body (local.get $response) (i32.const 64))
    (local.set $body (i32.load (i32.const 68)))";

const SET: &str = "
    (call $set (local.get $out) (i32.const 0) (local.get $response)
        (i32.const 0) (i32.const 0) (i32.const 0))";

/// Writes the path of the request, and closes the body.
fn write() -> String {
    format!(
        "(call $path (local.get $in) (i32.const 96)) {STUB}
        (call $body_write (local.get $body) (i32.const 64))
        (local.set $stream (i32.load (i32.const 68)))
        (call $write (local.get $stream) (i32.load (i32.const 100)) (i32.load (i32.const 104))
            (i32.const 64))
        (call $drop_stream (local.get $stream))"
    )
}

const FINISH: &str = "(call $finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 120))";

fn exchange(path: &str) -> Exchange {
    Exchange::new(Request::get(path).body(Body::default()).expect("a request"))
}

fn failure(handle: &str) -> InvokeError {
    let function = handler(handle).try_function().expect("it is a function");
    function.handle(exchange("/")).expect_err("it fails")
}

#[test]
fn a_handler_gets_the_request_and_sends_its_answer() {
    // The body is written before the head is sent, or after it.
    for steps in [
        format!("{MAKE} {SET} {} {FINISH}", write()),
        format!("{MAKE} {} {SET} {FINISH}", write()),
        format!("{MAKE} {} {FINISH} {SET}", write()),
    ] {
        let function = handler(&steps).try_function().expect("it is a function");
        assert_eq!(function.abi().name, "component-http");
        for path in ["/", "/a/b?c=d"] {
            let answer = function.handle(exchange(path)).unwrap();
            assert_eq!(answer.status(), 201);
            assert_eq!(answer.headers()["x-answer"], "some value");
            assert_eq!(answer.into_body().into_bytes(), path.as_bytes());
        }
    }
}

#[test]
fn a_body_is_consumed_once() {
    let consume = "(call $consume (local.get $in) (i32.const 64))";
    let steps = format!(
        "{consume} (if (i32.load8_u (i32.const 64)) (then unreachable))
        {consume} (if (i32.eqz (i32.load8_u (i32.const 64))) (then unreachable))
        {MAKE} {SET} {FINISH}"
    );
    let function = handler(&steps).try_function().expect("it is a function");
    for body in [Body::default(), Body::complete("all"), pieces(&["a", "b"])] {
        let exchange = Exchange::new(Request::new(body));
        assert_eq!(function.handle(exchange).unwrap().status(), 201);
    }
}

/// Makes a response of a list with as many fields, of which the second one is about the connection.
fn make_of_list(fields: u32) -> String {
    format!(
        "(call $from_list (i32.const 640) (i32.const {fields}) (i32.const 64))
        (local.set $response (i32.load (i32.const 68)))"
    )
}

#[test]
fn fields_of_a_list_are_those_of_the_answer_however_they_are_kept() {
    let respond = "(local.set $response (call $response (local.get $response)))";
    let look = "(if (i32.eqz (call $has (local.get $response) (i32.const 512) (i32.const 8)))
        (then unreachable))";
    for (fields, look, is_plain) in [(1, "", true), (1, look, false), (2, "", false)] {
        let steps = format!("{} {look} {respond} {SET}", make_of_list(fields));
        let function = handler(&steps).try_function().expect("it is a function");
        let answer = function.handle(exchange("/")).unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().len()), (200, 1), "{steps}");
        assert_eq!(answer.headers()["x-answer"], "some value");
        let mut answered = pin!(function.answer_async(Box::new(exchange("/"))));
        let polled = answered.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(answered) = polled else { panic!("it waits") };
        assert_eq!(!answered.unwrap().plain_fields.is_empty(), is_plain, "{steps}");
    }
}

#[test]
fn fields_that_a_response_has_are_gone() {
    let make = make_of_list(1);
    let respond = "(drop (call $response (local.get $response)))";
    let look = "(drop (call $has (local.get $response) (i32.const 512) (i32.const 8)))";
    for after in [respond, look] {
        let error = failure(&format!("{make} {respond} {after}"));
        let violation = error.downcast_ref::<Violation>();
        assert!(matches!(violation, Some(Violation::BadHandle(_))), "{error}");
    }
    let status = "(drop (call $set_status (local.get $response) (i32.const 201)))";
    let error = failure(&format!("{make} {status}"));
    assert!(matches!(error.downcast_ref(), Some(Violation::BadHandle(_))), "{error}");
}

#[test]
fn a_handler_that_does_not_answer_fails() {
    let of = |error: InvokeError| error.downcast_ref::<HandlerError>().cloned();
    assert_eq!(of(failure("")), Some(HandlerError::NoAnswer));
    assert_eq!(of(failure(MAKE)), Some(HandlerError::NoAnswer));
    assert_eq!(of(failure(&format!("{MAKE} {SET} {}", write()))), Some(HandlerError::Unfinished));
    let error = "(call $set (local.get $out) (i32.const 1) (i32.const 38) (i32.const 1)
        (i32.const 512) (i32.const 8))";
    let expected = HandlerError::Error("internal-error: x-answer".to_owned());
    assert_eq!(of(failure(error)), Some(expected));
}

#[test]
fn resources_are_used_in_order_or_the_handler_is_ended() {
    let of = |steps: &str| {
        let error = failure(steps);
        error.downcast_ref::<Violation>().unwrap_or_else(|| panic!("{error}")).clone()
    };
    let early = "(call $body_write (local.get $body) (i32.const 64))";
    let body_first = format!("{MAKE} {SET} {early} {FINISH}");
    assert!(matches!(of(&body_first), Violation::HasChildren(_)));
    let twice = format!("{MAKE} {SET} {SET}");
    assert!(matches!(of(&twice), Violation::BadHandle(_)));
    let dropped = "(call $drop_request (local.get $in)) (call $drop_request (local.get $in))";
    assert!(matches!(of(dropped), Violation::BadHandle(_)));
    let other = format!(
        "{MAKE} (call $set (local.get $in) (i32.const 0) (local.get $response)
        (i32.const 0) (i32.const 0) (i32.const 0))"
    );
    assert!(matches!(of(&other), Violation::BadHandle(_)));
    let header = "(call $append (call $fields) (i32.const 512) (i32.const 8) (i32.const 131000)
        (i32.const 1000) (i32.const 64))";
    assert_eq!(of(header), Violation::OutOfBounds);
}

#[test]
fn little_of_a_body_waits_for_its_head() {
    let piece = "(call $write (local.get $stream) (i32.const 0) (i32.const 60000) (i32.const 64))";
    let begin = "(call $body_write (local.get $body) (i32.const 64))
        (local.set $stream (i32.load (i32.const 68)))";
    let end = format!("(call $drop_stream (local.get $stream)) {FINISH}");
    let error = failure(&format!("{MAKE} {begin} {piece} {piece} {SET} {end}"));
    assert!(error.to_string().contains("64 KiB"), "{error}");
    let function = handler(&format!("{MAKE} {begin} {piece} {SET} {piece} {end}"));
    let answer = function.try_function().expect("it is a function").handle(exchange("/"));
    assert_eq!(answer.unwrap().body().len(), 120_000);
}

#[test]
fn a_splice_does_not_wait_for_room_that_nobody_makes() {
    let piece = "(call $write (local.get $stream) (i32.const 0) (i32.const 65536) (i32.const 64))";
    let splice = format!(
        "{MAKE} (call $consume (local.get $in) (i32.const 64))
        (call $stream (i32.load (i32.const 68)) (i32.const 64))
        (local.set $input (i32.load (i32.const 68)))
        (call $body_write (local.get $body) (i32.const 64))
        (local.set $stream (i32.load (i32.const 68))) {piece}
        (call $splice (local.get $stream) (local.get $input) (i64.const 1) (i32.const 64))"
    );
    let function = handler(&splice).try_function().expect("it is a function");
    let (_, answer) = polled(&function, Exchange::new(Request::new(pieces(&["some"]))));
    let error = answer.expect_err("it ends");
    assert!(error.to_string().contains("room"), "{error}");
}

#[test]
fn a_splice_to_the_log_is_short() {
    let splice = "(call $consume (local.get $in) (i32.const 64))
        (call $stream (i32.load (i32.const 68)) (i32.const 64))
        (call $splice (call $stderr) (i32.load (i32.const 68)) (i64.const 2000) (i32.const 64))
        (if (i64.ne (i64.load (i32.const 72)) (i64.const 512)) (then unreachable))";
    let function = handler(splice).try_function().expect("it is a function");
    let lines = Body::complete("\n".repeat(2000));
    let error = function.handle(Exchange::new(Request::new(lines))).expect_err("no answer");
    assert_eq!(error.downcast_ref(), Some(&HandlerError::NoAnswer), "{error}");
}

#[test]
fn bytes_that_may_wait_for_a_head_are_counted() {
    let many = |count: usize| {
        let error = failure(&format!(
            "(local.set $input (i32.const {count}))
            (loop $more {MAKE}
                (br_if $more
                    (local.tee $input (i32.sub (local.get $input) (i32.const 1)))))"
        ));
        error.downcast_ref::<Violation>().cloned()
    };
    assert_eq!(many(20), None);
    assert!(matches!(many(64), Some(Violation::TooMuchKept { .. })));
}

/// Copies an input stream to the answer, piece by piece: waits until something is there, then reads.
fn copy() -> String {
    format!(
        "(call $body_write (local.get $body) (i32.const 64))
        (local.set $stream (i32.load (i32.const 68)))
        (block $end (loop $next
            (local.set $pollable (call $subscribe (local.get $input)))
            (call $block (local.get $pollable))
            (call $drop_pollable (local.get $pollable))
            (call $read (local.get $input) (i64.const 1000) (i32.const 96)) {STUB}
            (br_if $end (i32.load8_u (i32.const 96)))
            (call $write (local.get $stream) (i32.load (i32.const 100)) (i32.load (i32.const 104))
                (i32.const 64))
            (br $next)))
        (call $drop_stream (local.get $stream))"
    )
}

/// Pieces, each after some polls in vain.
struct Pieces(VecDeque<Option<&'static str>>);

impl ByteStream for Pieces {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Some(piece)) => Poll::Ready(Some(Ok(piece.into()))),
            Some(None) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

pub(crate) fn pieces(pieces: &[&'static str]) -> Body {
    let steps = pieces.iter().flat_map(|piece| [None, None, None, Some(*piece)]);
    Body::stream(Box::new(Pieces(steps.collect())))
}

/// Polls a request whose answer may be sent while its guest runs; the pieces that were sent, and the rest.
pub(crate) fn streamed(
    function: &Function,
    mut exchange: Exchange,
) -> (Vec<Vec<u8>>, Result<Response<Body>, InvokeError>) {
    let (reply, mut sent) = (Reply::new(), Vec::new());
    exchange.reply = Some(reply.clone());
    let mut context = Context::from_waker(Waker::noop());
    let mut answer = pin!(function.handle_async(exchange));
    for _ in 0..1000 {
        let ended = answer.as_mut().poll(&mut context);
        if reply.is_begun() {
            _ = reply.poll_head(&mut context);
            while let Poll::Ready(Some(Ok(bytes))) = reply.poll_next(&mut context) {
                sent.push(bytes.to_vec());
            }
        }
        if let Poll::Ready(answer) = ended {
            return (sent, answer);
        }
    }
    panic!("it does not end");
}

/// Polls a request until it is answered; how often, and the answer.
pub(crate) fn polled(
    function: &Function,
    exchange: Exchange,
) -> (usize, Result<Vec<u8>, InvokeError>) {
    let mut answer = pin!(function.handle_async(exchange));
    for polls in 1..1000 {
        if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return (polls, answer.map(|answer| answer.into_body().into_bytes()));
        }
    }
    panic!("it does not end");
}

#[test]
fn a_handler_reads_its_body_as_it_arrives() {
    let echo = format!(
        "{MAKE} {SET} (call $consume (local.get $in) (i32.const 64))
        (call $stream (i32.load (i32.const 68)) (i32.const 64))
        (local.set $input (i32.load (i32.const 68))) {} {FINISH}",
        copy()
    );
    let function = handler(&echo).try_function().expect("it is a function");
    let request = || Exchange::new(Request::new(pieces(&["some ", "", "pieces"])));
    assert_eq!(function.handle(request()).unwrap().into_body().into_bytes(), b"some pieces");
    let (polls, answer) = polled(&function, request());
    assert_eq!(answer.unwrap(), b"some pieces");
    assert!(polls > 2, "it is suspended while it waits: {polls}");
}

/// A piece that arrives at a time.
struct Late(Option<Instant>);

impl ByteStream for Late {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if self.0.is_some_and(|at| Instant::now() < at) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.0.take().map(|_| Ok("late".into())))
    }
}

#[test]
fn a_wait_for_the_trailers_of_the_client_stops_the_clock() {
    let waits = format!(
        "(call $consume (local.get $in) (i32.const 64))
        (call $block (call $subscribe_trailers (call $finish_incoming (i32.load (i32.const 68)))))
        {MAKE} {SET} {FINISH}"
    );
    let function = handler(&waits).try_function().expect("it is a function");
    let now = Instant::now();
    let body = Body::stream(Box::new(Late(Some(now + Duration::from_millis(700)))));
    let request = Request::new(body.with_trailers(Some(Trailers::default())));
    let deadline = Some(now + Duration::from_millis(400));
    let answer = function.handle(Exchange { deadline, ..Exchange::new(request) });
    assert_eq!(answer.expect("it is answered").status(), 201);
    assert!(now.elapsed() >= Duration::from_millis(700), "it has waited");
}

/// Answers each request with its URL, after a poll in vain.
#[derive(Debug)]
pub(crate) struct UrlClient;

impl HttpClient for UrlClient {
    fn send(&self, request: Request<Body>, _: Timeouts) -> Sending {
        let url = request.uri().to_string();
        let mut answer = Some(Response::new(Body::complete(url)));
        let mut waits = true;
        Box::pin(std::future::poll_fn(move |context| {
            if std::mem::take(&mut waits) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Ok(answer.take().expect("it was not ready before")))
        }))
    }
}

#[test]
fn a_handler_sends_requests_to_the_hosts_it_is_granted() {
    let proxy = format!(
        "{MAKE} {SET} (local.set $input (call $other (call $fields)))
        (drop (call $set_authority (local.get $input) (i32.const 1) (i32.const 512) (i32.const 8)))
        (call $send (local.get $input) (i32.const 0) (i32.const 0) (i32.const 64)) {STUB}
        (if (i32.load8_u (i32.const 64)) (then unreachable))
        (local.set $input (i32.load (i32.const 68)))
        (local.set $pollable (call $subscribe_future (local.get $input)))
        (call $block (local.get $pollable))
        (call $drop_pollable (local.get $pollable))
        (call $get (local.get $input) (i32.const 128)) {STUB}
        (call $consume_received (i32.load (i32.const 140)) (i32.const 64))
        (call $stream (i32.load (i32.const 68)) (i32.const 64))
        (local.set $input (i32.load (i32.const 68))) {} {FINISH}",
        copy()
    );
    let of = |hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut function = handler(&proxy).function_with(Spec {
            allowed_hosts: hosts,
            ..Spec::named("test".parse().expect("a name"))
        });
        function.set_client(Arc::new(UrlClient));
        polled(&function, exchange("/")).1
    };
    assert_eq!(of(&["x-*"]).unwrap(), b"https://x-answer/");
    assert!(matches!(of(&["other"]), Err(InvokeError::Trap(_))), "it is told an error");
    assert!(matches!(of(&[]), Err(InvokeError::Trap(_))));
}
