//! Exit codes and messages: the guest's own code, a trap, a user's mistake are three things.

use super::support::{build, run, saying, scratch, write};

/// A command that exits with `code`.
fn exiting(code: u32) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (func (export "_start") (call $exit (i32.const {code}))))"#
    )
}

#[test]
fn the_guests_code_is_passed_through() {
    let folder = scratch();
    // What does not fit into a process's eight bits stays a failure.
    for (code, expected) in [(0, 0), (1, 1), (7, 7), (134, 134), (255, 255), (256, 1)] {
        let wat = write(folder.path(), "exit.wat", exiting(code));
        run(&["run".as_ref(), wat.as_os_str()]).expect(expected, &[]);
    }
}

#[test]
fn a_trap_shows_the_guests_backtrace() {
    let folder = scratch();
    let wat = r#"(module
        (memory (export "memory") 1)
        (func $inner (drop (i32.div_u (i32.const 1) (i32.load (i32.const 0)))))
        (func $outer (call $inner))
        (func (export "_start") (call $outer)))"#;
    let artifact = build(folder.path(), "trap", wat);
    let trapped = run(&["run".as_ref(), artifact.as_os_str()]);
    let stderr = trapped.expect(134, &["integer divide by zero", "inner", "outer"]).stderr;
    assert!(stderr.find("inner") < stderr.find("outer"), "the innermost comes first: {stderr}");
}

#[test]
fn an_uncaught_exception_is_the_guests_failure() {
    let folder = scratch();
    let wat = r#"(module (tag $t) (memory (export "memory") 1)
        (func $inner (throw $t)) (func (export "_start") (call $inner)))"#;
    let artifact = build(folder.path(), "throw", wat);
    run(&["run".as_ref(), artifact.as_os_str()]).expect(134, &["uncaught exception", "inner"]);
}

#[test]
fn disabled_proposals_are_mistakes_that_are_named() {
    let folder = scratch();
    let wat = write(folder.path(), "tag.wat", r#"(module (tag $t) (func (export "f")))"#);
    let disabling = |names: &str| {
        run(&["build".as_ref(), wat.as_os_str(), "--disable".as_ref(), names.as_ref()])
    };
    disabling("multi-value,tail-call").expect(0, &[]);
    let parts = ["tag.wat", "exception handling", "--disable exceptions"];
    disabling("tail-call,exceptions").expect(2, &parts);
    disabling("gc").expect(2, &["unknown proposal 'gc'", "exceptions"]);
}

#[test]
fn mistakes_are_code_2_and_say_what_to_do() {
    let folder = scratch();
    let hello = folder.path().join("hello.faas");
    let wat = write(folder.path(), "hello.wat", saying("hi"));
    run(&["build".as_ref(), wat.as_os_str()]).expect(0, &[]);
    let hello = hello.to_str().unwrap();
    let wat = wat.to_str().unwrap();
    let text = write(folder.path(), "notes.txt", "these are notes");
    let text = text.to_str().unwrap();
    let empty = write(folder.path(), "empty.wasm", "");
    let empty = empty.to_str().unwrap();
    let nowhere = folder.path().join("nowhere.faas");
    let nowhere = nowhere.to_str().unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["run", nowhere], &["nowhere.faas", "No such file"]),
        (&["run", text], &["notes.txt"]),
        (&["run", empty], &["empty.wasm"]),
        (&["run", "/dev/zero"], &["not a regular file"]),
        (&["run", folder.path().to_str().unwrap()], &["no faas.toml"]),
        (&["run", hello, "--dir", "no/such/folder::/"], &["no/such/folder", "is not a directory"]),
        (&["run", hello, "--env", "novalue"], &["NAME=VALUE"]),
        (&["run", hello, "--timeout", "soon"], &["soon"]),
        (&["run", hello, "--invoke", "nothing"], &["nothing", "_start"]),
        (&["run", hello, "--proto", hello], &["Proto-Faaslet"]),
        (&["build", hello], &["artifact already"]),
        (&["build", text], &["notes.txt"]),
        (&["build", wat, "--init", "nothing"], &["nothing", "_start"]),
        (&["build", wat, "--init", "a", "--no-init"], &["--no-init"]),
        (&["build", wat, "--cpu", "z80"], &["z80", "x86-64-v3"]),
        (&["inspect", wat], &["not a wfaas artifact"]),
        (&["verify", "/bin/true"], &["not a wfaas artifact"]),
        (&["snapshot", hello, "--init", "nothing"], &["nothing"]),
        (&["serve", nowhere], &["nowhere.faas"]),
        (&["serve", hello, "--listen", "everywhere"], &["everywhere"]),
        (&["deploy", hello, "--name", "No Name"], &["No Name", "lower-case"]),
        (&["frobnicate"], &["frobnicate"]),
        (&["run"], &["APP"]),
    ];
    for (args, parts) in cases {
        run(args).expect(2, parts);
    }
}

