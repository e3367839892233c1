//! Bodies that arrive while their guest runs, through a real server.

mod common;

use common::{ECHO, Response, Server, head, read_response, serve, unchunk};
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use wfaas_function::{Span, Spec};

/// Reads all of stdin, and answers how often it got something, how many bytes that was, and the
/// nanoseconds between the first and the last.
const COUNT: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\00\10\00\00\00\00\01\00")
  (data (i32.const 16) "\40\00\00\00\10\00\00\00")
  (func (export "_start") (local $first i64)
    (loop $more
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 32)) (then unreachable))
      (if (i32.load (i32.const 32))
        (then
          (drop (call $now (i32.const 1) (i64.const 0) (i32.const 72)))
          (if (i64.eqz (local.get $first)) (then (local.set $first (i64.load (i32.const 72)))))
          (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (i32.const 1)))
          (i32.store (i32.const 68) (i32.add (i32.load (i32.const 68)) (i32.load (i32.const 32))))
          (br $more))))
    (i64.store (i32.const 72) (i64.sub (i64.load (i32.const 72)) (local.get $first)))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))))"#;

/// Sleeps 500 ms and reads nothing.
const DEAF: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 528) "\01") (data (i32.const 536) "\00\65\cd\1d\00\00\00\00")
  (func (export "_start")
    (drop (call $poll (i32.const 512) (i32.const 1024) (i32.const 1) (i32.const 2048)))))"#;

/// Answers stdin in capital letters, as it comes.
const CAPITALS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\10\00\00\00\04\00\00")
  (data (i32.const 16) "\00\10\00\00")
  (func (export "_start") (local $at i32)
    (loop $more
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 20)) (then unreachable))
      (if (i32.load (i32.const 20))
        (then
          (local.set $at (i32.add (i32.const 4096) (i32.load (i32.const 20))))
          (loop $next
            (local.set $at (i32.sub (local.get $at) (i32.const 1)))
            (i32.store8 (local.get $at) (i32.and (i32.load8_u (local.get $at)) (i32.const 0xdf)))
            (br_if $next (i32.gt_u (local.get $at) (i32.const 4096))))
          (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 32)))
          (br $more))))))"#;

const KIB: usize = 1 << 10;
const MAX_BODY: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_millis(1500);

fn server() -> (Server, tempfile::TempDir) {
    let limited = |millis| {
        let mut spec = Spec::default();
        spec.limits.time = Some(Span(Duration::from_millis(millis)));
        spec
    };
    let functions = [
        ("count", Spec::default(), COUNT),
        ("hurried", limited(400), COUNT),
        ("deaf", Spec::default(), DEAF),
        ("capitals", Spec::default(), CAPITALS),
        ("echo", Spec::default(), ECHO),
    ];
    serve(
        |config| {
            config.max_body = MAX_BODY;
            config.body_timeout = PATIENCE;
        },
        &functions,
    )
}

/// Sends a body in pieces with pauses in between, and reads the answer.
fn send(server: &Server, path: &str, pieces: &[&[u8]], pause: Duration) -> Response {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let bytes = pieces.iter().map(|piece| piece.len()).sum();
    stream.write_all(head("POST", path, &[], bytes).as_bytes()).unwrap();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            std::thread::sleep(pause);
        }
        stream.write_all(piece).unwrap();
    }
    read_response(&mut stream).unwrap()
}

/// Numbers of an answer of [`COUNT`].
fn counted(answer: &Response) -> (u32, u32, Duration) {
    assert_eq!((answer.status, answer.body.len()), (200, 16), "{answer:?}");
    let number = |at: usize| u32::from_le_bytes(answer.body[at..at + 4].try_into().unwrap());
    let time = u64::from_le_bytes(answer.body[8..].try_into().unwrap());
    (number(0), number(4), Duration::from_nanos(time))
}

#[test]
fn a_guest_reads_a_long_body_as_it_arrives() {
    let (server, _dir) = server();
    let pause = Duration::from_millis(300);
    let piece = vec![1; 100 * KIB];
    let (reads, bytes, time) = counted(&send(&server, "/count", &[&piece, &piece, &piece], pause));
    assert!(reads >= 3, "{reads}");
    assert_eq!(bytes as usize, 300 * KIB);
    assert!(time >= 2 * pause - Duration::from_millis(50), "{time:?}");
}

