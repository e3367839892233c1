//! Requests to functions: every status there is.

mod common;

use common::{ECHO, FOREVER, SLEEP, TRAP, exchange, head, read_response, says, serve, time_limit};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use wfaas_function::{ByteSize, Spec};
use wfaas_gateway::Config;

fn on(route: &str) -> Spec {
    Spec { route: Some(route.parse().unwrap()), ..Spec::default() }
}

#[test]
fn every_method_invokes_and_the_answer_is_the_guests() {
    let (server, _dir) = serve(|_| (), &[("echo", Spec::default(), ECHO)]);
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let response = server.request(method, "/echo", b"a body");
        assert_eq!((response.status, response.text()), (200, "a body"), "{method}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(response.header("x-request-id").is_some_and(|id| id.len() == 17));
    }
    let response = server.request("HEAD", "/echo", b"");
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(server.request("GET", "/echo?a=b", b"").text(), "");
}

#[test]
fn the_longest_route_answers() {
    let functions = [
        ("all", on("/"), &*says("all")),
        ("a", on("/a"), &says("a")),
        ("deep", on("/a/b"), &says("deep")),
    ];
    let (server, _dir) = serve(|_| (), &functions);
    for (path, expected) in [
        ("/", "all"),
        ("/x", "all"),
        ("/ab", "all"),
        ("/a", "a"),
        ("/a/", "a"),
        ("/a/bc", "a"),
        ("/a/b", "deep"),
        ("/a/b/c?d", "deep"),
        ("/a//b", "a"),
        ("/v1x", "all"),
    ] {
        assert_eq!(server.request("GET", path, b"").text(), expected, "{path}");
    }
    for path in ["/v1", "/v1/x", "/v1/v1/functions", "/v1/functionsx", "/v1/health/"] {
        assert_eq!(server.request("GET", path, b"").status, 404, "{path}");
    }
}

