//! Trailers of requests and answers, through the gateway and components of both versions of `wasi:http`.

use super::components::built;
use super::support::{PATIENCE, Server, scratch, wait_until, write};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

/// A message: its head, its body and its trailers, in lines.
#[derive(Debug)]
struct Message {
    head: Vec<String>,
    body: Vec<u8>,
    trailers: Vec<String>,
}

/// Reads lines up to the empty one.
fn lines(reader: &mut impl BufRead) -> Vec<String> {
    reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect()
}

impl Message {
    /// Reads one with a chunked body, or of a known length.
    fn read(reader: &mut impl BufRead) -> Message {
        let head = lines(reader);
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        let length = |line: &String| line.strip_prefix("content-length: ")?.parse::<usize>().ok();
        if let Some(length) = head.iter().find_map(length) {
            body.resize(length, 0);
            reader.read_exact(&mut body).unwrap();
        } else if head.iter().any(|line| line == "transfer-encoding: chunked") {
            loop {
                let mut size = String::new();
                reader.read_line(&mut size).unwrap();
                let Ok(size @ 1..) = usize::from_str_radix(size.trim(), 16) else { break };
                let mut chunk = vec![0; size + 2];
                reader.read_exact(&mut chunk).unwrap();
                body.extend(&chunk[..size]);
            }
            trailers = lines(reader);
            trailers.sort();
        }
        Message { head, body, trailers }
    }
}

/// The text of a chunked message.
fn chunked(first: &str, headers: &str, body: &[u8], trailers: &str) -> Vec<u8> {
    let mut text = format!("{first}\r\n{headers}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(5_000) {
        text.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        text.extend(chunk);
        text.extend(b"\r\n");
    }
    text.extend(format!("0\r\n{trailers}\r\n").into_bytes());
    text
}

/// Sends a request with trailers. The connection stays open.
fn ask(server: SocketAddr, path: &str, headers: &str, body: &[u8], trailers: &str) -> Message {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers = format!("host: h\r\n{headers}");
    let text = chunked(&format!("POST {path} HTTP/1.1"), &headers, body, trailers);
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let _ = writer.write_all(&text); // an answer may come before all of it is read
    });
    let message = Message::read(&mut BufReader::new(&mut stream));
    drop(stream);
    writing.join().unwrap();
    message
}

/// A server that answers one request with its body, and `x-one: <trailers of the request>` behind it.
fn other_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = Message::read(&mut BufReader::new(stream.try_clone().unwrap()));
            let behind = format!("x-one: {}\r\nconnection: x\r\n", request.trailers.join(" and "));
            let head = "connection: close\r\ntrailer: x-one\r\n";
            let answer = chunked("HTTP/1.1 200 OK", head, &request.body, &behind);
            let _ = stream.write_all(&answer);
        }
    });
    address
}

/// Serves one of the tests' components.
fn serve(folder: &Path, name: &str) -> Server {
    let app = folder.join(name);
    std::fs::create_dir(&app).unwrap();
    let wasm = built(name);
    write(&app, "app.wasm", std::fs::read(wasm).unwrap());
    write(&app, "faas.toml", "wasm = \"app.wasm\"\nallowed_hosts = [\"127.0.0.1\"]\n");
    Server::start(&folder.join("store"), &["--allow-private-hosts".as_ref(), app.as_os_str()])
}

const TAKES: &str = "te: trailers\r\n";
const TRAILERS: &str = "x-one: 1\r\nhost: forbidden\r\nx-two: two\r\n";

/// Bodies: none, one that is there when the guest begins, and one that arrives meanwhile.
fn bodies() -> [Vec<u8>; 3] {
    [0, 1_000, 300_000].map(|length| (0..length).map(|at| (at % 251) as u8).collect())
}

fn trailers_go_through(name: &str) {
    let folder = scratch();
    let server = serve(folder.path(), name);
    let address = server.address;
    let path = |rest: &str| format!("/{name}{rest}");
    for body in bodies() {
        let answer = ask(address, &path(""), TAKES, &body, TRAILERS);
        assert_eq!(answer.head[0], "HTTP/1.1 200 OK");
        assert_eq!(answer.trailers, ["x-one: 1", "x-two: two"], "{} bytes", body.len());
        assert!(answer.body == body, "{} of {} bytes", answer.body.len(), body.len());
        // A client that does not say that it takes trailers gets none.
        let answer = ask(address, &path(""), "", &body, TRAILERS);
        assert!(answer.trailers.is_empty() && answer.body == body);
        assert!(!answer.head.iter().any(|line| line.starts_with("trailer:")), "{answer:?}");
        // Another server's trailers, and ours to it.
        let asked = path(&format!("?{}", other_server()));
        let answer = ask(address, &asked, TAKES, &body, TRAILERS);
        assert_eq!(answer.trailers, ["x-one: x-one: 1 and x-two: two"], "{:?}", answer.head);
        assert!(answer.body == body);
    }
    // What cannot be a trailer is refused by name, and the answer breaks off.
    let refused = ask(address, &path("/forbidden"), TAKES, b"body", "");
    assert!(refused.trailers.is_empty(), "{refused:?}");
    let is_named = || server.log().contains("content-length cannot be a trailer");
    wait_until("the reason is in the log", is_named);
    server.stop();
}

#[test]
fn trailers_go_through_a_handler() {
    trailers_go_through("trailers");
}

#[test]
fn trailers_go_through_a_service() {
    trailers_go_through("trailers3");
}

#[test]
fn trailers_come_behind_a_body_that_nobody_reads() {
    let folder = scratch();
    let server = serve(folder.path(), "trailers");
    for body in bodies() {
        let answer = ask(server.address, "/trailers/skipped", TAKES, &body, TRAILERS);
        assert_eq!((answer.trailers.len(), answer.body.len()), (2, 0), "{} bytes", body.len());
    }
    assert_eq!(server.stop(), Some(0));
}

/// The trailers of an answer by HTTP/2 to a request with trailers.
async fn ask_by_http2(server: SocketAddr, path: &str) -> Option<HeaderMap> {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream).unwrap());
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let trailers: HeaderMap = [("x-one", "1"), ("age", "2"), ("x-three", "three")]
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .into_iter()
        .collect();
    let body = Full::new(Bytes::from_static(b"body"));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
    let request = Request::post(format!("http://localhost{path}")).body(body).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let collected = answer.into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned();
    assert_eq!(collected.to_bytes(), "body");
    trailers
}

#[test]
fn trailers_of_http2_need_no_announcement() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for name in ["trailers", "trailers3"] {
        let folder = scratch();
        let server = serve(folder.path(), name);
        let path = format!("/{name}");
        let answer = ask_by_http2(server.address, &path);
        let trailers = runtime.block_on(answer).expect("it has trailers");
        let value = |name: &str| trailers.get(name).map(|value| value.to_str().unwrap());
        let values = ["x-one", "age", "x-three"].map(value);
        assert_eq!(values, [Some("1"), None, Some("three")], "{name}");
        assert_eq!(server.stop(), Some(0));
    }
}
