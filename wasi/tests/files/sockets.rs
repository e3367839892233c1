//! `sock_*` on listeners that are open when the guest starts.

use crate::guest::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// The descriptor of the listener: after the directory.
const LISTENER: u32 = 4;

fn with_listener(test: impl Fn(&mut Guest, SocketAddr)) {
    for mode in [Mode::Blocking, Mode::Pool] {
        let folder = tempfile::tempdir().unwrap();
        let mut files = host(folder.path(), false);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        files.add_listener(listener).unwrap();
        test(&mut Guest::new(files, mode), address);
    }
}

fn accept(guest: &mut Guest, flags: u64) -> Result<u32, u16> {
    match guest.call("sock_accept", &[LISTENER.into(), flags, RESULT]) {
        0 => Ok(guest.u32(RESULT)),
        errno => Err(errno),
    }
}

/// A receive of `len` bytes.
fn receive(guest: &mut Guest, fd: u32, len: u32, flags: u64) -> Result<Vec<u8>, u16> {
    guest.put(600, &[(DATA as u32).to_le_bytes(), len.to_le_bytes()].concat());
    match guest.call("sock_recv", &[fd.into(), 600, 1, flags, RESULT, RESULT + 8]) {
        0 => Ok(guest.get(DATA, guest.u32(RESULT) as usize)),
        errno => Err(errno),
    }
}

fn send(guest: &mut Guest, fd: u32, bytes: &[u8], flags: u64) -> Result<u32, u16> {
    guest.put(600, &[(DATA as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat());
    guest.put(DATA, bytes);
    match guest.call("sock_send", &[fd.into(), 600, 1, flags, RESULT]) {
        0 => Ok(guest.u32(RESULT)),
        errno => Err(errno),
    }
}

#[test]
fn a_connection_is_accepted_read_written_and_shut() {
    with_listener(|guest, address| {
        guest.ok("fd_fdstat_get", &[LISTENER.into(), RESULT]);
        assert_eq!(guest.get(RESULT, 1), [6]);
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let fd = accept(guest, 0).unwrap();
        assert_eq!(fd, 5);
        client.write_all(b"question").unwrap();
        assert_eq!(receive(guest, fd, 3, 1), Ok(b"que".to_vec()), "a look");
        assert_eq!(receive(guest, fd, 8, 2), Ok(b"question".to_vec()), "all of it");
        assert_eq!(send(guest, fd, b"answer", 0), Ok(6));
        let mut answer = [0; 6];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"answer");
        client.write_all(b"more").unwrap();
        assert_eq!(guest.read(fd, 100), Ok(b"more".to_vec()));
        assert_eq!(guest.write(fd, b"!"), Ok(1));
        guest.ok("sock_shutdown", &[fd.into(), 2]);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"!");
        drop(client);
        assert_eq!(receive(guest, fd, 9, 0), Ok(vec![]), "the end");
        assert_eq!(receive(guest, fd, 9, 2), Ok(vec![]));
        guest.ok("fd_close", &[fd.into()]);
    });
}

#[test]
fn an_accept_and_a_receive_wait_unless_they_must_not() {
    with_listener(|guest, address| {
        guest.ok("fd_fdstat_set_flags", &[LISTENER.into(), NONBLOCK]);
        assert_eq!(accept(guest, 0), Err(errno::AGAIN));
        guest.ok("fd_fdstat_set_flags", &[LISTENER.into(), 0]);
        let client = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            let mut client = TcpStream::connect(address).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            client.write_all(b"late").unwrap();
            client
        });
        let fd = accept(guest, NONBLOCK).unwrap();
        let early = receive(guest, fd, 4, 0);
        assert!(early == Err(errno::AGAIN) || early == Ok(b"late".to_vec()), "{early:?}");
        let early_read = guest.read(fd, 4);
        guest.ok("fd_fdstat_set_flags", &[fd.into(), 0]);
        if early.is_err() && early_read.is_err() {
            assert_eq!(receive(guest, fd, 4, 0), Ok(b"late".to_vec()));
        }
        drop(client.join().unwrap());
    });
}