#[test]
fn a_command_sees_the_request() {
    let wat = r#"(module
      (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\00\01\00\00\60\00\00\00")
      (func (export "_start")
        (drop (call $environ (i32.const 1024) (i32.const 256)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    let (server, _dir) = serve(|_| (), &[("env", Spec::default(), wat)]);
    let response = server.request("POST", "/env/below?x=1", b"");
    let id = response.header("x-request-id").unwrap();
    let expected =
        format!("REQUEST_METHOD=POST\0PATH_INFO=/below\0QUERY_STRING=x=1\0REQUEST_ID={id}\0");
    assert_eq!(response.text().trim_end_matches('\0'), expected.trim_end_matches('\0'));
}

#[test]
fn unknown_functions_are_404() {
    let (server, _dir) = serve(|_| (), &[("a", Spec::default(), ECHO)]);
    for path in ["/", "/b", "/ab", "/A", "/v1", "/v2", "/..", "/%61"] {
        let response = server.request("GET", path, b"");
        assert_eq!(response.status, 404, "{path}");
        let id = response.header("x-request-id").unwrap();
        assert_eq!(response.json()["request_id"], id);
    }
    // With a large body too, which nobody reads.
    assert_eq!(server.request("POST", "/b", &vec![0; 4 << 20]).status, 404);
}

#[test]
fn failures_are_500_and_tell_nothing_but_the_id() {
    let exit = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (func (export "_start") (call $exit (i32.const 42))))"#;
    let output = r#"(module
        (import "wasi_snapshot_preview1" "fd_write"
          (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 4) "\ff")
        (func (export "_start") (loop
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br 0))))"#;
    let recursion = r#"(module (func $f (export "_start") (call $f)))"#;
    let bad = says("x").replace("i64.const 1024", "i64.const 0x7fffffff");
    let default = Spec::default;
    let mut limited = default();
    limited.limits.output = Some(ByteSize(1000));
    let functions = [
        ("trap", default(), TRAP),
        ("exit", default(), exit),
        ("output", limited, output),
        ("recursion", default(), recursion),
        ("bad", default(), &*bad),
        ("ok", default(), &*says("ok")),
    ];
    let (server, _dir) = serve(|_| (), &functions);
    for _ in 0..3 {
        for (name, _, _) in &functions[..5] {
            let response = server.request("GET", &format!("/{name}"), b"");
            assert_eq!(response.status, 500, "{name}");
            let id = response.header("x-request-id").unwrap();
            let expected = format!(r#"{{"error":"the function failed","request_id":"{id}"}}"#);
            assert_eq!(response.text(), expected);
        }
        assert_eq!(server.request("GET", "/ok", b"").text(), "ok");
    }
}

#[test]
fn the_time_limit_is_504() {
    let (server, _dir) = serve(|_| (), &[("forever", time_limit(100), FOREVER)]);
    let began = Instant::now();
    let response = server.request("GET", "/forever", b"");
    assert_eq!(response.status, 504);
    assert!(response.text().contains("100ms"), "{}", response.text());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_limit_of_processor_time_is_504_too() {
    let spec = Spec::from_json(r#"{"limits": {"cpu": "100ms"}}"#).unwrap();
    let (server, _dir) = serve(|_| (), &[("forever", spec, FOREVER)]);
    let began = Instant::now();
    let response = server.request("GET", "/forever", b"");
    assert_eq!(response.status, 504);
    assert!(response.text().contains("100ms of processor time"), "{}", response.text());
    assert!(began.elapsed() < Duration::from_secs(5), "the time limit is 10 s");
}

#[test]
fn large_bodies_are_413() {
    let limit = |config: &mut Config| config.max_body = 100_000;
    let (server, _dir) = serve(limit, &[("echo", Spec::default(), ECHO)]);
    let body = vec![b'x'; 100_001];
    assert_eq!(server.request("POST", "/echo", &body[..100_000]).body.len(), 100_000);
    let response = server.request("POST", "/echo", &body);
    assert_eq!(response.status, 413);
    assert!(response.text().contains("100000 bytes"));
    // The same without saying so beforehand.
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let mut chunked = format!("{:x}\r\n", body.len()).into_bytes();
    chunked.extend_from_slice(&body);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    assert_eq!(exchange(server.address, head, &chunked).status, 413);
}

#[test]
fn bodies_together_have_a_limit() {
    let limit = |config: &mut Config| {
        config.max_buffered = 100_000 + 300; // for the head
        let clients = &mut config.clients;
        (clients.connection_share, clients.address_share) = (100, 100);
        (clients.function_share, clients.tenant_share) = (100, 100);
    };
    let (server, _dir) = serve(limit, &[("echo", Spec::default(), ECHO)]);
    for _ in 0..5 {
        // Body and answer are counted.
        assert_eq!(server.request("POST", "/echo", &[1; 50_000]).status, 200);
    }
    assert_eq!(server.request("POST", "/echo", &[1; 50_151]).status, 503);
    assert_eq!(server.request("POST", "/echo", &[1; 100_301]).status, 503);
    assert_eq!(server.request("POST", "/echo", &[1; 50_000]).status, 200);
    // Heads too.
    let header = "x".repeat(1000);
    let headers = [("x-large", &*header)];
    assert_eq!(server.send("POST", "/echo", &headers, &[1; 50_000]).status, 503);
}

#[test]
fn management_has_room_when_functions_have_none() {
    let limit = |config: &mut Config| {
        config.max_buffered = 60_500;
        let clients = &mut config.clients;
        (clients.connection_share, clients.address_share) = (100, 100);
        (clients.function_share, clients.tenant_share) = (100, 100);
    };
    let (server, _dir) = serve(limit, &[("sleep", Spec::default(), SLEEP)]);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| server.request("POST", "/sleep", &[1; 60_000]).status);
        std::thread::sleep(Duration::from_millis(200));
        let header = "x".repeat(500);
        let refused = server.send("GET", "/sleep", &[("x-large", &header)], b"");
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(server.request("GET", "/v1/health", b"").status, 200);
        assert_eq!(server.deploy("f", &says("f")).status, 201);
        assert_eq!(server.request("GET", "/v1/functions", b"").status, 200);
        assert_eq!(busy.join().unwrap(), 200);
    });
}

#[test]
fn refusals_repeat_little_of_a_request() {
    let (server, _dir) = serve(|_| {}, &[]);
    let path = format!("/{}", "long/".repeat(8000));
    let response = server.request("GET", &path, b"");
    assert_eq!(response.status, 404);
    assert!(response.body.len() < 1200, "{}", response.body.len());
}

#[test]
fn too_many_requests_are_503_and_accepting_goes_on() {
    let small = |config: &mut Config| config.max_requests = 1;
    let functions = [("forever", time_limit(1500), FOREVER), ("ok", Spec::default(), &*says("ok"))];
    let (server, _dir) = serve(small, &functions);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| server.request("GET", "/forever", b"").status);
        std::thread::sleep(Duration::from_millis(300));
        let response = server.request("GET", "/ok", b"");
        assert_eq!(response.status, 503);
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(server.request("GET", "/v1/health", b"").status, 200);
        assert_eq!(busy.join().unwrap(), 504);
    });
    assert_eq!(server.request("GET", "/ok", b"").status, 200);
}

