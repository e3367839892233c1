//! Memory of requests: every byte is counted until it is freed, and freed bytes go back to the kernel.
//! The only test in its process, for it looks at the memory of all of it.

mod common;

use common::{Server, head, read_response, serve, time_limit};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use wfaas_function::{OnDisconnect, Spec};
use wfaas_gateway::Config;

/// A reactor with room for a body that answers nothing.
const IGNORES: &str = r#"(module (memory (export "memory") 130)
  (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "faas_handle") (param i32 i32) (result i64) (i64.const 0)))"#;

/// The same, which sleeps a second (0x3b9aca00 ns) before it takes the body; or a minute and more.
const SLEEPS: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 130)
  (data (i32.const 528) "\01") (data (i32.const 536) "\00\ca\9a\3b\00\00\00\00")
  (func (export "faas_alloc") (param i32) (result i32)
    (drop (call $poll (i32.const 512) (i32.const 4100) (i32.const 1) (i32.const 4096)))
    (i32.const 8192))
  (func (export "faas_handle") (param i32 i32) (result i64) (i64.const 0)))"#;

fn sleeps_long() -> String {
    let long = SLEEPS.replace("\\00\\ca\\9a\\3b\\00", "\\00\\ca\\9a\\3b\\10");
    assert_ne!(long, SLEEPS);
    long
}

const MIB: u64 = 1 << 20;
const BODY: u64 = 7 * MIB;
const CLIENTS: u64 = 40;
static PIECE: [u8; 64 << 10] = [1; 64 << 10];

/// Memory of this process that is in RAM, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Bytes of requests that the server counts.
fn buffered(server: &Server) -> u64 {
    server.request("GET", "/v1/health", b"").json()["buffered_bytes"].as_u64().unwrap()
}

/// Waits until `is_so`.
#[track_caller]
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} takes too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a request with a large body, and does not wait for the answer.
fn begin(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(head("POST", path, &[], BODY as usize).as_bytes()).unwrap();
    // In pieces that clients share: only the server is to have all of it in memory.
    for _ in 0..BODY / PIECE.len() as u64 {
        stream.write_all(&PIECE).unwrap();
    }
    stream
}

fn begin_all(server: &Server, path: &str) -> Vec<TcpStream> {
    std::thread::scope(|scope| {
        let begun: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| begin(server, path))).collect();
        begun.into_iter().map(|begun| begun.join().unwrap()).collect()
    })
}

fn limits(config: &mut Config) {
    let clients = &mut config.clients;
    (clients.address_share, clients.function_share, clients.tenant_share) = (100, 100, 100);
}

#[test]
fn bytes_are_counted_until_they_are_freed_and_go_back_to_the_kernel() {
    let finish = Spec { on_disconnect: Some(OnDisconnect::Finish), ..Spec::default() };
    let functions = [
        ("ignores", time_limit(60_000), IGNORES),
        ("sleeps", time_limit(60_000), &*sleeps_long()),
        ("finishes", finish, SLEEPS),
    ];
    let (server, _dir) = serve(limits, &functions);
    assert_eq!(server.request("POST", "/ignores", &[1; 1000]).status, 200);
    wait("the first one", || buffered(&server) == 0);
    let before = resident();

    // Clients that leave end their guests, and free their bytes, long before the guests would wake.
    let clients = begin_all(&server, "/sleeps");
    wait("receiving all", || buffered(&server) >= CLIENTS * BODY);
    drop(clients);
    wait("cancelling", || buffered(&server) < MIB);

    // If the guest is to finish, the bytes are counted until it has ended.
    let client = begin(&server, "/finishes");
    wait("receiving", || buffered(&server) >= BODY);
    std::thread::sleep(Duration::from_millis(50));
    drop(client);
    std::thread::sleep(Duration::from_millis(150));
    assert!(buffered(&server) >= BODY);
    wait("the guest", || buffered(&server) == 0);

    // Nothing is counted, nor in memory, when all requests have been answered.
    for mut client in begin_all(&server, "/ignores") {
        assert_eq!(read_response(&mut client).unwrap().status, 200);
    }
    wait("forgetting", || buffered(&server) == 0);
    wait("giving back", || resident() < before + CLIENTS * BODY / 4);
}
