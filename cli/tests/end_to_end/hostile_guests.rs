//! Guests that want too much, and guests that fail: they end, the host does not.

use super::support::{Server, build, faascli, request, run, saying, scratch, wait_until, write};
use std::process::Stdio;
use std::time::{Duration, Instant};

const LOOP: &str = r#"(module (memory (export "memory") 1)
    (func $spin (export "_start") (loop $again (br $again))))"#;

const RECURSE: &str = r#"(module (memory (export "memory") 1)
    (func $deeper (param i32) (result i32)
      (i32.add (i32.const 1) (call $deeper (i32.add (local.get 0) (i32.const 1)))))
    (func (export "_start") (drop (call $deeper (i32.const 0)))))"#;

/// Grows page by page until it is refused, touches each page, exits with the number of 16-page
/// steps that worked.
const GROW: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (local $old i32)
      (loop $again
        (local.set $old (memory.grow (i32.const 16)))
        (if (i32.ne (local.get $old) (i32.const -1))
          (then
            (i32.store (i32.mul (local.get $old) (i32.const 65536)) (i32.const 1))
            (br $again))))
      (call $exit (i32.div_u (memory.size) (i32.const 16)))))"#;

/// Writes 64 KiB to standard output for ever, or until it is refused.
const FLOOD: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
      (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 0) "\00\00\01\00\00\00\01\00")
    (func (export "_start")
      (loop $again
        (br_if $again (i32.eqz
          (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))))"#;

#[test]
fn an_endless_loop_ends_at_its_time_limit() {
    let folder = scratch();
    let artifact = build(folder.path(), "loop", LOOP);
    let start = Instant::now();
    run(&["run".as_ref(), artifact.as_os_str(), "--timeout".as_ref(), "300ms".as_ref()])
        .expect(134, &["deadline exceeded", "spin"]);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn recursion_without_end_is_a_trap() {
    let folder = scratch();
    let artifact = build(folder.path(), "recurse", RECURSE);
    run(&["run".as_ref(), artifact.as_os_str()]).expect(134, &["call stack exhausted", "deeper"]);
}

#[test]
fn memory_grows_to_the_limit_and_no_further() {
    let folder = scratch();
    let artifact = build(folder.path(), "grow", GROW);
    let args = ["run".as_ref(), artifact.as_os_str(), "--memory".as_ref(), "64MiB".as_ref()];
    // 64 MiB are 1024 pages; 1 + 63 × 16 of them fit, which are 63 whole steps.
    run(&args).expect(63, &[]);
}

#[test]
fn a_trap_in_initialisation_fails_the_build() {
    let folder = scratch();
    let wat = r#"(module (memory (export "memory") 1)
        (func $prepare (export "prepare") unreachable)
        (func (export "_start")))"#;
    let wat = write(folder.path(), "bad.wat", wat);
    let artifact = folder.path().join("bad.faas");
    let build = |init| run(&["build".as_ref(), wat.as_os_str(), "--init".as_ref(), init]);
    build("prepare".as_ref()).expect(134, &["unreachable", "prepare"]);
    assert!(!artifact.exists(), "a failed build leaves nothing");

    let spin = write(folder.path(), "spin.wat", LOOP.replace("_start", "wizer.initialize"));
    run(&["build".as_ref(), spin.as_os_str(), "--init-time".as_ref(), "300ms".as_ref()])
        .expect(134, &["deadline exceeded", "spin"]);

    let start = r#"(module (func $start unreachable) (start $start))"#;
    let start = write(folder.path(), "start.wat", start);
    run(&["build".as_ref(), start.as_os_str()]).expect(134, &["unreachable", "start"]);
}

#[test]
fn a_flood_ends_with_its_reader() {
    let folder = scratch();
    let artifact = build(folder.path(), "flood", FLOOD);
    let mut child = faascli(&["run".as_ref(), artifact.as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut head = [0; 1 << 20];
    let mut stdout = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut stdout, &mut head).unwrap();
    drop(stdout);
    wait_until("the guest to end", || child.try_wait().unwrap().is_some());
}

#[test]
fn a_server_answers_others_meanwhile() {
    let folder = scratch();
    let names = [("loop", LOOP), ("recurse", RECURSE), ("grow", GROW)];
    let trap = r#"(module (memory (export "memory") 1) (func (export "_start") unreachable))"#;
    let mut paths: Vec<_> =
        names.iter().map(|(name, wat)| build(folder.path(), name, wat)).collect();
    paths.push(build(folder.path(), "trap", trap));
    // Beyond 64 KiB an answer has begun before it reaches its limit.
    for (name, wat, limit) in
        [("slow", LOOP, "time = '500ms'"), ("flood", FLOOD, "output = '60KiB'")]
    {
        let function = folder.path().join(name);
        std::fs::create_dir(&function).unwrap();
        write(&function, "guest.wat", wat);
        write(&function, "faas.toml", format!("wasm = 'guest.wat'\n[limits]\n{limit}\n"));
        paths.push(function);
    }
    paths.push(build(folder.path(), "hello", &saying("hi")));

    let mut server = Server::start(&folder.path().join("store"), &paths);
    let address = server.address;
    let slow = std::thread::spawn(move || request(address, "GET", "/slow", &[], b"").unwrap());
    for path in ["/trap", "/recurse", "/flood", "/grow"] {
        assert_eq!(server.get("/hello").text(), "hi");
        let answer = server.get(path);
        assert_eq!(answer.status, 500, "{path}: {}", answer.text());
        let id = answer.header("x-request-id").expect("a request id").to_owned();
        assert!(answer.text().contains(&id), "{}", answer.text());
        assert!(!answer.text().contains("unreachable"), "details stay in the log");
        wait_until("the id in the log", || server.log().contains(&id));
    }
    wait_until("the trap is in the log", || server.log().contains("unreachable"));
    assert_eq!(slow.join().unwrap().status, 504);
    assert_eq!(server.get("/hello").text(), "hi");
    assert!(server.is_alive());
}

/// The soft limit of descriptors is often lower than the number of connections.
#[test]
fn a_server_uses_all_descriptors_that_it_may() {
    let folder = scratch();
    let artifact = build(folder.path(), "hello", &saying("hi"));
    let mut command = std::process::Command::new("bash");
    command.args(["-c", "ulimit -Sn 64; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_faascli")]);
    command.args(["serve", "--listen", "127.0.0.1:0", "--store"]).arg(folder.path().join("store"));
    let server = Server::spawn({
        command.arg(artifact);
        command
    });
    let connect = |_| std::net::TcpStream::connect(server.address).expect("a connection");
    let idle: Vec<_> = (0..200).map(connect).collect();
    assert_eq!(server.get("/hello").status, 200);
    drop(idle);
}
