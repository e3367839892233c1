//! The fast path for plain requests, beside a server without it: for whatever a client sends, both
//! give the same answers, and do the same with the connection.

mod clients;
mod common;

use clients::{connect, wait_until};
use common::{ECHO, SLEEP, Server, TRAP, says, serve};
use proptest::prelude::*;
use proptest::test_runner::Config as Cases;
use std::io::{Read, Write};
use std::time::Duration;
use tempfile::TempDir;
use wfaas_function::Spec;

/// Time that a server waits for bytes here.
const PATIENCE: Duration = Duration::from_secs(2);

fn server(fast_path: bool) -> (Server, TempDir) {
    let functions = [
        ("hello", Spec::default(), &*says("hello")),
        ("empty", Spec::default(), &*says("")),
        ("echo", Spec::default(), ECHO),
        ("trap", Spec::default(), TRAP),
        ("sleep", Spec::default(), SLEEP),
    ];
    let change = |config: &mut wfaas_gateway::Config| {
        config.fast_path = fast_path;
        config.header_timeout = PATIENCE;
        config.body_timeout = PATIENCE;
        config.idle_timeout = PATIENCE;
    };
    serve(change, &functions)
}

/// Everything that a client heard.
struct Heard {
    bytes: Vec<u8>,
    /// The server ended the connection before it had read everything: the kernel may have thrown its last answer
    /// away.
    was_reset: bool,
}

/// Sends pieces, and reads until the connection ends.
fn converse(server: &Server, Pieces(pieces): &Pieces) -> Heard {
    let mut stream = connect(server.address, 1);
    stream.set_nodelay(true).expect("an option");
    let mut was_reset = false;
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        if stream.write_all(piece).is_err() {
            was_reset = true;
            break; // it has ended: there may be something to read
        }
    }
    let mut bytes = Vec::new();
    was_reset |= stream.read_to_end(&mut bytes).is_err();
    Heard { bytes, was_reset }
}

/// Whether two clients heard the same, or one of them all but the last answer, on a connection that was reset.
fn agree(one: &Heard, other: &Heard) -> bool {
    let (answers, others) = (normal(&one.bytes), normal(&other.bytes));
    let lacks_last = |heard: &Heard, lesser: &[String], more: &[String]| {
        heard.was_reset && more.split_last().is_some_and(|(_, rest)| rest == lesser)
    };
    answers == others || lacks_last(one, &answers, &others) || lacks_last(other, &others, &answers)
}

/// The answers in `bytes` without dates and ids, and with the headers of each in order.
fn normal(mut bytes: &[u8]) -> Vec<String> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
        let Some(end) = end else {
            answers.push(format!("not an answer: {}", bytes.escape_ascii()));
            break;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let value =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let length = value("content-length").map_or(0, |text| text.parse().expect("a number"));
        // One for HEAD has none, and may be the last.
        let rest = &bytes[end + 4..];
        let (body, rest) = rest.split_at(rest.len().min(length));
        let mut lines: Vec<_> = head.lines().filter(|line| !line.starts_with("date: ")).collect();
        lines[1..].sort_unstable();
        let answer = format!("{}\n\n{}", lines.join("\n"), body.escape_ascii());
        answers.push(match value("x-request-id") {
            Some(id) => answer.replace(id, "ID"),
            None => answer,
        });
        bytes = rest;
    }
    answers
}

/// A conversation: pieces that come one after the other.
#[derive(Clone)]
struct Pieces(Vec<Vec<u8>>);

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|piece| piece.escape_ascii().to_string())).finish()
    }
}

/// Has all conversations with both servers at the same time, and compares the answers.
fn compare(servers: &[(Server, TempDir); 2], conversations: &[Pieces]) {
    std::thread::scope(|scope| {
        let threads: Vec<_> = conversations
            .iter()
            .map(|pieces| {
                let [fast, slow] =
                    servers.each_ref().map(|(it, _)| scope.spawn(|| converse(it, pieces)));
                (pieces, fast, slow)
            })
            .collect();
        for (pieces, fast, slow) in threads {
            let [fast, slow] = [fast, slow].map(|it| it.join().expect("it returns"));
            let [heard, expected] = [&fast, &slow].map(|it| normal(&it.bytes));
            assert!(agree(&fast, &slow), "{heard:#?}, not {expected:#?}; sent: {pieces:#?}");
        }
    });
}

fn both() -> [(Server, TempDir); 2] {
    [server(true), server(false)]
}

