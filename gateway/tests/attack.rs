//! Many attackers of each kind at once, and a client beside them that must not notice.
//!
//! `just attack` runs the whole of it against a release build of `faascli`, with 1000 connections
//! of each kind, from a few addresses and from many. A small one runs with the other tests.

mod clients;
mod common;

use clients::{
    CONTINUATION, END_HEADERS, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame,
    get, local, start, status, wait_until,
};
use common::{BIG, ECHO, Process, Server, says, serve};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use wfaas_function::Spec;

/// Does one thing when it has connected, and another one again and again.
struct Attacker {
    name: &'static str,
    opening: fn() -> Vec<u8>,
    /// The bytes of round `n`.
    again: fn(u32) -> Vec<u8>,
    every: Duration,
    reads: Reads,
}

#[derive(Clone, Copy)]
enum Reads {
    All,
    Bytes,
    Nothing,
}

const MOMENT: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

const GET_BIG: &[u8] = b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n";
const POST_ECHO: &[u8] = b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";

fn http2() -> Vec<u8> {
    start(65535)
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, b"12345678")
}

fn requests(count: u32, path: &str) -> Vec<u8> {
    (0..count).flat_map(|n| get(2 * n + 1, path)).collect()
}

/// Twenty requests that are taken back at once.
fn resets(round: u32) -> Vec<u8> {
    let reset = |n: u32| [get(2 * n + 1, "/hello"), frame(RST_STREAM, 0, 2 * n + 1, &[0; 4])];
    (20 * round..20 * (round + 1)).flat_map(reset).flatten().collect()
}

fn open_head() -> Vec<u8> {
    [http2(), frame(HEADERS, 0, 1, &block("GET", "/hello"))].concat()
}

const NOTHING: fn(u32) -> Vec<u8> = |_| Vec::new();

#[rustfmt::skip] // a table
const ATTACKERS: &[Attacker] = &[
    Attacker { name: "silence", opening: Vec::new, again: NOTHING, every: SECOND, reads: Reads::All },
    Attacker { name: "idle after a request", opening: || b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        again: NOTHING, every: SECOND, reads: Reads::All },
    Attacker { name: "idle with pings", opening: http2, again: |_| ping(), every: SECOND, reads: Reads::All },
    Attacker { name: "slow head", opening: || b"GET /hello HTTP/1.1\r\nhost: a\r\n".to_vec(),
        again: |_| b"x: y\r\n".to_vec(), every: SECOND, reads: Reads::All },
    Attacker { name: "empty lines", opening: Vec::new, again: |_| b"\r\n".to_vec(), every: MOMENT, reads: Reads::All },
    Attacker { name: "slow headers", opening: open_head, again: |_| frame(CONTINUATION, 0, 1, b""),
        every: SECOND, reads: Reads::All },
    Attacker { name: "slow body", opening: || POST_ECHO.to_vec(), again: |_| b"x".to_vec(),
        every: SECOND, reads: Reads::All },
    Attacker { name: "body short of a byte", opening: || [POST_ECHO, &[0; 999_999]].concat(), again: NOTHING,
        every: SECOND, reads: Reads::All },
    Attacker { name: "slow streams", opening: || [http2(), frame(HEADERS, END_HEADERS, 1, &block("POST", "/echo"))].concat(),
        again: |_| frame(0, 0, 1, b"x"), every: SECOND, reads: Reads::All },
    Attacker { name: "slow reader", opening: || GET_BIG.to_vec(), again: NOTHING, every: SECOND, reads: Reads::Bytes },
    Attacker { name: "no reader", opening: || GET_BIG.to_vec(), again: NOTHING, every: SECOND, reads: Reads::Nothing },
    Attacker { name: "window of 0", opening: || [start(0), requests(64, "/big")].concat(), again: |_| ping(),
        every: SECOND, reads: Reads::All },
    Attacker { name: "window of 1", opening: || [start(1), requests(64, "/big")].concat(),
        again: |n| frame(WINDOW_UPDATE, 0, 2 * (n % 64) + 1, &1u32.to_be_bytes()), every: MOMENT, reads: Reads::All },
    Attacker { name: "rapid reset", opening: http2, again: resets, every: MOMENT, reads: Reads::All },
    Attacker { name: "CONTINUATION flood", opening: open_head, again: |_| frame(CONTINUATION, 0, 1, b"").repeat(500),
        every: MOMENT, reads: Reads::All },
    Attacker { name: "PING flood", opening: http2, again: |_| ping().repeat(500), every: MOMENT, reads: Reads::Nothing },
    Attacker { name: "SETTINGS flood", opening: http2, again: |_| frame(SETTINGS, 0, 0, b"").repeat(500),
        every: MOMENT, reads: Reads::All },
    Attacker { name: "pipelining", opening: || b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n".repeat(200),
        again: |_| b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), every: MOMENT, reads: Reads::Nothing },
];

