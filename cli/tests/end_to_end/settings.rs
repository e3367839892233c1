//! Everything about a function but its code: it reaches the guest, whichever command runs it.

use super::support::{
    Finished, Server, build, run, run_with_stdin, saying, scratch, wait_until, write,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wfaas_function::stores::{StoreGrant, StoreName};
use wfaas_function::{Abi, ByteSize, Coding, Dir, Limits, OnDisconnect, Span, Spec};

/// A module of these functions, which may call `$gather`: it puts arguments and variables to 4096,
/// each with a NUL at its end, and tells their length.
fn telling(functions: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "args_sizes_get"
            (func $args_sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "environ_sizes_get"
            (func $env_sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write"
            (func $fd_write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func $gather (result i32)
            (drop (call $args_sizes (i32.const 0) (i32.const 4)))
            (drop (call $args (i32.const 1024) (i32.const 4096)))
            (drop (call $env_sizes (i32.const 0) (i32.const 8)))
            (drop (call $env (i32.const 1024) (i32.add (i32.const 4096) (i32.load (i32.const 4)))))
            (i32.add (i32.load (i32.const 4)) (i32.load (i32.const 8))))
          {functions})"#
    )
}

/// A command that answers its arguments and variables.
fn teller() -> String {
    telling(
        r#"(func (export "_start")
            (i32.store (i32.const 20) (call $gather))
            (i32.store (i32.const 16) (i32.const 4096))
            (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))"#,
    )
}

/// A reactor that answers the arguments and variables it had when it was initialised.
fn keeper() -> String {
    telling(
        r#"(global $len (mut i32) (i32.const 0))
          (func (export "_initialize") (global.set $len (call $gather)))
          (func (export "faas_alloc") (param i32) (result i32) (i32.const 32768))
          (func (export "faas_handle") (param i32 i32) (result i64)
            (i64.or (i64.const 0x100000000000) (i64.extend_i32_u (global.get $len))))"#,
    )
}

/// `faascli` with this command, path and further arguments.
#[track_caller]
fn on(command: &str, path: &Path, more: &[&str]) -> Finished {
    run(&[&[command, path.to_str().unwrap()], more].concat()).expect(0, &[])
}

/// A folder with a module and this `faas.toml`.
fn folder_of(parent: &Path, name: &str, wat: &str, toml: &str) -> PathBuf {
    let folder = parent.join(name);
    std::fs::create_dir(&folder).unwrap();
    write(&folder, "a.wat", wat);
    write(&folder, "faas.toml", format!("wasm = 'a.wat'\n{toml}"));
    folder
}

/// Exports of two guest ABIs: a command that exits with 7, a reactor that answers its body.
const BOTH: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 7)))
    (func (export "faas_alloc") (param i32) (result i32) (i32.const 8))
    (func (export "faas_handle") (param $ptr i32) (param $len i32) (result i64)
      (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
        (i64.extend_i32_u (local.get $len)))))"#;

#[test]
fn run_and_serve_choose_the_same_guest_abi() {
    let scratch = scratch();
    let wat = write(scratch.path(), "both.wat", BOTH);
    let folder = |name: &str| folder_of(scratch.path(), name, BOTH, &format!("abi = '{name}'"));
    let (reactor, command) = (folder("reactor"), folder("wasi"));
    let artifact = build(scratch.path(), "built", BOTH);
    for as_reactor in [&wat, &artifact, &reactor] {
        let done = run_with_stdin(&["run".as_ref(), as_reactor.as_os_str()], b"body");
        assert_eq!(done.expect(0, &[]).stdout, "body", "{}", as_reactor.display());
    }
    run(&["run".as_ref(), command.as_os_str()]).expect(7, &[]);
    let served = [&wat, &artifact, &reactor, &command];
    let server = Server::start(&scratch.path().join("store"), &served);
    for as_reactor in ["/both", "/built", "/reactor"] {
        assert_eq!(server.post(as_reactor, b"body").text(), "body");
    }
    assert_eq!(server.post("/wasi", b"body").status, 500);
    wait_until("the log says why", || server.log().contains("exited with code 7"));
}

