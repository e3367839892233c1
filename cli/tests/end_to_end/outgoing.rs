//! Requests of a plug-in to another server, with `run` and with `serve`.

use super::support::{Server, run, scratch, wait_until, write};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// Another server: it answers each request with the request's first line.
fn other_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut lines = reader.by_ref().lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            let _head = lines.take_while(|line| !line.is_empty()).count();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{first}",
                first.len()
            );
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    address
}

/// A plug-in that answers with the body of what it asked `url` for.
fn plugin(folder: &Path, url: &str) -> PathBuf {
    let json = format!("{{\"url\":\"{url}\"}}");
    let wat = format!(
        r#"(module
            (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
            (import "extism:host/env" "length" (func $length (param i64) (result i64)))
            (import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
            (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
            (import "extism:host/env" "http_request"
                (func $http_request (param i64 i64) (result i64)))
            (memory (export "memory") 1)
            (data (i32.const 0) "{}")
            (func (export "call") (result i32) (local $at i32) (local $block i64)
                (local.set $block (call $alloc (i64.const {len})))
                (loop $more
                    (call $store_u8
                        (i64.add (local.get $block) (i64.extend_i32_u (local.get $at)))
                        (i32.load8_u (local.get $at)))
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br_if $more (i32.lt_u (local.get $at) (i32.const {len}))))
                (local.set $block (call $http_request (local.get $block) (i64.const 0)))
                (call $output_set (local.get $block) (call $length (local.get $block)))
                (i32.const 0)))"#,
        json.replace('"', "\\\""),
        len = json.len()
    );
    let app = folder.join("asks");
    std::fs::create_dir(&app).unwrap();
    write(&app, "asks.wat", wat);
    write(&app, "faas.toml", "wasm = \"asks.wat\"\nallowed_hosts = [\"127.0.0.1\"]\n");
    app
}

#[test]
fn a_plugin_asks_another_server() {
    let folder = scratch();
    let app = plugin(folder.path(), &format!("http://{}/x?y", other_server()));
    let finished = run(&["run".as_ref(), app.as_os_str()]).expect(0, &[]);
    assert_eq!(finished.stdout, "GET /x?y HTTP/1.1");
    let store = folder.path().join("store");
    let server = Server::start(&store, &["--allow-private-hosts".as_ref(), app.as_os_str()]);
    for _ in 0..3 {
        let answer = server.request("POST", "/asks", &[], b"");
        assert_eq!((answer.status, &*answer.text()), (200, "GET /x?y HTTP/1.1"));
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_server_keeps_its_own_network_from_guests() {
    let folder = scratch();
    let app = plugin(folder.path(), &format!("http://{}/", other_server()));
    let server = Server::start(&folder.path().join("store"), &[app.as_os_str()]);
    let answer = server.request("POST", "/asks", &[], b"");
    assert_eq!(answer.status, 500, "{}", answer.text());
    // The log is written by a thread of its own.
    wait_until("the reason is in the log", || server.log().contains("private network"));
    assert_eq!(server.stop(), Some(0));
}
