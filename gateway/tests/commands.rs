//! Answers of commands: in one piece if their guest never waits, sent while it runs if it does. And local
//! redirects of CGI programs.

mod common;

use common::{Response, Server, head, read_response, says, serve, unchunk};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use wfaas_function::{Abi, ByteSize, Coding, Spec};

const KIB: usize = 1 << 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// A command that can write `$len` bytes from `$from` on to stdout, sleep 300 ms, and read the body.
fn command(data: &str, body: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read" (func $r (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $flags (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 4)
          (data (i32.const 528) "\01") (data (i32.const 536) "\00\a3\e1\11\00\00\00\00")
          (data (i32.const 2048) "{data}")
          (func $say (param $from i32) (param $len i32)
            (i32.store (i32.const 0) (local.get $from)) (i32.store (i32.const 4) (local.get $len))
            (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
          (func $sleep
            (drop (call $poll (i32.const 512) (i32.const 1024) (i32.const 1) (i32.const 1100))))
          (func $read (result i32)
            (i32.store (i32.const 16) (i32.const 65536)) (i32.store (i32.const 20) (i32.const 65536))
            (drop (call $r (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
            (i32.load (i32.const 24)))
          (func (export "_start") (local $n i32) {body}))"#
    )
}

/// Says "head".
const WORD: &str = "(call $say (i32.const 2048) (i32.const 4))";

fn guests() -> Vec<(&'static str, String)> {
    let word = |body: &str| command("head", body);
    let large = "(local.set $n (i32.const 64))
        (loop (call $say (i32.const 65536) (i32.const 65536))
          (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))";
    let echo = "(loop (local.set $n (call $read))
        (call $say (i32.const 65536) (local.get $n)) (br_if 0 (local.get $n)))";
    vec![
        ("short", word(WORD)),
        ("window", word("(call $say (i32.const 65536) (i32.const 65536))")),
        ("large", word(large)),
        ("slow", word(&format!("{WORD} (call $sleep) {WORD}"))),
        ("late", word(&format!("(call $sleep) {WORD}"))),
        ("echo", word(echo)),
        ("fails", word(&format!("{WORD} (call $exit (i32.const 3))"))),
        ("fails-late", word(&format!("(call $sleep) {WORD} unreachable"))),
        ("breaks", word(&format!("{WORD} (call $sleep) unreachable"))),
        ("endless", word("(loop (call $say (i32.const 65536) (i32.const 65536)) (br 0))")),
        // Never waits for its client, but asks again.
        (
            "impatient",
            word(&format!(
                "(drop (call $flags (i32.const 1) (i32.const 4))) {large}
              (local.set $n (i32.const 0)) (drop (call $flags (i32.const 1) (i32.const 0))) {WORD}"
            )),
        ),
    ]
}

fn server() -> (Server, tempfile::TempDir) {
    let guests = guests();
    let spec = || {
        let mut spec = Spec::default();
        spec.limits.output = Some(ByteSize(1 << 30));
        spec
    };
    let mut functions: Vec<(&str, Spec, &str)> =
        guests.iter().map(|(name, wat)| (*name, spec(), wat.as_str())).collect();
    let wat = |wanted: &str| guests.iter().find(|(name, _)| *name == wanted).unwrap().1.as_str();
    let coded = Spec { compress: vec![Coding::Gzip], ..spec() };
    functions.push(("coded", coded, wat("large")));
    let mut limited = spec();
    limited.limits.output = Some(ByteSize(300 << 10));
    functions.push(("limited", limited.clone(), wat("endless")));
    limited.limits.output = Some(ByteSize(60 << 10));
    functions.push(("narrow", limited, wat("endless")));
    serve(|config| config.max_body = 1 << 30, &functions)
}

fn get(server: &Server, path: &str) -> Response {
    server.request("GET", path, b"")
}

/// The body of an answer, and whether it is complete.
fn body(answer: &Response) -> (Vec<u8>, bool) {
    let Some("chunked") = answer.header("transfer-encoding") else {
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        return (answer.body.clone(), answer.body.len() == length);
    };
    unchunk(&answer.body)
}

#[test]
fn an_answer_whose_guest_never_waits_is_one_piece() {
    let (server, _dir) = server();
    for _ in 0..3 {
        let answer = get(&server, "/short");
        assert_eq!((answer.status, answer.text()), (200, "head"));
        assert_eq!(answer.header("content-length"), Some("4"));
    }
    for (path, bytes) in [("/window", 64 * KIB), ("/late", 4)] {
        let answer = get(&server, path);
        assert_eq!(answer.header("content-length"), Some(&*bytes.to_string()), "{path}");
        assert_eq!(answer.body.len(), bytes, "{path}");
    }
}

#[test]
fn an_answer_is_sent_when_its_guest_waits() {
    let (server, _dir) = server();
    // Twice on one connection, which is given to another part of the server in between.
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let (mut text, mut first) = (Vec::new(), None);
        while !text.ends_with(b"0\r\n\r\n") {
            let mut buffer = [0; 1000];
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&buffer[..count]);
            if String::from_utf8_lossy(&text).contains("head") {
                first.get_or_insert_with(Instant::now);
            }
        }
        let spread = first.expect("a first piece").elapsed();
        assert!(spread > Duration::from_millis(200), "{spread:?}");
        assert_eq!(String::from_utf8_lossy(&text).matches("head").count(), 2);
    }
}