#[test]
fn the_command_line_is_over_the_file_and_no_name_is_twice() {
    let scratch = scratch();
    let toml = "name = 'f'\nargs = ['x', 'y']\nenv = { A = '1', B = '2', REQUEST_METHOD = 'no' }";
    let folder = folder_of(scratch.path(), "f", &teller(), toml);
    let told = |command: &[&str]| on("run", &folder, command).stdout;
    assert_eq!(told(&[]), "f\0x\0y\0A=1\0B=2\0REQUEST_METHOD=no\0");
    let over = ["--env", "A=x", "--env", "C=3", "--env", "A=y=z", "--", "-v"];
    assert_eq!(told(&over), "f\0-v\0A=y=z\0B=2\0C=3\0REQUEST_METHOD=no\0");

    let request = "REQUEST_METHOD=GET\0PATH_INFO=\0QUERY_STRING=\0REQUEST_ID=";
    let check = |server: &Server| {
        let answer = server.get("/f");
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(answer.text(), format!("f\0-v\0{request}{id}\0A=y=z\0B=2\0C=3\0"));
    };
    let store = scratch.path().join("store");
    let paths = [folder.to_str().unwrap()];
    let server = Server::start(&store, &[&paths[..], &over[..]].concat());
    check(&server);
    drop(server);
    let server = Server::start::<&str>(&store, &[]);
    on("deploy", &folder, &[&["--server", &server.url()], &over[..]].concat());
    check(&server);
}

/// Of each command that builds: a constructor sees what requests see.
#[test]
fn environment_and_arguments_reach_the_initialisation() {
    let scratch = scratch();
    let wat = write(scratch.path(), "k.wat", keeper());
    let options = ["--env", "A=1", "--", "x"];
    let expected = "k\0x\0A=1\0";
    on("build", &wat, &options);
    let artifact = scratch.path().join("k.faas");
    // What the image has read is as it was, whatever comes later.
    assert_eq!(on("run", &artifact, &["--env", "A=2"]).stdout, expected);
    assert_eq!(on("run", &wat, &options).stdout, expected);
    let store = scratch.path().join("store");
    let server = Server::start(&store, &[&[wat.to_str().unwrap()], &options[..]].concat());
    assert_eq!(server.get("/k").text(), expected);
    on("deploy", &wat, &[&["--server", &server.url()], &options[..]].concat());
    assert_eq!(server.get("/k").text(), expected);

    on("build", &wat, &["--no-init"]);
    let proto = scratch.path().join("k.proto");
    on("snapshot", &artifact, &options);
    let from_proto = ["--proto", proto.to_str().unwrap()];
    assert_eq!(on("run", &artifact, &from_proto).stdout, expected);

    let toml = "name = 'k'\nargs = ['x']\nenv.A = '1'";
    let folder = folder_of(scratch.path(), "folder", &keeper(), toml);
    assert_eq!(on("run", &folder, &[]).stdout, expected);
    on("build", &folder, &["--env", "B=2"]);
    assert_eq!(on("run", &folder, &[]).stdout, "k\0x\0A=1\0B=2\0");
}

/// A value for each field: a new one does not compile until it has one too.
fn whole_spec() -> Spec {
    Spec {
        name: Some("whole".parse().unwrap()),
        route: Some("/some/where".parse().unwrap()),
        abi: Some(Abi::new("wasi")),
        export: Some("no export of a command".into()),
        args: vec!["-q".into(), "é\n\u{7f}\"😀".into()],
        env: [("A".to_owned(), "\u{1}\u{7f}ü".to_owned())].into(),
        dirs: vec![Dir {
            host: "/usr".into(),
            guest: "/usr".into(),
            read_only: true,
            ..Dir::default()
        }],
        config: [("a b".to_owned(), "\"".to_owned())].into(),
        allowed_hosts: vec!["*.example".into()],
        allowed_sockets: vec!["tcp://db.example:5432".parse().unwrap()],
        stores: [(StoreName::try_from("All".to_owned()).unwrap(), StoreGrant { shared: true })]
            .into(),
        content_type: Some("text/html; charset=utf-8".into()),
        compress: vec![Coding::Gzip, Coding::Br],
        pass_authorization: Some(true),
        tenant: Some("default".parse().unwrap()),
        on_disconnect: Some(OnDisconnect::Finish),
        // Refused for a command, as this one is: `gateway/tests/sessions.rs` has it.
        session: None,
        limits: Limits {
            memory: Some(ByteSize(3 << 20)),
            time: Some(Span(Duration::from_millis(7001))),
            cpu: Some(Span(Duration::from_millis(6501))),
            output: Some(ByteSize(5001)),
            log: Some(ByteSize(6001)),
            tmp: Some(ByteSize(2 << 20)),
        },
    }
}

