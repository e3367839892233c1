//! Answers with a status, headers and a body of the guest's, sent while it runs, through a real server.

mod common;

use common::{BIG, ECHO, Response, Server, head, read_response, serve, unchunk};
use http_body_util::{BodyExt, Empty};
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use wfaas_function::{Abi, ByteSize, Coding, OnDisconnect, Span, Spec};

const KIB: usize = 1 << 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// A guest that writes to stdout: `$say` a text at `from`, and `$sleep` 300 ms.
fn cgi(body: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read" (func $r (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 4)
          (data (i32.const 528) "\01") (data (i32.const 536) "\00\a3\e1\11\00\00\00\00")
          (data (i32.const 2048) "content-type: a/b\n\n")
          (data (i32.const 2080) "status: 204\ncontent-type: a/b\ncontent-length: 3\n\n")
          (data (i32.const 2144) "content-type: a/b\ncontent-length: 4\n\n")
          (data (i32.const 2208) "content-type: a/b\ntransfer-encoding: chunked\nconnection: x-a\nx-a: b\n\n")
          (data (i32.const 2304) "x-a: b\n\n")
          (data (i32.const 2320) "content-type: a/b\nx: \01\n\n")
          (func $say (param $from i32) (param $len i32)
            (i32.store (i32.const 0) (local.get $from)) (i32.store (i32.const 4) (local.get $len))
            (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
          (func $sleep
            (drop (call $poll (i32.const 512) (i32.const 1024) (i32.const 1) (i32.const 1100))))
          (func $read (param $len i32) (result i32)
            (i32.store (i32.const 16) (i32.const 65536)) (i32.store (i32.const 20) (local.get $len))
            (drop (call $r (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
            (i32.load (i32.const 24)))
          (func $times (param $n i32) (param $len i32)
            (loop
              (call $say (i32.const 65536) (local.get $len))
              (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
          (func (export "_start") (local $n i32) {body}))"#
    )
}

/// The head alone.
const HEAD: &str = "(call $say (i32.const 2048) (i32.const 19))";

/// Guests by name, and what they do.
fn guests() -> Vec<(&'static str, String)> {
    let with_head = |rest: &str| cgi(&format!("{HEAD} {rest}"));
    let body = "(call $say (i32.const 65536) (i32.const 4))";
    vec![
        ("short", with_head(body)),
        ("large", with_head("(call $times (i32.const 64) (i32.const 65536))")),
        ("endless", with_head("(loop (call $say (i32.const 65536) (i32.const 65536)) (br 0))")),
        ("slow", with_head(&format!("{body} (call $sleep) {body} (call $sleep) {body}"))),
        ("late", cgi(&format!("(call $sleep) {HEAD} {body}"))),
        (
            "echo",
            with_head(
                "(loop (local.set $n (call $read (i32.const 65536)))
               (call $say (i32.const 65536) (local.get $n)) (br_if 0 (local.get $n)))",
            ),
        ),
        ("traps", with_head("unreachable")),
        ("fails", with_head("(call $exit (i32.const 3))")),
        ("breaks", with_head(&format!("{body} (call $sleep) unreachable"))),
        ("empty", cgi(&format!("(call $say (i32.const 2080) (i32.const 49)) {body}"))),
        ("waits", cgi("(call $say (i32.const 2080) (i32.const 49)) (call $sleep)")),
        ("exact", cgi(&format!("(call $say (i32.const 2144) (i32.const 37)) {body}"))),
        (
            "exactly",
            cgi(&format!("(call $say (i32.const 2144) (i32.const 37)) (call $sleep) {body}")),
        ),
        (
            "more",
            cgi(&format!(
                "(call $say (i32.const 2144) (i32.const 37)) (call $sleep) {body} {body}"
            )),
        ),
        (
            "goes-on",
            cgi(&format!(
                "(call $say (i32.const 2144) (i32.const 37)) (call $sleep) {body}
                 (local.set $n (i32.const 10))
                 (loop (call $sleep)
                   (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
            )),
        ),
        ("less", cgi("(call $say (i32.const 2144) (i32.const 37)) (call $sleep)")),
        ("hop", cgi(&format!("(call $say (i32.const 2208) (i32.const 69)) {body}"))),
        ("headless", cgi("(call $say (i32.const 2304) (i32.const 8))")),
        ("hostile", cgi("(call $say (i32.const 2320) (i32.const 24))")),
    ]
}

fn server() -> (Server, tempfile::TempDir) {
    let guests = guests();
    let spec = || {
        let mut spec = Spec { abi: Some(Abi::new("cgi")), ..Spec::default() };
        spec.limits.output = Some(ByteSize(1 << 30));
        spec
    };
    let mut functions: Vec<(&str, Spec, &str)> =
        guests.iter().map(|(name, wat)| (*name, spec(), wat.as_str())).collect();
    let large = cgi(&format!("{HEAD} (call $times (i32.const 64) (i32.const 65536))"));
    let (mut hurried, mut limited) = (spec(), spec());
    hurried.limits.time = Some(Span(Duration::from_millis(700)));
    limited.limits.output = Some(ByteSize(300 << 10));
    functions.extend([("hurried", hurried, large.as_str()), ("limited", limited, large.as_str())]);
    let finishing = Spec { on_disconnect: Some(OnDisconnect::Finish), ..spec() };
    functions.push(("finishing", finishing, large.as_str()));
    let coded = || Spec { compress: vec![Coding::Br, Coding::Gzip], ..spec() };
    let slow = guests.iter().find(|(name, _)| *name == "slow").expect("it is there");
    let reactor = Spec { abi: None, ..coded() };
    functions.push(("coded", coded(), large.as_str()));
    functions.push(("coded-slow", coded(), slow.1.as_str()));
    functions.push(("coded-big", reactor.clone(), BIG));
    functions.push(("coded-echo", reactor, ECHO));
    serve(
        |config| {
            config.max_body = 1 << 30;
            config.clients.send_timeout = Duration::from_secs(3);
        },
        &functions,
    )
}

fn get(server: &Server, path: &str) -> Response {
    server.request("GET", path, b"")
}

fn connect(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head("GET", path, &[], 0).as_bytes()).unwrap();
    stream
}

#[test]
fn a_short_answer_has_a_length_and_what_the_guest_says() {
    let (server, _dir) = server();
    for _ in 0..3 {
        let answer = get(&server, "/short");
        assert_eq!((answer.status, answer.body.len()), (200, 4), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("a/b"));
        assert_eq!(answer.header("content-length"), Some("4"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("x-request-id").is_some());
    }
    assert_eq!(get(&server, "/late").body.len(), 4);
}

#[test]
fn an_answer_is_sent_as_it_is_made() {
    let (server, _dir) = server();
    let mut stream = connect(&server, "/slow");
    let began = Instant::now();
    let (mut bytes, mut times) = (Vec::new(), Vec::new());
    let mut buffer = [0; 1000];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..count]);
        times.push(began.elapsed());
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(unchunk(&bytes[end..]), (vec![0; 12], true));
    let spread = *times.last().unwrap() - times[0];
    assert!(spread > Duration::from_millis(400), "{spread:?}");
}

#[test]
fn a_large_answer_arrives_whole_and_a_limited_one_breaks_off() {
    let (server, _dir) = server();
    let answer = get(&server, "/large");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let (body, complete) = unchunk(&answer.body);
    assert_eq!((body.len(), complete), (4 << 20, true));
    let (body, complete) = unchunk(&get(&server, "/limited").body);
    assert!(!complete && body.len() <= 300 * KIB, "{} {complete}", body.len());
}

#[test]
fn a_client_that_takes_its_time_costs_the_guest_none() {
    let (server, _dir) = server();
    let mut stream = connect(&server, "/hurried");
    // The kernel holds some megabytes at most: the guest has to wait.
    let mut first = [0; 64 * KIB];
    stream.read_exact(&mut first).unwrap();
    let mut rest = Vec::new();
    let mut buffer = vec![0; 256 * KIB];
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        rest.extend_from_slice(&buffer[..count]);
    }
    let all = [&first[..], &rest].concat();
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let (body, complete) = unchunk(&all[end..]);
    assert_eq!((body.len(), complete), (4 << 20, true));
}

#[test]
fn request_and_answer_stream_at_the_same_time() {
    let (server, _dir) = server();
    let body: Vec<u8> = (0..3 << 20).map(|n: u32| (n % 251) as u8).collect();
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let sent = body.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(head("POST", "/echo", &[], sent.len()).as_bytes()).unwrap();
        writer.write_all(&sent).unwrap();
    });
    let answer = read_response(&mut { stream }).unwrap();
    writing.join().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.head);
    let (echoed, complete) = unchunk(&answer.body);
    assert!(complete && echoed == body, "{} bytes", echoed.len());
}

#[test]
fn a_failure_is_a_status_until_the_head_is_sent() {
    let (server, _dir) = server();
    for (path, status) in [("/traps", 500), ("/fails", 500), ("/headless", 502), ("/hostile", 502)]
    {
        assert_eq!(get(&server, path).status, status, "{path}");
    }
    assert_eq!(get(&server, "/short/a%00").status, 400);
    let answer = get(&server, "/breaks");
    assert_eq!((answer.status, unchunk(&answer.body)), (200, (vec![0; 4], false)));
}

#[test]
fn lengths_agree_or_the_answer_breaks_off() {
    let (server, _dir) = server();
    for path in ["/exact", "/exactly"] {
        let answer = get(&server, path);
        assert_eq!(answer.header("content-length"), Some("4"), "{path}");
        assert_eq!(answer.body.len(), 4, "{path}");
    }
    assert!(get(&server, "/less").body.is_empty());
    // More is never sent: it would be taken for the next answer.
    assert!(get(&server, "/more").body.len() <= 4);
    for path in ["/empty", "/waits"] {
        let answer = get(&server, path);
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{path}");
        assert_eq!(answer.header("content-length"), None, "{path}");
        assert_eq!(answer.header("transfer-encoding"), None, "{path}");
    }
}

#[test]
fn headers_about_the_connection_are_the_servers() {
    let (server, _dir) = server();
    let answer = get(&server, "/hop");
    assert_eq!((answer.status, answer.header("x-a")), (200, None));
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.header("content-length"), Some("4"));
}