impl Attacker {
    /// Attacks until it is aborted, on one connection after another.
    async fn run(&self, server: SocketAddr, from: u8) {
        loop {
            if let Ok(stream) = connect(server, from).await {
                let _ = self.attack(stream).await; // ended by the server
            }
            tokio::time::sleep(MOMENT).await;
        }
    }

    async fn attack(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let (mut read, mut write) = stream.split();
        let writing = async {
            write.write_all(&(self.opening)()).await?;
            for round in 0.. {
                tokio::time::sleep(self.every).await;
                write.write_all(&(self.again)(round)).await?;
            }
            Ok(())
        };
        let reading = async {
            let mut buffer = [0; 4096];
            loop {
                let length = match self.reads {
                    Reads::All => read.read(&mut buffer).await?,
                    Reads::Bytes => {
                        tokio::time::sleep(SECOND).await;
                        read.read(&mut buffer[..1]).await?
                    }
                    Reads::Nothing => std::future::pending().await,
                };
                if length == 0 {
                    return Ok(());
                }
            }
        };
        tokio::select! {
            ended = writing => ended,
            ended = reading => ended,
        }
    }
}

async fn connect(server: SocketAddr, from: u8) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(local(from), 0))?;
    socket.connect(server).await
}

/// The first attacker's address. The honest client has one below.
const FIRST: u8 = 10;

/// Attacks with that many connections from that many addresses while a client sends requests for
/// `time`; how long each took. Fails if one failed, or if the attackers' first address is not
/// served soon afterwards.
fn attack(
    server: SocketAddr,
    attacker: &'static Attacker,
    (connections, addresses): (usize, usize),
    time: Duration,
) -> Vec<Duration> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut attackers = JoinSet::new();
    for number in 0..connections {
        let from = FIRST + (number % addresses) as u8;
        attackers.spawn_on(attacker.run(server, from), runtime.handle());
    }
    std::thread::sleep(time / 5);
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < time {
        let began = Instant::now();
        let status = status(server, FIRST - 1, "/hello");
        took.push(began.elapsed());
        assert_eq!(status, 200, "{}: request {} of a client beside it", attacker.name, took.len());
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(runtime);
    wait_until(Duration::from_secs(5), || status(server, FIRST, "/hello") == 200);
    took.sort_unstable();
    took
}

#[test]
fn a_client_beside_attackers_is_served() {
    let default = Spec::default;
    let functions =
        [("hello", default(), &*says("hello")), ("big", default(), BIG), ("echo", default(), ECHO)];
    let (server, _dir): (Server, _) = serve(
        |config| {
            config.max_connections = 64;
            config.max_buffered = 128 << 20;
        },
        &functions,
    );
    for (number, attacker) in ATTACKERS.iter().enumerate() {
        let addresses = [1, 20][number % 2];
        attack(server.address, attacker, (60, addresses), MOMENT * 5);
    }
}

/// More than a server has places for.
const CONNECTIONS: usize = 1100;

#[test]
#[ignore = "takes minutes and a release build: just attack"]
fn a_thousand_attackers_of_each_kind() {
    let program = std::env::var("FAASCLI").expect("FAASCLI is the program to attack");
    let only = std::env::var("ONLY").unwrap_or_default();
    let functions = [("hello", &*says("hello")), ("big", BIG), ("echo", ECHO)];
    let functions = functions.map(|(name, wat)| ("default", name, wat));
    let mut worst = Duration::ZERO;
    for attacker in ATTACKERS.iter().filter(|attacker| attacker.name.contains(&only)) {
        for addresses in [4, 200] {
            let directory = tempfile::tempdir().expect("a directory");
            let server = Process::start(&program, directory.path(), &functions);
            let took = attack(server.address, attacker, (CONNECTIONS, addresses), 5 * SECOND);
            let [median, p99] = [50, 99].map(|percent| took[took.len() * percent / 100]);
            eprintln!(
                "{:22} {addresses:3} addresses {:5} requests, median {median:9.1?}, p99 {p99:9.1?}",
                attacker.name,
                took.len()
            );
            worst = worst.max(p99);
        }
    }
    assert!(worst <= Duration::from_millis(50), "p99 {worst:?}");
}
