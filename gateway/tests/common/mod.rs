//! A gateway on a loopback port, guests from WAT, and a small HTTP client.
#![allow(dead_code)] // every test file uses a part of it

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use wfaas_function::{Span, Spec};
use wfaas_gateway::{Config, Gateway};

/// A gateway that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(gateway: Gateway) -> Server {
        let address = gateway.local_addr();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            let stopped = async { drop(stopped.await) };
            runtime.block_on(gateway.run(stopped)).expect("it serves");
        });
        Server { address, stop: Some(stop), thread: Some(thread) }
    }

    /// With this store and otherwise the defaults.
    pub(crate) fn on(store: &Path) -> Server {
        Server::start(Gateway::bind(config(store)).expect("it starts"))
    }

    /// Ends it as SIGTERM does, and waits.
    pub(crate) fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server failed");
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &[u8]) -> Response {
        self.send(method, path, &[], body)
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        exchange(self.address, &head(method, path, headers, body.len()), body)
    }

    pub(crate) fn deploy(&self, name: &str, wat: &str) -> Response {
        self.request("PUT", &format!("/v1/functions/{name}"), &artifact(wat))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shut_down();
    }
}

pub(crate) fn config(store: &Path) -> Config {
    let mut config = Config::new("127.0.0.1:0".parse().expect("an address"), store);
    config.threads = 2;
    config.drain_timeout = Duration::from_secs(5);
    config
}

/// A gateway with these functions, and the directory of its store.
pub(crate) fn serve(
    change: impl FnOnce(&mut Config),
    functions: &[(&str, Spec, &str)],
) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = config(dir.path());
    change(&mut config);
    let gateway = Gateway::bind(config).expect("it starts");
    for (name, config, wat) in functions {
        let name = name.parse().expect("a name");
        gateway.install(name, config.clone(), &artifact(wat)).expect("it fits");
    }
    (Server::start(gateway), dir)
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)], len: usize) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head += "host: localhost\r\n";
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head + &format!("content-length: {len}\r\n\r\n")
}

/// Sends a request and reads the answer until the connection is closed.
pub(crate) fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> Response {
    try_exchange(address, head, body).expect("an answer")
}

pub(crate) fn try_exchange(
    address: SocketAddr,
    head: &str,
    body: &[u8],
) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    read_response(&mut stream)
}

pub(crate) fn read_response(stream: &mut TcpStream) -> std::io::Result<Response> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(Response { status, head, body: bytes[end + 4..].to_vec() })
}

/// The chunks of a body, and whether the last one has come.
pub(crate) fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).expect("a size");
        bytes = &bytes[end + 2..];
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = bytes.get(..size) else { break };
        body.extend_from_slice(chunk);
        bytes = bytes.get(size + 2..).unwrap_or_default();
    }
    (body, false)
}

/// An artifact of the module. Guests here need no initialisation.
pub(crate) fn artifact(wat: &str) -> Vec<u8> {
    wfaas_compiler::compile(wat.as_bytes(), &Default::default()).expect("it compiles").artifact
}

/// A reactor that answers `text`, whatever the request.
pub(crate) fn says(text: &str) -> String {
    let len = text.len();
    format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 1024) "{text}")
          (func (export "faas_alloc") (param i32) (result i32) i32.const 2048)
          (func (export "faas_handle") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.const {len}))))"#
    )
}

/// A reactor that answers the body it got. Room for 10 MiB.
pub(crate) const ECHO: &str = r#"(module (memory (export "memory") 161)
  (func (export "faas_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "faas_handle") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32))
      (i64.extend_i32_u (local.get 1)))))"#;

/// A reactor that answers 8 MiB.
pub(crate) const BIG: &str = r#"(module (memory (export "memory") 130)
  (func (export "faas_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "faas_handle") (param i32 i32) (result i64)
    (i64.const 0x0001_0000_0080_0000)))"#;

/// A reactor that computes for some 5 ms, then answers "done".
pub(crate) const COMPUTES: &str = r#"(module (memory (export "memory") 1) (data (i32.const 1024) "done")
  (func (export "faas_alloc") (param i32) (result i32) i32.const 2048)
  (func (export "faas_handle") (param i32 i32) (result i64) (local i32 i64)
    (local.set 2 (i32.const 5000000))
    (loop
      (local.set 3 (i64.mul (i64.add (local.get 3) (i64.const 7)) (i64.const 0x5851f42d4c957f2d)))
      (br_if 0 (local.tee 2 (i32.sub (local.get 2) (i32.const 1)))))
    (i64.store (i32.const 4096) (local.get 3))
    (i64.const 0x0000_0400_0000_0004)))"#;

/// A reactor that sleeps 500 ms (0x1dcd6500 ns) in `poll_oneoff`, then answers "done".
pub(crate) const SLEEP: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "done")
  (data (i32.const 528) "\01") (data (i32.const 536) "\00\65\cd\1d\00\00\00\00")
  (func (export "faas_alloc") (param i32) (result i32) i32.const 2048)
  (func (export "faas_handle") (param i32 i32) (result i64)
    (drop (call $poll (i32.const 512) (i32.const 4100) (i32.const 1) (i32.const 4096)))
    (i64.const 0x0000_0400_0000_0004)))"#;

/// A command that never ends.
pub(crate) const FOREVER: &str = r#"(module (func (export "_start") (loop br 0)))"#;

/// A command that traps.
pub(crate) const TRAP: &str = r#"(module (func $secret_name (export "_start") unreachable))"#;

/// A specification with this time limit.
pub(crate) fn time_limit(milliseconds: u64) -> Spec {
    let mut spec = Spec::default();
    spec.limits.time = Some(Span(Duration::from_millis(milliseconds)));
    spec
}

/// A server in a process of its own.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Kept open: the server has more to say.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Serves functions: tenant, name and text of each.
    pub(crate) fn start(
        program: &str,
        directory: &Path,
        functions: &[(&str, &str, &str)],
    ) -> Process {
        let mut command = Command::new(program);
        command.arg("serve").args(["--listen", "127.0.0.1:0"]);
        command.arg("--store").arg(directory.join("store")).env("RUST_LOG", "error");
        for (tenant, name, wat) in functions {
            let folder = directory.join(name);
            std::fs::create_dir(&folder).expect("a folder");
            let settings = format!(
                "wasm = 'f.wat'\ntenant = '{tenant}'\nlimits = {{ time = '60s', memory = '1100MiB' }}\n"
            );
            std::fs::write(folder.join("faas.toml"), settings).expect("a file");
            std::fs::write(folder.join("f.wat"), wat).expect("a file");
            command.arg(folder);
        }
        // The log's records of trapped guests are of no interest.
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = lines.next().expect("a line").expect("text");
        let address = line.rsplit('/').next().and_then(|address| address.parse().ok());
        Process { child, address: address.expect("an address"), _lines: lines }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
