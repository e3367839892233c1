//! Guests that wait without a stack, more of them than there are slots.

mod clients;
mod common;

use clients::wait_until;
use common::{Response, Server, config, unchunk};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use wfaas_function::{Limits, Span, Spec};
use wfaas_gateway::{Config, Gateway};

const SOON: Duration = Duration::from_secs(20);

/// A service of WASI 0.3 that reads four bytes, waits for its clock by its callback, and answers the bytes. Its memory is
/// all that it has of them meanwhile.
const SERVICE: &str = r#"(component
    (import "wasi:http/types@0.3.0" (instance $types
        (export "request" (type $request (sub resource)))
        (export "response" (type $response (sub resource)))
        (export "fields" (type $fields (sub resource)))
        (type $codes (variant (case "internal-error" (option string))))
        (export "error-code" (type $code (eq $codes)))
        (type $sent (future (result (error $code))))
        (type $trailers (future (result (option (own $fields)) (error $code))))
        (export "[constructor]fields" (func (result (own $fields))))
        (export "[static]response.new" (func (param "headers" (own $fields))
            (param "contents" (option (stream u8))) (param "trailers" $trailers)
            (result (tuple (own $response) $sent))))
        (export "[static]request.consume-body" (func (param "this" (own $request))
            (param "res" $sent) (result (tuple (stream u8) $trailers))))))
    (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
        (export "wait-for" (func async (param "how-long" u64)))))
    (alias export $types "request" (type $request))
    (alias export $types "response" (type $response))
    (alias export $types "fields" (type $fields))
    (alias export $types "error-code" (type $code))
    (type $bytes (stream u8))
    (type $answer (result (own $response) (error $code)))
    (type $sent (future (result (error $code))))
    (type $trailers (future (result (option (own $fields)) (error $code))))
    (core module $libc (memory (export "memory") 1))
    (core instance $libc (instantiate $libc))
    (alias core export $libc "memory" (core memory $memory))
    (core func $fields (canon lower (func $types "[constructor]fields")))
    (core func $response (canon lower (func $types "[static]response.new") (memory $memory)))
    (core func $consume (canon lower (func $types "[static]request.consume-body") (memory $memory)))
    (core func $sleep (canon lower (func $clock "wait-for") async))
    (core func $return (canon task.return (result $answer) (memory $memory)))
    (core func $set (canon waitable-set.new))
    (core func $join (canon waitable.join))
    (core func $stream (canon stream.new $bytes))
    (core func $read (canon stream.read $bytes (memory $memory)))
    (core func $write (canon stream.write $bytes async (memory $memory)))
    (core func $drop-writer (canon stream.drop-writable $bytes))
    (core func $sent (canon future.new $sent))
    (core func $trailers (canon future.new $trailers))
    (core instance $host
        (export "memory" (memory $memory)) (export "fields" (func $fields))
        (export "response" (func $response)) (export "consume" (func $consume))
        (export "sleep" (func $sleep)) (export "return" (func $return)) (export "set" (func $set))
        (export "join" (func $join)) (export "stream" (func $stream)) (export "read" (func $read))
        (export "write" (func $write)) (export "drop-writer" (func $drop-writer))
        (export "sent" (func $sent)) (export "trailers" (func $trailers)))
    (core module $main
        (import "" "memory" (memory 1))
        (import "" "fields" (func $fields (result i32)))
        (import "" "response" (func $response (param i32 i32 i32 i32 i32)))
        (import "" "consume" (func $consume (param i32 i32 i32)))
        (import "" "sleep" (func $sleep (param i64) (result i32)))
        (import "" "return" (func $return (param i32 i32 i32 i32 i32)))
        (import "" "set" (func $set (result i32)))
        (import "" "join" (func $join (param i32 i32)))
        (import "" "stream" (func $stream (result i64)))
        (import "" "read" (func $read (param i32 i32 i32) (result i32)))
        (import "" "write" (func $write (param i32 i32 i32) (result i32)))
        (import "" "drop-writer" (func $drop-writer (param i32)))
        (import "" "sent" (func $sent (result i64)))
        (import "" "trailers" (func $trailers (result i64)))
        (func (export "handle") (param $request i32) (result i32) (local $set i32)
            (call $consume (local.get $request) (i32.wrap_i64 (call $sent)) (i32.const 64))
            (drop (call $read (i32.load (i32.const 64)) (i32.const 128) (i32.const 4)))
            (local.set $set (call $set))
            (call $join (i32.shr_u (call $sleep (i64.const MILLIS000000)) (i32.const 4))
                (local.get $set))
            (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4))))
        (func (export "callback") (param i32 i32 i32) (result i32)
            (local $ends i64) (local $writer i32)
            (loop $forever (br_if $forever (i32.const IS_LATE)))
            (local.set $ends (call $stream))
            (local.set $writer (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
            (call $response (call $fields) (i32.const 1) (i32.wrap_i64 (local.get $ends))
                (i32.wrap_i64 (call $trailers)) (i32.const 256))
            (call $return (i32.const 0) (i32.load (i32.const 256))
                (i32.const 0) (i32.const 0) (i32.const 0))
            (drop (call $write (local.get $writer) (i32.const 128) (i32.const 4)))
            (call $drop-writer (local.get $writer))
            (i32.const 0)))
    (core instance $main (instantiate $main (with "" (instance $host))))
    (func $handle async (param "request" (own $request)) (result $answer)
        (canon lift (core func $main "handle") async (memory $memory)
            (callback (core func $main "callback"))))
    (instance $handler (export "handle" (func $handle)))
    (export "wasi:http/handler@0.3.0" (instance $handler)))"#;