/// A request that ends its connection.
const LAST: &str = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Beginnings of connections, from ordinary to hostile.
const BEGINNINGS: &[&str] = &[
    "",
    "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /hello?q=%20 HTTP/1.1\r\nHost: 127.0.0.1:38000\r\nAccept: */*\r\nx-empty:\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\n\r\nGET /echo HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabcde",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
    "PUT /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 005\r\nconnection: Keep-Alive\r\n\r\nab\r\nc",
    "GET /empty HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST /nothing HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabcde",
    "GET /trap HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /sleep HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /v1/functions/x HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET //hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /hello/../x HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /hello#x HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /h\u{e9}llo HTTP/1.1\r\nhost: a\r\nx: \u{e9}\r\n\r\n",
    "HEAD /hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
    "OPTIONS /echo HTTP/1.1\r\nhost: a\r\n\r\n",
    "CONNECT /hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n",
    "BREW /hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "get /hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET http://a/hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET  /hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /hello  HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /hello HTTP/1.0\r\nhost: a\r\n\r\n",
    "GET /hello HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n",
    "GET /hello HTTP/1.2\r\nhost: a\r\n\r\n",
    "GET /hello HTTP/2.0\r\nhost: a\r\n\r\n",
    "GET /hello\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\r\n\r\nGET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n\r\n\r\n",
    "\nGET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /hello HTTP/1.1\nhost: a\n\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\n\n",
    "GET /hello HTTP/1.1\r\nhost: a\nx: b\r\n\r\n",
    "GET /hello HTTP/1.1\rhost: a\r\r",
    "GET /hello HTTP/1.1\r\nhost: a\r\n x: folded\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost : a\r\n\r\n",
    "GET /hello HTTP/1.1\r\n host: a\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost:\ta \t\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\nx\0: ab\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\nx: a\x7fb\x01\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\n: x\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n",
    "GET /hello HTTP/1.1\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a b\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: u@a\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a:99999\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost:\r\n\r\n",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2, 2\r\n\r\nab",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: +2\r\n\r\nab",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: -2\r\n\r\nab",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 0x2\r\n\r\nab",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\nab",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\nab",
    "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nab",
    "POST /echo HTTP/1.1\r\nhost: a\r\nexpect: something\r\ncontent-length: 2\r\n\r\nab",
    "GET /hello HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: CLOSE\r\n\r\nGET /hello HTTP/1.1\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, close\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\nconnection: keep-alive\r\n\r\n",
    "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: x\r\n\r\n",
    "POST /hello HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nGET / ",
];

#[test]
fn answers_are_the_same_with_and_without_it() {
    let conversations: Vec<Pieces> =
        BEGINNINGS.iter().map(|text| Pieces(vec![[text, LAST].concat().into()])).collect();
    compare(&both(), &conversations);
}

#[test]
fn a_request_may_come_in_any_two_pieces_or_byte_by_byte() {
    let texts = [
        "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab",
        "GET /hello HTTP/1.1\r\nhost: a\nx: b\r\n\r\n",
    ];
    let mut conversations = Vec::new();
    for text in texts {
        let all = [text, LAST].concat().into_bytes();
        conversations.push(Pieces(all.chunks(1).map(<[u8]>::to_vec).collect()));
        for cut in 1..text.len() {
            conversations.push(Pieces(vec![all[..cut].to_vec(), all[cut..].to_vec()]));
        }
    }
    compare(&both(), &conversations);
}

#[test]
fn a_thousand_requests_in_a_row_get_their_answers_in_order() {
    let mut all = Vec::new();
    for number in 0..1000 {
        let body = format!("{number}");
        let length = body.len();
        write!(all, "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")
            .expect("memory");
    }
    all.extend(LAST.as_bytes());
    let (server, _dir) = server(true);
    let mut stream = connect(server.address, 1);
    let mut writer = stream.try_clone().expect("a socket");
    let answers = std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&all).expect("it is open"));
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).expect("it ends");
        answers
    });
    let answers = normal(&answers);
    assert_eq!(answers.len(), 1001);
    for (number, answer) in answers[..1000].iter().enumerate() {
        assert!(answer.starts_with("HTTP/1.1 200 OK\n"), "{answer}");
        assert!(answer.ends_with(&format!("\n\n{number}")), "{answer}");
    }
}

#[test]
fn a_head_that_stops_behind_an_answer_ends_the_connection() {
    for is_fast in [true, false] {
        let (server, _dir) = server(is_fast);
        let text = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\nGET /hello HTT";
        let answers = normal(&converse(&server, &Pieces(vec![text.into()])).bytes);
        assert_eq!(answers.len(), 1, "{answers:?}");
    }
}

