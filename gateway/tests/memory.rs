//! Memory of requests: every byte is counted until it is freed, and freed bytes go back to the kernel.
//! The only test in its process, for it looks at the memory of all of it.

mod common;

use common::{FOREVER, Server, head, read_response, serve, time_limit};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use wfaas_function::Spec;
use wfaas_gateway::Config;

/// A reactor with room for a body that answers nothing.
const IGNORES: &str = r#"(module (memory (export "memory") 130)
  (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "faas_handle") (param i32 i32) (result i64) (i64.const 0)))"#;

/// The same, which sleeps a second (0x3b9aca00 ns) before.
const SLEEPS: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 130)
  (data (i32.const 528) "\01") (data (i32.const 536) "\00\ca\9a\3b\00\00\00\00")
  (func (export "faas_alloc") (param i32) (result i32) (i32.const 8192))
  (func (export "faas_handle") (param i32 i32) (result i64)
    (drop (call $poll (i32.const 512) (i32.const 4100) (i32.const 1) (i32.const 4096)))
    (i64.const 0)))"#;

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

fn begin_all(server: &Server) -> Vec<TcpStream> {
    std::thread::scope(|scope| {
        let begun: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| begin(server, "/ignores"))).collect();
        begun.into_iter().map(|begun| begun.join().unwrap()).collect()
    })
}

fn limits(config: &mut Config) {
    config.workers = 1;
    config.queue = CLIENTS as usize;
    let clients = &mut config.clients;
    (clients.address_share, clients.function_share) = (100, 100);
}

/// Times that the worker is busy, for machines from quick to slow.
const BUSY: [(&str, u64); 3] = [("busy", 2000), ("very-busy", 8000), ("most-busy", 32_000)];

/// Has clients send requests to a busy worker and leave. `false` if the worker was not busy long enough
/// to see their requests leave the queue.
fn clients_leave(server: &Server, busy: &str) -> bool {
    std::thread::scope(|scope| {
        let busy = scope.spawn(move || server.request("GET", &format!("/{busy}"), b"").status);
        std::thread::sleep(Duration::from_millis(100));
        let clients = begin_all(server);
        while buffered(server) < CLIENTS * BODY && !busy.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(clients);
        while buffered(server) >= MIB && !busy.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let is_seen = !busy.is_finished();
        assert_eq!(busy.join().unwrap(), 504);
        is_seen
    })
}

#[test]
fn bytes_are_counted_until_they_are_freed_and_go_back_to_the_kernel() {
    let mut functions =
        vec![("ignores", time_limit(60_000), IGNORES), ("sleeps", Spec::default(), SLEEPS)];
    functions.extend(BUSY.map(|(name, time)| (name, time_limit(time), FOREVER)));
    let (server, _dir) = serve(limits, &functions);
    assert_eq!(server.request("POST", "/ignores", &[1; 1000]).status, 200);
    wait("the first one", || buffered(&server) == 0);
    let before = resident();

    // Clients that leave take their requests out of the queue, though the worker is still busy.
    assert!(BUSY.iter().any(|(name, _)| clients_leave(&server, name)));

    // A client that leaves while its request runs: the bytes are counted until the guest has ended.
    let client = begin(&server, "/sleeps");
    wait("receiving", || buffered(&server) >= BODY);
    std::thread::sleep(Duration::from_millis(50));
    drop(client);
    std::thread::sleep(Duration::from_millis(150));
    assert!(buffered(&server) >= BODY);
    wait("the guest", || buffered(&server) == 0);

    // Nothing is counted, nor in memory, when all requests have been answered.
    for mut client in begin_all(&server) {
        assert_eq!(read_response(&mut client).unwrap().status, 200);
    }
    wait("forgetting", || buffered(&server) == 0);
    wait("giving back", || resident() < before + CLIENTS * BODY / 4);
}