/// Longer than any test: a guest that is called then is late, and works until it is ended.
const FOR_EVER: u64 = 3_600_000;

/// A server with a service `/wait` that waits for so many milliseconds.
fn serve(millis: u64, spec: Spec, change: impl FnOnce(&mut Config)) -> (Server, tempfile::TempDir) {
    let is_late = if millis == FOR_EVER { "1" } else { "0" };
    let text = SERVICE.replace("MILLIS", &millis.to_string()).replace("IS_LATE", is_late);
    let options = wfaas_build::Options::default();
    let built = wfaas_build::build(text.as_bytes(), &Spec::default(), &options, &());
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = config(dir.path());
    change(&mut config);
    let gateway = Gateway::bind(config).expect("it starts");
    let artifact = built.expect("it builds").artifact;
    gateway.install("wait".parse().expect("a name"), spec, &artifact).expect("it fits");
    (Server::start(gateway), dir)
}

fn ask(server: &Server, body: &str) -> Response {
    let mut answer = server.request("POST", "/wait", body.as_bytes());
    // An answer is begun that takes longer than a slice.
    if answer.header("transfer-encoding").is_some() {
        answer.body = unchunk(&answer.body).0;
    }
    answer
}

/// Sends a request and does not wait for the answer.
fn begin(server: &Server, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = "POST /wait HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\n";
    write!(stream, "{head}{body}").unwrap();
    stream
}

/// A metric of the function.
fn metric(server: &Server, name: &str) -> u64 {
    let page = server.request("GET", "/v1/metrics", b"");
    let name = format!(r#"wfaas_{name}{{tenant="default",function="wait"}} "#);
    let value = page.text().lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap_or_else(|| panic!("{}", page.text())).parse().expect("a number")
}

/// Guests that are parked, and bytes of their deltas.
fn parked(server: &Server) -> (u64, u64) {
    (metric(server, "parked_guests"), metric(server, "parked_bytes"))
}

#[test]
fn many_more_requests_wait_than_there_are_slots() {
    let (server, _dir) = serve(5000, Spec::default(), |config| config.engine.max_slots = 64);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..200)
            .map(|number| {
                let body = format!("{number:04}");
                let server = &server;
                scope.spawn(move || (ask(server, &body), body))
            })
            .collect();
        wait_until(SOON, || parked(&server).0 >= 100);
        let (guests, bytes) = parked(&server);
        assert!(bytes >= guests * 4096, "{bytes} bytes of {guests}");
        for asking in asking {
            let (answer, body) = asking.join().expect("it asks");
            assert_eq!((answer.status, answer.text()), (200, &*body));
        }
    });
    assert_eq!(parked(&server), (0, 0));
    assert!(metric(&server, "parkings_total") >= 100);
}

#[test]
fn a_parked_guest_ends_when_its_client_leaves_or_its_time_is_over() {
    let time = Some(Span(Duration::from_secs(3)));
    let spec = Spec { limits: Limits { time, ..Limits::default() }, ..Spec::default() };
    let (server, _dir) = serve(FOR_EVER, spec, |config| config.engine.max_slots = 2);
    let first = begin(&server, "slot");
    let second = begin(&server, "park");
    wait_until(SOON, || parked(&server).0 >= 1);
    drop((first, second));
    wait_until(SOON, || parked(&server) == (0, 0));
    std::thread::scope(|scope| {
        let asking = ["one ", "two ", "more"].map(|body| {
            let server = &server;
            scope.spawn(move || ask(server, body).status)
        });
        wait_until(SOON, || parked(&server).0 >= 1);
        for asking in asking {
            assert_eq!(asking.join().expect("it asks"), 504);
        }
    });
    assert_eq!(parked(&server), (0, 0));
}

#[test]
fn guests_without_room_or_leave_to_be_parked_keep_their_slots() {
    let small: fn(&mut Config) = |config| config.parked_bytes = 4096;
    let never: fn(&mut Config) = |config| config.park_after = None;
    for change in [small, never] {
        let (server, _dir) = serve(2000, Spec::default(), |config| {
            config.engine.max_slots = 2;
            change(config);
        });
        std::thread::scope(|scope| {
            let asking = ["one ", "two "].map(|body| {
                let server = &server;
                scope.spawn(move || (ask(server, body), body))
            });
            let waits = r#"wfaas_guests{tenant="default",function="wait",state="waiting"} 2"#;
            let page = || server.request("GET", "/v1/metrics", b"");
            wait_until(SOON, || page().text().contains(waits));
            assert_eq!(ask(&server, "more").status, 503, "there is no slot");
            for asking in asking {
                let (answer, body) = asking.join().expect("it asks");
                assert_eq!((answer.status, answer.text()), (200, body));
            }
        });
        assert_eq!((parked(&server), metric(&server, "parkings_total")), ((0, 0), 0));
    }
}
