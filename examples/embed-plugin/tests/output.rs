//! The example prints what it should, and is as short as it claims.

use std::process::{Command, Output};

fn run(args: &[&std::path::Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_embed-plugin")).args(args).output().unwrap()
}

#[test]
fn the_longest_line_is_marked() {
    let output = run(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"  a line\n> a longer line\n  the end\n");
}

#[test]
fn another_plugin_can_fail() {
    let path = std::env::temp_dir().join(format!("embed-plugin-{}.wat", std::process::id()));
    let mark = r#"(import "editor" "mark" (func $mark (param i32)))"#;
    let plugin = format!(r#"(module {mark} (func (export "run") (call $mark (i32.const 3))))"#);
    std::fs::write(&path, plugin).unwrap();
    let output = run(&[&path]);
    std::fs::remove_file(&path).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("there is no line 3"), "{stderr}");
}

#[test]
fn it_has_sixty_lines() {
    assert!(include_str!("../src/main.rs").lines().count() <= 60);
}