#[test]
fn a_small_body_is_received_before_its_guest_starts() {
    let (server, _dir) = server();
    let pause = Duration::from_millis(300);
    let piece = vec![1; 20 * KIB];
    let (reads, bytes, time) = counted(&send(&server, "/count", &[&piece, &piece, &piece], pause));
    assert_eq!((reads, bytes as usize), (1, 60 * KIB));
    assert!(time < pause, "{time:?}");
}

#[test]
fn bytes_are_answered_as_they_come() {
    let (server, _dir) = server();
    let body: Vec<u8> = (0..700 * KIB).map(|n| b'a' + (n % 26) as u8).collect();
    let (first, rest) = body.split_at(80 * KIB);
    let (second, third) = rest.split_at(333_333);
    let answer = send(&server, "/capitals", &[first, second, third], Duration::from_millis(50));
    assert_eq!(answer.status, 200);
    let (capitals, complete) = unchunk(&answer.body);
    assert!(complete && capitals == body.to_ascii_uppercase());
    // Reactors still get the whole.
    let answer = send(&server, "/echo", &[first, second, third], Duration::from_millis(50));
    assert!(answer.body == body, "{}", answer.status);
}

#[test]
fn chunks_without_an_announced_length_arrive_too_and_end_at_the_limit() {
    let (server, _dir) = server();
    let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 64 * KIB], b"\r\n"].concat();
    let send = |path: &str, chunks: usize| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        for _ in 0..chunks {
            if stream.write_all(&chunk).is_err() {
                break; // the server has answered
            }
        }
        let _ = stream.write_all(b"0\r\n\r\n");
        read_response(&mut stream).unwrap()
    };
    assert_eq!(counted(&send("/count", 10)).1 as usize, 640 * KIB);
    assert_eq!(send("/count", MAX_BODY as usize / (64 * KIB) + 1).status, 413);
    assert_eq!(counted(&send("/count", 3)).1 as usize, 192 * KIB);
}

#[test]
fn a_guest_that_does_not_read_stops_its_client_and_answers() {
    let (server, _dir) = server();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(head("POST", "/deaf", &[], MAX_BODY as usize).as_bytes()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let (piece, began, mut sent) = (vec![0; 64 * KIB], Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(400) {
        match stream.write(&piece) {
            Ok(bytes) => sent += bytes,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    // Buffers of the kernel take some megabytes.
    assert!(sent < 24 << 20, "{sent} bytes were taken");
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let answer = read_response(&mut stream).unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b""[..]));
}

#[test]
fn a_client_that_stops_sending_takes_nothing_from_others() {
    let (server, _dir) = server();
    let stuck = |_| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(head("POST", "/count", &[], 200 * KIB).as_bytes()).unwrap();
        stream.write_all(&vec![0; 100 * KIB]).unwrap();
        stream
    };
    let began = Instant::now();
    let clients: Vec<TcpStream> = (0..8).map(stuck).collect();
    for mut stream in clients {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let answer = read_response(&mut stream).unwrap();
        assert_eq!(answer.status, 408, "{answer:?}");
    }
    assert!(began.elapsed() >= PATIENCE, "{:?}", began.elapsed());
    // Clients that leave are no different.
    let left: Vec<TcpStream> = (0..8).map(stuck).collect();
    drop(left);
    let piece = vec![1; 100 * KIB];
    let (_, bytes, _) = counted(&send(&server, "/count", &[&piece, &piece], Duration::ZERO));
    assert_eq!(bytes as usize, 200 * KIB);
}

#[test]
fn a_guest_has_its_time_however_slow_its_client_is() {
    let (server, _dir) = server();
    let piece = vec![1; 100 * KIB];
    let pieces = [&piece[..], &piece, &piece];
    let (_, bytes, time) = counted(&send(&server, "/hurried", &pieces, Duration::from_millis(600)));
    assert_eq!(bytes as usize, 300 * KIB);
    assert!(time > Duration::from_millis(1000), "{time:?}: more than the limit of 400 ms");
}