#[test]
fn a_large_answer_is_sent_as_it_is_made() {
    let (server, _dir) = server();
    for path in ["/large", "/impatient"] {
        let answer = get(&server, path);
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "{path}");
        let (body, complete) = body(&answer);
        assert!(complete, "{path}");
        let expected = if path == "/large" { 4 << 20..=4 << 20 } else { 64 * KIB + 4..=4 << 20 };
        assert!(expected.contains(&body.len()), "{path}: {}", body.len());
    }
    let coded = server.send("GET", "/coded", &[("accept-encoding", "gzip")], b"");
    assert_eq!(coded.header("content-encoding"), Some("gzip"));
    let mut decoded = Vec::new();
    flate2::read::GzDecoder::new(&body(&coded).0[..]).read_to_end(&mut decoded).unwrap();
    assert_eq!(decoded.len(), 4 << 20);
}

#[test]
fn request_and_answer_stream_at_the_same_time() {
    let (server, _dir) = server();
    let sent: Vec<u8> = (0..5 << 20).map(|n: u32| (n % 251) as u8).collect();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut writer, bytes) = (stream.try_clone().unwrap(), sent.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(head("POST", "/echo", &[], bytes.len()).as_bytes()).unwrap();
        writer.write_all(&bytes).unwrap();
    });
    let answer = read_response(&mut stream).unwrap();
    writing.join().unwrap();
    let (echoed, complete) = body(&answer);
    assert!(complete && echoed == sent, "{} bytes", echoed.len());
}

#[test]
fn a_failure_is_a_status_until_the_guest_waits() {
    let (server, _dir) = server();
    for path in ["/fails", "/fails-late", "/narrow"] {
        assert_eq!(get(&server, path).status, 500, "{path}");
    }
    let answer = get(&server, "/breaks");
    assert_eq!((answer.status, body(&answer)), (200, (b"head".to_vec(), false)));
    let (limited, complete) = body(&get(&server, "/limited"));
    assert!(!complete && limited.len() <= 300 * KIB, "{} bytes", limited.len());
    assert_eq!(get(&server, "/short").status, 200, "the server is well");
}

#[test]
fn the_answer_to_head_has_the_length_of_one_piece() {
    let (server, _dir) = server();
    for (path, length) in [("/short", Some("4")), ("/large", None), ("/slow", None)] {
        let answer = server.request("HEAD", path, b"");
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        assert_eq!(answer.header("content-length"), length, "{path}");
    }
}

/// A client that asks for the head alone has it as soon as it is there, though the body never ends.
#[test]
fn the_head_of_an_endless_answer_is_sent() {
    let (server, _dir) = server();
    let answer = server.request("HEAD", "/endless", b"");
    assert_eq!((answer.status, answer.header("content-length")), (200, None));
}

