//! Names, output and headers of others in what `faascli` prints, logs and answers: nothing of them
//! reaches a terminal as a command or a log as a record, and none of them makes it long.

use super::support::{LINES, Server, build, request, run, saying, scratch, wait_until, write};

/// A name that clears the terminal, begins a new line, and turns the order of letters around.
const EVIL: &str = r"\1b[2Jevil\0aERROR forged\e2\80\ae";

/// Asserts that no character of a text would be obeyed.
#[track_caller]
fn assert_harmless(text: &str) {
    let control = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}';
    assert!(!text.contains(control), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("ERROR forged")), "{text}");
}

/// The names of a module in all places that a message may show.
#[test]
fn names_of_modules_are_shown_without_their_commands() {
    let folder = scratch();
    let trap = format!(
        r#"(module (memory (export "memory") 1) (func $"{EVIL}" (export "{EVIL}") unreachable)
            (func (export "_start") (call 0)))"#
    );
    let import = format!(
        r#"(module (import "{EVIL}" "{EVIL}" (func)) (memory (export "memory") 1)
            (func (export "_start")))"#
    );
    let (trap, import) = (build(folder.path(), "trap", &trap), build(folder.path(), "a", &import));
    let twice = format!(r#"(module (func) (export "{EVIL}" (func 0)) (export "{EVIL}" (func 0)))"#);
    let twice = wat::parse_str(&twice).expect("it is text that says so");
    let twice = write(folder.path(), "twice.wasm", twice);
    let unclosed = write(folder.path(), "text.wat", "(module \u{1b}[2J (func");
    let toml = "wasm = 'a.wat'\n\"\\u001b[2Jkey\\nERROR forged\" = 1\n";
    write(folder.path(), "faas.toml", toml);
    let [trap, import] = [&trap, &import].map(|path| path.to_str().unwrap());
    for (words, code) in [
        (vec!["run", trap], 134),
        (vec!["run", trap, "--invoke", "nothing"], 2),
        (vec!["run", import], 2),
        (vec!["inspect", trap], 0),
        (vec!["inspect", import], 0),
        (vec!["build", twice.to_str().unwrap()], 2),
        (vec!["build", unclosed.to_str().unwrap()], 2),
        (vec!["build", folder.path().to_str().unwrap()], 2),
        (vec!["inspect", "\u{1b}[2J\nERROR forged"], 2),
        (vec!["run", "--\u{1b}[2J"], 2),
        (vec!["serve", "--listen", "\u{1b}[2J"], 2),
    ] {
        let finished = run(&words).expect(code, &[]);
        assert_harmless(&finished.stdout);
        assert_harmless(&finished.stderr);
    }
    let shown = run(&["run", trap]).expect(134, &[r"\u{1b}[2Jevil\nERROR forged\u{202e}"]);
    assert_eq!(shown.stderr.matches("forged").count(), 1, "{}", shown.stderr);
    let json = run(&["inspect", "--json", import]).expect(0, &[]).json();
    assert_eq!(json["imports"][0]["name"], "\u{1b}[2Jevil\nERROR forged\u{202e}");
}

#[test]
fn a_server_log_has_one_record_an_event_whoever_sends_it() {
    let folder = scratch();
    let trap = format!(
        r#"(module (memory (export "memory") 1) (func $"{EVIL}" unreachable)
            (func (export "_start") (call 0)))"#
    );
    let trap = build(folder.path(), "trap", &trap);
    let says = saying("x").replace("(i32.const 1) (i32.const 0)", "(i32.const 2) (i32.const 0)");
    let says = says
        .replace(r"\01\00\00\00", r"\20\00\00\00")
        .replace(r#"16) "x""#, &format!(r#"16) "{EVIL}""#));
    let says = build(folder.path(), "says", &says);
    let server = Server::start(&folder.path().join("store"), &[trap, says]);
    assert_eq!(server.get("/trap").status, 500);
    assert_eq!(server.get("/says").status, 200);
    assert_harmless(&server.get("/nothing%1b[2J").text());
    let evil = [("x-wfaas-config", "{\"name\": \"\u{9b}2J\u{202e}\"}")];
    let refused = request(server.address, "PUT", "/v1/functions/x", &evil, b"").unwrap();
    assert_eq!(refused.status, 400);
    assert_harmless(&refused.text());
    wait_until("all records", || server.log().matches("answered").count() == 4);
    assert_harmless(&server.log());
    // A record begins with the time; lines that belong to one, as of a backtrace, with spaces.
    let year = |line: &str| line.starts_with("20") || line.starts_with("    ");
    assert!(server.log().lines().all(year), "{}", server.log());
}