#[test]
fn an_error_ends_with_the_option_that_helps() {
    let folder = scratch();
    let nothing = write(folder.path(), "nothing.wat", r#"(module (func (export "add")))"#);
    let stderr = run(&["run".as_ref(), nothing.as_os_str()])
        .expect(2, &["neither `_start`", "functions exported: add"])
        .stderr;
    assert_eq!(stderr.lines().last(), Some("  hint: call one of its exports with `--invoke`"));
    let wat = r#"(module (func $f) (start $f) (func (export "_start")))"#;
    let wat = write(folder.path(), "reactor.wat", wat);
    run(&["build".as_ref(), wat.as_os_str(), "--no-init".as_ref()]).expect(0, &[]);
    let artifact = folder.path().join("reactor.faas");
    let store = folder.path().join("store");
    let serve = ["serve".as_ref(), artifact.as_os_str(), "--store".as_ref(), store.as_os_str()];
    let listen = ["--listen", "127.0.0.1:0"].map(std::ffi::OsStr::new);
    let stderr = run(&[&serve[..], &listen[..]].concat()).expect(2, &["start function"]).stderr;
    let hint = stderr.lines().last().unwrap();
    assert!(hint.starts_with("  hint: build it without `--no-init`"), "{stderr}");
}

/// Variants of a start that ends the program, as other engines end it.
#[test]
fn an_exit_with_0_before_the_program_is_its_end() {
    let folder = scratch();
    for step in ["(start $end)", r#"(export "_initialize" (func $end))"#] {
        let wat = format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (func $end (call $exit (i32.const 0))) {step}
              (func (export "_start") (call $exit (i32.const 5))))"#
        );
        let wat = write(folder.path(), "end.wat", wat);
        let built = run(&["build".as_ref(), wat.as_os_str()]).expect(0, &[]);
        assert!(built.stdout.contains("exits with code 0"), "{}", built.stdout);
        for path in [&wat, &wat.with_extension("faas")] {
            run(&["run".as_ref(), path.as_os_str()]).expect(0, &[]);
        }
    }
}

#[test]
fn an_init_export_without_an_image_fails_the_build() {
    let folder = scratch();
    let wat = r#"(module (tag $e) (global $g (mut exnref) (ref.null exn))
        (func (export "wizer.initialize")
          (block $h (result exnref) (try_table (catch_all_ref $h) (throw $e)) (unreachable))
          (global.set $g))
        (func (export "_start")))"#;
    let wat = write(folder.path(), "lost.wat", wat);
    let args = ["build".as_ref(), wat.as_os_str()];
    let parts = ["lost.wat", "\"wizer.initialize\"", "global 0 holds an exception", "--no-init"];
    run(&args).expect(2, &parts);
    assert!(!wat.with_extension("faas").exists());
    run(&[&args[..], &["--no-init".as_ref()]].concat()).expect(0, &[]);
}

#[test]
fn inspect_says_which_guest_abi_it_is() {
    let folder = scratch();
    let abi = |name: &str, wat: &str| {
        let artifact = build(folder.path(), name, wat);
        let json = run(&["inspect".as_ref(), artifact.as_os_str(), "--json".as_ref()]);
        json.expect(0, &[]).json()["abi"]["name"].as_str().map(str::to_owned)
    };
    assert_eq!(abi("command", &saying("hi")).as_deref(), Some("wasi"));
    assert_eq!(abi("none", "(module)"), None);
    let reactor = r#"(module (memory (export "memory") 1)
        (func (export "faas_alloc") (param i32) (result i32) i32.const 8)
        (func (export "faas_handle") (param i32 i32) (result i64) i64.const 0))"#;
    assert_eq!(abi("reactor", reactor).as_deref(), Some("reactor"));
}

