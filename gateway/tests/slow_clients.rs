//! Clients that do not send, or do not take: each is given up, and takes nothing from others.

mod clients;
mod common;

use clients::{
    END_HEADERS, Frames, HEADERS, PING, RST_STREAM, WINDOW_UPDATE, block, connect, frame, get,
    start, status, status_of, talk, wait_until,
};
use common::{BIG, ECHO, SLEEP, Server, says, serve};
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use wfaas_function::Spec;
use wfaas_gateway::Config;

const PATIENCE: Duration = Duration::from_millis(800);
const SOON: Duration = Duration::from_secs(5);

/// A budget for eight answers of `/big`.
fn impatient(config: &mut Config) {
    config.max_buffered = 64 << 20;
    config.body_timeout = PATIENCE;
    config.clients.send_timeout = PATIENCE;
    config.clients.min_rate = 256 << 10;
}

fn server() -> (Server, tempfile::TempDir) {
    let default = Spec::default;
    let functions =
        [("big", default(), BIG), ("echo", default(), ECHO), ("hello", default(), &*says("hello"))];
    serve(impatient, &functions)
}

/// Checks that `attack` takes nothing from another address, and that all is well afterwards.
fn others_are_served(attack: impl FnOnce(&Server) + Send) {
    let (server, _dir) = server();
    let address = server.address;
    std::thread::scope(|scope| {
        let attacking = scope.spawn(|| attack(&server));
        std::thread::sleep(Duration::from_millis(100));
        while !attacking.is_finished() {
            assert_eq!(status(address, 2, "/hello"), 200);
            assert_eq!(status(address, 2, "/v1/health"), 200);
            std::thread::sleep(Duration::from_millis(20));
        }
        attacking.join().unwrap();
    });
    // All eight fit again, one client after another.
    wait_until(SOON, || status(address, 1, "/big") == 200);
    wait_until(SOON, || (3..7).all(|from| status(address, from, "/big") == 200));
}

/// Requests answers with windows of `window`, does `meanwhile` as long as streams are open, and
/// returns how long that was.
fn windows(server: &Server, window: u32, meanwhile: impl Fn(&mut Frames)) -> Duration {
    let mut client = Frames::connect(server.address, 1, window);
    for stream in 0..64 {
        client.send(&get(2 * stream + 1, "/big"));
    }
    let began = Instant::now();
    let (mut granted, mut ended) = (0, 0);
    while ended < 64 {
        meanwhile(&mut client);
        let (kind, flags, _, payload) = client.next().expect("the connection lives");
        // 503 is not among the few statuses that have a number of their own.
        granted += u32::from(kind == HEADERS && payload[0] == 0x88);
        ended += u32::from(kind == RST_STREAM || kind == HEADERS && payload[0] != 0x88);
        assert!(kind != 0 || flags & 1 == 0, "an answer was taken");
    }
    assert!((1..8).contains(&granted), "{granted} answers at once");
    assert!(client.is_alive(), "other streams of a proxy's connection go on");
    began.elapsed()
}

#[test]
fn answers_behind_a_window_of_0_are_dropped() {
    others_are_served(|server| {
        let took = windows(server, 0, |_| ());
        assert!(took >= PATIENCE && took < SOON, "{took:?}");
    });
}

#[test]
fn answers_behind_windows_that_open_byte_by_byte_are_dropped() {
    others_are_served(|server| {
        let stream = std::cell::Cell::new(0);
        let took = windows(server, 1, |client| {
            stream.set((stream.get() + 1) % 64);
            let update = frame(WINDOW_UPDATE, 0, 2 * stream.get() + 1, &1u32.to_be_bytes());
            let _ = client.stream.write_all(&[update, frame(PING, 0, 0, b"12345678")].concat());
            std::thread::sleep(Duration::from_millis(10));
        });
        assert!(took < SOON, "{took:?}");
    });
}

#[test]
fn small_answers_behind_a_window_end_with_the_connection() {
    others_are_served(|server| {
        let mut client = Frames::connect(server.address, 1, 2);
        client.send(&get(1, "/hello"));
        let began = Instant::now();
        while client.next().is_some() {
            let _ = client.stream.write_all(&frame(PING, 0, 0, b"12345678"));
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < SOON);
    });
}