#[test]
fn slow_clients_are_cut_off() {
    let impatient = |config: &mut Config| {
        config.header_timeout = Duration::from_millis(300);
        config.body_timeout = Duration::from_millis(300);
        config.idle_timeout = Duration::from_millis(600);
    };
    let (server, _dir) = serve(impatient, &[("echo", Spec::default(), ECHO)]);
    // Silent; a piece of a request; a piece of an HTTP/2 preface; an idle connection.
    let full = "GET /echo HTTP/1.1\r\nhost: a\r\n\r\n";
    for sent in ["", "GET /echo HT", "PRI * HTTP/2.0\r\n", full] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        let began = Instant::now();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer); // the end, or a reset
        assert!(began.elapsed() < Duration::from_secs(5), "{sent:?}");
    }
    // A body that does not come.
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(head("POST", "/echo", &[], 10).as_bytes()).unwrap();
    stream.write_all(b"half").unwrap();
    assert_eq!(read_response(&mut stream).unwrap().status, 408);
}

#[test]
fn nonsense_is_refused() {
    let (server, _dir) = serve(|_| (), &[]);
    for nonsense in ["\0\0\0\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(nonsense.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer); // the end, or a reset
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(200_000));
    let mut stream = TcpStream::connect(server.address).unwrap();
    let _ = stream.write_all(long.as_bytes()); // it may be cut off before the end
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(server.request("GET", "/v1/health", b"").status, 200);
}

#[test]
fn requests_in_flight_finish_at_the_end() {
    let (server, _dir) = serve(|_| (), &[("slow", Spec::default(), SLEEP)]);
    let address = server.address;
    let request = std::thread::spawn(move || exchange(address, &head("GET", "/slow", &[], 0), b""));
    std::thread::sleep(Duration::from_millis(200));
    server.stop();
    let response = request.join().unwrap();
    assert_eq!((response.status, response.text()), (200, "done"));
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_without_tls_is_spoken() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let (server, dir) = serve(|_| (), &[("echo", Spec::default(), ECHO)]);
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    // Several at once on one connection.
    let requests = (0..20u8).map(|n| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let body = vec![n; 100_000];
            let request = hyper::Request::post("http://localhost/echo");
            let request = request.body(Full::new(bytes::Bytes::from(body.clone()))).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.version(), hyper::Version::HTTP_2);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    drop(sender);
    connection.await.unwrap().unwrap();
    tokio::task::spawn_blocking(move || drop((server, dir))).await.unwrap();
}
