//! Bounds strategies, from the command line to the guest's accesses.

use super::support::{Server, run, saying, scratch, write};
use std::path::Path;

/// Writes outside of its memory, and says so if it got that far.
fn reaching_out() -> String {
    saying("far").replace(
        "(func (export \"_start\")",
        "(func (export \"_start\") (i32.store (i32.mul (memory.size) (i32.const 131072)) (i32.const 1))",
    )
}

fn build_with(folder: &Path, source: &str, options: &[&str]) -> super::support::Finished {
    let wat = write(folder, "app.wat", source);
    let mut arguments = vec!["build", wat.to_str().unwrap(), "--no-init", "--json"];
    arguments.extend(options);
    run(&arguments)
}

#[test]
fn each_strategy_does_what_it_says() {
    let folder = scratch();
    let strategies = [
        ("guard", &[][..], 134),
        ("guard-uffd", &[], 134),
        ("trap", &[], 134),
        ("trap", &["--no-elide", "ranges,merged", "--verify-bounds"], 134),
        ("clamp", &[], 0),
        ("none", &["--unsafe-no-bounds"], 0),
    ];
    for (strategy, options, code) in strategies {
        let options = [&["--bounds", strategy], options].concat();
        let built = build_with(folder.path(), &reaching_out(), &options).expect(0, &[]).json();
        assert_eq!(built["bounds"]["strategy"], strategy);
        assert_eq!(built["bounds"]["accesses"], 1, "{built}");
        let artifact = built["artifact"].as_str().unwrap();
        let inspected = run(&["inspect", artifact, "--json"]).expect(0, &[]).json();
        assert_eq!(inspected["bounds"], built["bounds"]);
        let ended = run(&["run", artifact]).expect(code, &[]);
        assert_eq!(ended.stdout, if code == 0 { "far" } else { "" }, "{strategy}");
        assert_eq!(ended.stderr.contains("out of bounds memory access"), code != 0, "{strategy}");
    }
}

#[test]
fn passes_can_be_left_out() {
    let folder = scratch();
    let source = "(module (func $f (result i32) (i32.const 7))
        (func (export \"_start\") (drop (call $f))) (memory (export \"memory\") 1))";
    let hash = |options: &[&str]| {
        let built = build_with(folder.path(), source, options).expect(0, &[]).json();
        built["hash"].as_str().unwrap().to_owned()
    };
    assert_eq!(hash(&[]), hash(&[]));
    assert_ne!(hash(&[]), hash(&["--disable-pass", "redundant-phis,inline"]));
    build_with(folder.path(), source, &["--disable-pass", "magic"])
        .expect(2, &["magic", "inline", "lftr"]);
}

#[test]
fn no_checks_take_all_the_words() {
    let folder = scratch();
    let source = saying("hi");
    build_with(folder.path(), &source, &["--bounds", "none"]).expect(2, &["--unsafe-no-bounds"]);
    build_with(folder.path(), &source, &["--unsafe-no-bounds"]).expect(2, &["--bounds none"]);
    build_with(folder.path(), &source, &["--bounds", "hope"]).expect(2, &["hope", "guard-uffd"]);
    build_with(folder.path(), &source, &["--no-elide", "hope"]).expect(2, &["hope", "dominated"]);
    write(folder.path(), "faas.toml", "name = 'app'\nwasm = 'app.wat'\nbounds = 'none'");
    let path = folder.path().to_str().unwrap();
    for command in ["build", "run", "serve", "deploy"] {
        run(&[command, path]).expect(2, &["--unsafe-no-bounds"]);
    }
    run(&["build", path, "--unsafe-no-bounds"]).expect(0, &[]);
    assert_eq!(run(&["run", path]).expect(0, &[]).stdout, "hi");
    for command in ["serve", "deploy"] {
        run(&[command, path]).expect(2, &["--bounds none", "build it again"]);
    }
    run(&["build", path, "--bounds", "trap"]).expect(0, &[]);
    assert_eq!(run(&["run", path]).expect(0, &[]).stdout, "hi");
}

/// Also if it does not come from `faascli deploy`.
#[test]
fn a_server_refuses_what_is_not_kept_in_bounds() {
    let folder = scratch();
    let options = ["--bounds", "none", "--unsafe-no-bounds"];
    let built = build_with(folder.path(), &saying("hi"), &options).expect(0, &[]).json();
    let artifact = built["artifact"].as_str().unwrap();
    run(&["serve", artifact]).expect(2, &["--bounds none", "build it again"]);
    let server = Server::start::<&Path>(&folder.path().join("store"), &[]);
    let answer = server.request("PUT", "/v1/functions/app", &[], &std::fs::read(artifact).unwrap());
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("strategy `none`"), "{}", answer.text());
    assert_eq!(server.get("/app").status, 404);
}

#[test]
fn reasons_are_explained() {
    let folder = scratch();
    let source = r#"(module (memory 1) (func (export "_start"))
        (func (param i32)
          (drop (i32.load (i32.const 8)))
          (drop (i32.load offset=4 (local.get 0)))
          (drop (i32.load (local.get 0)))))"#;
    let built = build_with(folder.path(), source, &["--bounds", "trap"]).expect(0, &[]).json();
    let reasons = serde_json::json!({"checked": 1, "constant": 1, "dominated": 1});
    assert_eq!(built["bounds"]["by_reason"], reasons);
    assert_eq!(built["bounds"]["elided"], 2);
    let wat = folder.path().join("app.wat");
    let arguments = ["build", wat.to_str().unwrap(), "--bounds", "trap", "--explain-bounds"];
    let text = run(&arguments).expect(0, &[]).stdout;
    for line in ["bounds trap: 3 accesses, of 2", "1  checked", "1  constant", "1  dominated"] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    assert!(!text.contains("induction"), "{text}");
}

/// The kernel reads them for `fd_write`, and does not fault as a guest does.
#[test]
fn pages_nobody_has_touched_can_be_written_out() {
    let folder = scratch();
    let grow = "(func (export \"_start\") (drop (memory.grow (i32.const 9)))
        (i32.store (i32.const 0) (i32.const 131056)) (i32.store (i32.const 4) (i32.const 131072))";
    let source = saying("").replace("(func (export \"_start\")", grow);
    let built = build_with(folder.path(), &source, &["--bounds", "guard-uffd"]).expect(0, &[]);
    let ended = run(&["run", built.json()["artifact"].as_str().unwrap()]).expect(0, &[]);
    assert!(ended.stdout == "\0".repeat(131_072), "{} bytes", ended.stdout.len());
}
