//! Clients that misbehave: raw sockets from any loopback address, and frames made by hand.
#![allow(dead_code)] // every test file uses a part of it

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The preface of HTTP/2.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame's length").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A block of headers, without Huffman codes and tables (RFC 7541).
pub(crate) fn block(method: &str, path: &str) -> Vec<u8> {
    let mut block = vec![0x86]; // :scheme http
    for (name, value) in [(2, method), (4, path), (1, "localhost")] {
        block.extend([name, value.len() as u8]);
        block.extend(value.as_bytes());
    }
    block
}

/// A request without a body.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block("GET", path))
}

/// The start of a connection whose streams begin with this window.
pub(crate) fn start(window: u32) -> Vec<u8> {
    let setting = [&4u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
    [PREFACE, &frame(SETTINGS, 0, 0, &setting)].concat()
}

/// The loopback address with this last number.
pub(crate) fn local(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

/// Connects from the loopback address with this last number.
pub(crate) fn connect(server: SocketAddr, from: u8) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.bind(&SocketAddr::new(local(from), 0).into()).expect("an address");
    socket.connect(&server.into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    stream
}

/// Sends bytes, then reads until the connection ends, however it does; all bytes, and how long
/// that took.
pub(crate) fn talk(stream: &mut TcpStream, bytes: &[u8]) -> (Vec<u8>, Duration) {
    let began = Instant::now();
    let _ = stream.write_all(bytes); // it may be over already
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    (answer, began.elapsed())
}

/// The status of a request from an address; 0 if there was no answer.
pub(crate) fn status(server: SocketAddr, from: u8, path: &str) -> u16 {
    let method = if path.starts_with("/v1/") { "GET" } else { "POST" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"
    );
    let (answer, _) = talk(&mut connect(server, from), request.as_bytes());
    status_of(&answer)
}

/// The status of an answer in HTTP/1.1; 0 if it is none.
pub(crate) fn status_of(answer: &[u8]) -> u16 {
    let status = answer.get(9..12).and_then(|status| std::str::from_utf8(status).ok());
    status.and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Waits until `done`, for at most `limit`; how long it took.
pub(crate) fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < limit, "still not after {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

/// Frames that come from a server.
pub(crate) struct Frames {
    pub(crate) stream: TcpStream,
    bytes: Vec<u8>,
}

/// Type, flags, stream and payload.
pub(crate) type Frame = (u8, u8, u32, Vec<u8>);

impl Frames {
    /// Connects and starts HTTP/2.
    pub(crate) fn connect(server: SocketAddr, from: u8, window: u32) -> Frames {
        let mut stream = connect(server, from);
        stream.write_all(&start(window)).expect("it is open");
        Frames { stream, bytes: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it is open");
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((head, rest)) = self.bytes.split_at_checked(9) {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if rest.len() >= length {
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    let frame = (head[3], head[4], stream, rest[..length].to_vec());
                    self.bytes.drain(..9 + length);
                    return Some(frame);
                }
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.bytes.extend(&buffer[..read]),
            }
        }
    }

    /// The next frame of this type; `None` if the connection ends before.
    pub(crate) fn find(&mut self, kind: u8, flags: u8) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.0 == kind && frame.1 & flags == flags {
                return Some(frame);
            }
        }
    }

    /// Whether the other side answers a ping.
    pub(crate) fn is_alive(&mut self) -> bool {
        let _ = self.stream.write_all(&frame(PING, 0, 0, b"are you?"));
        self.find(PING, ACK).is_some()
    }
}