#[test]
fn what_the_machine_refuses_is_code_1() {
    let folder = scratch();
    let wat = write(folder.path(), "hello.wat", saying("hi"));
    let wat = wat.to_str().unwrap();
    // Root may write everywhere but here.
    run(&["build", wat, "-o", "/proc/nothing/hello.faas"]).expect(1, &["/proc/nothing"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let store = folder.path().join("store");
    let store = store.to_str().unwrap();
    run(&["serve", wat, "--listen", &address, "--store", store]).expect(1, &[&address]);
    run(&["deploy", wat, "--server", "http://127.0.0.1:1"]).expect(1, &["127.0.0.1:1"]);
}

#[test]
fn a_refused_proposal_is_named() {
    let folder = scratch();
    let wat = write(folder.path(), "struct.wat", "(module (type (struct)))");
    let stderr = run(&["build".as_ref(), wat.as_os_str()]).expect(2, &["not supported"]).stderr;
    assert!(stderr.contains("garbage collection"), "{stderr}");
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let folder = scratch();
    let artifact = build(folder.path(), "hello", &saying("hi"));
    let script = format!(
        "{} inspect {} --json | true; exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_faascli"),
        artifact.display()
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// A pipe holds 64 KiB; the reader comes when it has long been full.
#[test]
fn a_slow_reader_gets_all_of_one_write() {
    let folder = scratch();
    // 1 MiB in two buffers; the exit code says whether one call wrote all of it.
    let source = r#"(module
        (import "wasi_snapshot_preview1" "fd_write"
          (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 18)
        (data (i32.const 0) "\00\00\01\00\00\00\08\00\00\00\09\00\00\00\08\00")
        (func (export "_start")
          (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 16)))
          (call $exit (i32.ne (i32.load (i32.const 16)) (i32.const 0x100000)))))"#;
    let artifact = build(folder.path(), "flood", source);
    let script = format!(
        "{} run {} | (sleep 0.5; wc -c); exit ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_faascli"),
        artifact.display()
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1048576", "{output:?}");
}

#[test]
fn every_command_has_help_with_examples() {
    let overview = run(&["--help"]).expect(0, &[]).stdout;
    let commands = ["build", "run", "serve", "deploy", "snapshot", "inspect", "verify", "doctor"];
    for command in commands {
        assert!(overview.contains(command), "{overview}");
        let help = run(&[command, "--help"]).expect(0, &[]).stdout;
        assert!(help.contains(&format!("Examples:\n  faascli {command}")), "{help}");
    }
}

#[test]
fn doctor_says_the_same_in_json() {
    let report = run(&["doctor", "--json"]).expect(0, &[]).json();
    let names: Vec<_> =
        report["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    for name in ["kernel", "cpu", "tracking", "userfaultfd", "vm.max_map_count"] {
        assert!(names.iter().any(|known| *known == name), "{name} is not in {names:?}");
    }
    let text = run(&["doctor"]).expect(0, &[]).stdout;
    assert_eq!(text.lines().filter(|line| !line.starts_with("  ")).count(), names.len(), "{text}");
}

#[test]
fn exports_are_called_with_numbers() {
    let folder = scratch();
    let wat = r#"(module
        (func (export "add") (param i32 i32) (result i32)
          (i32.add (local.get 0) (local.get 1)))
        (func (export "pair") (param i64 f64) (result f64 i64) (local.get 1) (local.get 0)))"#;
    let wat = write(folder.path(), "math.wat", wat);
    let wat = wat.to_str().unwrap();
    let invoke =
        |export, args: &[&str]| run(&[&["run", wat, "--invoke", export, "--"], args].concat());
    assert_eq!(invoke("add", &["2", "40"]).expect(0, &[]).stdout, "42\n");
    assert_eq!(invoke("add", &["2147483647", "1"]).expect(0, &[]).stdout, "-2147483648\n");
    assert_eq!(invoke("pair", &["-7", "0.5"]).expect(0, &[]).stdout, "0.5\n-7\n");
    invoke("add", &["2"]).expect(2, &["add"]);
    invoke("add", &["2", "two"]).expect(2, &["two"]);
}
