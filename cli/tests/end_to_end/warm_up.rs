//! Warm-up requests: made by `build`, shown by `inspect`, and of no consequence but speed.

use super::support::{Finished, Server, copy_example, run, scratch, write};
use std::path::Path;

/// A reactor that traps for an empty body, and writes to as many pages as the body is long.
const PAGES: &str = r#"(module
    (memory (export "memory") 20)
    (func (export "faas_alloc") (param i32) (result i32) (i32.const 8))
    (func (export "faas_handle") (param $ptr i32) (param $len i32) (result i64)
        (if (i32.eqz (local.get $len)) (then unreachable))
        (loop $next
            (i32.store8 (i32.mul (local.get $len) (i32.const 8192)) (i32.const 1))
            (local.set $len (i32.sub (local.get $len) (i32.const 1)))
            (br_if $next (local.get $len)))
        (i64.const 8589934593)))"#;

/// Builds a folder with this `warmup`.
fn build(folder: &Path, warmup: &str) -> Finished {
    write(folder, "pages.wat", PAGES);
    write(folder, "faas.toml", format!("name = 'pages'\nwasm = 'pages.wat'\n{warmup}"));
    run(&["build".as_ref(), folder.as_os_str(), "--json".as_ref()])
}

#[test]
fn what_requests_write_to_is_in_the_artifact_and_shown() {
    let folder = scratch();
    let artifact = folder.path().join("target/pages.faas");
    let plain = build(folder.path(), "").expect(0, &[]).json();
    assert_eq!(plain["profile_pages"], serde_json::Value::Null);
    let warm = "warmup = ['abc', { path = '/x', body = 'abcde' }]";
    let built = build(folder.path(), warm).expect(0, &[]).json();
    // Page 0 with the body, and five others.
    assert_eq!(built["profile_pages"], 6);
    let first = std::fs::read(&artifact).unwrap();
    build(folder.path(), warm).expect(0, &[]);
    assert!(std::fs::read(&artifact).unwrap() == first, "built twice, two artifacts");
    let inspected = run(&["inspect".as_ref(), artifact.as_os_str(), "--json".as_ref()]).json();
    assert_eq!(inspected["profile"]["pages"], 6);
    assert_eq!(inspected["profile"]["grown_wasm_pages"], 0);
    assert!(inspected["profile"]["reset_nanos"].as_u64().unwrap() > 0);
    let text = run(&["inspect".as_ref(), artifact.as_os_str()]).expect(0, &[]).stdout;
    assert!(text.contains("requests write to 6 pages"), "{text}");
    run(&["verify".as_ref(), artifact.as_os_str()]).expect(0, &[]);
}

#[test]
fn nothing_is_run_if_nothing_is_to_be_run() {
    let folder = scratch();
    build(folder.path(), "warmup = ['']").expect(134, &["warm-up request 1", "unreachable"]);
    run(&["build".as_ref(), folder.path().as_os_str(), "--no-init".as_ref()]).expect(0, &[]);
}

#[test]
fn a_function_that_was_warmed_up_answers() {
    let folder = scratch();
    let hello = copy_example("hello", folder.path());
    let toml = std::fs::read_to_string(hello.join("faas.toml")).unwrap();
    std::fs::write(hello.join("faas.toml"), format!("warmup = ['', 'x']\n{toml}")).unwrap();
    let server = Server::start(&folder.path().join("store"), &[&hello]);
    for _ in 0..3 {
        assert_eq!(server.get("/hello").text(), "hello, world from Awesome FaaS App!\n");
    }
}