#[test]
fn every_field_of_a_file_reaches_server_and_guest() {
    let scratch = scratch();
    let store = scratch.path().join("store");
    let spec = whole_spec();
    let folder = folder_of(scratch.path(), "f", &teller(), &toml::to_string(&spec).unwrap());
    let server = Server::start(&store, &["--allow-dir", "/usr"]);
    on("deploy", &folder, &["--server", &server.url()]);
    let stored = std::fs::read(store.join("functions/whole.json")).unwrap();
    let stored: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    let stored = Spec::from_json(&stored["config"].to_string()).unwrap();
    // The file's name has the function's.
    assert_eq!(stored, Spec { name: None, ..spec.clone() });

    let answer = server.get("/some/where");
    assert_eq!(answer.header("content-type"), spec.content_type.as_deref());
    let told = answer.text();
    assert!(told.starts_with("whole\0-q\0é\n\u{7f}\"😀\0"), "{told:?}");
    assert!(told.ends_with("\0A=\u{1}\u{7f}ü\0"), "{told:?}");
}

#[test]
fn answers_have_the_type_of_the_file_wherever_they_are_served() {
    let scratch = scratch();
    let png = r#"(module (memory (export "memory") 1) (data (i32.const 8) "\89PNG\0d\0a\1a\0a")
        (func (export "faas_alloc") (param i32) (result i32) (i32.const 64))
        (func (export "faas_handle") (param i32 i32) (result i64) (i64.const 0x800000008)))"#;
    let folder = folder_of(scratch.path(), "png", png, "content_type = 'image/png'");
    let check = |server: &Server| {
        let answer = server.get("/png");
        assert_eq!(answer.body, b"\x89PNG\r\n\x1a\n");
        assert_eq!(answer.header("content-type"), Some("image/png"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    };
    let store = scratch.path().join("store");
    check(&Server::start(&store, &[&folder]));
    let server = Server::start::<&str>(&store, &[]);
    on("deploy", &folder, &["--server", &server.url()]);
    check(&server);
}

#[test]
fn a_configuration_that_no_header_holds_is_called_too_large() {
    let scratch = scratch();
    let wat = write(scratch.path(), "a.wat", "(module (func (export \"_start\")))");
    let server = Server::start::<&str>(&scratch.path().join("store"), &[]);
    let args = ["deploy", wat.to_str().unwrap(), "--server", &server.url(), "--env"];
    let large = format!("A={}", "x".repeat(80 << 10));
    run(&[&args[..], &[&large]].concat()).expect(2, &["431", "environment", "too large"]);
}

/// As in a Cargo workspace, where members share a `target`.
#[test]
fn a_module_outside_of_the_folder_is_built_served_and_built_again() {
    let scratch = scratch();
    let (target, folder) = (scratch.path().join("target"), scratch.path().join("member"));
    std::fs::create_dir(&target).unwrap();
    std::fs::create_dir(&folder).unwrap();
    write(&folder, "faas.toml", "wasm = '../target/out.wat'");
    run(&["run".as_ref(), folder.as_os_str()]).expect(2, &["there is no", "../target/out.wat"]);
    for text in ["one", "two"] {
        write(&target, "out.wat", saying(text));
        assert_eq!(on("run", &folder, &[]).stdout, text);
        let server = Server::start(&scratch.path().join("store"), &[&folder]);
        assert_eq!(server.get("/member").text(), text);
    }
    // The artifact stays in the folder.
    assert!(folder.join("target/member.faas").exists());
}
