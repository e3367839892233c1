//! Clients that attack: connections that do nothing or too much, and requests that are none.

mod clients;
mod common;

use clients::{
    ACK, CONTINUATION, END_HEADERS, Frames, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, block,
    connect, frame, get, local, start, status, status_of, talk, wait_until,
};
use common::{ECHO, FOREVER, Server, says, serve, time_limit};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use wfaas_function::Spec;
use wfaas_gateway::{ClientAddress, Config};

const SOON: Duration = Duration::from_secs(5);
const HEAD: Duration = Duration::from_millis(400);
const IDLE: Duration = Duration::from_millis(1200);

fn server(change: impl FnOnce(&mut Config)) -> (Server, tempfile::TempDir) {
    let default = Spec::default;
    let functions = [
        ("hello", default(), &*says("hello")),
        ("echo", default(), ECHO),
        ("forever", time_limit(1500), FOREVER),
    ];
    serve(change, &functions)
}

fn impatient(config: &mut Config) {
    config.header_timeout = HEAD;
    config.idle_timeout = IDLE;
}

/// Sends `bytes` again and again until the connection ends; how long that took.
fn repeat(mut stream: TcpStream, bytes: &[u8]) -> Duration {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let began = Instant::now();
    let mut buffer = [0; 4096];
    while began.elapsed() < SOON {
        let sent = stream.write_all(bytes);
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
            Ok(_) => std::thread::sleep(Duration::from_millis(20)),
        }
        if sent.is_err() {
            break;
        }
    }
    began.elapsed()
}

#[test]
fn whatever_arrives_without_a_request_is_no_request() {
    let (server, _dir) = server(impatient);
    let started = |frames: &[u8]| {
        let mut stream = connect(server.address, 1);
        stream.write_all(&start(65535)).unwrap();
        repeat(stream, frames)
    };
    let window = frame(clients::WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes());
    for (frames, what) in [
        (frame(PING, 0, 0, b"12345678"), "pings"),
        (frame(SETTINGS, 0, 0, b""), "settings"),
        (window, "windows"),
        (frame(2, 0, 1, &[0; 5]), "priorities"),
        (frame(99, 0, 0, b""), "unknown frames"),
        (Vec::new(), "nothing"),
    ] {
        let took = started(&frames);
        assert!(took >= IDLE / 2 && took < 3 * IDLE, "{what}: {took:?}");
    }
    let took = repeat(connect(server.address, 1), b"\r\n");
    assert!(took < IDLE, "empty lines: {took:?}");
    let took = repeat(connect(server.address, 1), b"");
    assert!(took >= IDLE / 2 && took < 3 * IDLE, "silence: {took:?}");
}

#[test]
fn connections_are_kept_for_the_idle_time_and_no_longer() {
    let (server, _dir) = server(impatient);
    let request = b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut stream = connect(server.address, 1);
    let mut buffer = [0; 4096];
    for _ in 0..3 {
        stream.write_all(request).unwrap();
        let read = stream.read(&mut buffer).unwrap();
        assert_eq!(status_of(&buffer[..read]), 200);
        std::thread::sleep(2 * HEAD); // longer than a head may take
    }
    let mut client = Frames::connect(server.address, 1, 65535);
    client.send(&get(1, "/hello"));
    assert!(client.find(HEADERS, 0).is_some());
    let began = Instant::now();
    assert!(client.find(GOAWAY, 0).is_some(), "it is told");
    assert!(began.elapsed() >= IDLE / 2 && began.elapsed() < 3 * IDLE);
    let (rest, _) = talk(&mut stream, b"");
    assert_eq!(rest.len(), 0);
}

#[test]
fn heads_have_a_time_of_their_own() {
    let (server, _dir) = server(impatient);
    let within = |what: &str, took: Duration| assert!(took < IDLE, "{what}: {took:?}");
    within("a head", repeat(connect(server.address, 1), b"x: y\r\n"));
    let mut stream = connect(server.address, 1);
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\nGET /hel").unwrap();
    within("a second head", repeat(stream, b"l"));
    let mut stream = connect(server.address, 1);
    stream
        .write_all(&[&start(65535)[..], &frame(HEADERS, 0, 1, &block("GET", "/x"))].concat())
        .unwrap();
    within("a block of headers", repeat(stream, &[]));
    let mut stream = connect(server.address, 1);
    stream
        .write_all(&[&start(65535)[..], &frame(HEADERS, 0, 1, &block("GET", "/x"))].concat())
        .unwrap();
    within("continuations", repeat(stream, &frame(CONTINUATION, 0, 1, b"")));
    let mut stream = connect(server.address, 1);
    // With another request under way.
    let begun = [get(1, "/forever"), frame(HEADERS, END_HEADERS, 3, &[0; 99])[..20].to_vec()];
    stream.write_all(&[&start(65535)[..], &begun.concat()].concat()).unwrap();
    within("a piece of a frame", repeat(stream, b"\0"));
}

