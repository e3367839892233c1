//! Bodies that stream both ways through a handler in Rust.

use super::support::{Server, copy_example, run, scratch};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// Reads until all that came ends so.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap_or_else(|error| {
            panic!("{error} after {:?}, before {end:?}", String::from_utf8_lossy(&text))
        });
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Each line is answered before the next one is sent.
#[test]
fn a_handler_answers_while_its_request_arrives() {
    let folder = scratch();
    let app = copy_example("stream-rust", folder.path());
    run(&["build".as_ref(), app.as_os_str()]).expect(0, &[]);
    let server = Server::start(&folder.path().join("store"), &[app.as_os_str()]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // More than may be there before a guest begins.
    let first = "x".repeat(100_000) + "\n";
    let head = "POST /number HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all((head.to_owned() + &chunk(&first)).as_bytes()).unwrap();
    let answer = read_until(&mut stream, "x\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{}", &answer[..200]);
    assert!(answer.to_lowercase().contains("transfer-encoding: chunked"));
    for number in 2..5 {
        stream.write_all(chunk("line\n").as_bytes()).unwrap();
        assert_eq!(
            read_until(&mut stream, "line\n\r\n"),
            format!("D\r\n     {number}  line\n\r\n")
        );
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_until(&mut stream, "0\r\n\r\n"), "0\r\n\r\n");
    assert_eq!(server.stop(), Some(0));
}
