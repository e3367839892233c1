//! Connections and datagrams of the standard library. Arguments: the port of a server of both, and one where nobody
//! listens.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

/// Bytes that are sent, many times what the system keeps of them.
const SENT: usize = 3 << 20;

fn kind<T>(result: std::io::Result<T>) -> std::io::ErrorKind {
    result.err().expect("an error").kind()
}

fn connect(port: u16) {
    let mut stream = TcpStream::connect(("localhost", port)).expect("a connection");
    println!("{}", stream.peer_addr().unwrap().port() == port);
    println!("{}", stream.local_addr().unwrap().ip().is_loopback());
    stream.set_ttl(33).unwrap();
    println!("ttl {}", stream.ttl().unwrap());
    stream.set_nonblocking(true).unwrap();
    println!("{:?}", kind(stream.read(&mut [0])));
    stream.set_nonblocking(false).unwrap();
    let bytes: Vec<u8> = (0..SENT).map(|at| (at % 251) as u8).collect();
    stream.write_all(&bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    println!("{} bytes, {}", answer.len(), answer == bytes);
}

fn datagrams(port: u16) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let mut buffer = [0; 2048];
    socket.send_to(b"one", ("127.0.0.1", port)).unwrap();
    let (len, from) = socket.recv_from(&mut buffer).unwrap();
    println!("{:?} {}", std::str::from_utf8(&buffer[..len]), from.port() == port);
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.send(&[b'x'; 1400]).unwrap();
    println!("{}", socket.recv(&mut buffer).unwrap());
}

fn main() {
    let ports: Vec<u16> = std::env::args().skip(1).map(|port| port.parse().unwrap()).collect();
    let [open, closed] = ports[..] else { panic!("two ports") };
    connect(open);
    datagrams(open);
    println!("{:?}", kind(TcpStream::connect(("127.0.0.1", closed))));
    println!("{:?}", kind(TcpStream::connect(("127.0.0.1", 1))));
    println!("{:?}", kind(TcpStream::connect(("127.0.0.2", open))));
    println!("{:?}", kind(TcpListener::bind("127.0.0.1:0")));
    println!("{}", ("localhost", 80).to_socket_addrs().unwrap().any(|it| it.ip().is_loopback()));
    println!("{}", ("name.example", 80).to_socket_addrs().is_err());
    std::io::stdout().flush().unwrap();
}
