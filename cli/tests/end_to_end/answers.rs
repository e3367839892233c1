//! Answers with a status and headers of the guest's, and bodies larger than memory, through the real
//! binary.

use super::support::{PATIENCE, Server, copy_example, scratch, wait_until, write};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

const MIB: usize = 1 << 20;

fn serve(example: &str, folder: &Path, options: &[&str]) -> Server {
    let source = copy_example(example, folder);
    let mut arguments = vec![source.to_str().expect("a path")];
    arguments.extend(options);
    Server::start(&folder.join("store"), &arguments)
}

#[test]
fn a_cgi_program_answers_with_status_and_headers() {
    let folder = scratch();
    let server = serve("cgi", folder.path(), &[]);
    let page = server.request("GET", "/cgi", &[("user-agent", "a test")], b"");
    assert_eq!((page.status, page.text().as_str()), (200, "GET by a test\n"));
    assert_eq!(page.header("content-type"), Some("text/plain"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let moved = server.get("/cgi/old");
    assert_eq!((moved.status, moved.header("location")), (301, Some("/cgi")));
    let missing = server.get("/cgi/a%20b");
    assert_eq!((missing.status, missing.text().as_str()), (404, "there is nothing at /a b\n"));
    let head = server.request("HEAD", "/cgi", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let posted = server.request("POST", "/cgi", &[("expect", "100-continue")], b"abc");
    // What comes before the answer is `100 Continue`.
    assert!(posted.text().ends_with("\r\n\r\n616263"), "{}", posted.text());
}

#[test]
fn headers_about_the_connection_are_dropped_with_one_line_in_the_log() {
    let folder = scratch();
    let program = r#"(module
        (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\43\00\00\00")
        (data (i32.const 16)
            "content-type: a/b\nkeep-alive: 5\nconnection: x-a\nx-a: b\nx-b: c\n\nbody")
        (func (export "_start")
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    write(folder.path(), "hop.wat", program);
    write(folder.path(), "faas.toml", "name = \"hop\"\nwasm = \"hop.wat\"\nabi = \"cgi\"\n");
    let server = Server::start(&folder.path().join("store"), &[folder.path().to_str().unwrap()]);
    let answer = server.get("/hop");
    assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    let found = ["x-b", "x-a", "keep-alive"].map(|name| answer.header(name));
    assert_eq!(found, [Some("c"), None, None]);
    let line = "headers of the answer were dropped: ";
    wait_until("the line is written", || server.log().contains(line));
    assert_eq!(server.log().matches(line).count(), 1);
    for name in ["keep-alive", "connection", "x-a"] {
        let log = server.log();
        let names = log.split_once(line).unwrap().1.lines().next().unwrap();
        assert!(names.contains(name), "{names}");
    }
}

#[test]
fn a_handler_answers_with_status_and_headers() {
    let folder = scratch();
    let server = serve("handler-rust", folder.path(), &[]);
    let picture = server.get("/colour/0088ff?x=y");
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/svg+xml")));
    assert!(picture.header("cache-control").is_some_and(|value| value.contains("immutable")));
    assert_eq!(server.get("/colour/orange").status, 404);
    let refused = server.request("DELETE", "/colour/0088ff", &[], b"");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    let head = server.request("HEAD", "/colour/0088ff", &[], b"");
    let length = picture.body.len().to_string();
    assert_eq!((head.status, head.header("content-length")), (200, Some(length.as_str())));
    assert!(head.body.is_empty());
}

/// Sends a body of `bytes` to the example, which answers two for each, and counts them as they come.
fn stream(server: &Server, bytes: usize) -> u64 {
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut writer = stream.try_clone().expect("a handle");
    let writing = std::thread::spawn(move || {
        let head = format!(
            "POST /cgi HTTP/1.0\r\nhost: a\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n"
        );
        writer.write_all(head.as_bytes()).expect("it is taken");
        let piece = vec![b'x'; MIB];
        for _ in 0..bytes / MIB {
            writer.write_all(&piece).expect("it is taken");
        }
    });
    // Without chunks, as HTTP/1.0 has it: the end of the connection is that of the body.
    let (mut head, mut all, mut buffer) = (Vec::new(), 0, vec![0; MIB]);
    loop {
        let count = stream.read(&mut buffer).expect("it goes on");
        if count == 0 {
            break;
        }
        let room = 4096_usize.saturating_sub(head.len()).min(count);
        head.extend_from_slice(&buffer[..room]);
        all += count as u64;
    }
    writing.join().expect("all is sent");
    assert!(head.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&head[..60]));
    let end = head.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    all - (end as u64 + 4)
}

/// Streams a body through the example, and checks what memory that takes.
fn stream_in_bounded_memory(bytes: usize) {
    let folder = scratch();
    let server = serve("cgi", folder.path(), &["--max-body", "2GiB"]);
    assert_eq!(stream(&server, MIB), 2 * MIB as u64);
    server.forget_peak();
    let (before, _) = server.memory();
    assert_eq!(stream(&server, bytes), 2 * bytes as u64);
    let (_, peak) = server.memory();
    let taken = peak.saturating_sub(before);
    eprintln!("{bytes} bytes up, twice as many down: {taken} more bytes of memory");
    assert!(taken < 16 * MIB as u64, "{taken} bytes of memory more than the {before} before");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_large_body_goes_through_a_guest_in_little_memory() {
    stream_in_bounded_memory(32 * MIB);
}

/// 1 GiB up, and 2 GiB down.
#[test]
#[ignore = "takes a minute: `just streams`"]
fn a_gibibyte_goes_through_a_guest_in_little_memory() {
    stream_in_bounded_memory(1024 * MIB);
}