#[test]
fn a_request_writes_to_the_log_what_its_limit_allows() {
    const LIMIT: usize = 64 << 10;
    let folder = scratch();
    let flood = build(folder.path(), "flood", LINES);
    let name = "x".repeat(90_000);
    let deep = format!(
        r#"(module (memory (export "memory") 1)
            (func ${name} (param i32) (result i32)
              (i32.add (i32.const 1) (call ${name} (i32.add (local.get 0) (i32.const 1)))))
            (func (export "_start") (drop (call ${name} (i32.const 0)))))"#
    );
    let deep = build(folder.path(), "deep", &deep);
    let server = Server::start(&folder.path().join("store"), &[flood, deep]);
    assert_eq!(server.get("/flood").status, 200);
    wait_until("the record", || server.log().contains("answered"));
    let log = server.log();
    assert_eq!(log.matches("log limit reached").count(), 1);
    let guest: usize = log
        .lines()
        .filter(|line| line.contains("wfaas::guest: a "))
        .map(|line| line.len() + 1)
        .sum();
    assert!((LIMIT / 2..=LIMIT).contains(&guest), "{guest} bytes of the guest");
    let before = log.len();
    assert_eq!(server.get("/deep").status, 500);
    wait_until("the record", || server.log().matches("answered").count() == 2);
    let more = server.log().len() - before;
    assert!((1 << 10..40 << 10).contains(&more), "{more} bytes for a trap");
}

/// Raises a signal twice, which is not supported, and exits with the answer.
const RAISE: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start")
      (drop (call $raise (i32.const 0))) (call $exit (call $raise (i32.const 0)))))"#;

#[test]
fn functions_that_are_not_there_are_named() {
    let folder = scratch();
    let artifact = build(folder.path(), "raise", RAISE);
    let path = artifact.to_str().unwrap();
    let named = |stderr: &str| stderr.matches("proc_raise is not supported").count();
    assert_eq!(run(&["run", path]).expect(52, &[]).stderr, "");
    assert_eq!(named(&run(&["run", "-v", path]).expect(52, &["function=\"raise\""]).stderr), 1);
    let mut command = super::support::faascli(&["run", path]);
    let output = command.env("RUST_LOG", "debug").output().unwrap();
    assert_eq!(named(&String::from_utf8_lossy(&output.stderr)), 1, "{output:?}");
}

#[test]
fn inspect_says_what_there_is_for_imports() {
    let folder = scratch();
    let imports = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_raise" (func (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func (param i64) (result i32)))
        (import "env" "a" (func)) (import "env" "b" (global i32))
        (memory (export "memory") 1) (func (export "_start")))"#;
    let artifact = build(folder.path(), "imports", imports);
    let path = artifact.to_str().unwrap();
    let json = run(&["inspect", "--json", path]).expect(0, &[]).json();
    let support: Vec<_> =
        json["imports"].as_array().unwrap().iter().map(|one| &one["support"]).collect();
    assert_eq!(support, ["works", "answers ENOSYS", "missing", "missing", "missing"]);
    let text = run(&["inspect", path]).expect(0, &[]).stdout;
    assert!(text.contains("env.a () -> () (missing)"), "{text}");
    assert!(text.contains("proc_raise (i32) -> (i32) (answers ENOSYS)"), "{text}");
    run(&["run", path]).expect(2, &["incompatible import type for", "fd_close"]);
    let unknown = imports.replace("fd_close", "sock_open");
    let unknown = write(folder.path(), "unknown.wat", unknown);
    let both =
        ["\"wasi_snapshot_preview1\" \"sock_open\"", "nor have \"env\" \"a\", \"env\" \"b\""];
    run(&["run".as_ref(), unknown.as_os_str()]).expect(2, &both);
}