#[test]
fn the_answer_to_head_has_no_body() {
    let (server, _dir) = server();
    for path in ["/short", "/large", "/slow", "/exact"] {
        let answer = server.request("HEAD", path, b"");
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        assert_eq!(answer.header("content-type"), Some("a/b"), "{path}");
    }
}

/// The body of an answer, decoded.
fn decoded(answer: &Response) -> Vec<u8> {
    let (coded, complete) = match answer.header("transfer-encoding") {
        Some(_) => unchunk(&answer.body),
        None => (answer.body.clone(), true),
    };
    assert!(complete, "{}", answer.head);
    let mut body = Vec::new();
    match answer.header("content-encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(&coded[..]).read_to_end(&mut body).unwrap(),
        Some("br") => brotli::Decompressor::new(&coded[..], 4096).read_to_end(&mut body).unwrap(),
        None => coded.as_slice().read_to_end(&mut body).unwrap(),
        Some(other) => panic!("{other}"),
    };
    body
}

#[test]
fn answers_are_encoded_where_both_sides_want_it() {
    let (server, _dir) = server();
    for (accepted, coding) in [
        ("gzip", Some("gzip")),
        ("gzip, br", Some("br")),
        ("br;q=0, gzip;q=0.1", Some("gzip")),
        ("identity", None),
    ] {
        let get = |path: &str| server.send("GET", path, &[("accept-encoding", accepted)], b"");
        for (path, bytes) in [("/coded", 4 << 20), ("/coded-slow", 12), ("/coded-big", 8 << 20)] {
            let answer = get(path);
            assert_eq!(answer.header("content-encoding"), coding, "{path}");
            assert_eq!(answer.header("vary"), Some("accept-encoding"), "{path}");
            assert!(coding.is_none() || bytes < 1000 || answer.body.len() < 1 << 20, "{path}");
            let body = decoded(&answer);
            assert!(body.len() == bytes && body.iter().all(|byte| *byte == 0), "{path} {accepted}");
        }
        assert_eq!(get("/large").header("vary"), None);
    }
    let text: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(n) % 251) as u8).collect();
    for accepted in ["gzip", "br"] {
        let send = |body: &[u8]| {
            server.send("POST", "/coded-echo", &[("accept-encoding", accepted)], body)
        };
        let answer = send(&text);
        assert_eq!(answer.header("content-encoding"), Some(accepted));
        assert!(decoded(&answer) == text);
        // Little is not worth it.
        assert_eq!(send(b"little").header("content-encoding"), None);
    }
    let answer = server.send("HEAD", "/coded-big", &[("accept-encoding", "gzip")], b"");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), Some("8388608"));
}