/// A client that leaves ends a guest that would go on for ever.
#[test]
fn a_client_that_leaves_ends_its_guest() {
    let (server, _dir) = server();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(head("GET", "/endless", &[], 0).as_bytes()).unwrap();
        let mut some = [0; 1000];
        stream.read_exact(&mut some).unwrap();
    }
    let began = Instant::now();
    while left(&server) != ["0", "0"] {
        assert!(began.elapsed() < PATIENCE, "{:?}", left(&server));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Requests under way, and bytes that somebody counts.
fn left(server: &Server) -> [String; 2] {
    let metrics = get(server, "/v1/metrics");
    ["wfaas_requests_under_way ", "wfaas_buffered_bytes "].map(|name| {
        let line = metrics.text().lines().find(|line| line.starts_with(name));
        line.expect("it is there").rsplit(' ').next().unwrap().to_owned()
    })
}

/// CGI programs that answer with this head.
fn redirecting() -> (Server, tempfile::TempDir) {
    let program = |head: &str| {
        let say = format!("(call $say (i32.const 2048) (i32.const {}))", head.len());
        command(&head.replace('\n', "\\n"), &say)
    };
    let mut functions: Vec<(String, String)> = [
        ("to-text", "Location: /text/x?y=z\n\n"),
        ("to-nothing", "Location: /nowhere\n\n"),
        ("to-management", "Location: /v1/functions\n\n"),
        ("to-theirs", "Location: /theirs\n\n"),
        ("round", "Location: /round\n\n"),
        ("with-body", "Location: /text\n\nbody"),
        ("to-client", "Status: 303\nLocation: /text\n\n"),
        ("hop-0", "Content-Type: a/b\n\nend"),
    ]
    .map(|(name, head)| (name.to_owned(), program(head)))
    .into();
    for hop in 1..=9 {
        functions.push((format!("hop-{hop}"), program(&format!("Location: /hop-{}\n\n", hop - 1))));
    }
    let cgi = || Spec { abi: Some(Abi::new("cgi")), ..Spec::default() };
    let mut all: Vec<(&str, Spec, &str)> =
        functions.iter().map(|(name, wat)| (name.as_str(), cgi(), wat.as_str())).collect();
    let text = says("in its place");
    all.push(("text", Spec::default(), &text));
    let tenant = Some("other".parse().unwrap());
    all.push(("theirs", Spec { tenant, ..Spec::default() }, &text));
    serve(|_| {}, &all)
}

#[test]
fn a_local_redirect_is_answered_by_the_function_of_its_path() {
    let (server, _dir) = redirecting();
    for (method, body) in [("GET", ""), ("POST", "a body that goes nowhere")] {
        let answer = server.request(method, "/to-text", body.as_bytes());
        assert_eq!((answer.status, answer.text()), (200, "in its place"), "{method}");
        assert_eq!(answer.header("location"), None);
    }
    let answer = server.request("HEAD", "/to-text", b"");
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("12")));
    let answer = get(&server, "/to-client");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/text")));
}

/// Only the first request of a connection looks for the program; the others know it.
#[test]
fn local_redirects_of_a_program_that_is_known_are_answered_too() {
    let (server, _dir) = redirecting();
    for (path, status, body) in [
        ("/to-text", "200 OK", "in its place"),
        ("/hop-8", "200 OK", "end"),
        ("/hop-9", "502 Bad Gateway", "local redirects"),
        ("/to-theirs", "502 Bad Gateway", "of its tenant"),
        ("/to-client", "303 See Other", "location: /text"),
    ] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let last = head("POST", path, &[], 2);
        let others = last.replace("connection: close\r\n", "");
        stream.write_all(format!("{others}ab{others}ab{last}ab").as_bytes()).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches(&format!("HTTP/1.1 {status}\r\n")).count(), 3, "{answers}");
        assert_eq!(answers.matches(body).count(), 3, "{answers}");
    }
}

#[test]
fn local_redirects_lead_to_functions_only_and_end() {
    let (server, _dir) = redirecting();
    assert_eq!(get(&server, "/to-nothing").status, 404);
    for path in ["/to-management", "/to-theirs"] {
        let answer = get(&server, path);
        assert_eq!(answer.status, 502, "{path}");
        assert!(answer.text().contains("of its tenant"), "{}", answer.text());
    }
    assert_eq!(get(&server, "/theirs").status, 200);
    assert_eq!(get(&server, "/with-body").status, 502);
    let answer = get(&server, "/hop-8");
    assert_eq!((answer.status, answer.text()), (200, "end"));
    for path in ["/hop-9", "/round"] {
        let answer = get(&server, path);
        assert_eq!(answer.status, 502, "{path}");
        assert!(answer.text().contains("local redirects"), "{}", answer.text());
    }
}