#[test]
fn large_transfers_go_through_in_both_directions() {
    with_listener(|guest, address| {
        let client = std::thread::spawn(move || {
            let mut client = TcpStream::connect(address).unwrap();
            let mut echo = vec![0; 2 << 20];
            client.read_exact(&mut echo).unwrap();
            client.write_all(&echo).unwrap();
        });
        let fd = accept(guest, 0).unwrap();
        let bytes: Vec<u8> = (0..2u32 << 20).map(|number| (number % 249) as u8).collect();
        assert_eq!(send(guest, fd, &bytes, 0), Ok(2 << 20));
        guest.put(DATA, &vec![0; 2 << 20]);
        assert!(receive(guest, fd, 2 << 20, 2).unwrap() == bytes);
        client.join().unwrap();
    });
}

#[test]
fn a_listener_is_polled_with_a_clock() {
    with_listener(|guest, address| {
        let mut records = [0; 96];
        records[0] = 1;
        records[8] = 1;
        records[16] = LISTENER as u8;
        records[48] = 2;
        records[48 + 16] = 1;
        let mut poll = |guest: &mut Guest, nanoseconds: u64| {
            records[48 + 24..48 + 32].copy_from_slice(&nanoseconds.to_le_bytes());
            guest.put(DATA, &records);
            guest.ok("poll_oneoff", &[DATA, DATA + 1000, 2, RESULT]);
            (guest.u32(RESULT), guest.get(DATA + 1000, 1)[0])
        };
        assert_eq!(poll(guest, 1_000_000), (1, 2), "the clock");
        let _client = TcpStream::connect(address).unwrap();
        assert_eq!(poll(guest, 3_600_000_000_000), (1, 1), "the listener");
    });
}

#[test]
fn what_sockets_refuse() {
    with_listener(|guest, address| {
        let _client = TcpStream::connect(address).unwrap();
        assert_eq!(accept(guest, 1), Err(errno::INVAL), "append means nothing");
        assert_eq!(accept(guest, 64), Err(errno::INVAL));
        assert_eq!(guest.call("sock_accept", &[4, 0, MEMORY - 3]), errno::FAULT);
        let fd = accept(guest, 0).unwrap();
        assert_eq!(receive(guest, fd, 1, 4), Err(errno::INVAL));
        assert_eq!(send(guest, fd, b"x", 1), Err(errno::INVAL));
        for how in [0, 4, 255] {
            assert_eq!(guest.call("sock_shutdown", &[fd.into(), how]), errno::INVAL);
        }
        for (fd, expected) in [
            (0, errno::NOTSOCK),
            (DIR, errno::NOTSOCK),
            (9, errno::BADF),
            (LISTENER, errno::NOTCONN),
        ] {
            assert_eq!(receive(guest, fd, 1, 0), Err(expected), "{fd}");
            assert_eq!(send(guest, fd, b"x", 0), Err(expected), "{fd}");
            assert_eq!(guest.call("sock_shutdown", &[fd.into(), 1]), expected, "{fd}");
        }
        assert_eq!(guest.call("sock_accept", &[3, 0, RESULT]), errno::NOTSOCK);
        assert_eq!(guest.call("sock_accept", &[9, 0, RESULT]), errno::BADF);
        assert_eq!(guest.read(LISTENER, 1), Err(errno::BADF));
        assert_eq!(guest.write(LISTENER, b"x"), Err(errno::BADF));
        assert_eq!(guest.seek(fd, 0, 0), Err(errno::SPIPE));
        guest.ok("fd_fdstat_set_rights", &[fd.into(), 0, 0]);
        assert_eq!(receive(guest, fd, 1, 0), Err(errno::NOTCAPABLE));
        assert_eq!(send(guest, fd, b"x", 0), Err(errno::NOTCAPABLE));
        assert_eq!(guest.call("sock_shutdown", &[fd.into(), 1]), errno::NOTCAPABLE);
        guest.ok("fd_fdstat_set_rights", &[LISTENER.into(), 0, 0]);
        assert_eq!(accept(guest, 0), Err(errno::NOTCAPABLE));
    });
}