#[test]
fn at_the_servers_end_the_answer_under_way_is_the_last_one() {
    for is_fast in [true, false] {
        let (server, _dir) = server(is_fast);
        let mut stream = connect(server.address, 1);
        for path in ["hello", "sleep"] {
            write!(stream, "GET /{path} HTTP/1.1\r\nhost: a\r\n\r\n").expect("it is open");
        }
        let waits = || {
            let page = server.request("GET", "/v1/metrics", b"");
            let sleeping = r#"wfaas_guests{tenant="default",function="sleep",state="waiting"} 1"#;
            page.text().lines().any(|line| line == sleeping)
        };
        wait_until(Duration::from_secs(10), waits);
        server.stop();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("it ends");
        let answers = normal(&bytes);
        let closes = answers.iter().map(|answer| answer.contains("\nconnection: close\n"));
        assert_eq!(closes.collect::<Vec<_>>(), [false, true], "{answers:?}");
        assert!(answers[1].ends_with("\n\ndone"), "{answers:?}");
    }
}

/// One change of a text.
#[derive(Debug, Clone)]
enum Change {
    Remove(usize),
    Put(usize, u8),
    Replace(usize, u8),
    Repeat(usize, usize),
    End(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match *self {
            Change::Remove(at) => drop(bytes.remove(at % length)),
            Change::Put(at, byte) => bytes.insert(at % length, byte),
            Change::Replace(at, byte) => bytes[at % length] = byte,
            Change::Repeat(at, count) => {
                let at = at % length;
                let part = bytes[at..(at + count).min(length)].to_vec();
                bytes.splice(at..at, part);
            }
            Change::End(at) => bytes.truncate(at % length),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let place = 0..400_usize;
    let byte = prop::sample::select(b"\0\r\n\t :/A5\x7f\x80,;%#?".to_vec());
    prop_oneof![
        4 => place.clone().prop_map(Change::Remove),
        4 => (place.clone(), byte.clone()).prop_map(|(at, byte)| Change::Put(at, byte)),
        4 => (place.clone(), byte).prop_map(|(at, byte)| Change::Replace(at, byte)),
        2 => (place.clone(), 1..40_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        1 => place.prop_map(Change::End),
    ]
}

fn conversation() -> impl Strategy<Value = Pieces> {
    let texts = prop::collection::vec(prop::sample::select(BEGINNINGS.to_vec()), 1..4);
    let changes = prop::collection::vec(change(), 0..4);
    let cuts = prop::collection::vec(0..400_usize, 0..3);
    (texts, changes, cuts).prop_map(|(texts, changes, mut cuts)| {
        let mut bytes = texts.concat().into_bytes();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        bytes.extend(LAST.as_bytes());
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        for cut in cuts.into_iter().rev() {
            pieces.push(bytes.split_off(cut.min(bytes.len())));
        }
        pieces.push(bytes);
        pieces.reverse();
        Pieces(pieces)
    })
}

#[test]
fn answers_to_changed_requests_are_the_same_with_and_without_it() {
    let servers = both();
    let conversations = prop::collection::vec(conversation(), 64);
    let mut runner = proptest::test_runner::TestRunner::new(Cases {
        cases: 4,
        // Each takes as long as the servers have patience.
        max_shrink_iters: 50,
        ..Cases::default()
    });
    let result = runner.run(&conversations, |conversations| {
        compare(&servers, &conversations);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// The server's end comes while a guest sleeps on the fast path. Its answer is too large for that: hyper gets it, and
/// the end with it, before it has read a request.
#[test]
fn an_answer_that_hyper_has_to_send_is_not_lost_when_the_server_ends() {
    const BYTES: usize = 100_000;
    let wat = SLEEP
        .replace(r#"(export "memory") 1)"#, r#"(export "memory") 3)"#)
        .replace("0x0000_0400_0000_0004", &format!("{}", (1024_u64 << 32) + BYTES as u64));
    let (server, _dir) = serve(|_| (), &[("sleep", Spec::default(), &wat)]);
    let mut stream = connect(server.address, 1);
    stream.write_all(b"GET /sleep HTTP/1.1\r\nhost: h\r\n\r\n").expect("it is sent");
    std::thread::sleep(Duration::from_millis(200));
    let ending = std::thread::spawn(|| server.stop());
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    ending.join().expect("it ends");
    let head = bytes.windows(4).position(|it| it == b"\r\n\r\n").expect("a head");
    let text = String::from_utf8_lossy(&bytes[..head]);
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("connection: close"), "{text}");
    assert_eq!(bytes.len() - head - 4, BYTES);
}