#[test]
fn floods_are_slowed_down() {
    let (server, _dir) = server(|_| ());
    let resets =
        |n: u32| [get(2 * n + 1, "/hello"), frame(RST_STREAM, 0, 2 * n + 1, &[0; 4])].concat();
    let ping = frame(PING, 0, 0, b"12345678");
    for (flood, what) in [
        (ping.repeat(50_000), "pings"),
        (frame(SETTINGS, 0, 0, b"").repeat(50_000), "settings"),
        (frame(2, 0, 1, &[0; 5]).repeat(50_000), "priorities"),
        ((0..50_000).flat_map(resets).collect(), "resets"),
        (frame(0, 0, 1, b"").repeat(50_000), "empty data"),
        (
            [
                frame(HEADERS, 0, 1, &block("GET", "/")),
                frame(CONTINUATION, 0, 1, b"").repeat(50_000),
            ]
            .concat(),
            "continuations",
        ),
    ] {
        let mut stream = connect(server.address, 1);
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let (answers, _) = talk(&mut stream, &[start(65535), flood].concat());
        assert!(answers.len() < 200 << 10, "{what}: {} bytes", answers.len());
        assert_eq!(status(server.address, 1, "/hello"), 200, "{what}");
    }
    // As many requests with answers are no flood, and bring some pings with them.
    let mut client = Frames::connect(server.address, 1, 65535);
    for n in 0..500 {
        client.send(&[get(2 * n + 1, "/hello"), ping.repeat(15)].concat());
        assert!(client.find(HEADERS, 0).is_some(), "request {n}");
    }
}

