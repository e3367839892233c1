//! Functions of sockets.

use crate::guest::*;
use crate::shown::Shown;
use errno::*;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// The descriptor of the listener.
const LISTENER: u64 = 4;

const BAD: u64 = MEMORY - 1;

/// Arguments after the descriptor with which a function succeeds, if anything is there.
const ON_CONNECTIONS: &[(&str, &[u64])] = &[
    ("sock_recv", &[IOVECS, 1, 0, RESULT, RESULT + 8]),
    ("sock_send", &[IOVECS, 1, 0, RESULT]),
    ("sock_shutdown", &[2]),
];

pub(crate) fn scenes(shown: &mut Shown) {
    let folder = tempfile::tempdir().unwrap();
    let mut files = host(folder.path(), false);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    files.add_listener(listener).unwrap();
    files.set_max_descriptors(8);
    let guest = &mut Guest::new(files, Mode::Blocking);
    guest.iovec(4);
    let (mut client, fd) = accepted(shown, guest, address);
    for (function, args) in ON_CONNECTIONS {
        for (fd, errno) in [(99, BADF), (0, NOTSOCK), (LISTENER, NOTCONN)] {
            shown.call(guest, function, &[&[fd], *args].concat(), errno);
        }
    }
    shown.call(guest, "sock_recv", &[fd, BAD, 1, 0, RESULT, RESULT], FAULT);
    shown.call(guest, "sock_recv", &[fd, IOVECS, 1, 8, RESULT, RESULT], INVAL);
    shown.call(guest, "sock_send", &[fd, BAD, 1, 0, RESULT], FAULT);
    shown.call(guest, "sock_send", &[fd, IOVECS, 1, 1, RESULT], INVAL);
    shown.call(guest, "sock_shutdown", &[fd, 0], INVAL);
    guest.ok("fd_fdstat_set_flags", &[fd, NONBLOCK]);
    shown.call(guest, "fd_read", &[fd, IOVECS, 1, RESULT], AGAIN);
    shown.call(guest, "sock_recv", &[fd, IOVECS, 1, 0, RESULT, RESULT + 8], AGAIN);
    shown.call(guest, "sock_send", &[fd, IOVECS, 1, 0, RESULT], 0);
    client.write_all(b"four").unwrap();
    let mut receive = || guest.call("sock_recv", &[fd, IOVECS, 1, 0, RESULT, RESULT + 8]);
    wait_while(AGAIN, &mut receive);
    shown.saw("sock_recv", 0);
    full(shown, guest, fd);
    shown.call(guest, "sock_shutdown", &[fd, 2], 0);
    guest.ok("fd_fdstat_set_rights", &[fd, 0, 0]);
    for (function, args) in ON_CONNECTIONS {
        shown.call(guest, function, &[&[fd], *args].concat(), NOTCAPABLE);
    }
    guest.ok("fd_close", &[fd]);
    broken(shown, guest, address);
    listener_scenes(shown, guest, address);
}

/// A connection, from both sides.
fn accepted(shown: &mut Shown, guest: &mut Guest, address: SocketAddr) -> (TcpStream, u64) {
    let client = TcpStream::connect(address).unwrap();
    shown.call(guest, "sock_accept", &[LISTENER, 0, RESULT], 0);
    (client, guest.u32(RESULT).into())
}

/// Calls while the answer is this one, and not for ever.
fn wait_while(errno: u16, call: &mut dyn FnMut() -> u16) -> u16 {
    for _ in 0..10_000 {
        let answer = call();
        if answer != errno {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("it answers {errno} for ever");
}

/// A peer that reads nothing.
fn full(shown: &mut Shown, guest: &mut Guest, fd: u64) {
    guest.iovec(1 << 20);
    for function in ["fd_write", "sock_send"] {
        let args = match function {
            "fd_write" => vec![fd, IOVECS, 1, RESULT],
            _ => vec![fd, IOVECS, 1, 0, RESULT],
        };
        let answer = (0..1000).map(|_| guest.call(function, &args)).find(|errno| *errno != 0);
        assert_eq!(answer, Some(AGAIN), "{function}");
        shown.saw(function, AGAIN);
    }
    guest.iovec(4);
}

/// A peer that leaves without having read what it was sent breaks its connection.
fn broken(shown: &mut Shown, guest: &mut Guest, address: SocketAddr) {
    for (function, more) in [
        ("fd_read", &[IOVECS, 1, RESULT][..]),
        ("sock_recv", &[IOVECS, 1, 0, RESULT, RESULT + 8]),
        ("fd_write", &[IOVECS, 1, RESULT]),
        ("sock_send", &[IOVECS, 1, 0, RESULT]),
    ] {
        let (client, fd) = accepted(shown, guest, address);
        let written = guest.write(fd as u32, b"unread");
        assert_eq!(written, Ok(6));
        guest.iovec(4);
        // It has arrived before the client leaves.
        client.peek(&mut [0; 6]).unwrap();
        drop(client);
        std::thread::sleep(Duration::from_millis(20));
        let args = [&[fd], more].concat();
        shown.call(guest, function, &args, CONNRESET);
        if matches!(function, "fd_write" | "sock_send") {
            shown.call(guest, function, &args, PIPE);
        }
        guest.ok("fd_close", &[fd]);
    }
}

fn listener_scenes(shown: &mut Shown, guest: &mut Guest, address: SocketAddr) {
    let _client = TcpStream::connect(address).unwrap();
    let accept = "sock_accept";
    shown.call(guest, accept, &[99, 0, RESULT], BADF);
    shown.call(guest, accept, &[3, 0, RESULT], NOTSOCK);
    shown.call(guest, accept, &[LISTENER, 1, RESULT], INVAL);
    shown.call(guest, accept, &[LISTENER, 0, BAD], FAULT);
    let files: Vec<u32> =
        (0..3).map(|_| guest.open(DIR, ".", DIRECTORY, READING).unwrap()).collect();
    shown.call(guest, accept, &[LISTENER, 0, RESULT], MFILE);
    files.iter().for_each(|fd| guest.ok("fd_close", &[u64::from(*fd)]));
    shown.call(guest, accept, &[LISTENER, 0, RESULT], 0);
    guest.ok("fd_fdstat_set_flags", &[LISTENER, NONBLOCK]);
    shown.call(guest, accept, &[LISTENER, 0, RESULT], AGAIN);
    guest.ok("fd_fdstat_set_rights", &[LISTENER, 0, 0]);
    shown.call(guest, accept, &[LISTENER, 0, RESULT], NOTCAPABLE);
}
