//! Sockets of components, through the real binary: programs of Rust's standard library talk to a server of the test's.

use super::support::{Server, run, scratch, wait_until, write};
use crate::components::{component, preview3};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A server that answers a connection with all that it sent, and a datagram with itself; its port.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let datagrams = UdpSocket::bind(address).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = datagrams.recv_from(&mut buffer) {
            datagrams.send_to(&buffer[..len], from).unwrap();
        }
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut all = Vec::new();
                if stream.read_to_end(&mut all).is_ok() {
                    _ = stream.write_all(&all); // a client may have gone
                }
            });
        }
    });
    address.port()
}

/// A port where nobody listens.
fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn program(name: &str, folder: &Path) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/components");
    component(&sources.join(name), folder)
}

/// A folder of the program with these ports, and grants and limits.
fn app(folder: &Path, program: &Path, ports: [u16; 2], toml: &str) -> PathBuf {
    let app = folder.join("talks");
    std::fs::create_dir(&app).unwrap();
    let args = ports.map(|port| port.to_string());
    let toml = format!("wasm = '{}'\nargs = {args:?}\n{toml}\n", program.display());
    write(&app, "faas.toml", toml);
    app
}

/// What the program prints, by the documentation of its functions and the grants of these tests.
const PRINTED: &str = "true\ntrue\nttl 33\nWouldBlock\n3145728 bytes, true\nOk(\"one\") true\n1400\n\
    ConnectionRefused\nPermissionDenied\nPermissionDenied\nPermissionDenied\ntrue\ntrue\n";

#[test]
fn a_program_talks_to_the_addresses_that_it_is_granted() {
    let folder = scratch();
    let program = program("sockets.rs", folder.path());
    let ports = [echo(), closed()];
    let [open, closed] = ports.map(|port| port.to_string());
    let grants = [
        format!("tcp://localhost:{open}"),
        format!("udp://127.0.0.1:{open}"),
        format!("tcp://127.0.0.*:{closed}"),
    ];
    let mut args = vec!["run"];
    args.extend(grants.iter().flat_map(|grant| ["--allow-socket", grant]));
    args.extend([program.to_str().unwrap(), "--", &open, &closed]);
    assert_eq!(run(&args).expect(0, &[]).stdout, PRINTED);

    let app = app(folder.path(), &program, ports, &format!("allowed_sockets = {grants:?}"));
    let store = folder.path().join("store");
    let server = Server::start(&store, &["--allow-private-hosts".as_ref(), app.as_os_str()]);
    for _ in 0..3 {
        let answer = server.post("/talks", b"");
        assert_eq!((answer.status, answer.text().as_str()), (200, PRINTED), "{}", server.log());
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_program_without_grants_talks_to_nobody() {
    let folder = scratch();
    let program = program("sockets.rs", folder.path());
    let port = echo().to_string();
    let args = ["run", program.to_str().unwrap(), "--", &port, &port];
    run(&args).expect(134, &["a connection"]);
}

const EVERYWHERE: &str = "allowed_sockets = ['tcp://*:*', 'udp://*:*']";

#[test]
fn a_server_keeps_its_own_network_from_sockets() {
    let folder = scratch();
    let program = program("sockets.rs", folder.path());
    let app = app(folder.path(), &program, [echo(), closed()], EVERYWHERE);
    let server = Server::start(&folder.path().join("store"), &[app.as_os_str()]);
    assert_eq!(server.post("/talks", b"").status, 500);
    wait_until("the reason is in the log", || server.log().contains("a connection"));
    assert_eq!(server.stop(), Some(0));
}

/// The other side takes the connection, and reads nothing. What the program has printed before is on its way then, so
/// the answer is broken off.
#[test]
fn a_wait_for_a_server_ends_with_the_time_of_the_request() {
    let folder = scratch();
    let program = program("sockets.rs", folder.path());
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let toml = format!("{EVERYWHERE}\nlimits.time = '1s'");
    let app = app(folder.path(), &program, [port, port], &toml);
    let store = folder.path().join("store");
    let server = Server::start(&store, &["--allow-private-hosts".as_ref(), app.as_os_str()]);
    for _ in 0..2 {
        let mut client = TcpStream::connect(server.address).unwrap();
        client.write_all(b"POST /talks HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = Vec::new();
        let end = client.read_to_end(&mut answer).map_err(|error| error.kind());
        assert_ne!(end, Err(ErrorKind::WouldBlock), "it is not ended");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("ttl 33") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    }
    assert_eq!(server.stop(), Some(0));
}

/// The same addresses by WASI 0.3.
const PRINTED_3: &str = "Some(ErrorCode::InvalidState)\nErr(ErrorCode::InvalidState)\nOk(33)\n\
    Err(ErrorCode::InvalidState)\n0 bytes left, Ok(())\n3145728 bytes, true, Ok(())\n\
    Some(ErrorCode::InvalidState)\nOk([111, 110, 101])\nOk(1400)\nErr(ErrorCode::ConnectionRefused)\n\
    Err(ErrorCode::AccessDenied)\nErr(ErrorCode::AccessDenied)\nSome(ErrorCode::AccessDenied)\n\
    Ok(true)\nSome(ErrorCode::AccessDenied)\n";

#[test]
fn streams_of_preview3_are_connections() {
    let (open, closed) = (echo().to_string(), closed().to_string());
    let grants = [
        format!("tcp://localhost:{open}"),
        format!("tcp://127.0.0.1:{open}"),
        format!("udp://127.0.0.1:{open}"),
        format!("tcp://127.0.0.1:{closed}"),
    ];
    let program = preview3();
    let mut args = vec!["run"];
    args.extend(grants.iter().flat_map(|grant| ["--allow-socket", grant]));
    args.extend([program.to_str().unwrap(), "--", &open, &closed]);
    assert_eq!(run(&args).expect(0, &[]).stdout, PRINTED_3);
}