#[test]
fn answers_that_are_not_read_end_their_connections() {
    others_are_served(|server| {
        let request = "GET /big HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut all: Vec<_> = (0..16).map(|_| connect(server.address, 1)).collect();
        for stream in &mut all {
            stream.write_all(request.as_bytes()).unwrap();
        }
        let began = Instant::now();
        // A byte now and then is not enough, nor is a head of a next request.
        while began.elapsed() < 3 * PATIENCE {
            for stream in &mut all {
                let _ = stream.read(&mut [0]);
                let _ = stream.write_all(b"G");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        for stream in &mut all {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.len() < 8 << 20, "cut off");
        }
    });
}

#[test]
fn connections_that_take_nothing_at_all_end() {
    let (server, _dir) = server();
    let mut stream = connect(server.address, 1);
    // All the window there is, and not read: the socket is what blocks.
    let window = frame(WINDOW_UPDATE, 0, 0, &0x7000_0000u32.to_be_bytes());
    let requests: Vec<_> = (0..8).flat_map(|n| get(2 * n + 1, "/big")).collect();
    stream.write_all(&[start(0x7000_0000), window, requests].concat()).unwrap();
    std::thread::sleep(3 * PATIENCE);
    let (rest, took) = talk(&mut stream, b"");
    assert!(rest.len() < 32 << 20 && took < SOON, "{} bytes, {took:?}", rest.len());
}

#[test]
fn bodies_short_of_a_byte_are_408() {
    others_are_served(|server| {
        let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4194304\r\n\r\n";
        let mut all: Vec<_> = (0..16).map(|_| connect(server.address, 1)).collect();
        for stream in &mut all {
            stream.write_all(head.as_bytes()).unwrap();
            let _ = stream.write_all(&vec![0; (4 << 20) - 1]); // 503 if that is too much
        }
        for stream in &mut all {
            let mut answer = [0; 12];
            let read = stream.read(&mut answer).unwrap_or(0);
            assert!(matches!(status_of(&answer[..read]), 0 | 408 | 503), "{answer:?}");
        }
    });
}

#[test]
fn bodies_slower_than_the_least_rate_are_408() {
    let (server, _dir) = server();
    let mut stream = connect(server.address, 1);
    let head =
        "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 9999\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let began = Instant::now();
    let mut trickling = stream.try_clone().unwrap();
    let trickle = std::thread::spawn(move || {
        while trickling.write_all(b"x").is_ok() && began.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let (answer, _) = talk(&mut stream, b"");
    assert_eq!(status_of(&answer), 408);
    assert!(began.elapsed() >= PATIENCE && began.elapsed() < SOON);
    drop(stream);
    trickle.join().unwrap();
    // The same with frames.
    let mut client = Frames::connect(server.address, 1, 65535);
    client.send(&frame(HEADERS, END_HEADERS, 1, &block("POST", "/echo")));
    let began = Instant::now();
    let mut sent = 0;
    while client.stream.take_error().unwrap().is_none() && sent < 30 {
        client.send(&frame(0, 0, 1, b"x"));
        sent += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(client.find(HEADERS, 0).is_some_and(|(_, _, _, block)| block[0] != 0x88));
    assert!(began.elapsed() < SOON && client.is_alive());
}

#[test]
fn slow_clients_that_are_fast_enough_are_served() {
    let (server, _dir) = server();
    // Twice the least rate takes ten times the patience, and pauses are within it.
    let mut stream = connect(server.address, 1);
    stream.write_all(b"GET /big HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let (mut taken, began) = (0, Instant::now());
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        taken += read;
        if read == 0 {
            break;
        }
        let due = Duration::from_secs_f64(taken as f64 / f64::from(1 << 20));
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    assert!(taken > 8 << 20, "{taken} bytes");
    assert!(began.elapsed() > 5 * PATIENCE);
    // A body in pieces with pauses.
    let mut stream = connect(server.address, 1);
    let head =
        "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 655360\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..9 {
        stream.write_all(&buffer).unwrap();
        std::thread::sleep(PATIENCE / 5);
    }
    assert_eq!(status_of(&talk(&mut stream, &buffer).0), 200);
}

#[test]
fn a_guest_that_takes_its_time_costs_the_client_nothing() {
    let hasty = |config: &mut Config| {
        impatient(config);
        config.body_timeout = Duration::from_millis(200);
        config.idle_timeout = Duration::from_millis(200);
        config.clients.send_timeout = Duration::from_millis(200);
    };
    let (server, _dir) = serve(hasty, &[("slow", Spec::default(), SLEEP)]);
    let mut client = Frames::connect(server.address, 1, 65535);
    client.send(&get(1, "/slow"));
    assert!(client.find(HEADERS, 0).is_some_and(|(_, _, _, block)| block[0] == 0x88));
    assert_eq!(status(server.address, 1, "/slow"), 200);
}