/// An answer by HTTP/2: status, headers, the bytes that came, and whether that was all.
fn get_by_http2(server: &Server, method: &str, path: &str) -> (u16, HeaderMap, usize, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let handshake =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(format!("http://localhost{path}"));
        let request = request.body(Empty::<hyper::body::Bytes>::new()).unwrap();
        let (head, mut body) = sender.send_request(request).await.unwrap().into_parts();
        let (mut bytes, mut complete) = (0, true);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                complete = false;
                break;
            };
            bytes += frame.data_ref().map_or(0, |data| data.len());
        }
        (head.status.as_u16(), head.headers, bytes, complete)
    })
}

#[test]
fn streams_of_http2_end_or_are_reset() {
    let (server, _dir) = server();
    for (method, path, expected) in [
        ("GET", "/short", (200, 4, true)),
        ("GET", "/large", (200, 4 << 20, true)),
        ("GET", "/slow", (200, 12, true)),
        ("GET", "/breaks", (200, 4, false)),
        ("GET", "/exactly", (200, 4, true)),
        ("GET", "/waits", (204, 0, true)),
        ("HEAD", "/short", (200, 0, true)),
        ("HEAD", "/large", (200, 0, true)),
    ] {
        let (status, headers, bytes, complete) = get_by_http2(&server, method, path);
        assert_eq!((status, bytes, complete), expected, "{method} {path}: {headers:?}");
    }
    for path in ["/less", "/more", "/limited"] {
        let (status, _, bytes, complete) = get_by_http2(&server, "GET", path);
        assert!(status == 200 && bytes < 300 << 10 && !complete, "{path}: {bytes}");
    }
    assert_eq!(get_by_http2(&server, "GET", "/hostile").0, 502);
    assert!(!get_by_http2(&server, "GET", "/hop").1.contains_key("x-a"));
}