#[test]
fn idle_connections_make_room_for_others() {
    let (server, _dir) = server(|config| config.max_connections = 64);
    for (what, bytes) in [
        ("silence", Vec::new()),
        ("half a head", b"GET / HTTP/1.1\r\n".to_vec()),
        ("HTTP/2", [start(65535), frame(PING, 0, 0, b"12345678")].concat()),
        ("requests before", b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
    ] {
        for addresses in [1, 100] {
            let attackers = (0..200).map(|n| {
                let mut stream = connect(server.address, 10 + (n % addresses) as u8);
                let _ = stream.write_all(&bytes);
                stream
            });
            let mut attackers: Vec<_> = attackers.collect();
            if what == "requests before" {
                // Answered or shed: a connection whose request is being answered is not idle.
                attackers.iter_mut().for_each(|stream| drop(stream.read(&mut [0; 1])));
                // While all were busy, none was looked for to make room.
                std::thread::sleep(Duration::from_millis(200));
            }
            for _ in 0..20 {
                for path in ["/hello", "/v1/health"] {
                    assert_eq!(status(server.address, 2, path), 200, "{what}, {addresses}: {path}");
                }
            }
            assert_eq!(status(server.address, 10, "/hello"), 200, "{what}: one of theirs");
            drop(attackers);
        }
    }
}

#[test]
fn busy_connections_leave_a_reserve_for_management() {
    let (server, _dir) = server(|config| {
        config.max_connections = 16;
        config.clients.address_share = 100;
    });
    let request = "GET /forever HTTP/1.1\r\nhost: a\r\n\r\n";
    let busy = |from| {
        let mut stream = connect(server.address, from);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let mut attackers: Vec<_> = (10..22).map(busy).collect();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(status(server.address, 2, "/v1/health"), 200);
    assert_eq!(status(server.address, 2, "/hello"), 503);
    // Nor do idle ones take the reserve.
    let idle: Vec<_> = (0..10).map(|_| connect(server.address, 1)).collect();
    assert_eq!(status(server.address, 2, "/v1/health"), 200);
    attackers.clear();
    wait_until(SOON, || status(server.address, 2, "/hello") == 200);
    drop(idle);
}

#[test]
fn one_address_has_a_share_of_connections_and_of_requests() {
    let (server, _dir) = server(|config| {
        config.max_connections = 128;
        config.max_requests = 18;
    });
    let mut client = Frames::connect(server.address, 1, 65535);
    for n in 0..100 {
        client.send(&get(2 * n + 1, "/forever"));
    }
    // It has its share of requests; others are served.
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(status(server.address, 2, "/v1/health"), 200);
    assert_eq!(status(server.address, 2, "/hello"), 200);
    drop(client);
    let request = "GET /forever HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut busy: Vec<_> = (0..128).map(|_| connect(server.address, 1)).collect();
    for stream in &mut busy {
        let _ = stream.write_all(request.as_bytes());
    }
    let place = connect(server.address, 2);
    assert_eq!(status(server.address, 2, "/v1/health"), 200);
    drop(place);
}

#[test]
fn a_request_names_its_host_once_and_ends_its_lines() {
    let (server, _dir) = server(|_| ());
    for (request, expected) in [
        ("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        ("\r\nGET /hello HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        ("GET /hello HTTP/1.0\r\n\r\n", 200),
        ("GET http://a/hello HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        ("GET /hello HTTP/1.1\r\n\r\n", 400),
        ("GET http://a/hello HTTP/1.1\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("GET /v1/health HTTP/1.1\r\n\r\n", 400),
        ("GET /hello HTTP/1.1\nhost: a\n\n", 400),
        ("GET /hello HTTP/1.1\r\nhost: a\n\r\n", 400),
        ("GET /hello HTTP/1.1\r\nhost: a\r\n\n", 400),
        ("\nGET /hello HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ] {
        let mut stream = connect(server.address, 1);
        let request = request.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1);
        let (answer, _) = talk(&mut stream, request.as_bytes());
        assert_eq!(status_of(&answer), expected, "{request:?}");
    }
    // Behind others on the same connection, which stay as they are.
    for (second, expected) in
        [("GET /hello HTTP/1.1\nhost: a\n\n", 400), ("GET /hello HTTP/1.1\r\n\r\n", 400)]
    {
        let first = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n\n\n\n\n";
        let mut stream = connect(server.address, 1);
        let (answer, _) = talk(&mut stream, [first, second].concat().as_bytes());
        assert_eq!(status_of(&answer), 200);
        let second = answer.windows(9).rposition(|window| window == b"HTTP/1.1 ").unwrap();
        assert_eq!(status_of(&answer[second..]), expected);
    }
}

/// Connections of a trusted proxy, each with what `request` makes of a head for client `n`.
fn through_a_proxy(how: ClientAddress, request: impl Fn(u8, &str) -> Vec<u8>) {
    let (server, _dir) = server(|config| {
        config.max_connections = 64;
        config.max_buffered = 2 << 20;
        config.clients.trusted_proxies = vec!["127.0.0.9".parse().unwrap()];
        config.clients.client_address = how;
    });
    // One client sends bodies short of a byte, as many as it may.
    let body = vec![0; (128 << 10) - 1];
    let half = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 131072\r\nconnection: close\r\n";
    let attacks = (0..12).map(|_| {
        let mut stream = connect(server.address, 9);
        let _ = stream.write_all(&request(1, half));
        let _ = stream.write_all(&body);
        stream
    });
    let attacks: Vec<_> = attacks.collect();
    std::thread::sleep(Duration::from_millis(300));
    let ask = |client| {
        let mut stream = connect(server.address, 9);
        let _ = stream.write_all(&request(client, half));
        let _ = stream.write_all(&body);
        status_of(&talk(&mut stream, b"\0").0)
    };
    assert_ne!(ask(1), 200, "it has its share");
    assert_eq!(ask(2), 200, "others have theirs");
    drop(attacks);
    wait_until(SOON, || ask(1) == 200);
}

#[test]
fn clients_behind_a_proxy_are_told_apart_by_the_proxy_protocol() {
    through_a_proxy(ClientAddress::ProxyProtocol, |client, head| {
        format!("PROXY TCP4 10.0.0.{client} 10.1.1.1 1 2\r\n{head}\r\n").into_bytes()
    });
    through_a_proxy(ClientAddress::ProxyProtocol, |client, head| {
        let signature = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
        let addresses = [10, 0, 0, client, 10, 1, 1, 1, 0, 1, 0, 2];
        [&signature[..], &addresses, head.as_bytes(), b"\r\n"].concat()
    });
}

#[test]
fn clients_behind_a_proxy_are_told_apart_by_forwarded() {
    through_a_proxy(ClientAddress::Forwarded, |client, head| {
        format!("{head}forwarded: for=6.6.6.6, for=10.0.0.{client}\r\n\r\n").into_bytes()
    });
}

#[test]
fn only_trusted_proxies_name_clients() {
    let (server, _dir) = server(|config| {
        config.header_timeout = HEAD;
        config.clients.trusted_proxies = vec!["127.0.0.9".parse().unwrap()];
        config.clients.client_address = ClientAddress::ProxyProtocol;
    });
    let request = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let header = format!("PROXY TCP4 10.0.0.1 10.1.1.1 1 2\r\n{request}");
    let ask = |from, bytes: &str| {
        status_of(&talk(&mut connect(server.address, from), bytes.as_bytes()).0)
    };
    assert_eq!(ask(9, &header), 200);
    assert_eq!(ask(9, request), 0);
    assert_eq!(ask(8, request), 200);
    assert_eq!(ask(8, &header), 400);
    // And they do not take long for it.
    let (_, took) = talk(&mut connect(server.address, 9), b"PROXY ");
    assert!(took < SOON && local(9).is_loopback());
    let mut client = connect(server.address, 9);
    client.write_all(b"PROXY UNKNOWN\r\n").unwrap();
    client
        .write_all(&[start(65535), get(1, "/hello"), frame(PING, 0, 0, b"12345678")].concat())
        .unwrap();
    let (answer, _) = talk(&mut client, &frame(GOAWAY, 0, 0, &[0; 8]));
    let ping = frame(PING, ACK, 0, b"12345678");
    assert!(answer.windows(ping.len()).any(|window| window == ping));
}