#[test]
fn clients_that_leave_or_stall_end_their_guests() {
    let (server, _dir) = server();
    let mut leaving: Vec<TcpStream> = (0..8).map(|_| connect(&server, "/endless")).collect();
    for stream in &mut leaving {
        stream.read_exact(&mut [0; 200]).unwrap();
    }
    let finishing = connect(&server, "/finishing");
    std::thread::sleep(Duration::from_millis(200));
    drop((leaving, finishing));
    // One that takes nothing any more is given up.
    let mut stalling = connect(&server, "/endless");
    stalling.read_exact(&mut [0; 200]).unwrap();
    std::thread::sleep(Duration::from_secs(6));
    stalling.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let end = loop {
        match stalling.read(&mut buffer) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
    };
    assert!(end, "the connection is open");
    // Nothing is left of them: neither guests nor bytes that somebody counts.
    wait_until_nothing_is_left(&server);
}

/// Requests under way, and bytes that somebody counts.
fn left(server: &Server) -> [String; 2] {
    let metrics = get(server, "/v1/metrics");
    ["wfaas_requests_under_way ", "wfaas_buffered_bytes "].map(|name| {
        let line = metrics.text().lines().find(|line| line.starts_with(name));
        line.expect("it is there").rsplit(' ').next().unwrap().to_owned()
    })
}

fn wait_until_nothing_is_left(server: &Server) {
    let began = Instant::now();
    while left(server) != ["0", "0"] {
        assert!(began.elapsed() < PATIENCE, "{:?}", left(server));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_guest_goes_on_behind_the_end_that_its_head_announced() {
    let (server, _dir) = server();
    let answer = get(&server, "/goes-on");
    assert_eq!((answer.status, answer.body.len()), (200, 4));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(left(&server)[0], "1", "it sleeps for three seconds");
    wait_until_nothing_is_left(&server);
}
